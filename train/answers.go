package train

import (
	"math"
	"slices"

	"blockprint"
	"blockprint/classify"
	"blockprint/dataset"
	"blockprint/estimate"
)

// Answers are a model's probabilities for the blocks of a set, with the truth.
type Answers struct {
	Classes []blockprint.Client
	Truth   []uint8   // of each answered block, the place of its class
	Proba   []float64 // len(Classes) numbers per answered block
	Row     []int     // of each answered block, its place in the set
	// Unanswered counts the blocks that the model has no part or not all features for, and those of clients that it
	// does not know.
	Unanswered int
}

// Of returns the probabilities of answer i.
func (a *Answers) Of(i int) []float64 {
	k := len(a.Classes)
	return a.Proba[i*k : (i+1)*k : (i+1)*k]
}

// Scores compares the answers with the truth.
func (a *Answers) Scores() *Scores { return NewScores(a.Classes, a.Truth, a.Proba) }

// Shown returns the answers with what their blocks show. Validators are the set's proposers.
func (a *Answers) Shown(set *dataset.Set) []estimate.Answer {
	attestations := attestationsOf(set)
	var out []estimate.Answer
	for i, row := range a.Row {
		out = append(out, estimate.Answer{
			Truth: int(a.Truth[i]), P: a.Of(i), Attestations: attestations(set.Row(row)), Validator: set.Proposers[row], Slot: set.Slots[row],
		})
	}
	return out
}

// Test asks a model's part for all blocks of a set.
func Test(p *classify.Part, set *dataset.Set) (*Answers, error) {
	columns, err := set.Columns(p.Features)
	if err != nil {
		return nil, err
	}
	a := &Answers{Classes: p.Classes}
	x := make([]float64, len(columns))
	for i, label := range set.Labels {
		if slices.Contains(p.Grouped, label) {
			label = blockprint.Other
		}
		truth := slices.Index(p.Classes, label)
		row, whole := set.Row(i), true
		for j, c := range columns {
			x[j] = row[c]
			whole = whole && !math.IsNaN(x[j])
		}
		if truth < 0 || !whole && !p.Predictor.Missing() {
			a.Unanswered++
			continue
		}
		a.Truth = append(a.Truth, uint8(truth))
		a.Row = append(a.Row, i)
		at := len(a.Proba)
		a.Proba = append(a.Proba, make([]float64, len(p.Classes))...)
		p.Proba(a.Proba[at:], x)
	}
	return a, nil
}
