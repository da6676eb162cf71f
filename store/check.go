package store

import (
	"context"
	"fmt"

	"blockprint"
)

// Finding is something in a database that cannot be right.
type Finding struct {
	Kind     string `json:"kind"`  // a word for each thing that is looked for
	Count    int64  `json:"count"` // how often it was found
	Text     string `json:"text"`  // what it is, with an example
	Repaired bool   `json:"repaired"`
}

// Findings lists what a check has found.
type Findings []Finding

// Add notes a finding, if its count is not 0.
func (f *Findings) Add(kind string, count int64, repaired bool, format string, args ...any) {
	if count > 0 {
		*f = append(*f, Finding{kind, count, fmt.Sprintf(format, args...), repaired})
	}
}

// chainCheck is one run of CheckChain.
type chainCheck struct {
	tx     Tx
	gate   *Gate
	repair bool
	final  blockprint.Slot // the mark of finality
	floor  blockprint.Slot
	Findings
}

// CheckChain compares coverage, finality and each block's place in the chain with each other and with the clock, in a
// backend's transaction, and with repair set mends them.
func CheckChain(ctx context.Context, tx Tx, gate *Gate, repair bool) (_ Findings, err error) {
	c := &chainCheck{tx: tx, gate: gate, repair: repair}
	if c.final, err = GetSlot(ctx, tx, MetaFinalized); err != nil {
		return nil, err
	}
	if c.floor, err = GetSlot(ctx, tx, MetaFloor); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{c.coverage, c.finality, c.chain} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return c.Findings, nil
}

// coverage finds covered slots beyond the clock or the newest block, and intervals that touch each other.
func (c *chainCheck) coverage(ctx context.Context) error {
	newest, _, err := c.tx.Newest(ctx)
	if err != nil {
		return err
	}
	all := blockprint.Interval{End: 1<<63 - 1}
	have, err := c.tx.Covered(ctx, all)
	if err != nil {
		return err
	}
	// A batch may cover some empty slots after its last block.
	limit := min(c.gate.Newest, newest+blockprint.Slot(c.gate.Unproven))
	var want blockprint.Intervals
	beyond, broken := false, 0
	for n, i := range have {
		if n > 0 && i.Start <= have[n-1].End+1 {
			broken++
		}
		if i.End > limit {
			beyond, i.End = true, limit
		}
		want = want.Add(i)
	}
	if beyond {
		c.Add("coverage", 1, c.repair, "slots count as covered up to %d, but the newest block is of slot %d, and slots after %d are unknown or in the future", have[len(have)-1].End, newest, limit)
	}
	c.Add("coverage", int64(broken), c.repair, "intervals of covered slots that touch each other: %d", broken)
	if !c.repair || !beyond && broken == 0 {
		return nil
	}
	return c.tx.ReplaceCovered(ctx, all, want)
}

// finality finds a mark that nothing can have reached.
func (c *chainCheck) finality(ctx context.Context) error {
	_, covered, err := c.tx.Newest(ctx)
	if err != nil {
		return err
	}
	right := min(covered, c.gate.Final)
	if c.final <= right {
		return nil
	}
	c.Add("finality", 1, c.repair, "all slots up to %d count as final, but covered are slots up to %d, and final can be slots up to %d", c.final, covered, c.gate.Final)
	c.final = right
	if !c.repair {
		return nil
	}
	return SetSlot(ctx, c.tx, MetaFinalized, right)
}

// chain compares the blocks' parents with what the database says about the chain. It goes from parent to parent, beginning
// with the newest block that counts as canonical; where a parent is not stored, it begins again below. Up to the mark of
// finality, exactly the blocks that it meets are on the chain, and the slots between a block and its parent are empty.
func (c *chainCheck) chain(ctx context.Context) error {
	w := &ancestry{final: c.final, floor: c.floor}
	if err := c.tx.Walk(ctx, w.add); err != nil {
		return err
	}
	w.end()
	for _, f := range []struct {
		kind, what string
		list       []BlockID
		to         Canonical
	}{
		{"orphans", "blocks that count as orphaned, though canonical blocks descend from them", w.wrongOrphans, Final},
		{"canonical", "blocks that count as canonical, though the canonical chain passes them by", w.wrongCanonical, Orphaned},
		{"undecided", "blocks of the canonical chain that are not settled, though their slots are final", w.unsettled, Final},
	} {
		if len(f.list) == 0 {
			continue
		}
		c.Add(f.kind, int64(len(f.list)), c.repair, "%s: %d, the newest of slot %d", f.what, len(f.list), f.list[0].Slot)
		for _, id := range f.list {
			if !c.repair {
				break
			}
			if err := c.tx.SetCanonical(ctx, id, f.to); err != nil {
				return err
			}
		}
	}
	return c.parents(ctx, w)
}

