package sqlite

import (
	"context"
	"database/sql"

	"blockprint"
	"blockprint/store"
)

// chain compares what blocks say of their parents with what the database says of the chain. From the newest block that counts
// as canonical it goes from parent to parent; where a parent is not stored, it begins anew below. Up to the mark of finality the
// blocks that it meets are on the chain, and no others; and a slot between a block and its parent is empty.
func (c *checker) chain(ctx context.Context) error {
	w := &ancestry{final: c.final, floor: c.floor}
	var group []chainBlock
	err := c.s.each(ctx, c.q, "SELECT slot, root, parent_slot, parent_root, canonical FROM blocks ORDER BY slot DESC", nil, func(rows *sql.Rows) error {
		var b chainBlock
		var root, parent sql.RawBytes
		if err := rows.Scan(&b.Slot, &root, &b.parentSlot, &parent, &b.canonical); err != nil {
			return err
		}
		copy(b.Root[:], root)
		copy(b.parent[:], parent)
		if len(group) > 0 && group[0].Slot != b.Slot {
			w.slot(group)
			group = group[:0]
		}
		group = append(group, b)
		return nil
	})
	if err != nil {
		return err
	}
	if len(group) > 0 {
		w.slot(group)
	}
	w.lack()
	for _, f := range []struct {
		kind, what string
		list       []store.BlockID
		to         store.Canonical
	}{
		{"orphans", "blocks that count as orphaned, though canonical blocks descend from them", w.wrongOrphans, store.Final},
		{"canonical", "blocks that count as canonical, though the canonical chain passes them by", w.wrongCanonical, store.Orphaned},
		{"undecided", "blocks of the canonical chain that are not settled, though their slots are final", w.unsettled, store.Final},
	} {
		if len(f.list) == 0 {
			continue
		}
		c.found(f.kind, int64(len(f.list)), c.repair, "%s: %d, the newest of slot %d", f.what, len(f.list), f.list[0].Slot)
		for _, id := range f.list {
			if !c.repair {
				break
			}
			if _, err := c.q.ExecContext(ctx, "UPDATE blocks SET canonical = ? WHERE slot = ? AND root = ?", int(f.to), clamp(id.Slot), id.Root[:]); err != nil {
				return err
			}
		}
	}
	return c.parents(ctx, w)
}

// parents finds slots that count as covered, though a block says that its parent, which is not stored, is there; and slots
// that do not, though a block and its parent show that nothing is there.
func (c *checker) parents(ctx context.Context, w *ancestry) error {
	have, err := coveredIn(ctx, c.q, blockprint.Interval{Start: 0, End: c.gate.Newest})
	if err != nil {
		return err
	}
	var missing, open blockprint.Intervals
	for _, slot := range w.missing {
		if i := (blockprint.Interval{Start: slot, End: slot}); have.Contains(i) {
			missing = append(missing, i)
		}
	}
	for _, i := range w.empty {
		if !have.Contains(i) {
			open = append(open, i)
		}
	}
	if len(missing) > 0 {
		c.found("parents", int64(len(missing)), c.repair, "slots that count as covered, though the block there, the parent of a stored one, is missing: %d, the newest is slot %d", len(missing), missing[0].Start)
	}
	if len(open) > 0 {
		c.found("empty", int64(len(open)), c.repair, "runs of slots that count as gaps, though a block and its parent show that they are empty: %d, the newest of slots %s", len(open), open[0])
	}
	if !c.repair {
		return nil
	}
	for _, i := range missing {
		if err := uncover(ctx, c.q, i); err != nil {
			return err
		}
	}
	for _, i := range open {
		if err := cover(ctx, c.q, i); err != nil {
			return err
		}
	}
	return nil
}

// chainBlock is what a block says of its place.
type chainBlock struct {
	store.BlockID
	parentSlot blockprint.Slot
	parent     blockprint.Root // zero if unknown
	canonical  store.Canonical
}

// ancestry follows parents from newer to older slots.
type ancestry struct {
	final, floor blockprint.Slot
	child        *chainBlock // whose parent comes next; nil at a beginning

	wrongOrphans, wrongCanonical, unsettled []store.BlockID
	missing                                 []blockprint.Slot    // slots of parents that are not stored
	empty                                   blockprint.Intervals // between a block and its parent, newest first
}

// slot takes all blocks of a slot; slots come in falling order.
func (w *ancestry) slot(group []chainBlock) {
	slot := group[0].Slot
	if w.child != nil && slot > w.child.parentSlot {
		w.judge(group, nil)
		return
	}
	var on *chainBlock
	placeholder := false
	for i := range group {
		b := &group[i]
		switch {
		case store.IsPlaceholder(b.Root):
			placeholder = true
		case w.child != nil && slot == w.child.parentSlot && b.Root == w.child.parent:
			on = b
		}
	}
	if on == nil && w.child != nil && (slot < w.child.parentSlot || !placeholder && !w.child.parent.IsZero()) {
		w.lack()
	} else if w.child != nil && slot == w.child.parentSlot && w.child.Slot > slot+1 {
		w.empty = append(w.empty, blockprint.Interval{Start: slot + 1, End: w.child.Slot - 1})
	}
	if on == nil {
		on = w.beginning(group)
	}
	w.child = nil
	if on != nil {
		w.judge(group, on)
		child := *on
		w.child = &child
	}
}

// lack notes that the parent is not stored.
func (w *ancestry) lack() {
	if w.child != nil && w.child.parentSlot >= max(w.floor, 1) {
		w.missing = append(w.missing, w.child.parentSlot)
	}
}

// beginning returns the block of a slot with which a walk may begin: the only final one, or, where nothing is settled yet, the
// only one that is not orphaned.
func (w *ancestry) beginning(group []chainBlock) (on *chainBlock) {
	least := store.Undecided
	if group[0].Slot <= w.final {
		least = store.Final
	}
	for i := range group {
		b := &group[i]
		if store.IsPlaceholder(b.Root) || b.canonical == store.Orphaned || b.canonical < least {
			continue
		}
		if on != nil {
			return nil
		}
		on = b
	}
	return on
}

// judge notes which blocks of a slot are wrongly on or off the chain; on is the one that is on it, if there is one.
func (w *ancestry) judge(group []chainBlock, on *chainBlock) {
	if group[0].Slot > w.final {
		return // not settled yet
	}
	for i := range group {
		b := &group[i]
		switch {
		case store.IsPlaceholder(b.Root):
		case b == on && b.canonical == store.Orphaned:
			w.wrongOrphans = append(w.wrongOrphans, b.BlockID)
		case b == on && b.canonical == store.Undecided:
			w.unsettled = append(w.unsettled, b.BlockID)
		case b != on && b.canonical != store.Orphaned:
			w.wrongCanonical = append(w.wrongCanonical, b.BlockID)
		}
	}
}
