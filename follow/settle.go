package follow

import (
	"context"
	"slices"
	"sort"

	"blockprint"
	"blockprint/beacon"
	"blockprint/label"
	"blockprint/store"
)

// finalized is what the node calls final.
type finalized struct {
	slot  blockprint.Slot // the first one of the finalized epoch
	block store.BlockID   // the newest block not after it
}

// finalized returns what the node calls final.
func (f *Follower) finalized() finalized {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.final
}

// noteFinality adopts what the node calls final, if it makes sense.
func (f *Follower) noteFinality(ctx context.Context, head beacon.Header) error {
	finality, err := f.node.Finality(ctx)
	c := finality.Finalized
	have := f.finalized()
	if err == nil && (c.Epoch == 0 || have.block.Root == c.Root && have.slot == f.network.StartOf(c.Epoch)) {
		return nil
	}
	var block store.BlockID
	if err == nil {
		block, err = f.checkpointBlock(ctx, c, head.Slot)
	}
	switch code := blockprint.CodeOf(err); {
	case err == nil:
	case code == blockprint.NotFound: // the node may have the block later
		return nil
	case code == blockprint.Invalid:
		f.o.Metrics.Refused.WithLabelValues("finality").Inc()
		f.nonsense.note(f.log, "the node's finality is impossible and is ignored", err, f.o.Now())
		return nil
	default:
		return err
	}
	f.nonsense = trouble{}
	f.mu.Lock()
	f.final = finalized{slot: f.network.StartOf(c.Epoch), block: block}
	f.mu.Unlock()
	f.o.Metrics.FinalizedSlot.Set(float64(f.network.StartOf(c.Epoch)))
	signal(f.healNow)
	return nil
}

// checkpointBlock returns the block of a finalized checkpoint. It is Invalid if the head at a slot cannot have it: an
// epoch becomes final when the second one after it begins, at the earliest; finality never goes back; and its block is the
// chain's newest one that is not after the epoch's first slot.
func (f *Follower) checkpointBlock(ctx context.Context, c blockprint.Checkpoint, head blockprint.Slot) (id store.BlockID, err error) {
	nonsense := func(format string, args ...any) error {
		return blockprint.Errorf(blockprint.Invalid, format, args...)
	}
	have := f.finalized()
	if epoch := f.network.EpochOf(head); c.Epoch >= epoch || c.Epoch+2 > epoch { // the head may have moved since
		h, err := f.head(ctx)
		if err != nil {
			return id, err
		}
		if epoch = f.network.EpochOf(h.Slot); c.Epoch >= epoch || c.Epoch+2 > epoch {
			return id, nonsense("epoch %d is finalized, but the head is in epoch %d", c.Epoch, epoch)
		}
	}
	if len(f.chain) == 0 || c.Epoch+2 > f.network.EpochOf(f.chain[len(f.chain)-1].Slot) {
		return id, blockprint.Errorf(blockprint.NotFound, "the chain is not tracked up to the blocks that make epoch %d final", c.Epoch)
	}
	slot := f.network.StartOf(c.Epoch)
	if slot < have.slot {
		return id, nonsense("epoch %d is finalized, but epoch %d was", c.Epoch, f.network.EpochOf(have.slot))
	}
	after := sort.Search(len(f.chain), func(i int) bool { return f.chain[i].Slot > slot })
	if after > 0 {
		id = f.chain[after-1]
	} else if list, before, err := f.to.Ancestors(ctx, f.chain[len(f.chain)-1], slot+1); err != nil {
		return id, err
	} else if len(list) > 0 && before.Slot <= slot {
		id = before
	}
	if !id.Root.IsZero() {
		if id.Root != c.Root {
			return id, nonsense("its block %s is not the chain's newest one up to slot %d, %s", c.Root.Short(), slot, id.Root.Short())
		}
		return id, nil
	}
	h, err := f.node.Header(ctx, beacon.AtRoot(c.Root))
	if err == nil {
		err = f.verify(ctx, f.forget)
	}
	if err == nil && h.Slot > slot {
		err = nonsense("its block is of slot %d, after slot %d", h.Slot, slot)
	}
	return store.BlockID{Slot: h.Slot, Root: c.Root}, err
}

// settle decides whether the blocks up to the finalized slot are on the chain, as far as parent roots lead
// from the finalized block to them. It moves the mark of what is settled up to the first gap or undecided block.
// What it cannot decide it looks at again, with growing pauses.
func (f *Follower) settle(ctx context.Context) error {
	final := f.finalized()
	if final.slot == 0 {
		return nil
	}
	st, err := f.status(ctx)
	if err != nil {
		return err
	}
	from := max(st.Finalized+1, st.Floor)
	if !f.o.Now().Before(f.lookBack.next) {
		f.low = 0
	}
	low := min(f.low, from)
	ids, err := f.to.Undecided(ctx, blockprint.Interval{Start: low, End: final.slot})
	if err != nil {
		return err
	}
	left, err := f.decide(ctx, ids, final)
	if err != nil {
		return err
	}
	f.o.Metrics.UnsettledBlocks.Set(float64(len(left)))
	if low < from && len(left) > 0 {
		f.lookBack.failed(f.o.Now(), f.o.HealPause)
	} else if low < from {
		f.lookBack = retry{next: f.o.Now().Add(longestPause)}
	}
	f.low = min(from, final.slot+1)
	if from > final.slot {
		return nil
	}
	gaps, err := f.to.Gaps(ctx, blockprint.Interval{Start: from, End: final.slot})
	if err != nil {
		return err
	}
	end := final.slot + 1
	if len(gaps) > 0 {
		end = gaps[0].Start
	}
	for _, id := range left {
		if id.Slot >= from {
			end = min(end, id.Slot)
		}
	}
	if end <= from {
		return nil
	}
	end--
	f.low = end + 1
	return f.record(ctx, label.Batch{Finalized: &end})
}

