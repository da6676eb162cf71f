// Package feature turns a block reward into numbers that tell clients apart.
//
// Every feature has a name, under which it is listed, switched, stored and plotted. NewExtractor picks features by
// name; Extractor.Extract computes them. The 24 features of the original keep their names and values, its faults
// since Electra included, so that old models and data stay usable; a new feature is one function and its line in a
// family's table.
package feature

import (
	"math"
	"slices"
	"strings"

	"blockprint"
)

// Feature is a named number of a block.
type Feature struct {
	Name string `json:"name"`
	// Range is the interval of possible values, as text.
	Range string `json:"range"`
	// Meaning says in a line what is measured and what it tells.
	Meaning string `json:"meaning"`

	compute func(*input) float64
}

// families are the tables of all features, in the order in which they are listed and stored.
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

// Names returns the names of all features, in order: always the same list, which must not be changed.
func Names() []string { return allNames }

// Lookup returns the feature of a name.
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

// Extractor computes a fixed list of features. It keeps scratch memory and is not safe for concurrent use: make
// one for each goroutine.
type Extractor struct {
	names    []string
	features []Feature
	values   []float64
	in       input
}

// NewExtractor returns an extractor of the named features, of all of them if there are no names.
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
			return nil, blockprint.Errorf(blockprint.Invalid, "feature %q stands twice in the list", name)
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

// Extract appends the features of r to dst. A feature that r does not define is NaN.
func (e *Extractor) Extract(dst []float64, r *blockprint.BlockReward) []float64 {
	e.in.reset(r)
	for _, f := range e.features {
		dst = append(dst, f.compute(&e.in))
	}
	return dst
}

// input is a block with what several features need of it, computed at most once.
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

// perAttestation divides by the number of attestations; of none it is 0, as in the original.
func perAttestation(f func(*input) float64) func(*input) float64 {
	return func(in *input) float64 {
		if in.n() == 0 {
			return 0
		}
		return f(in) / float64(in.n())
	}
}

// Nullable returns v, or nil for NaN, for JSON.
func Nullable(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
