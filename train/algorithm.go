package train

import (
	"strings"

	"blockprint"
	"blockprint/classify"
	"blockprint/classify/algorithm"
	"blockprint/dataset"
	"blockprint/feature"
)

// Options say how a model is fitted.
type Options struct {
	Selection
	Type string
	// Settings are the algorithm's own options; those of other algorithms are ignored.
	Settings algorithm.Settings
	Seed     uint64
	// Folds of the cross-validation that measures the accuracy and fits the calibration; 0 for DefaultFolds.
	Folds int
	// Calibrate is on, off, or auto: on for algorithms but knn, whose probabilities are the original's to the bit.
	Calibrate string
	Slots     *blockprint.Interval // where the model is to be used; nil means everywhere
	Tool      string               // name and version of the program, for the model file
	Network   string               // of the data, for the model file; may be empty
	Source    string               // where the data came from, in a few words, for the model file; may be empty
	// Progress, if not nil, is called after each classifier that Fit has trained: the model's own, and one a fold of the
	// cross-validation.
	Progress func(done, total int)
}

// DefaultFolds is the number of folds of a cross-validation.
const DefaultFolds = 5

// Best is the classifier that recognizes most in every measurement (docs/evaluation.md): the commands' default.
const Best = "gbt"

// DefaultOptions are those of an algorithm with the default features.
func DefaultOptions(algorithm string) Options {
	return Options{Type: algorithm, Folds: DefaultFolds, Calibrate: "auto", Selection: Selection{Features: feature.Default()}}
}

// Algorithms lists the classifier types.
func Algorithms() []string {
	var out []string
	for _, a := range classify.Algorithms {
		out = append(out, a.Name)
	}
	return out
}

// algorithm returns the options' algorithm after checking them.
func (o *Options) algorithm() (*algorithm.Algorithm, error) {
	a := classify.Lookup(o.Type)
	if a == nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "unknown classifier type %q: expected one of %s", o.Type, strings.Join(Algorithms(), ", "))
	}
	for _, option := range a.Options {
		if err := option.Check(o.Settings[option.Name]); err != nil {
			return nil, err
		}
	}
	if o.Folds < 0 || o.Folds == 1 || o.Folds > 100 {
		return nil, blockprint.Errorf(blockprint.Invalid, "%d folds: expected 2 to 100", o.Folds)
	}
	switch o.Calibrate {
	case "on", "off", "auto", "":
		return a, nil
	}
	return nil, blockprint.Errorf(blockprint.Invalid, "calibrate %q: expected on, off or auto", o.Calibrate)
}

// fit fits the options' algorithm, which were checked, to a matrix.
func (o *Options) fit(m *Matrix) (classify.Predictor, error) {
	d := algorithm.Data{X: m.X, Y: m.Y, Features: len(m.Features), Classes: len(m.Classes)}
	return classify.Lookup(o.Type).Fit(d, o.Settings, o.Seed)
}

// needs returns how many rows the algorithm needs at least, and what needs them; 0 if any number will do.
func (o *Options) needs() (rows int, what string) {
	if a := classify.Lookup(o.Type); a.Needs != nil {
		return a.Needs(o.Settings)
	}
	return 0, ""
}

// matrix checks the options and selects the rows for their algorithm.
func (o *Options) matrix(set *dataset.Set) (*Matrix, error) {
	a, err := o.algorithm()
	if err != nil {
		return nil, err
	}
	m, err := Select(set, o.Selection, a.Missing)
	if err != nil {
		return nil, err
	}
	if n, what := o.needs(); m.Rows() < n {
		left := m.Left.String()
		if left != "" {
			left = " (left out: " + left + ")"
		}
		return nil, blockprint.Errorf(blockprint.Invalid, "%s, but there are only %d blocks to learn from%s", what, m.Rows(), left)
	}
	return m, nil
}

// calibrates reports whether probabilities are to be corrected.
func (o *Options) calibrates() bool {
	switch o.Calibrate {
	case "on":
		return true
	case "off":
		return false
	}
	return classify.Lookup(o.Type).Calibrate
}

func (o *Options) folds() int {
	if o.Folds == 0 {
		return DefaultFolds
	}
	return o.Folds
}
