package follow

import (
	"context"
	"errors"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/reward"
	"blockprint/store"
)

const (
	// chunkSlots is the size, and alignment, of the pieces in which long gaps are walked.
	chunkSlots = 2048
	// flushSlots is how much of a piece is recorded at once; what is recorded is never asked for again.
	flushSlots = 128
	// patience is how often a piece is tried that the node says it has no blocks for.
	patience = 6
)

// healLoop fills gaps and settles what is final.
func (f *Follower) healLoop(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		err := f.heal(ctx)
		if err == nil {
			err = f.settle(ctx)
		}
		pause := f.o.HealPause
		if err != nil && ctx.Err() == nil {
			failures++
			f.o.Metrics.HealErrors.Inc()
			f.log.Warn("cannot heal now", "error", err, "failures", failures)
			pause = min(pause<<min(failures, 8), 10*time.Minute)
		} else {
			failures = 0
		}
		select {
		case <-ctx.Done():
		case <-f.healNow:
		case <-time.After(pause):
		}
	}
}

// heal fills every gap between the start of history and the newest covered slot once, newest first: what users
// look at is mostly the present.
func (f *Follower) heal(ctx context.Context) error {
	st, err := f.to.Status(ctx)
	if err != nil {
		return err
	}
	if st.Empty {
		return nil // the head loop makes the beginning
	}
	gaps, err := f.to.Gaps(ctx, blockprint.Interval{Start: st.Floor, End: max(st.Floor, st.Covered)})
	if err != nil {
		return err
	}
	missing := uint64(0)
	for _, g := range gaps {
		missing += g.Len()
	}
	f.o.Metrics.MissingSlots.Set(float64(missing))
	var failure error
	for i := len(gaps) - 1; i >= 0; i-- {
		chunks := gaps[i].Chunks(chunkSlots)
		for j := len(chunks) - 1; j >= 0; j-- {
			if h := f.hopeless[chunks[j]]; h.tries >= patience {
				if h.noBlocks {
					break // the node's history begins later
				}
				continue
			}
			err := f.healChunk(ctx, chunks[j])
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failure = errors.Join(failure, err)
			if blockprint.CodeOf(err) == blockprint.NotFound && err != nil {
				break // what is older is missing too
			}
		}
	}
	return failure
}

// healChunk walks one piece of a gap, and gives up on it after some tries that failed for want of blocks or sense.
func (f *Follower) healChunk(ctx context.Context, slots blockprint.Interval) error {
	err := f.walkChunk(ctx, slots)
	if code := blockprint.CodeOf(err); err == nil || code != blockprint.NotFound && code != blockprint.Invalid {
		return err
	}
	h := f.hopeless[slots]
	h.tries, h.noBlocks = h.tries+1, blockprint.CodeOf(err) == blockprint.NotFound
	f.hopeless[slots] = h
	if h.tries < patience {
		return err
	}
	f.o.Metrics.GivenUp.Inc()
	f.log.Error("gives up on a gap until the next start", "slots", slots.String(), "error", err)
	return nil
}

// walkChunk records what the node has of a piece. Where the node's history begins inside it, the later half is tried
// by itself, and so on.
func (f *Follower) walkChunk(ctx context.Context, slots blockprint.Interval) error {
	f.log.Info("healing", "slots", slots.String())
	began := f.o.Now()
	source, err := f.history.SourceFor(ctx, slots)
	if err != nil {
		return err
	}
	c := &chunk{f: f, ctx: ctx, next: slots.Start}
	err = reward.Walk(ctx, source, f.log, slots, reward.Walker{Block: c.block, Empty: c.empty})
	if err == nil || blockprint.CodeOf(err) != blockprint.Conflict {
		err = errors.Join(err, c.flush()) // what was found before a failure counts too
	}
	if err == nil {
		f.log.Info("healed", "slots", slots.String(), "blocks", c.blocks, "took", f.o.Now().Sub(began).Round(time.Millisecond))
		return nil
	}
	if blockprint.CodeOf(err) == blockprint.NotFound && slots.Len() > 2*f.network.SlotsPerEpoch {
		middle := slots.Start + blockprint.Slot(slots.Len()/2)
		if later := f.walkChunk(ctx, blockprint.Interval{Start: middle, End: slots.End}); later != nil && blockprint.CodeOf(later) != blockprint.NotFound {
			return later
		}
	}
	return err
}

