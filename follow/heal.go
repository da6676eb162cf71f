package follow

import (
	"context"
	"errors"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/label"
	"blockprint/reward"
	"blockprint/store"
)

const (
	// chunkSlots is the size, and alignment, of the pieces in which long gaps are walked.
	chunkSlots = 2048
	// flushSlots is how much of a piece is recorded at once. What is recorded is never fetched again.
	flushSlots = 128
	// probePause is how many slots lie between two checks whether the node has gained history.
	probePause = 5
)

// hopeless is a piece of a gap that could not be filled.
type hopeless struct {
	retry
	noBlocks bool      // the node does not have the blocks, rather than giving nonsense
	had      bool      // it had one of the newest blocks anyway, so having one proves no progress
	probed   time.Time // when it was last asked for one
	// connections is Follower.connections when it failed.
	connections int
}

// healLoop fills gaps and settles what is final.
func (f *Follower) healLoop(ctx context.Context) {
	var t trouble
	for ctx.Err() == nil {
		err := f.guarded("healing", f.forgetHistory, func() error { return f.heal(ctx) })
		// What cannot be healed must not keep the rest from being settled.
		err = errors.Join(err, f.guarded("settling", func() { clear(f.links) }, func() error { return f.settle(ctx) }))
		pause := f.o.HealPause
		if err != nil && ctx.Err() == nil {
			f.o.Metrics.HealErrors.Inc()
			t.note(f.log, "cannot heal now, will retry", err, f.o.Now())
			pause = min(pause<<min(t.failures, 8), 10*time.Minute)
		} else {
			t = trouble{}
		}
		select {
		case <-ctx.Done():
		case <-f.healNow:
		case <-time.After(pause):
		}
	}
}

// forgetHistory drops what healing has learned about the node.
func (f *Follower) forgetHistory() {
	f.history = &reward.HeadRegistry{Source: careful{f.node}}
	clear(f.hopeless)
}

// careful turns panics into errors: a walk reads blocks on goroutines of its own, where a panic would end the program.
type careful struct{ Node }

func (c careful) Block(ctx context.Context, id beacon.ID) (b *beacon.Block, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = blockprint.Errorf(blockprint.Internal, "reading block %s: %v", id, r)
		}
	}()
	return c.Node.Block(ctx, id)
}

// heal tries once to fill every gap between the start of history and the newest covered slot, newest first: users
// mostly look at the present.
func (f *Follower) heal(ctx context.Context) error {
	st, err := f.status(ctx)
	if err != nil {
		return err
	}
	if st.Empty || st.Covered < st.Floor {
		return nil // the head loop begins
	}
	f.mu.Lock()
	seam := f.seam
	f.seam = store.BlockID{}
	f.mu.Unlock()
	failure := f.rejoin(ctx, seam)
	if blockprint.CodeOf(failure) == blockprint.Unavailable && failure != nil {
		f.mu.Lock()
		if f.seam.Root.IsZero() {
			f.seam = seam
		}
		f.mu.Unlock()
	}
	gaps, err := f.to.Gaps(ctx, blockprint.Interval{Start: st.Floor, End: st.Covered})
	if err != nil {
		return err
	}
	f.noteGaps(gaps)
	for i := len(gaps) - 1; i >= 0; i-- {
		chunks := gaps[i].Chunks(chunkSlots)
		for j := len(chunks) - 1; j >= 0; j-- {
			if h := f.hopeless[chunks[j]]; h != nil && !f.tryAgain(ctx, chunks[j], h) {
				if h.noBlocks {
					break // the node's history begins later
				}
				continue
			}
			err := f.healChunk(ctx, chunks[j])
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if blockprint.CodeOf(err) == blockprint.Conflict {
				return err
			}
			if h := f.hopeless[chunks[j]]; h != nil && h.noBlocks {
				break // what is older is missing too
			}
			failure = errors.Join(failure, err)
		}
	}
	return failure
}

// noteGaps reports how much is missing, and forgets pieces that are no longer missing.
func (f *Follower) noteGaps(gaps blockprint.Intervals) {
	missing, lacking := uint64(0), uint64(0)
	still := map[blockprint.Interval]*hopeless{}
	for _, g := range gaps {
		missing += g.Len()
		without := uint64(0) // where the node lacks a piece it lacks what is older, too
		for _, c := range g.Chunks(chunkSlots) {
			if h := f.hopeless[c]; h != nil {
				still[c] = h
				if h.noBlocks {
					without = uint64(c.End-g.Start) + 1
				}
			}
		}
		lacking += without
	}
	f.hopeless = still
	f.o.Metrics.MissingSlots.Set(float64(missing))
	f.o.Metrics.UnavailableSlots.Set(float64(lacking))
	f.health.mu.Lock()
	before := f.health.missing
	f.health.missing = missing
	f.health.mu.Unlock()
	if before > 0 && missing == 0 {
		f.log.Info("history is complete", f.standing()...)
	}
}

