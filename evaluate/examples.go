package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/floats"

	"blockprint"
	"blockprint/dataset"
	"blockprint/feature"
	"blockprint/train"
)

// Example is a block that was taken for another client's, with the features that mislead.
type Example struct {
	train.Mistake
	World   string          `json:"world"`
	Slot    blockprint.Slot `json:"slot"`
	Variant string          `json:"variant"`
	P       float64         `json:"probability"` // of the wrong answer
	Signs   []Sign          `json:"signs"`
}

// Sign is a feature in which a block is nearer to the middle of another client's blocks than to its own's.
type Sign struct {
	Feature string  `json:"feature"`
	Meaning string  `json:"meaning"`
	Value   float64 `json:"value"`
	Own     float64 `json:"own_median"`
	Other   float64 `json:"other_median"`
}

// exampleSigns are enough to see why a block was mistaken.
const exampleSigns = 4

// medians returns the median of each feature over each client's blocks, and the spread of each feature: the mean
// distance from the median of the own client.
func medians(set *dataset.Set) (middle map[blockprint.Client][]float64, spread []float64) {
	middle = map[blockprint.Client][]float64{}
	values := map[blockprint.Client][][]float64{}
	for i, label := range set.Labels {
		if values[label] == nil {
			values[label] = make([][]float64, len(set.Features))
		}
		for f, v := range set.Row(i) {
			if !math.IsNaN(v) {
				values[label][f] = append(values[label][f], v)
			}
		}
	}
	spread = make([]float64, len(set.Features))
	counts := make([]float64, len(set.Features))
	for label, columns := range values {
		for f, list := range columns {
			m := math.NaN()
			if len(list) > 0 {
				slices.Sort(list)
				m = list[len(list)/2]
			}
			middle[label] = append(middle[label], m)
			for _, v := range list {
				spread[f] += math.Abs(v - m)
				counts[f]++
			}
		}
	}
	for f := range spread {
		spread[f] /= max(counts[f], 1)
	}
	return middle, spread
}

// findExamples finds, for each of the worst mistakes, the block with the most confident wrong answer, and its signs among
// the features that the classifier reads.
func findExamples(mistakes []train.Mistake, features []string, training *dataset.Set, worlds []*world, answers []*train.Answers) []Example {
	middle, spread := medians(training)
	var out []Example
	for _, m := range mistakes {
		e := Example{Mistake: m}
		var row []float64
		for k, a := range answers {
			for i, truth := range a.Truth {
				p := a.Of(i)
				best := floats.MaxIdx(p)
				if a.Classes[truth] == m.Truth && a.Classes[best] == m.Called && p[best] > e.P {
					set := worlds[k].set
					e.World, e.Slot, e.P, e.Variant = worlds[k].file, set.Slots[a.Row[i]], p[best], worlds[k].variantOf(m.Truth)
					row = set.Row(a.Row[i])
				}
			}
		}
		if row == nil {
			continue
		}
		e.Signs = signs(row, features, training.Features, middle[m.Truth], middle[m.Called], spread)
		out = append(out, e)
	}
	return out
}

// signs lists the features that speak most for the other client.
func signs(row []float64, features, names []string, own, other, spread []float64) []Sign {
	type weighed struct {
		Sign
		weight float64
	}
	var all []weighed
	for f, v := range row {
		if !slices.Contains(features, names[f]) {
			continue
		}
		if w := (math.Abs(v-own[f]) - math.Abs(v-other[f])) / (spread[f] + 1e-9); w > 0 { // NaN is not
			all = append(all, weighed{Sign{Feature: names[f], Value: v, Own: own[f], Other: other[f]}, w})
		}
	}
	slices.SortStableFunc(all, func(a, b weighed) int { return cmp.Compare(b.weight, a.weight) })
	var out []Sign
	for _, w := range all[:min(len(all), exampleSigns)] {
		if f, ok := feature.Lookup(w.Feature); ok {
			w.Meaning = f.Meaning
		}
		out = append(out, w.Sign)
	}
	return out
}

// text is the example in words.
func (e *Example) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s called %s (%.1f %% of its blocks): slot %d of %s, packed by %s, taken for %s's with probability %.2f\n",
		e.Truth, e.Called, 100*e.Share, e.Slot, e.World, e.Variant, e.Called, e.P)
	for _, s := range e.Signs {
		fmt.Fprintf(&b, "    %s is %.3g: %s mostly has %.3g, %s %.3g (%s)\n", s.Feature, s.Value, e.Called, s.Other, e.Truth, s.Own, s.Meaning)
	}
	if len(e.Signs) == 0 {
		b.WriteString("    no single feature speaks for it: it is their combination\n")
	}
	return b.String()
}
