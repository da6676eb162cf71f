package classify

import (
	"cmp"
	"fmt"
	"slices"

	"blockprint"
)

// Join makes one model of several: a part for each range of forks, of slots, or of both. Ranges must not overlap, and a
// part without any cannot be joined. Of the parts for a fork, the one of the latest slots serves later slots too.
func Join(models ...*Model) (*Model, error) {
	out := &Model{Name: "unsaved"}
	for _, m := range models {
		for _, p := range m.Parts {
			if p.Slots == nil && p.Forks == nil {
				return nil, blockprint.Errorf(blockprint.Invalid, "model %s is for all slots of all forks: train it with --forks or --slots to join it to others", m.Name)
			}
			out.Parts = append(out.Parts, p)
		}
	}
	if len(out.Parts) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "no models to join")
	}
	slices.SortStableFunc(out.Parts, func(a, b Part) int {
		return cmp.Or(cmp.Compare(a.forks().First, b.forks().First), cmp.Compare(a.slots().Start, b.slots().Start))
	})
	return out, out.checkRanges()
}

// forks returns the forks that a part is for.
func (p *PartInfo) forks() blockprint.ForkRange {
	if p.Forks == nil {
		return blockprint.AnyFork
	}
	return *p.Forks
}

// slots returns the slots that a part is for.
func (p *PartInfo) slots() blockprint.Interval {
	if p.Slots == nil {
		return blockprint.Interval{End: 1<<63 - 1}
	}
	return *p.Slots
}

// Serves says which blocks a part is for.
func (p *PartInfo) Serves() string {
	slots := fmt.Sprintf("slots %s", p.slots())
	if p.slots().End == 1<<63-1 {
		slots = fmt.Sprintf("slots %d on", p.slots().Start)
	}
	switch {
	case p.Slots == nil && p.Forks == nil:
		return "all blocks"
	case p.Slots == nil:
		return "blocks " + p.Forks.String()
	case p.Forks == nil:
		return slots
	}
	return slots + ", blocks " + p.Forks.String()
}

// checkRanges makes sure that at most one part is for a block.
func (m *Model) checkRanges() error {
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.slots().End < p.slots().Start {
			return blockprint.Errorf(blockprint.Invalid, "a part for slots %s", p.Slots)
		}
		for _, o := range m.Parts[:i] {
			if s := o.slots(); p.forks().Overlaps(o.forks()) && p.slots().Start <= s.End && s.Start <= p.slots().End {
				return blockprint.Errorf(blockprint.Invalid, "two parts are for the same blocks: %s and %s", o.Serves(), p.Serves())
			}
		}
	}
	return nil
}
