// Package algorithm says what a classifier is. A new one is a folder with a variable of type Algorithm, and a line in
// package classify's list: model files, training, commands and their flags follow from that entry.
package algorithm

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"

	"blockprint"
)

// Predictor is a fitted algorithm. It is safe for concurrent use.
type Predictor interface {
	// PredictProba writes the probability of each class for the row x, one number per feature, into dst.
	PredictProba(dst, x []float64)
	// Missing reports whether x may hold NaN, for features without a value.
	Missing() bool
	// Shape returns how many features a row has and how many classes there are.
	Shape() (features, classes int)
	// Parameters returns what a model file records about the options and about what training found.
	Parameters() map[string]float64
	// AppendBinary appends the predictor's payload for the model file.
	AppendBinary(b []byte) ([]byte, error)
}

// Softmax turns scores into probabilities in place. It subtracts the largest score first, so that none overflows.
func Softmax(scores []float64) {
	most := floats.Max(scores)
	for i, v := range scores {
		scores[i] = math.Exp(v - most)
	}
	floats.Scale(1/floats.Sum(scores), scores)
}

// Algorithm is a kind of classifier.
type Algorithm struct {
	Name    string // in model files and flags
	Missing bool   // takes rows with missing values
	// Calibrate says whether probabilities are corrected unless the user decides otherwise.
	Calibrate bool
	// Combinations is how many combinations of features a search tries at most: more would take days.
	Combinations int
	Options      []Option
	// Needs, if not nil, returns how many rows the settings need at least, and what needs them.
	Needs  func(s Settings) (rows int, what string)
	Fit    func(d Data, s Settings, seed uint64) (Predictor, error)
	Decode func(payload []byte) (Predictor, error)
}

// Kind is what values an option takes.
type Kind int

// The kinds: one whole number, one number, or several whole numbers.
const (
	Int Kind = iota
	Float
	Ints
)

// Option is something that users can set.
type Option struct {
	Name, Help string
	Kind       Kind
	Default    string  // in words
	Min, Max   float64 // bounds of each value; a Float is above Min
	Most       int     // numbers of an Ints at most
}

// Check refuses values outside the option's bounds.
func (o *Option) Check(values []float64) error {
	expected := fmt.Sprintf("%g to %g", o.Min, o.Max)
	switch o.Kind {
	case Float:
		expected = fmt.Sprintf("above %g and at most %g", o.Min, o.Max)
	case Ints:
		expected = fmt.Sprintf("up to %d numbers from %s", o.Most, expected)
	}
	ok := o.Kind != Ints || len(values) <= o.Most
	for _, v := range values {
		ok = ok && v >= o.Min && v <= o.Max && (o.Kind != Float || v > o.Min)
	}
	if ok {
		return nil
	}
	shown := fmt.Sprint(values)
	if o.Kind != Ints && len(values) > 0 {
		shown = fmt.Sprint(values[0])
	}
	return blockprint.Errorf(blockprint.Invalid, "--%s %s: expected %s", o.Name, shown, expected)
}

// Settings are the values of options by name. An option without values has its default.
type Settings map[string][]float64

// Float returns an option's value, or the given default.
func (s Settings) Float(name string, otherwise float64) float64 {
	if v := s[name]; len(v) > 0 {
		return v[0]
	}
	return otherwise
}

// Int returns an option's value, or the given default.
func (s Settings) Int(name string, otherwise int) int { return int(s.Float(name, float64(otherwise))) }

// Ints returns an option's values, or nil.
func (s Settings) Ints(name string) []int {
	var out []int
	for _, v := range s[name] {
		out = append(out, int(v))
	}
	return out
}
