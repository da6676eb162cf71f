package follow

import (
	"context"

	"blockprint"
	"blockprint/beacon"
	"blockprint/label"
	"blockprint/store"
)

// rejoin makes sure that a block's ancestors join what is stored. If they do not, although their slots are covered,
// the chain has left the blocks that cover them: rejoin follows the ancestors back by their roots to a stored block, however
// far, and uncovers the whole span at once, so that it heals in pieces.
func (f *Follower) rejoin(ctx context.Context, id store.BlockID) error {
	if id.Root.IsZero() {
		return nil
	}
	st, err := f.status(ctx)
	if err != nil {
		return err
	}
	list, missing, err := f.to.Ancestors(ctx, id, st.Floor)
	if err != nil || len(list) == 0 || len(list) == store.MaxAncestors || missing.Root.IsZero() || missing.Slot < max(st.Floor, 1) {
		return err
	}
	gaps, err := f.to.Gaps(ctx, blockprint.Interval{Start: st.Floor, End: missing.Slot})
	if err != nil {
		return err
	}
	if before := missing.Slot - 1; missing.Slot > st.Floor && gaps.Contains(blockprint.Interval{Start: before, End: before}) {
		return nil // it will be healed anyway, and checked then
	}
	start, left, err := f.goBack(ctx, missing, st.Floor, gaps)
	if left == 0 || err != nil {
		return err
	}
	if err := f.verify(ctx, f.forgetHistory); err != nil {
		return err
	}
	span := blockprint.Interval{Start: start, End: missing.Slot}
	if err := f.record(ctx, label.Batch{Uncovered: []blockprint.Interval{span}}); err != nil {
		return err
	}
	f.o.Metrics.Reorgs.Inc()
	if start <= st.Finalized {
		f.leaveFinal(start-min(start, 1), st.Finalized)
	}
	f.log.Info("deep reorganization: the chain has left the stored blocks, so the whole span is fetched again", "slots", span.String())
	return nil
}

// goBack follows a block that is not stored, and its ancestors, by the node's headers. It returns the slot after the
// newest ancestor that is stored, lies in a gap, or lies before the floor, and how many blocks on the way are
// not stored although their slots are covered. It ends where the node's history ends.
func (f *Follower) goBack(ctx context.Context, id store.BlockID, floor blockprint.Slot, gaps blockprint.Intervals) (start blockprint.Slot, left int, err error) {
	start = id.Slot
	missing := func(slot blockprint.Slot) bool { return gaps.Contains(blockprint.Interval{Start: slot, End: slot}) }
	if !missing(id.Slot) {
		left++
	}
	h, err := f.node.Header(ctx, beacon.AtRoot(id.Root))
	for err == nil {
		child := h.Slot
		if h, err = f.node.Header(ctx, beacon.AtRoot(h.ParentRoot)); err != nil {
			break
		}
		if h.Slot >= child {
			return start, left, blockprint.Errorf(blockprint.Invalid, "the node says that the block of slot %d has a parent at slot %d", child, h.Slot)
		}
		start = max(h.Slot+1, floor)
		if h.Slot < max(floor, 1) || missing(h.Slot) {
			return start, left, nil
		}
		at := store.BlockID{Slot: h.Slot, Root: h.Root}
		stored, _, err := f.to.Ancestors(ctx, at, at.Slot)
		if err != nil || len(stored) > 0 {
			return start, left, err
		}
		start, left = h.Slot, left+1
	}
	if blockprint.CodeOf(err) == blockprint.NotFound {
		err = nil
	}
	return start, left, err
}
