package dream

import (
	"context"
	"slices"

	"blockprint"
	"blockprint/beacon"
)

// NodeDistance is the distance of one node's block to the canonical block.
type NodeDistance struct {
	Name     string            `json:"name"`
	Label    blockprint.Client `json:"label"`
	Distance int               `json:"distance"`
}

// significance is how many times farther than the nearest label the second nearest must be for the nearest to be likely.
const significance = 2

// Opinion is what the distances say about the builder of a canonical block: a second opinion besides the classifier's label.
type Opinion struct {
	Slot blockprint.Slot `json:"slot"`
	Root blockprint.Root `json:"block_root"`
	// Likely is the client whose node is clearly the nearest; empty if it is too close to call.
	Likely  blockprint.Client `json:"likely"`
	Nearest []NodeDistance    `json:"distances"` // nearest first
	// Between has the distances between the dreamt blocks themselves.
	Between []PairDistance `json:"between,omitempty"`
}

// PairDistance is how far apart the blocks of nodes A and B are.
type PairDistance struct {
	A        string `json:"a"`
	B        string `json:"b"`
	Distance int    `json:"distance"`
}

// judge names the client of the nearest node, if the second nearest node is of the same client or significantly farther away.
// nearest is sorted.
func judge(nearest []NodeDistance) blockprint.Client {
	if len(nearest) == 0 {
		return ""
	}
	first := nearest[0]
	if len(nearest) > 1 {
		second := nearest[1]
		if second.Label != first.Label && (second.Distance < significance*first.Distance || second.Distance == first.Distance) {
			return ""
		}
	}
	return first.Label
}

// Compare measures how far the canonical block of a slot is from the dreamt ones, if it has one and some were dreamt.
func (d *Dreamer) Compare(ctx context.Context, slot blockprint.Slot) error {
	d.mu.Lock()
	round := d.rounds[slot]
	delete(d.rounds, slot)
	d.mu.Unlock()
	if round == nil {
		return nil
	}
	dreamt := slices.DeleteFunc(slices.Clone(round.Blocks), func(b Block) bool { return b.packing == nil })
	if len(dreamt) == 0 {
		return nil
	}
	b, err := d.canonical.Block(ctx, beacon.AtSlot(slot))
	if blockprint.CodeOf(err) == blockprint.NotFound {
		return nil // the slot is empty
	}
	if err != nil {
		return err
	}
	r, err := d.rater.Rate(ctx, b)
	if err != nil {
		return err
	}
	canonical, err := NewPacking(b, r)
	if err != nil {
		return err
	}
	o := Opinion{Slot: slot, Root: b.Root}
	for i, x := range dreamt {
		o.Nearest = append(o.Nearest, NodeDistance{x.Name, x.Label, Distance(canonical, x.packing)})
		for _, y := range dreamt[i+1:] {
			o.Between = append(o.Between, PairDistance{x.Name, y.Name, Distance(x.packing, y.packing)})
		}
	}
	slices.SortStableFunc(o.Nearest, func(a, b NodeDistance) int { return a.Distance - b.Distance })
	o.Likely = judge(o.Nearest)
	d.log.Debug("canonical block compared with dreamt ones", "slot", slot, "likely", o.Likely, "nearest", o.Nearest[0].Name, "distance", o.Nearest[0].Distance)
	if d.o.Opinions != nil {
		return d.o.Opinions(ctx, o)
	}
	return nil
}
