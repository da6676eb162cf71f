package reward

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/beacon"
)

const (
	// prefetch is how many blocks Walk requests at the same time.
	prefetch = 16
	// buried is how many blocks must follow a block before it is reported: by then it is known to be on the chain.
	buried = 32
	// longestByRoot is how many blocks in a row are requested by root because requests by slot missed them.
	longestByRoot = 256
	// mostStrays is how many blocks in a row fail to join before the chain counts as changed.
	mostStrays = 8
)

// Walker receives what Walk finds.
type Walker struct {
	// Block receives every block of the range, in order.
	Block func(Rated) error
	// Empty, if not nil, receives the slots of the range that have no block. A slot counts as empty when the next
	// block's parent lies before it: a node that answers "not found" may just lack its history. Slots that Empty did
	// not receive are open, so with Empty it is no error if no block follows the range's last slots yet.
	Empty func(blockprint.Interval) error
	// Rivals, if not nil, returns other blocks with the same parent as a block of the chain. They are rated as if they
	// were in its place, and Block receives them before it.
	Rivals func(chain *beacon.Block) ([]*beacon.Block, error)
}

// Walk computes the rewards of all canonical blocks in a range of slots, in order. It starts reading the warm-up distance
// before the range. It requests blocks by slot, but the roots of parents decide which belong to the chain: for an empty
// slot, nodes answer with any error, with an orphan, or with the block before. Blocks missed that way are requested by
// root.
//
// Without Walker.Empty, nil means that the walk was complete: each slot's block was reported, or a later block proves that
// the slot is empty. The error is NotCovered if the range has not ended yet, Unavailable if the chain changed during the
// walk, and NotFound if the node lacks blocks that must exist. A later attempt may succeed.
func Walk(ctx context.Context, source Source, log *slog.Logger, slots blockprint.Interval, to Walker) error {
	t, err := NewTracker(ctx, source, log)
	if err != nil {
		return err
	}
	w := &walk{t: t, slots: slots, to: to, start: t.warmStart(slots.Start), next: slots.Start}
	head, err := w.head(ctx)
	if err != nil {
		return err
	}
	if head.Slot < slots.End && to.Empty == nil {
		return w.notOver(head.Slot)
	}
	if err := fetchSlots(ctx, source, blockprint.Interval{Start: w.start, End: min(slots.End, head.Slot)}, func(_ blockprint.Slot, b *beacon.Block) error {
		if b == nil || b.Slot == 0 { // the genesis block has no proposer
			return w.none(ctx)
		}
		return w.arrive(ctx, b)
	}); err != nil {
		return err
	}
	over, err := w.finish(ctx)
	if err != nil {
		return err
	}
	if err := w.give(ctx, 0); err != nil {
		return err
	}
	if over.Slot >= slots.End {
		return w.empty(slots.End + 1)
	}
	if to.Empty != nil {
		return nil // no block follows yet: the slots stay open
	}
	return w.notOver(over.Slot)
}

func (w *walk) notOver(head blockprint.Slot) error {
	return blockprint.Errorf(blockprint.NotCovered, "slots %d to %d are not over: the head is at slot %d; try again later", max(head+1, w.slots.Start), w.slots.End, head)
}

// walk is the work of Walk.
type walk struct {
	t     *Tracker
	slots blockprint.Interval
	to    Walker
	start blockprint.Slot
	// pending are blocks, oldest first, that join the reported ones and each other but may turn out to be orphans.
	pending []*beacon.Block
	last    *beacon.Block   // the newest reported block
	next    blockprint.Slot // the first unreported slot of the range
	run     uint64          // slots without a block since the start
	strays  int             // blocks in a row that join nothing
}

// none counts a slot for which the node sent no block. After some epochs of them it checks whether the node has any
// history here, so that it does not request thousands of slots in vain.
func (w *walk) none(ctx context.Context) error {
	if w.run++; w.last != nil || len(w.pending) > 0 || w.run != 4*w.t.network.SlotsPerEpoch {
		return nil
	}
	after, err := Following(ctx, w.t.source, w.slots.End)
	if err != nil || after == nil {
		return err
	}
	_, err = w.t.source.Header(ctx, beacon.AtRoot(after.ParentRoot))
	if missing(err) {
		return lacks(w.start, w.slots.End)
	}
	return err
}

func lacks(from, to blockprint.Slot) error {
	return blockprint.Errorf(blockprint.NotFound, "the node lacks the blocks from slot %d to %d: name one that has the history with --beacon", from, to)
}

// arrive takes a block that the node sent for a slot.
func (w *walk) arrive(ctx context.Context, b *beacon.Block) error {
	joined, err := w.join(ctx, b)
	if err != nil {
		return err
	}
	if joined {
		w.strays = 0
		return w.give(ctx, buried)
	}
	if w.strays++; w.strays == mostStrays {
		return w.changed(b.Slot)
	}
	return nil
}

func (w *walk) changed(slot blockprint.Slot) error {
	return blockprint.Errorf(blockprint.Unavailable, "the chain changed at slot %d during the walk; try again", slot)
}

