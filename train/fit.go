package train

import (
	"fmt"
	"math"
	"slices"

	"blockprint"
	"blockprint/classify"
	"blockprint/classify/knn"
)

// Options say how a model is fitted.
type Options struct {
	Type         string               // "knn"
	Features     []string             // of the set's; empty means feature.Default()
	K            int                  // neighbours, for knn
	Group        []blockprint.Client  // taken together as Other
	Disable      []blockprint.Client  // left out
	GraffitiOnly []blockprint.Client  // left out, and labelled by graffiti
	Slots        *blockprint.Interval // where the model is to be used; nil means everywhere
	Tool         string               // name and version of the program, for the model file
}

// DefaultK is the original's number of neighbours.
const DefaultK = 9

// check refuses combinations that have no meaning.
func (o *Options) check() error {
	for _, pair := range []struct {
		a, b         []blockprint.Client
		nameA, nameB string
	}{{o.Disable, o.GraffitiOnly, "disabled", "graffiti-only"}, {o.Disable, o.Group, "disabled", "grouped"}, {o.Group, o.GraffitiOnly, "grouped", "graffiti-only"}} {
		for _, c := range pair.a {
			if slices.Contains(pair.b, c) {
				return blockprint.Errorf(blockprint.Invalid, "client %s cannot be both %s and %s", c, pair.nameA, pair.nameB)
			}
		}
	}
	if o.Type != "knn" {
		return blockprint.Errorf(blockprint.Invalid, "unknown classifier type %q: expected knn", o.Type)
	}
	return nil
}

// Report is what a user should know about a fit besides the model.
type Report struct {
	Rows     int
	Dropped  int // rows with a value that is not a number
	Warnings []string
}

// Fit trains a model of one part on a set. The order of the rows is part of the input: equally near rows are taken
// in that order.
func Fit(set *Set, o Options) (*classify.Model, Report, error) {
	var report Report
	if err := o.check(); err != nil {
		return nil, report, err
	}
	columns, err := set.columns(o.Features)
	if err != nil {
		return nil, report, err
	}
	info := classify.PartInfo{
		Type: o.Type, Features: o.Features, GraffitiOnly: o.GraffitiOnly, Grouped: o.Group, Slots: o.Slots,
		Training: classify.Training{
			Blocks: map[blockprint.Client]int{}, Tool: o.Tool, Parameters: map[string]float64{"k": float64(o.K)},
			Slots: blockprint.Interval{Start: math.MaxUint64},
		},
	}
	var x []float64
	var labels []blockprint.Client
rows:
	for i, label := range set.Labels {
		if slices.Contains(o.Disable, label) || slices.Contains(o.GraffitiOnly, label) {
			continue
		}
		if slices.Contains(o.Group, label) {
			label = blockprint.Other
		}
		row := set.Row(i)
		for _, c := range columns {
			if math.IsNaN(row[c]) {
				report.Dropped++
				continue rows
			}
		}
		for _, c := range columns {
			x = append(x, row[c])
		}
		labels = append(labels, label)
		info.Training.Blocks[label]++
		info.Training.Slots.Start = min(info.Training.Slots.Start, set.Slots[i])
		info.Training.Slots.End = max(info.Training.Slots.End, set.Slots[i])
	}
	report.Rows = len(labels)
	for c, n := range info.Training.Blocks {
		info.Classes = append(info.Classes, c)
		if n < o.K {
			report.Warnings = append(report.Warnings, fmt.Sprintf("client %s has %d blocks, fewer than k = %d: it can never have all neighbours", c, n, o.K))
		}
	}
	slices.Sort(info.Classes)
	slices.Sort(report.Warnings)
	switch len(info.Classes) {
	case 0:
		return nil, report, blockprint.Errorf(blockprint.Invalid, "no blocks are left to train on (%d in the data, %d without a number in every feature)", set.Len(), report.Dropped)
	case 1:
		report.Warnings = append(report.Warnings, fmt.Sprintf("all blocks are of client %s: every block will be called that", info.Classes[0]))
	}
	y := make([]uint8, len(labels))
	for i, l := range labels {
		at, _ := slices.BinarySearch(info.Classes, l)
		y[i] = uint8(at)
	}
	p, err := knn.Fit(x, y, len(columns), len(info.Classes), o.K)
	if err != nil {
		return nil, report, err
	}
	info.Training.Accuracy, info.Training.AccuracyMethod = leaveOneOut(p, x, y, info.Classes)
	return &classify.Model{Name: "unsaved", Parts: []classify.Part{{PartInfo: info, Predictor: p}}}, report, nil
}

// columns returns the places of the named features in a row.
func (s *Set) columns(names []string) ([]int, error) {
	var out []int
	for _, f := range names {
		at := slices.Index(s.Features, f)
		if at < 0 {
			return nil, blockprint.Errorf(blockprint.Invalid, "the training data has no feature %q: it has %v", f, s.Features)
		}
		out = append(out, at)
	}
	if len(out) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "no features to train on")
	}
	return out, nil
}

// looSample bounds how many rows the accuracy is measured on.
const looSample = 20000

// leaveOneOut measures the true-positive rate of each class: rows, evenly spread over the data, are asked for
// without themselves. Rows that repeat elsewhere find their copies, as new blocks do.
func leaveOneOut(c *knn.Classifier, x []float64, y []uint8, classes []blockprint.Client) (map[blockprint.Client]float64, string) {
	dims := len(x) / len(y)
	step := max(1, len(y)/looSample)
	total := make([]int, len(classes))
	right := make([]int, len(classes))
	proba := make([]float64, len(classes))
	for i := 0; i < len(y); i += step {
		c.PredictWithout(proba, x[i*dims:(i+1)*dims], uint32(i))
		best := 0
		for j, p := range proba {
			if p > proba[best] {
				best = j
			}
		}
		total[y[i]]++
		if best == int(y[i]) {
			right[y[i]]++
		}
	}
	out := map[blockprint.Client]float64{}
	for i, n := range total {
		if n > 0 {
			out[classes[i]] = float64(right[i]) / float64(n)
		}
	}
	return out, "leave one out on the training blocks"
}