// parents finds slots that count as covered although a stored block's parent is missing there, and slots that count as gaps
// although a block and its parent show that they are empty.
func (c *chainCheck) parents(ctx context.Context, w *ancestry) error {
	have, err := c.tx.Covered(ctx, blockprint.Interval{End: c.gate.Newest})
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
		c.Add("parents", int64(len(missing)), c.repair, "slots that count as covered, though the block there, the parent of a stored one, is missing: %d, the newest is slot %d", len(missing), missing[0].Start)
	}
	if len(open) > 0 {
		c.Add("empty", int64(len(open)), c.repair, "runs of slots that count as gaps, though a block and its parent show that they are empty: %d, the newest of slots %s", len(open), open[0])
	}
	if !c.repair {
		return nil
	}
	for _, i := range missing {
		if err := Uncover(ctx, c.tx, i); err != nil {
			return err
		}
	}
	for _, i := range open {
		if err := Cover(ctx, c.tx, i); err != nil {
			return err
		}
	}
	return nil
}

// ancestry follows parents from newer to older slots.
type ancestry struct {
	final, floor blockprint.Slot
	group        []Row // of the slot that is read
	child        *Row  // whose parent comes next; nil at a beginning

	wrongOrphans, wrongCanonical, unsettled []BlockID
	missing                                 []blockprint.Slot    // slots of parents that are not stored
	empty                                   blockprint.Intervals // between a block and its parent, newest first
}

// add takes a block; they come newest first.
func (w *ancestry) add(r Row) {
	if len(w.group) > 0 && w.group[0].Slot != r.Slot {
		w.slot(w.group)
		w.group = w.group[:0]
	}
	w.group = append(w.group, r)
}

// end comes after the oldest block.
func (w *ancestry) end() {
	if len(w.group) > 0 {
		w.slot(w.group)
	}
	w.lack()
}

// slot takes all blocks of a slot.
func (w *ancestry) slot(group []Row) {
	slot := group[0].Slot
	if w.child != nil && slot > w.child.ParentSlot {
		w.judge(group, nil)
		return
	}
	var on *Row
	placeholder := false
	for i := range group {
		b := &group[i]
		switch {
		case IsPlaceholder(b.Root):
			placeholder = true
		case w.child != nil && slot == w.child.ParentSlot && b.Root == w.child.ParentRoot:
			on = b
		}
	}
	if on == nil && w.child != nil && (slot < w.child.ParentSlot || !placeholder && !w.child.ParentRoot.IsZero()) {
		w.lack()
	} else if w.child != nil && slot == w.child.ParentSlot && w.child.Slot > slot+1 {
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
	if w.child != nil && w.child.ParentSlot >= max(w.floor, 1) {
		w.missing = append(w.missing, w.child.ParentSlot)
	}
}

// beginning returns the block of a slot with which a walk may begin: the only final one or, where nothing is final yet, the
// only one that is not orphaned.
func (w *ancestry) beginning(group []Row) (on *Row) {
	least := Undecided
	if group[0].Slot <= w.final {
		least = Final
	}
	for i := range group {
		b := &group[i]
		if IsPlaceholder(b.Root) || b.Canonical == Orphaned || b.Canonical < least {
			continue
		}
		if on != nil {
			return nil
		}
		on = b
	}
	return on
}

// judge notes which blocks of a slot are wrongly on or off the chain; on is the one that belongs on it, or nil.
func (w *ancestry) judge(group []Row, on *Row) {
	if group[0].Slot > w.final {
		return // not settled yet
	}
	for i := range group {
		b := &group[i]
		switch {
		case IsPlaceholder(b.Root):
		case b == on && b.Canonical == Orphaned:
			w.wrongOrphans = append(w.wrongOrphans, b.BlockID)
		case b == on && b.Canonical == Undecided:
			w.unsettled = append(w.unsettled, b.BlockID)
		case b != on && b.Canonical != Orphaned:
			w.wrongCanonical = append(w.wrongCanonical, b.BlockID)
		}
	}
}
