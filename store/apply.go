package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"blockprint"
)

// change is a batch while it is applied.
type change struct {
	tx            Tx
	gate          Gate
	slotsPerEpoch uint64
	finalized     blockprint.Slot
	sums          map[sumKey]int64
	stale         map[uint64]bool // proposers whose latest block must be looked up again
	result        Result
}

// Apply makes a change in a backend's transaction (see Store.Apply); now is the present moment.
func Apply(ctx context.Context, tx Tx, now time.Time, b Batch) (result Result, err error) {
	err = inChange(ctx, tx, now, func(c *change) error {
		err := c.apply(ctx, b)
		result = c.result
		return err
	})
	return result, err
}

// Relabel gives blocks new labels in a backend's transaction (see Store.Relabel).
func Relabel(ctx context.Context, tx Tx, now time.Time, labels []Label) (changed int, err error) {
	err = inChange(ctx, tx, now, func(c *change) error {
		for i := range labels {
			different, err := c.relabel(ctx, &labels[i])
			if err != nil {
				return err
			}
			if different {
				changed++
			}
		}
		return nil
	})
	return changed, err
}

// inChange makes a change, and brings the sums and the latest blocks of proposers up to date.
func inChange(ctx context.Context, tx Tx, now time.Time, do func(*change) error) (err error) {
	c := &change{tx: tx, sums: map[sumKey]int64{}, stale: map[uint64]bool{}}
	if c.gate, c.slotsPerEpoch, err = GateOf(ctx, tx, now); err != nil {
		return err
	}
	if c.finalized, err = GetSlot(ctx, tx, MetaFinalized); err != nil {
		return err
	}
	if err := do(c); err != nil {
		return err
	}
	if changes := sumChanges(c.sums); len(changes) > 0 {
		if err := tx.AddSums(ctx, changes); err != nil {
			return err
		}
	}
	for proposer := range c.stale {
		if err := tx.FindLatest(ctx, proposer); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) apply(ctx context.Context, b Batch) error {
	if err := c.gate.Batch(&b); err != nil {
		return err
	}
	for _, i := range b.Uncovered {
		if err := Uncover(ctx, c.tx, i); err != nil {
			return err
		}
	}
	blocks := make([]*Block, len(b.Blocks))
	for i := range b.Blocks {
		blocks[i] = &b.Blocks[i]
	}
	// Parents first, so that they prove what lies between them and their children.
	slices.SortStableFunc(blocks, func(a, b *Block) int { return cmp.Compare(a.Slot, b.Slot) })
	for _, block := range blocks {
		if err := c.insert(ctx, block); err != nil {
			return err
		}
	}
	for _, i := range b.Covered {
		if err := c.coverProven(ctx, i); err != nil {
			return err
		}
	}
	for i := range b.Chains {
		if err := c.settle(ctx, &b.Chains[i]); err != nil {
			return err
		}
	}
	if b.Finalized != nil {
		return c.finalize(ctx, *b.Finalized)
	}
	return nil
}

// finalize moves the mark of finality, at most up to the first gap.
func (c *change) finalize(ctx context.Context, slot blockprint.Slot) error {
	_, covered, err := c.tx.Newest(ctx)
	if err != nil {
		return err
	}
	if err := c.gate.Finalized(slot, covered); err != nil {
		return err
	}
	floor, err := GetSlot(ctx, c.tx, MetaFloor)
	if err != nil {
		return err
	}
	span := blockprint.Interval{Start: max(c.finalized+1, floor), End: slot}
	if span.End < span.Start {
		return nil
	}
	known, err := c.tx.Covered(ctx, span)
	if err != nil {
		return err
	}
	if gaps := known.Gaps(span); len(gaps) > 0 {
		if gaps[0].Start == span.Start {
			return nil
		}
		slot = gaps[0].Start - 1
	}
	return SetSlot(ctx, c.tx, MetaFinalized, slot)
}

// insert stores a block, unless it is known.
func (c *change) insert(ctx context.Context, b *Block) error {
	id := BlockID{Slot: b.Slot, Root: b.Root}
	beside, err := c.tx.Rows(ctx, blockprint.Interval{Start: b.Slot, End: b.Slot})
	if err != nil {
		return err
	}
	known, err := c.compare(ctx, find(beside, id), b)
	if err != nil {
		return err
	}
	if err := c.replacePlaceholder(ctx, beside, b); err != nil {
		return err
	}
	// A block and its row in an original database are the same, whichever comes first.
	if IsPlaceholder(b.Root) && slices.ContainsFunc(beside, func(r Row) bool { return r.Proposer == b.Proposer }) {
		known = true
	}
	if known {
		c.result.Known++
		return nil
	}
	place, err := c.place(ctx, b)
	if err != nil {
		return err
	}
	placed := *b
	placed.Canonical = place
	if err := c.tx.Insert(ctx, &placed); err != nil {
		return err
	}
	c.result.Inserted++
	if place != Orphaned {
		c.count(b.Slot, b.Single, 1)
		if err := c.tx.KeepLatest(ctx, &Row{BlockID: id, Proposer: b.Proposer, Single: b.Single}); err != nil {
			return err
		}
	}
	return c.coverBlock(ctx, b)
}

// count adds to the sums.
func (c *change) count(slot blockprint.Slot, single blockprint.Client, n int64) {
	c.sums[sumKey{blockprint.Epoch(uint64(slot) / c.slotsPerEpoch), single}] += n
}

func find(rows []Row, id BlockID) *Row {
	if at := slices.IndexFunc(rows, func(r Row) bool { return r.BlockID == id }); at >= 0 {
		return &rows[at]
	}
	return nil
}

// compare reports whether a block is stored already, and refuses one that contradicts the stored one. It fills in a parent's
// root that was unknown before.
func (c *change) compare(ctx context.Context, have *Row, b *Block) (known bool, err error) {
	if have == nil {
		return false, nil
	}
	if have.ParentSlot != b.ParentSlot || have.Proposer != b.Proposer || !have.ParentRoot.IsZero() && !b.ParentRoot.IsZero() && have.ParentRoot != b.ParentRoot {
		return false, blockprint.Errorf(blockprint.Conflict, "block %s of slot %d is stored already with another parent or proposer (parent slot %d, proposer %d; now %d, %d)",
			b.Root.Short(), b.Slot, have.ParentSlot, have.Proposer, b.ParentSlot, b.Proposer)
	}
	if have.ParentRoot.IsZero() && !b.ParentRoot.IsZero() {
		return true, c.tx.SetParentRoot(ctx, have.BlockID, b.ParentRoot)
	}
	return true, nil
}

// replacePlaceholder removes the imported row of a block that now comes with its root.
func (c *change) replacePlaceholder(ctx context.Context, beside []Row, b *Block) error {
	if IsPlaceholder(b.Root) {
		return nil
	}
	have := find(beside, BlockID{Slot: b.Slot, Root: PlaceholderRoot(b.Proposer)})
	if have == nil {
		return nil
	}
	c.count(b.Slot, have.Single, -1)
	c.stale[b.Proposer] = true
	return c.tx.Delete(ctx, have.BlockID)
}

// place returns a new block's place in the chain. Where the chain is final already, a late block beside the final block of
// its slot, or between a final block and its parent, is orphaned.
func (c *change) place(ctx context.Context, b *Block) (Canonical, error) {
	if b.Canonical != Undecided || IsPlaceholder(b.Root) {
		return b.Canonical, nil
	}
	final, err := c.tx.First(ctx, blockprint.Interval{Start: b.Slot, End: b.Slot + blockprint.Slot(c.gate.Unproven)}, true)
	if err == nil && final != nil && (final.Slot == b.Slot || final.ParentSlot < b.Slot) {
		return Orphaned, nil
	}
	return b.Canonical, err
}

// settle marks the blocks of a piece of the chain as on it and all others of its slots as orphaned.
func (c *change) settle(ctx context.Context, chain *Chain) error {
	on := map[blockprint.Root]bool{}
	for _, id := range chain.Blocks {
		on[id.Root] = true
	}
	rows, err := c.tx.Rows(ctx, chain.Slots)
	if err != nil {
		return err
	}
	for i := range rows {
		to := Orphaned
		switch {
		case IsPlaceholder(rows[i].Root):
			continue
		case on[rows[i].Root] && chain.Final:
			to = Final
		case on[rows[i].Root]:
			to = Undecided
		}
		if err := c.move(ctx, &rows[i], to); err != nil {
			return err
		}
	}
	return nil
}

// move changes a block's place in the chain, and the sums with it. What is final stays so until it turns out as orphaned.
func (c *change) move(ctx context.Context, r *Row, to Canonical) error {
	if r.Canonical == to || r.Canonical == Final && to == Undecided {
		return nil
	}
	switch {
	case to == Orphaned:
		c.count(r.Slot, r.Single, -1)
		c.stale[r.Proposer] = true
	case r.Canonical == Orphaned:
		c.count(r.Slot, r.Single, 1)
		c.stale[r.Proposer] = true
	}
	return c.tx.SetCanonical(ctx, r.BlockID, to)
}

// relabel changes one block's label and reports whether its client is another one now.
func (c *change) relabel(ctx context.Context, l *Label) (bool, error) {
	rows, err := c.tx.Rows(ctx, blockprint.Interval{Start: l.Slot, End: l.Slot})
	if err != nil {
		return false, err
	}
	have := find(rows, l.BlockID)
	if have == nil {
		return false, nil
	}
	if err := c.tx.SetLabel(ctx, l); err != nil || l.Single == have.Single {
		return false, err
	}
	if have.Canonical != Orphaned {
		c.count(l.Slot, have.Single, -1)
		c.count(l.Slot, l.Single, 1)
		c.stale[have.Proposer] = true
	}
	return true, nil
}
