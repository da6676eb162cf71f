package train

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"blockprint"
	"blockprint/classify"
	"blockprint/dataset"
)

// Selection says which blocks and features of a set are used, and what their classes are.
type Selection struct {
	Features     []string             // of the set's
	Group        []blockprint.Client  // taken together as Other
	Disable      []blockprint.Client  // left out
	GraffitiOnly []blockprint.Client  // left out, and labeled by graffiti
	Within       *blockprint.Interval // blocks of other slots are left out; nil means all
	// Forks leaves out the blocks of other forks, and those whose fork is not known; nil means all. A block's fork
	// follows from Schedule, if that is known, or from the features that classify.ShapeFeatures names.
	Forks    *blockprint.ForkRange
	Schedule *blockprint.ForkSchedule
	// KeepDuplicates keeps blocks that occur more than once; otherwise the first of each counts.
	KeepDuplicates bool
}

// check refuses combinations that have no meaning.
func (s *Selection) check() error {
	for _, pair := range []struct {
		a, b         []blockprint.Client
		nameA, nameB string
	}{
		{s.Disable, s.GraffitiOnly, "disabled", "graffiti-only"},
		{s.Disable, s.Group, "disabled", "grouped"},
		{s.Group, s.GraffitiOnly, "grouped", "graffiti-only"},
	} {
		for _, c := range pair.a {
			if slices.Contains(pair.b, c) {
				return blockprint.Errorf(blockprint.Invalid, "client %s cannot be both %s and %s", c, pair.nameA, pair.nameB)
			}
		}
	}
	return nil
}

// Matrix is training data in the form that algorithms take.
type Matrix struct {
	Features []string
	Classes  []blockprint.Client // sorted by name
	X        []float64           // len(Features) numbers per row; NaN where a feature has no value
	Y        []uint8             // of each row, the place of its class
	// Slots and Proposers are those of each row. Groups are the rows' worlds or pieces of data; nil if there is one.
	Slots     []blockprint.Slot
	Proposers []uint64
	Groups    []int
	// Attestations is how many each row's block holds; 0 if the set does not say.
	Attestations []int
	Left         LeftOut

	before, since int // rows that are surely of a time before Electra, or since
}

// forksOf returns a function from a row to the forks that its block can be of.
func (s *Selection) forksOf(set *dataset.Set) func(row int) blockprint.ForkRange {
	if s.Schedule == nil {
		shape := classify.NewShape(set.Features)
		return func(row int) blockprint.ForkRange { return shape.Of(set.Row(row)) }
	}
	return func(row int) blockprint.ForkRange {
		f := s.Schedule.ForkAt(set.Slots[row])
		return blockprint.ForkRange{First: f, Last: f}
	}
}

// forks returns the forks that the rows are of, as far as clients pack otherwise; nil if they are of both sides of
// Electra, or not known.
func (m *Matrix) forks() *blockprint.ForkRange {
	forks := blockprint.BeforeElectra
	if m.since > 0 {
		forks = blockprint.SinceElectra
	}
	if (m.before > 0) == (m.since > 0) {
		return nil
	}
	return &forks
}

// LeftOut counts the rows that a selection did not take.
type LeftOut struct {
	Clients       int `json:"clients"`       // disabled or graffiti-only
	OtherSlots    int `json:"other_slots"`   // outside of the range
	OtherForks    int `json:"other_forks"`   // of others, or not known
	Missing       int `json:"missing"`       // a feature has no value
	Duplicates    int `json:"duplicates"`    // the block occurred before
	Contradicting int `json:"contradicting"` // of those, with another label
}

// String says what was left out and why; it is empty if nothing was.
func (l LeftOut) String() string {
	var out string
	for _, part := range []struct {
		n    int
		what string
	}{
		{l.Clients, "of clients that are not learned"},
		{l.OtherSlots, "of other slots"},
		{l.OtherForks, "of other forks"},
		{l.Missing, "without a number in every feature"},
		{l.Duplicates, "that occurred before"},
	} {
		if part.n > 0 {
			if out != "" {
				out += ", "
			}
			out += fmt.Sprintf("%d %s", part.n, part.what)
		}
	}
	return out
}

// Rows returns the number of rows.
func (m *Matrix) Rows() int { return len(m.Y) }

// Row returns row i.
func (m *Matrix) Row(i int) []float64 {
	n := len(m.Features)
	return m.X[i*n : (i+1)*n : (i+1)*n]
}

