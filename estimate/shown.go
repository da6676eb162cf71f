package estimate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/gonum/floats"

	"blockprint"
)

// Answer is a classifier's answer for a block whose client is known.
type Answer struct {
	Truth        int       // the client's place among the classes
	P            []float64 // the probability of each class
	Attestations int       // in the block; 0 if not known
	Validator    uint64    // equal for blocks of one validator
	Slot         blockprint.Slot
}

// Best returns the most probable class of answer n. If all are equally probable, the answer names none, and its number
// decides as a die would, so that such answers are right as often as chance.
func Best(p []float64, n int) int {
	best := floats.MaxIdx(p)
	if p[best] == floats.Min(p) {
		return int(uint32(n)*2654435761>>16) % len(p)
	}
	return best
}

// Shown is how well blocks, or validators, are recognized that show equally much of their client.
type Shown struct {
	Of     string `json:"of"`               // how much they show
	Blocks int    `json:"blocks,omitempty"` // of a validator
	Count  int    `json:"count"`
	// Balanced is the mean of the clients' shares of recognized ones.
	Balanced float64 `json:"balanced_accuracy"`
	// Labelled is the share for which one client is named with confidence, Precision how many of those are right.
	Labelled  float64 `json:"labelled"`
	Precision float64 `json:"precision"`
	// Claimed is the mean probability of the most probable client, Right how often it is right. Honest answers have equal
	// ones.
	Claimed float64 `json:"claimed"`
	Right   float64 `json:"right"`
}

// tally collects answers for a Shown.
type tally struct {
	confusion       Confusion
	labelled, right int // right among those labelled
	claimed         float64
	hits, count     int
}

func newTally(classes []blockprint.Client) *tally {
	t := &tally{confusion: Confusion{Clients: classes, Labels: classes}}
	for range classes {
		t.confusion.Blocks = append(t.confusion.Blocks, make([]float64, len(classes)))
	}
	return t
}

func (t *tally) add(truth int, p []float64) {
	best := Best(p, t.count)
	t.confusion.Blocks[truth][best]++
	t.count++
	t.claimed += p[best]
	hit := 0
	if best == truth {
		hit = 1
	}
	t.hits += hit
	possible := floats.Count(func(v float64) bool { return v > blockprint.PossibleAbove }, p)
	if p[best] > blockprint.ConfidentAbove || possible == 1 {
		t.labelled++
		t.right += hit
	}
}

func (t *tally) shown(of string) Shown {
	n := float64(max(t.count, 1))
	s := Shown{Of: of, Count: t.count, Labelled: float64(t.labelled) / n, Claimed: t.claimed / n, Right: float64(t.hits) / n}
	s.Balanced, _ = t.confusion.BalancedAccuracy()
	s.Precision = float64(t.right) / float64(max(t.labelled, 1))
	return s
}

// level is a range of numbers of attestations, up to most.
type level struct {
	most int
	name string
}

// attestations are the levels at which blocks show equally much.
var attestations = []level{{1, "1 attestation"}, {2, "2 attestations"}, {4, "3-4 attestations"}, {8, "5-8 attestations"}, {1 << 30, "9 and more attestations"}}

// ByAttestations divides blocks by how many attestations they hold. Numbers without blocks are left out.
func ByAttestations(classes []blockprint.Client, blocks []Answer) []Shown {
	tallies := make([]*tally, len(attestations))
	for _, b := range blocks {
		if b.Attestations < 1 {
			continue
		}
		at, _ := slices.BinarySearchFunc(attestations, b.Attestations, func(l level, n int) int { return cmp.Compare(l.most, n) })
		if tallies[at] == nil {
			tallies[at] = newTally(classes)
		}
		tallies[at].add(b.Truth, b.P)
	}
	var out []Shown
	for i, t := range tallies {
		if t != nil {
			out = append(out, t.shown(attestations[i].name))
		}
	}
	return out
}

// validatorBlocks are how many blocks of a validator are taken together.
var validatorBlocks = []int{5, 20, 50}

// ByBlocks estimates validators' clients from 5, 20, and 50 of their blocks: consecutive ones of one client, each block
// counted once. Numbers that no validator has are left out.
func ByBlocks(classes []blockprint.Client, blocks []Answer) []Shown {
	sorted := slices.Clone(blocks)
	slices.SortStableFunc(sorted, func(a, b Answer) int {
		return cmp.Or(cmp.Compare(a.Validator, b.Validator), cmp.Compare(a.Truth, b.Truth), cmp.Compare(a.Slot, b.Slot))
	})
	same := func(a, b Answer) bool { return a.Validator == b.Validator && a.Truth == b.Truth }
	model := ValidatorModel{Classes: classes, Switch: DefaultSwitch}
	var out []Shown
	for _, n := range validatorBlocks {
		t := newTally(classes)
		for i := 0; i+n <= len(sorted); {
			run := sorted[i : i+n]
			if !same(run[0], run[n-1]) {
				i += slices.IndexFunc(run, func(a Answer) bool { return !same(a, run[0]) })
				continue
			}
			var evidence []Evidence
			for _, a := range run {
				evidence = append(evidence, Evidence{a.Slot, a.P, ClassifierWeight})
			}
			t.add(run[0].Truth, model.Validator(evidence).Now)
			i += n
		}
		if t.count > 0 {
			s := t.shown(fmt.Sprintf("%d blocks", n))
			s.Blocks = n
			out = append(out, s)
		}
	}
	return out
}

// ShownText holds the tables of what blocks and validators show; those without entries are left out.
func ShownText(blocks, validators []Shown) string {
	var b strings.Builder
	for _, table := range []struct {
		of   string
		list []Shown
	}{{"blocks of", blocks}, {"validators, from", validators}} {
		if len(table.list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%-24s %8s %9s %9s %9s %9s %9s\n", table.of, "number", "balanced", "labelled", "precision", "claimed", "right")
		for _, s := range table.list {
			precision := fmt.Sprintf("%7.1f %%", 100*s.Precision)
			if s.Labelled == 0 {
				precision = "-"
			}
			fmt.Fprintf(&b, "%-24s %8d %7.1f %% %7.1f %% %9s %7.1f %% %7.1f %%\n",
				s.Of, s.Count, 100*s.Balanced, 100*s.Labelled, precision, 100*s.Claimed, 100*s.Right)
		}
	}
	return b.String()
}