// chunk collects what a walk finds and records it piece by piece.
type chunk struct {
	f      *Follower
	ctx    context.Context
	next   blockprint.Slot // first slot not yet in a batch
	upto   blockprint.Slot // slot after the last one that was told
	batch  Batch
	ids    []store.BlockID
	blocks int
}

func (c *chunk) block(r reward.Rated) error {
	if r.Reward == nil {
		return errStopped // a block of the range is never one of the warm-up
	}
	c.batch.Rewards = append(c.batch.Rewards, r.Reward)
	c.ids = append(c.ids, store.BlockID{Slot: r.Block.Slot, Root: r.Block.Root})
	c.blocks++
	return c.told(r.Block.Slot)
}

func (c *chunk) empty(i blockprint.Interval) error {
	return c.told(i.End)
}

func (c *chunk) told(slot blockprint.Slot) error {
	c.upto = slot + 1
	if uint64(c.upto)/flushSlots != uint64(c.next)/flushSlots {
		return c.flush()
	}
	return nil
}

func (c *chunk) flush() error {
	if c.upto <= c.next {
		return nil
	}
	slots := blockprint.Interval{Start: c.next, End: c.upto - 1}
	c.f.mu.Lock()
	final := slots.End <= c.f.finalized
	c.f.mu.Unlock()
	c.batch.Chains = []store.Chain{{Slots: slots, Blocks: c.ids, Final: final}}
	c.batch.Covered = []blockprint.Interval{slots}
	if err := c.f.to.Record(c.ctx, c.batch); err != nil {
		return err
	}
	c.f.o.Metrics.Blocks.WithLabelValues("healed").Add(float64(len(c.batch.Rewards)))
	c.next, c.batch, c.ids = c.upto, Batch{}, nil
	return nil
}

// settle decides, for every block up to the finalised slot, whether it is on the chain, and moves the mark of what
// is settled up to the first gap.
func (f *Follower) settle(ctx context.Context) error {
	f.mu.Lock()
	final := f.finalized
	f.mu.Unlock()
	st, err := f.to.Status(ctx)
	if err != nil || final == 0 {
		return err
	}
	from := max(st.Finalized+1, st.Floor)
	if from > final {
		return nil
	}
	span := blockprint.Interval{Start: from, End: final}
	ids, err := f.to.Undecided(ctx, span)
	if err != nil {
		return err
	}
	gaps, err := f.to.Gaps(ctx, span)
	if err != nil {
		return err
	}
	end := final
	if len(gaps) > 0 {
		end = gaps[0].Start - 1
	}
	b := Batch{}
	if end >= from {
		b.Finalized = &end
	}
	canonical, first := f.finalChain(final)
	for i := 0; i < len(ids); {
		slot := ids[i].Slot
		for ; i < len(ids) && ids[i].Slot == slot; i++ {
		}
		chain := store.Chain{Slots: blockprint.Interval{Start: slot, End: slot}, Final: true}
		root, known := canonical[slot]
		if slot < first {
			h, err := f.node.Header(ctx, beacon.AtSlot(slot))
			if err != nil && blockprint.CodeOf(err) != blockprint.NotFound {
				return err
			}
			root, known = h.Root, err == nil
		}
		if known {
			chain.Blocks = []store.BlockID{{Slot: slot, Root: root}}
		}
		b.Chains = append(b.Chains, chain)
	}
	if b.Finalized == nil && len(b.Chains) == 0 {
		return nil
	}
	return f.to.Record(ctx, b)
}

// finalChain returns the roots of the tracked chain by slot, from slot first on, if it holds the finalised block;
// else first is past every slot and the node must be asked.
func (f *Follower) finalChain(final blockprint.Slot) (roots map[blockprint.Slot]blockprint.Root, first blockprint.Slot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	roots, first = map[blockprint.Slot]blockprint.Root{}, final+1
	for _, id := range f.chain {
		roots[id.Slot] = id.Root
		if id.Root == f.finalRoot {
			first = f.chain[0].Slot
		}
	}
	return roots, first
}