// Select makes a matrix of a set. Rows with a missing value are left out unless missing is true. Equal input gives
// equal rows in equal order.
func Select(s *dataset.Set, o Selection, missing bool) (*Matrix, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	columns, err := s.Columns(o.Features)
	if err != nil {
		return nil, err
	}
	m := &Matrix{Features: slices.Clone(o.Features)}
	var repeated map[int]bool
	if !o.KeepDuplicates {
		repeated, m.Left.Contradicting = duplicates(s)
	}
	var labels []blockprint.Client
	row := make([]float64, len(columns))
	attestations := attestationsOf(s)
	forksOf := o.forksOf(s)
	for i, label := range s.Labels {
		switch {
		case slices.Contains(o.Disable, label) || slices.Contains(o.GraffitiOnly, label):
			m.Left.Clients++
			continue
		case o.Within != nil && (s.Slots[i] < o.Within.Start || s.Slots[i] > o.Within.End):
			m.Left.OtherSlots++
			continue
		case o.Forks != nil && !o.Forks.Contains(forksOf(i)):
			m.Left.OtherForks++
			continue
		case repeated[i]:
			m.Left.Duplicates++
			continue
		}
		from, whole := s.Row(i), true
		for j, c := range columns {
			row[j] = from[c]
			whole = whole && !math.IsNaN(from[c])
		}
		if !whole && !missing {
			m.Left.Missing++
			continue
		}
		if slices.Contains(o.Group, label) {
			label = blockprint.Other
		}
		switch forks := forksOf(i); {
		case blockprint.BeforeElectra.Contains(forks):
			m.before++
		case blockprint.SinceElectra.Contains(forks):
			m.since++
		}
		m.X = append(m.X, row...)
		m.Slots = append(m.Slots, s.Slots[i])
		m.Proposers = append(m.Proposers, s.Proposers[i])
		m.Attestations = append(m.Attestations, attestations(from))
		if s.Groups != nil {
			m.Groups = append(m.Groups, s.Groups[i])
		}
		labels = append(labels, label)
		if !slices.Contains(m.Classes, label) {
			m.Classes = append(m.Classes, label)
		}
	}
	if len(labels) == 0 {
		return nil, nothingLeft(s, &o, columns, m.Left)
	}
	slices.Sort(m.Classes)
	m.Y = make([]uint8, len(labels))
	for i, l := range labels {
		at, _ := slices.BinarySearch(m.Classes, l)
		m.Y[i] = uint8(at)
	}
	return m, nil
}

// attestationsOf returns how many attestations a row's block holds; 0 if the set does not say.
func attestationsOf(s *dataset.Set) func(row []float64) int {
	at := slices.Index(s.Features, classify.ShapeFeatures[0])
	return func(row []float64) int {
		if at < 0 || math.IsNaN(row[at]) {
			return 0
		}
		return int(row[at])
	}
}

// nothingLeft explains why no row is left.
func nothingLeft(s *dataset.Set, o *Selection, columns []int, left LeftOut) error {
	why := ""
	for j, c := range columns {
		valued := false
		for i := 0; i < s.Len() && !valued; i++ {
			valued = !math.IsNaN(s.Row(i)[c])
		}
		if !valued {
			why = fmt.Sprintf("; feature %s has a value in none of them (old files carry no attestations)", o.Features[j])
			break
		}
	}
	if left.OtherSlots > 0 {
		why += fmt.Sprintf("; the data is of slots %d to %d (see --data-slots)", slices.Min(s.Slots), slices.Max(s.Slots))
	}
	return blockprint.Errorf(blockprint.Invalid, "no blocks are left to train on: %s%s", left, why)
}

// counts returns the number of rows of each class.
func (m *Matrix) counts() []int {
	n := make([]int, len(m.Classes))
	for _, y := range m.Y {
		n[y]++
	}
	return n
}

// slotRange returns the first and the last slot.
func (m *Matrix) slotRange() blockprint.Interval {
	return blockprint.Interval{Start: slices.Min(m.Slots), End: slices.Max(m.Slots)}
}

// pick returns the matrix of the given rows, with the same classes.
func (m *Matrix) pick(rows []int) *Matrix {
	out := &Matrix{Features: m.Features, Classes: m.Classes}
	out.X = make([]float64, 0, len(rows)*len(m.Features))
	out.Y = make([]uint8, 0, len(rows))
	for _, i := range rows {
		out.X = append(out.X, m.Row(i)...)
		out.Y = append(out.Y, m.Y[i])
	}
	return out
}

// project returns the matrix of some of its features, by place.
func (m *Matrix) project(features []int) *Matrix {
	out := &Matrix{Classes: m.Classes, Y: m.Y, Slots: m.Slots, Proposers: m.Proposers, Groups: m.Groups, Attestations: m.Attestations, before: m.before, since: m.since}
	for _, f := range features {
		out.Features = append(out.Features, m.Features[f])
	}
	out.X = make([]float64, 0, m.Rows()*len(features))
	for i := range m.Y {
		row := m.Row(i)
		for _, f := range features {
			out.X = append(out.X, row[f])
		}
	}
	return out
}

// duplicates returns the rows whose block occurred before (same root), and how many of those have another label than
// the first.
func duplicates(s *dataset.Set) (repeated map[int]bool, contradicting int) {
	type key struct {
		hash uint64 // a root is a hash: its first bytes identify it as well as all of them, up to a chance of one in millions
		row  int
	}
	keys := make([]key, 0, s.Len())
	for i, r := range s.Roots {
		if !r.IsZero() {
			keys = append(keys, key{binary.LittleEndian.Uint64(r[:8]), i})
		}
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.row, b.row)) })
	repeated = map[int]bool{}
	first := 0
	for i := 1; i < len(keys); i++ {
		if keys[i].hash != keys[first].hash || s.Roots[keys[i].row] != s.Roots[keys[first].row] {
			first = i
			continue
		}
		repeated[keys[i].row] = true
		if s.Labels[keys[i].row] != s.Labels[keys[first].row] {
			contradicting++
		}
	}
	return repeated, contradicting
}
