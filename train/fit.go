// Package train makes models: it fits classifiers to sets of labeled feature vectors (Fit) and says how good they are
// (Validate, Search, NewStudy). It knows numbers only; package dataset says where they come from.
//
//	set, bad, err := dataset.Read(ctx, "mainnet.features", feature.Default())
//	model, report, err := train.Fit(ctx, set, train.DefaultOptions("knn"))
//	err = model.Save("mainnet.model")
//
// Everything is a function of the data, the options and the seed; the number of cores changes nothing but the time.
package train

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"blockprint"
	"blockprint/classify"
	"blockprint/dataset"
)

// Report is what a user should know about a fit besides the model.
type Report struct {
	Rows     int
	Left     LeftOut
	Warnings []string
}

// Fit trains a model of one part on a set and measures its accuracy by cross-validation. The order of the rows is
// part of the input: kNN takes equally near rows in that order.
func Fit(ctx context.Context, set *dataset.Set, o Options) (*classify.Model, Report, error) {
	var report Report
	m, err := o.matrix(set)
	if err != nil {
		return nil, report, err
	}
	division := m.divide(&o)
	report = Report{Rows: m.Rows(), Left: m.Left, Warnings: append(warnings(m, &o), division.warnings()...)}
	info := classify.PartInfo{
		Type: o.Type, Features: m.Features, Classes: m.Classes, GraffitiOnly: o.GraffitiOnly, Grouped: o.Group, Slots: o.Slots,
		Training: classify.Training{
			Blocks: map[blockprint.Client]int{}, Slots: m.slotRange(), Tool: o.Tool, Seed: o.Seed,
			Network: o.Network, Source: o.Source,
		},
	}
	for c, n := range m.counts() {
		info.Training.Blocks[m.Classes[c]] = n
	}
	if info.Forks = o.Forks; info.Forks == nil {
		info.ForksBySlots()
	}
	if info.Forks == nil {
		info.Forks = m.forks()
	}
	if n, ok := blockprint.Public(o.Network); ok {
		for _, slot := range []blockprint.Slot{info.Training.Slots.Start, info.Training.Slots.End} {
			info.Training.Dates = append(info.Training.Dates, n.TimeOf(slot).Format(time.DateOnly))
		}
	}
	trained := o.counter(division.count)
	p, err := o.fit(m)
	if err != nil {
		return nil, report, err
	}
	trained()
	info.Training.Parameters = p.Parameters()
	if m.Rows() > 1 {
		answers, err := crossValidate(ctx, m, &o, division, func(int, classify.Predictor, []int) error {
			trained()
			return nil
		})
		if err != nil {
			return nil, report, err
		}
		v := answers.summarise(m, &o)
		info.Training.Accuracy = v.TruePositiveRate
		info.Training.BalancedAccuracy = v.BalancedAccuracy
		info.Training.AccuracyMethod = v.Method() + ", on the training blocks"
		info.Calibration = v.Correction
	}
	return &classify.Model{Name: "unsaved", Parts: []classify.Part{{PartInfo: info, Predictor: p}}}, report, nil
}

// warnings says what is doubtful about training data.
func warnings(m *Matrix, o *Options) []string {
	var out []string
	least, what := o.needs()
	for c, n := range m.counts() {
		if n < least {
			out = append(out, fmt.Sprintf("client %s has %d blocks, fewer than %s: no answer can be certain of it", m.Classes[c], n, what))
		} else if n < o.folds() {
			out = append(out, fmt.Sprintf("client %s has %d blocks, fewer than the %d folds of the cross-validation: its accuracy says little", m.Classes[c], n, o.folds()))
		}
	}
	slices.Sort(out)
	if len(m.Classes) == 1 {
		out = append(out, fmt.Sprintf("all blocks are of client %s: every block will be called that", m.Classes[0]))
	}
	if m.Left.Contradicting > 0 {
		out = append(out, fmt.Sprintf("%d blocks occur more than once with different labels: the first label counts", m.Left.Contradicting))
	}
	if m.Left.Missing > m.Rows() {
		out = append(out, fmt.Sprintf("%d of %d blocks lack a value and are left out: features that need the attestations themselves have none in old files", m.Left.Missing, m.Left.Missing+m.Rows()))
	}
	var constant []string
	for f, name := range m.Features {
		same := m.Rows() > 1
		for i := 1; i < m.Rows() && same; i++ {
			same = m.Row(i)[f] == m.Row(0)[f]
		}
		if same {
			constant = append(constant, name)
		}
	}
	if len(constant) > 0 {
		out = append(out, fmt.Sprintf("these features have the same value in all blocks, so they do not help: %s", strings.Join(constant, ", ")))
	}
	return out
}

// counter returns what counts the classifiers that Fit trains.
func (o *Options) counter(folds int) func() {
	var mu sync.Mutex // folds are trained at the same time
	done, total := 0, 1+folds
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if done++; o.Progress != nil {
			o.Progress(done, total)
		}
	}
}
