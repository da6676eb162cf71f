package reward

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/beacon"
)

// prefetch is how many blocks Walk asks for at once.
const prefetch = 16

// Walker is told what Walk finds.
type Walker struct {
	// Block gets every block of the range, in order.
	Block func(Rated) error
	// Empty, if not nil, gets the slots of the range that have no block. A slot counts as empty when the next
	// block's parent lies before it: a node that answers "not found" may just lack its history.
	Empty func(blockprint.Interval) error
	// Rivals, if not nil, returns further blocks of the range with the same parent as one of the chain. They are rated
	// as if they stood in its place and given to Block before it.
	Rivals func(chain *beacon.Block) ([]*beacon.Block, error)
}

// Walk computes the rewards of all canonical blocks of a range of slots, in order, beginning at the warm-up
// distance before it. It returns Unavailable if the chain changed under its feet, and NotFound if the node has no
// blocks where there must be some; both may work later.
func Walk(ctx context.Context, source Source, log *slog.Logger, slots blockprint.Interval, to Walker) error {
	t, err := NewTracker(ctx, source, log)
	if err != nil {
		return err
	}
	w := &walk{t: t, slots: slots, to: to, start: t.warmStart(slots.Start), next: slots.Start}
	if err := fetchSlots(ctx, source, blockprint.Interval{Start: w.start, End: slots.End}, func(slot blockprint.Slot, b *beacon.Block) error {
		if b == nil || b.Slot == 0 { // the genesis block has no proposer
			return w.none(ctx)
		}
		return w.block(ctx, b)
	}); err != nil {
		return err
	}
	if w.next > slots.End || to.Empty == nil {
		return nil
	}
	proven, err := w.emptyToEnd(ctx)
	if err != nil || !proven {
		return err // nothing follows yet: the slots stay open
	}
	return w.empty(slots.End + 1)
}

// walk is the work of Walk.
type walk struct {
	t     *Tracker
	slots blockprint.Interval
	to    Walker
	start blockprint.Slot
	last  *beacon.Block
	next  blockprint.Slot // the first slot of the range that is not told yet
	run   uint64          // slots without a block since the start
}

// none notes a slot for which the node gave no block. After some epochs of them it looks whether the node has any
// history here at all, before it asks for thousands of slots in vain.
func (w *walk) none(ctx context.Context) error {
	if w.run++; w.last != nil || w.run != 4*w.t.network.SlotsPerEpoch {
		return nil
	}
	_, err := w.emptyToEnd(ctx)
	return err
}

func (w *walk) block(ctx context.Context, b *beacon.Block) error {
	parentSlot, err := w.join(ctx, b)
	if err != nil {
		return err
	}
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

// rivals rates the blocks that could have stood in b's place.
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

// join makes sure that nothing is missing before b, and returns its parent's slot.
func (w *walk) join(ctx context.Context, b *beacon.Block) (blockprint.Slot, error) {
	if w.last != nil {
		if b.ParentRoot != w.last.Root {
			return 0, blockprint.Errorf(blockprint.Unavailable, "the chain changed at slot %d while it was walked", b.Slot)
		}
		return w.last.Slot, nil
	}
	complete, err := w.t.begin(ctx, b, w.start)
	if err != nil {
		return 0, err
	}
	if !complete {
		return 0, blockprint.Errorf(blockprint.NotFound, "the node has no blocks from slot %d to %d, but there must be some", w.start, b.Slot-1)
	}
	return w.t.blocks[b.ParentRoot].slot, nil
}

// empty tells the slots from the first untold one up to before end.
func (w *walk) empty(end blockprint.Slot) error {
	if w.next >= end || w.to.Empty == nil {
		return nil
	}
	return w.to.Empty(blockprint.Interval{Start: w.next, End: end - 1})
}

// emptyToEnd looks for the first block after the range, whose parent tells whether the slots from the last block
// that was found to the end of the range are empty. It is NotFound if they are not, so that the node lacks blocks,
// and false if no block follows yet.
func (w *walk) emptyToEnd(ctx context.Context) (bool, error) {
	head, err := w.t.source.Header(ctx, beacon.Head)
	if err != nil {
		return false, err
	}
	from := w.start
	if w.last != nil {
		from = w.last.Slot + 1
	}
	missing := blockprint.Errorf(blockprint.NotFound, "the node has no blocks from slot %d to %d, but there must be some", from, w.slots.End)
	for slot := w.slots.End + 1; slot <= head.Slot; slot++ {
		h, err := w.t.source.Header(ctx, beacon.AtSlot(slot))
		if blockprint.CodeOf(err) == blockprint.NotFound {
			continue
		}
		if err != nil {
			return false, err
		}
		if w.last != nil {
			if h.ParentRoot == w.last.Root {
				return true, nil
			}
			return false, missing
		}
		parent, err := w.t.source.Header(ctx, beacon.AtRoot(h.ParentRoot))
		switch {
		case err == nil && parent.Slot < w.start:
			return true, nil
		case err == nil || blockprint.CodeOf(err) == blockprint.NotFound:
			return false, missing
		}
		return false, err
	}
	return false, nil
}

// fetchSlots asks for the blocks of a range, several at once, and gives them in order; nil for an empty slot.
func fetchSlots(ctx context.Context, source Source, slots blockprint.Interval, each func(blockprint.Slot, *beacon.Block) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		block *beacon.Block
		err   error
	}
	// Each slot has a channel; the queue of them bounds how far the fetching runs ahead.
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
				if blockprint.CodeOf(err) == blockprint.NotFound && err != nil {
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
