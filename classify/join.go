package classify

import (
	"cmp"
	"slices"

	"blockprint"
)

// Join makes one model of several: a part for each range of slots. Ranges must not overlap, and a part without a
// range cannot be joined. The part of the latest range serves later slots too.
func Join(models ...*Model) (*Model, error) {
	out := &Model{Name: "unsaved"}
	for _, m := range models {
		for _, p := range m.Parts {
			if p.Slots == nil {
				return nil, blockprint.Errorf(blockprint.Invalid, "model %s is for all slots: train it with --slots A-B to join it to others", m.Name)
			}
			out.Parts = append(out.Parts, p)
		}
	}
	if len(out.Parts) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "no models to join")
	}
	slices.SortStableFunc(out.Parts, func(a, b Part) int { return cmp.Compare(a.Slots.Start, b.Slots.Start) })
	return out, out.checkRanges()
}

// checkRanges makes sure that at most one part is for a slot.
func (m *Model) checkRanges() error {
	for i, p := range m.Parts {
		if p.Slots == nil {
			if len(m.Parts) > 1 {
				return blockprint.Errorf(blockprint.Invalid, "a part for all slots beside others")
			}
			continue
		}
		if p.Slots.End < p.Slots.Start {
			return blockprint.Errorf(blockprint.Invalid, "a part for slots %d to %d", p.Slots.Start, p.Slots.End)
		}
		if i > 0 && p.Slots.Start <= m.Parts[i-1].Slots.End {
			return blockprint.Errorf(blockprint.Invalid, "two parts are for slot %d: %s and %s", p.Slots.Start, m.Parts[i-1].Slots, p.Slots)
		}
	}
	return nil
}
