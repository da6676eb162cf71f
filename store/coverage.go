package store

import (
	"context"

	"blockprint"
)

// Cover adds an interval to the covered slots, joining it with those that it touches.
func Cover(ctx context.Context, tx Tx, i blockprint.Interval) error {
	if i.End < i.Start {
		return nil
	}
	touched, err := tx.Covered(ctx, blockprint.Interval{Start: i.Start - min(i.Start, 1), End: i.End + 1})
	if err != nil || touched.Contains(i) {
		return err
	}
	joined := touched.Add(i) // all that touch i become one with it
	return tx.ReplaceCovered(ctx, joined[0], joined)
}

// Uncover takes an interval out of the covered slots.
func Uncover(ctx context.Context, tx Tx, i blockprint.Interval) error {
	touched, err := tx.Covered(ctx, i)
	if err != nil {
		return err
	}
	for _, c := range touched {
		if err := tx.ReplaceCovered(ctx, c, (blockprint.Intervals{i}).Gaps(c)); err != nil {
			return err
		}
	}
	return nil
}

// coverBlock marks a block's slot and the empty ones since its parent as covered. A parent that is not stored
// opens a gap at its slot, unless that slot is final: then the block is off the chain and nothing is missing.
// A long run of slots between the two counts as empty only if the parent is stored.
func (c *change) coverBlock(ctx context.Context, b *Block) error {
	first := b.ParentSlot + 1
	if b.ParentSlot == 0 {
		first = 0 // genesis has no proposer
	}
	stored, err := c.stored(ctx, BlockID{Slot: b.ParentSlot, Root: b.ParentRoot})
	if err != nil {
		return err
	}
	if !stored && uint64(b.Slot-first) > c.gate.Unproven {
		first = b.Slot
	}
	if err := Cover(ctx, c.tx, blockprint.Interval{Start: first, End: b.Slot}); err != nil {
		return err
	}
	if stored || b.ParentSlot == 0 || b.ParentSlot <= c.finalized {
		return nil
	}
	return Uncover(ctx, c.tx, blockprint.Interval{Start: b.ParentSlot, End: b.ParentSlot})
}

// stored reports whether a block or a placeholder of its slot is stored; any block of the slot will do if its root is
// unknown.
func (c *change) stored(ctx context.Context, id BlockID) (bool, error) {
	rows, err := c.tx.Rows(ctx, blockprint.Interval{Start: id.Slot, End: id.Slot})
	for i := range rows {
		if id.Root.IsZero() || rows[i].Root == id.Root || IsPlaceholder(rows[i].Root) {
			return true, err
		}
	}
	return false, err
}

// coverProven covers what a batch says is covered. A long run without a block needs a proof: the next block's parent must
// lie before it.
func (c *change) coverProven(ctx context.Context, i blockprint.Interval) error {
	if i.Len() <= c.gate.Unproven {
		return Cover(ctx, c.tx, i)
	}
	rows, err := c.tx.Rows(ctx, i)
	if err != nil {
		return err
	}
	next, err := c.tx.First(ctx, blockprint.Interval{Start: i.End + 1, End: newestSlot}, false)
	if err != nil {
		return err
	}
	if next != nil {
		rows = append(rows, *next)
	}
	for _, part := range proven(rows, i, c.gate.Unproven) {
		if err := Cover(ctx, c.tx, part); err != nil {
			return err
		}
	}
	return nil
}

// proven returns the parts of an interval that its blocks and the next one after it, in order of slot, prove complete.
// Shorter runs without a block than believed need no proof.
func proven(rows []Row, i blockprint.Interval, believed uint64) (out blockprint.Intervals) {
	next := i.Start // the first slot of the run without a block
	add := func(end blockprint.Slot, proven bool) {
		if end = min(end, i.End); end >= next && (proven || uint64(end-next) < believed) {
			out = out.Add(blockprint.Interval{Start: next, End: end})
		}
	}
	for n := 0; n < len(rows); {
		slot, parent := rows[n].Slot, rows[n].ParentSlot
		for ; n < len(rows) && rows[n].Slot == slot; n++ {
			parent = min(parent, rows[n].ParentSlot)
		}
		if slot > next {
			add(slot-1, parent < next || parent == 0)
		}
		if next = slot; slot <= i.End {
			add(slot, true)
		}
		next = slot + 1
	}
	if next <= i.End {
		add(i.End, false)
	}
	return out
}
