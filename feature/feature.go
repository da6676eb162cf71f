// Package feature turns a block reward into numbers that tell clients apart.
//
// Every feature has a name, under which it is listed, selected, stored, and plotted. NewExtractor selects features by
// name, and Extractor.Extract computes them. The original's 24 features keep their names and values, including their
// faults since Electra, so that old models and data stay usable. A new feature is one function and its line in a family's
// table.
package feature

import (
	"math"
	"slices"
	"strings"

	"blockprint"
)

// Feature is a named number that is computed from a block.
type Feature struct {
	Name string `json:"name"`
	// Range describes the possible values.
	Range string `json:"range"`
	// Meaning says in one line what the feature measures.
	Meaning string `json:"meaning"`

	compute func(*input) float64
}

// families are the tables of features, in the order in which features are listed and stored.
var families = [][]Feature{counts, order, amounts, density, packing}

// All returns every feature.
func All() []Feature { return slices.Concat(families...) }

var allNames = func() []string {
	var names []string
	for _, f := range All() {
		names = append(names, f.Name)
	}
	return slices.Clip(names)
}()

// Names returns the names of all features, in order. It is always the same list, which must not be changed.
func Names() []string { return allNames }

// Lookup returns the feature with a name.
func Lookup(name string) (Feature, bool) {
	for _, f := range All() {
		if f.Name == name {
			return f, true
		}
	}
	return Feature{}, false
}

// Default returns the names of the original's default set.
func Default() []string {
	return []string{"percent_redundant_boost", "difflib_rewards", "difflib_slot", "difflib_slot_rev"}
}

// Extractor computes a fixed list of features. It keeps scratch memory and is not safe for concurrent use: each goroutine
// needs its own.
type Extractor struct {
	names    []string
	features []Feature
	values   []float64
	in       input
}

// NewExtractor returns an extractor of the named features, or of all features if names is empty.
func NewExtractor(names []string) (*Extractor, error) {
	if len(names) == 0 {
		names = Names()
	}
	all := All()
	e := &Extractor{names: names}
	for k, name := range names {
		i := slices.IndexFunc(all, func(f Feature) bool { return f.Name == name })
		if i < 0 {
			return nil, blockprint.Errorf(blockprint.Invalid, "unknown feature %q: `blockprint features --list` shows them all%s", name, closest(name))
		}
		if slices.Contains(names[:k], name) {
			return nil, blockprint.Errorf(blockprint.Invalid, "feature %q is in the list twice", name)
		}
		e.features = append(e.features, all[i])
	}
	return e, nil
}

func closest(name string) string {
	for _, n := range Names() {
		if strings.Contains(n, name) && name != "" {
			return "; did you mean " + n + "?"
		}
	}
	return ""
}

// Names returns the names of the extracted features, in the order of Extract's result.
func (e *Extractor) Names() []string { return e.names }

// Vector returns the features of r. It is valid until the next call.
func (e *Extractor) Vector(r *blockprint.BlockReward) blockprint.Vector {
	e.values = e.Extract(e.values[:0], r)
	return blockprint.Vector{Names: e.names, Values: e.values}
}

// Extract appends the features of r to dst, with NaN for features that r does not define.
func (e *Extractor) Extract(dst []float64, r *blockprint.BlockReward) []float64 {
	e.in.reset(r)
	for _, f := range e.features {
		dst = append(dst, f.compute(&e.in))
	}
	return dst
}

// input is a block, with values that several features share, each computed at most once.
type input struct {
	r      *blockprint.BlockReward
	totals []blockprint.Gwei // reward of each attestation, in block order
	order  orderScratch
	pack   packScratch
}

func (in *input) reset(r *blockprint.BlockReward) {
	in.r = r
	in.totals = r.AttestationTotals(in.totals)
	in.order.ready, in.pack.ready = false, false
}

// n returns the number of attestations.
func (in *input) n() int { return len(in.totals) }

// perAttestation divides by the number of attestations. Without attestations the result is 0, as in the original.
func perAttestation(f func(*input) float64) func(*input) float64 {
	return func(in *input) float64 {
		if in.n() == 0 {
			return 0
		}
		return f(in) / float64(in.n())
	}
}

// Nullable returns v for JSON, or nil if v is not finite.
func Nullable(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