// join makes b the newest pending block and fetches the ancestors that are missing. Pending blocks that are not b's
// ancestors are dropped, because a later block knows the chain better. It returns false if b is on another branch than
// the blocks already reported.
func (w *walk) join(ctx context.Context, b *beacon.Block) (bool, error) {
	chain := []*beacon.Block{b} // newest first
	for {
		oldest := chain[len(chain)-1]
		at := slices.IndexFunc(w.pending, func(p *beacon.Block) bool { return p.Root == oldest.ParentRoot })
		if at >= 0 || w.last != nil && w.last.Root == oldest.ParentRoot {
			w.pending = w.pending[:at+1]
			break
		}
		h, err := w.t.source.Header(ctx, beacon.AtRoot(oldest.ParentRoot))
		switch {
		case missing(err) && w.last == nil && len(w.pending) == 0:
			w.replace(chain) // begin decides whether it is the first block
			return true, nil
		case missing(err):
			return false, lacks(w.newest()+1, oldest.Slot-1)
		case err != nil:
			return false, err
		case h.Slot >= oldest.Slot:
			return false, blockprint.Errorf(blockprint.Invalid, "%s is not after its parent, which is at slot %d", oldest, h.Slot)
		case w.last != nil && h.Slot <= w.last.Slot:
			return false, nil
		case h.Slot < w.start || h.Slot == 0:
			w.replace(chain)
			return true, nil
		case len(chain) == longestByRoot:
			return false, lacks(h.Slot-1, oldest.Slot-1)
		}
		parent, err := w.t.source.Block(ctx, beacon.AtRoot(oldest.ParentRoot))
		if err != nil {
			return false, err
		}
		chain = append(chain, parent)
	}
	w.push(chain)
	return true, nil
}

// replace drops all pending blocks for a chain.
func (w *walk) replace(chain []*beacon.Block) {
	w.pending = w.pending[:0]
	w.push(chain)
}

func (w *walk) push(newestFirst []*beacon.Block) {
	for i := len(newestFirst) - 1; i >= 0; i-- {
		w.pending = append(w.pending, newestFirst[i])
	}
}

// newest returns the slot of the newest block that is pending or reported.
func (w *walk) newest() blockprint.Slot {
	switch {
	case len(w.pending) > 0:
		return w.pending[len(w.pending)-1].Slot
	case w.last != nil:
		return w.last.Slot
	}
	return w.start
}

// give rates and reports all pending blocks but the newest keep ones.
func (w *walk) give(ctx context.Context, keep int) error {
	for len(w.pending) > keep {
		b := w.pending[0]
		w.pending = slices.Delete(w.pending, 0, 1)
		if err := w.block(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) block(ctx context.Context, b *beacon.Block) error {
	if w.last == nil {
		complete, err := w.t.begin(ctx, b, w.start)
		if err != nil {
			return err
		}
		if !complete {
			return lacks(w.start, b.Slot-1)
		}
	}
	parentSlot := w.t.blocks[b.ParentRoot].slot
	w.last = b
	if err := w.rivals(ctx, b); err != nil {
		return err
	}
	r, err := w.t.add(ctx, b)
	if err != nil {
		return err
	}
	epoch := w.t.network.EpochOf(b.Slot)
	if epoch > 2 && w.t.network.EpochOf(parentSlot) != epoch {
		w.t.Prune(w.t.network.StartOf(epoch - 2))
	}
	if b.Slot < w.slots.Start {
		return nil
	}
	if err := w.empty(b.Slot); err != nil {
		return err
	}
	w.next = b.Slot + 1
	return w.to.Block(Rated{b, r})
}

// rivals rates and reports the blocks that could be in b's place.
func (w *walk) rivals(ctx context.Context, b *beacon.Block) error {
	if w.to.Rivals == nil || b.Slot < w.slots.Start {
		return nil
	}
	list, err := w.to.Rivals(b)
	if err != nil {
		return err
	}
	for _, rival := range list {
		r, err := w.t.Rate(ctx, rival)
		if err != nil {
			return err
		}
		if err := w.to.Block(Rated{rival, r}); err != nil {
			return err
		}
	}
	return nil
}

// empty reports that the slots from the first unreported one to end-1 are empty.
func (w *walk) empty(end blockprint.Slot) error {
	if w.next >= end || w.to.Empty == nil {
		return nil
	}
	return w.to.Empty(blockprint.Interval{Start: w.next, End: end - 1})
}

// missing reports whether a node said that it does not have something.
func missing(err error) bool { return err != nil && blockprint.CodeOf(err) == blockprint.NotFound }

// unfit reports whether a request by slot failed in a way that leaves a request by root to be tried.
func unfit(err error) bool {
	return missing(err) || err != nil && blockprint.CodeOf(err) == blockprint.Invalid
}

// fetchSlots requests a range's blocks, several at once, and calls each in order, with nil if a slot yields no block.
func fetchSlots(ctx context.Context, source Source, slots blockprint.Interval, each func(blockprint.Slot, *beacon.Block) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		block *beacon.Block
		err   error
	}
	// Each slot has a channel. Their queue limits how far the requests run ahead.
	queue := make(chan chan result, prefetch)
	var g errgroup.Group
	g.Go(func() error {
		defer close(queue)
		var workers errgroup.Group
		workers.SetLimit(prefetch)
		for slot := slots.Start; slot <= slots.End && ctx.Err() == nil; slot++ {
			done := make(chan result, 1)
			select {
			case queue <- done:
			case <-ctx.Done():
				return workers.Wait()
			}
			workers.Go(func() error {
				b, err := source.Block(ctx, beacon.AtSlot(slot))
				if unfit(err) {
					b, err = nil, nil
				}
				done <- result{b, err}
				return nil
			})
		}
		return workers.Wait()
	})
	slot := slots.Start
	var err error
	for done := range queue {
		r := <-done
		if err = r.err; err == nil {
			err = each(slot, r.block)
		}
		if err != nil {
			break
		}
		slot++
	}
	cancel()
	for range queue { // let the fetcher end
	}
	if waitErr := g.Wait(); err == nil {
		err = waitErr
	}
	if err == nil && slot <= slots.End {
		err = context.Cause(ctx)
		if err == nil {
			err = errors.New("the walk ended early")
		}
	}
	return err
}
