package follow

import (
	"context"

	"blockprint"
	"blockprint/beacon"
	"blockprint/label"
	"blockprint/store"
)

// rejoin makes sure that a block's ancestors join what is stored. Where they do not, though their slots are covered,
// the chain has left the blocks that cover them: they are followed back by their roots to a stored block, however
// far, and the whole span is uncovered at once, so that it heals in pieces.
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
		return nil // it is healed anyway, and looked at then
	}
	start, left, err := f.goBack(ctx, missing, st.Floor, gaps)
	if left == 0 || err != nil {
		return err
	}
	if err := f.verifyHistory(ctx); err != nil {
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
	f.log.Info("deep reorganization: the chain leaves what is stored, and is asked for anew", "slots", span.String())
	return nil
}

// goBack follows a block that is not stored, and its ancestors, by the node's headers. It returns the slot after the
// newest ancestor that is stored, or whose slot is a gap, or before the floor, and how many blocks before that are
// not stored though their slots are covered. It ends where the node knows no more.
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
