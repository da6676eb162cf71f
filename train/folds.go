package train

import (
	"math/rand/v2"
	"slices"
)

// folds divide the rows of a matrix for a cross-validation. Each row has two folds, and is asked in a fold only if both
// are that fold, and learned from only if neither is: so a matrix that is divided by time and by validator never asks
// what it has learned from the same time or the same validator. Rows that are divided in one way have the same fold
// twice.
type folds struct {
	count         int
	first, second []int
	apart         string // what is whole on either side, in words; empty if only the rows are
}

func (f *folds) asked(row, fold int) bool   { return f.first[row] == fold && f.second[row] == fold }
func (f *folds) learned(row, fold int) bool { return f.first[row] != fold && f.second[row] != fold }

// rows returns the rows to learn from and the rows to ask in a fold.
func (f *folds) rows(fold int) (learn, ask []int) {
	for row := range f.first {
		if f.learned(row, fold) {
			learn = append(learn, row)
		} else if f.asked(row, fold) {
			ask = append(ask, row)
		}
	}
	return learn, ask
}

// spanSlots is the longest span of slots that is kept whole: a day of mainnet.
const spanSlots = 7200

// spansPerFold is how many spans a fold gets at least, so that folds have similar mixtures of clients.
const spansPerFold = 8

// divide keeps as much apart as the data allows: whole groups; else whole validators and spans of time; else spans. What
// is not possible, because a client would be asked that the other folds do not have, is not done.
func (m *Matrix) divide(o *Options) *folds {
	rng := rand.New(rand.NewPCG(o.Seed, 0xf01d))
	count := min(o.folds(), m.Rows())
	if groups := distinct(m.Groups); groups > 1 {
		if f := m.byUnit(min(count, groups), m.Groups, rng); m.learnable(f) {
			f.apart = "whole groups apart"
			return f
		}
	}
	slots := m.slotRange()
	span := min(max(uint64(slots.End-slots.Start)/uint64(spansPerFold*count), 1), spanSlots)
	spans := make([]int, m.Rows())
	for i, s := range m.Slots {
		spans[i] = int(uint64(s-slots.Start) / span)
	}
	if f := m.byUnit(count, spans, rng); distinct(spans) >= count {
		both := *f
		if both.second = m.validatorFolds(f.first, rng); m.learnable(&both) {
			both.apart = "validators and spans of time apart"
			return &both
		}
		if m.learnable(f) {
			f.apart = "spans of time apart"
			return f
		}
	}
	f := &folds{count: count, first: make([]int, m.Rows())}
	next := 0
	for _, rows := range m.byClass() {
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		for _, i := range rows {
			f.first[i] = next % count
			next++
		}
	}
	f.second = f.first
	return f
}

// warnings says what a division mixes although it should not.
func (f *folds) warnings() []string {
	if f.apart != "" {
		return nil
	}
	return []string{"some clients have too few validators, or the data covers too few slots, to keep validators and spans of time apart in cross-validation: the accuracy is too optimistic for other times"}
}

func distinct(list []int) int { return len(slices.Compact(slices.Sorted(slices.Values(list)))) }

// byUnit gives all rows of a unit the same fold, chosen at random.
func (m *Matrix) byUnit(count int, units []int, rng *rand.Rand) *folds {
	all := slices.Compact(slices.Sorted(slices.Values(units)))
	foldOf := map[int]int{}
	for i, at := range rng.Perm(len(all)) {
		foldOf[all[at]] = i % count
	}
	f := &folds{count: count, first: make([]int, len(units))}
	for i, u := range units {
		f.first[i] = foldOf[u]
	}
	f.second = f.first
	return f
}

// validatorFolds gives each row the fold of one of its validator's rows, chosen at random. A validator that has all of
// its blocks in one fold stays there, so where validators propose rarely, hardly a row is lost.
func (m *Matrix) validatorFolds(fold []int, rng *rand.Rand) []int {
	foldOf := map[uint64]int{}
	for _, i := range rng.Perm(m.Rows()) {
		if _, ok := foldOf[m.Proposers[i]]; !ok {
			foldOf[m.Proposers[i]] = fold[i]
		}
	}
	out := make([]int, m.Rows())
	for i, p := range m.Proposers {
		out[i] = foldOf[p]
	}
	return out
}

// learnable reports whether every fold asks rows, and whether every class is asked and learned from wherever it is
// asked. Classes with fewer rows than folds do not count, because no division could do that for them.
func (m *Matrix) learnable(f *folds) bool {
	some := make([]bool, f.count)
	asked, learned := make([][]bool, len(m.Classes)), make([][]bool, len(m.Classes))
	for c := range m.Classes {
		asked[c], learned[c] = make([]bool, f.count), make([]bool, f.count)
	}
	for i, c := range m.Y {
		for fold := range f.count {
			some[fold] = some[fold] || f.asked(i, fold)
			asked[c][fold] = asked[c][fold] || f.asked(i, fold)
			learned[c][fold] = learned[c][fold] || f.learned(i, fold)
		}
	}
	if slices.Contains(some, false) {
		return false
	}
	for c, n := range m.counts() {
		if n < f.count {
			continue
		}
		ok := false
		for fold := range f.count {
			if asked[c][fold] && !learned[c][fold] {
				return false
			}
			ok = ok || asked[c][fold]
		}
		if !ok {
			return false
		}
	}
	return true
}