// tryAgain reports whether it is time to try a hopeless piece again: its pause is over, the node may be a different one, or
// it now has blocks that it lacked before, as when it fills its own history. In that last case everything is tried
// again.
func (f *Follower) tryAgain(ctx context.Context, slots blockprint.Interval, h *hopeless) bool {
	now := f.o.Now()
	if !now.Before(h.next) {
		return true
	}
	if now.Sub(h.probed) < probePause*f.network.SlotDuration {
		return false
	}
	h.probed = now
	f.mu.Lock()
	anew := f.connections != h.connections
	f.mu.Unlock()
	if anew || h.had {
		return anew
	}
	if !f.hasNewest(ctx, slots) {
		return false
	}
	f.log.Info("the node now has blocks that it lacked before", "slots", slots.String())
	clear(f.hopeless)
	return true
}

// hasNewest reports whether the node has one of the newest blocks of a piece.
func (f *Follower) hasNewest(ctx context.Context, slots blockprint.Interval) bool {
	const enough = 8 // so many slots are hardly ever all empty
	for back := range blockprint.Slot(min(enough, slots.Len())) {
		if _, err := f.node.Block(ctx, beacon.AtSlot(slots.End-back)); err == nil {
			return true
		}
	}
	return false
}

// healChunk walks one piece of a gap. If the node lacks its blocks, or gives nonsense, the piece is hopeless for a while.
// That is not an error: the rest of history must not wait for it.
func (f *Follower) healChunk(ctx context.Context, slots blockprint.Interval) error {
	err := f.walkChunk(ctx, slots)
	if err == nil {
		delete(f.hopeless, slots)
		return nil
	}
	code := blockprint.CodeOf(err)
	if code != blockprint.NotFound && code != blockprint.Invalid || ctx.Err() != nil {
		return err
	}
	h := f.hopeless[slots]
	if h == nil {
		h = &hopeless{}
		f.hopeless[slots] = h
	}
	f.mu.Lock()
	h.connections = f.connections
	f.mu.Unlock()
	h.noBlocks, h.had, h.probed = code == blockprint.NotFound, f.hasNewest(ctx, slots), f.o.Now()
	h.failed(f.o.Now(), f.o.HealPause)
	f.o.Metrics.HealErrors.Inc()
	if h.tries == 3 {
		f.log.Warn("cannot fill a gap now; it will be tried again, with pauses that grow to an hour", "slots", slots.String(), "error", err)
	}
	return nil
}

// walkChunk records what the node has of a piece. Where the node's history begins inside it, the later half is tried
// by itself, and so on.
func (f *Follower) walkChunk(ctx context.Context, slots blockprint.Interval) error {
	f.log.Info("healing", "slots", slots.String())
	began := f.o.Now()
	if err := f.verify(ctx, f.forgetHistory); err != nil {
		return err
	}
	source, err := f.history.SourceFor(ctx, slots)
	if err != nil {
		return err
	}
	c := &chunk{f: f, ctx: ctx, next: slots.Start}
	err = errors.Join(reward.Walk(ctx, source, f.log, slots, reward.Walker{Block: c.block, Empty: c.empty}), c.flush()) // what was found before a failure counts too
	if c.blocks > 0 {
		f.low = min(f.low, slots.Start)
		if after := errors.Join(f.rejoin(ctx, c.first), f.settle(ctx)); err == nil {
			err = after
		}
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
	upto   blockprint.Slot // slot after the last one that was walked
	batch  label.Batch
	ids    []store.BlockID
	first  store.BlockID
	blocks int // recorded
}

func (c *chunk) block(r reward.Rated) error {
	if r.Reward == nil {
		return blockprint.Errorf(blockprint.Internal, "healing %s: the walk gave no reward for it", r.Block)
	}
	c.batch.Rewards = append(c.batch.Rewards, r.Reward)
	c.ids = append(c.ids, store.BlockID{Slot: r.Block.Slot, Root: r.Block.Root})
	return c.walked(r.Block.Slot)
}

func (c *chunk) empty(i blockprint.Interval) error {
	return c.walked(i.End)
}

func (c *chunk) walked(slot blockprint.Slot) error {
	c.upto = slot + 1
	if uint64(c.upto)/flushSlots != uint64(c.next)/flushSlots {
		return c.flush()
	}
	return nil
}

// flush records what was found, once the node has confirmed its network. Whether it is final is for
// settle to prove.
func (c *chunk) flush() error {
	if c.upto <= c.next {
		return nil
	}
	if err := c.f.verify(c.ctx, c.f.forgetHistory); err != nil {
		return err
	}
	slots := blockprint.Interval{Start: c.next, End: c.upto - 1}
	c.batch.Chains = []store.Chain{{Slots: slots, Blocks: c.ids}}
	c.batch.Covered = []blockprint.Interval{slots}
	if err := c.f.record(c.ctx, c.batch); err != nil {
		return err
	}
	if c.blocks == 0 && len(c.ids) > 0 {
		c.first = c.ids[0]
	}
	c.blocks += len(c.ids)
	c.f.health.count(len(c.ids))
	c.f.o.Metrics.Blocks.WithLabelValues("healed").Add(float64(len(c.ids)))
	c.next, c.batch, c.ids = c.upto, label.Batch{}, nil
	return nil
}