// decide settles the blocks, in order of slot, as far as it can, and returns those that it cannot.
func (f *Follower) decide(ctx context.Context, ids []store.BlockID, final finalized) (left []store.BlockID, err error) {
	f.mu.Lock()
	distrust := f.distrust
	f.mu.Unlock()
	f.asked = 0
	for len(ids) > 0 {
		first := len(ids) - 1 // of a run of blocks that lie near each other
		for first > 0 && ids[first].Slot-ids[first-1].Slot <= chunkSlots {
			first--
		}
		from, top := final.block, final.slot
		if newest := ids[len(ids)-1].Slot; !distrust {
			// A final block after the run leads to it as well as the finalized one, and is nearer.
			list, _, err := f.to.Ancestors(ctx, store.BlockID{Slot: newest}, newest)
			if err != nil {
				return nil, err
			}
			if len(list) > 0 && list[0].Slot <= top {
				from, top = list[0], list[0].Slot
			}
		}
		reached, err := f.decideDown(ctx, from, top, ids[first].Slot)
		if err != nil {
			return nil, err
		}
		for _, id := range ids[first:] {
			if id.Slot < reached {
				left = append(left, id)
			}
		}
		ids = ids[:first]
	}
	return left, nil
}

// decideDown follows parents from a final block down to slot low, and settles the slots that it passes:
// from reached to top. It asks the node for blocks that are not stored; they count only once they join stored
// ones.
func (f *Follower) decideDown(ctx context.Context, at store.BlockID, top, low blockprint.Slot) (reached blockprint.Slot, err error) {
	var bridge []store.Chain
	reached = top + 1
	for top >= low {
		list, next, err := f.to.Ancestors(ctx, at, low)
		if err != nil {
			return reached, err
		}
		if len(list) > 0 {
			slices.Reverse(list)
			piece := store.Chain{Slots: blockprint.Interval{Start: next.Slot + 1, End: top}, Blocks: list, Final: true}
			if err := f.record(ctx, label.Batch{Chains: append(bridge, piece)}); err != nil {
				return reached, err
			}
			bridge, top, reached, at = nil, next.Slot, next.Slot+1, next
			if at.Root.IsZero() && top >= low { // imported blocks lack their parent's root
				oldest, err := f.missing(ctx, list[0].Root)
				if oldest == nil {
					return reached, err
				}
				at.Root = oldest.parent
			}
			continue
		}
		block, err := f.missing(ctx, at.Root)
		if block == nil || block.slot != top && block.slot != at.Slot {
			return reached, err
		}
		parent, err := f.missing(ctx, block.parent)
		if parent == nil || parent.slot >= block.slot {
			return reached, err
		}
		bridge = append(bridge, store.Chain{Slots: blockprint.Interval{Start: parent.slot + 1, End: top}, Blocks: []store.BlockID{at}, Final: true})
		top, at = parent.slot, store.BlockID{Slot: parent.slot, Root: block.parent}
	}
	return reached, nil
}

// link is what decideDown needs of a block that is not stored.
type link struct {
	slot   blockprint.Slot
	parent blockprint.Root
}

// mostLinks is how many links are remembered, mostAsked how many are fetched in one round.
const (
	mostLinks = 1 << 16
	mostAsked = 512
)

// missing asks the node for the header of a block that is not stored, by its root, so that the answer proves itself. It
// returns nil if the node does not have it now, and asks again later, with growing pauses.
func (f *Follower) missing(ctx context.Context, root blockprint.Root) (*link, error) {
	if l, ok := f.links[root]; ok {
		return &l, nil
	}
	now := f.o.Now()
	later := f.unknown[root]
	if f.asked >= mostAsked || later != nil && now.Before(later.next) {
		return nil, nil
	}
	f.asked++
	h, err := f.node.Header(ctx, beacon.AtRoot(root))
	if ctx.Err() != nil || blockprint.CodeOf(err) == blockprint.Conflict {
		return nil, err
	}
	if err != nil {
		f.log.Debug("cannot get a block that would settle others", "root", root.Short(), "error", err)
		if later == nil {
			later = &retry{}
			f.unknown[root] = later
		}
		later.failed(now, f.o.HealPause)
		return nil, nil
	}
	delete(f.unknown, root)
	if len(f.links) >= mostLinks {
		clear(f.links)
	}
	f.links[root] = link{h.Slot, h.ParentRoot}
	return &link{h.Slot, h.ParentRoot}, nil
}
