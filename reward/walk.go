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

// Walk computes the rewards of all canonical blocks of a range of slots, in order, beginning at the warm-up
// distance before it. each gets every block of the range; empty, if not nil, every slot without one. It returns
// Unavailable if the chain changed under its feet, which may work later.
func Walk(ctx context.Context, source Source, log *slog.Logger, slots blockprint.Interval, each func(Rated) error, empty func(blockprint.Slot) error) error {
	t, err := NewTracker(ctx, source, log)
	if err != nil {
		return err
	}
	start := t.warmStart(slots.Start)
	var last *beacon.Block
	return fetchSlots(ctx, source, blockprint.Interval{Start: start, End: slots.End}, func(slot blockprint.Slot, b *beacon.Block) error {
		if b == nil || b.Slot == 0 { // the genesis block has no proposer
			if empty != nil && slot >= slots.Start {
				return empty(slot)
			}
			return nil
		}
		if last == nil {
			if err := t.begin(ctx, b, start); err != nil {
				return err
			}
		} else if b.ParentRoot != last.Root {
			return blockprint.Errorf(blockprint.Unavailable, "the chain changed at slot %d while it was walked", slot)
		}
		last = b
		r, err := t.add(ctx, b)
		if err != nil {
			return err
		}
		epoch := t.network.EpochOf(slot)
		if slot == t.network.StartOf(epoch) && epoch > 2 {
			t.Prune(t.network.StartOf(epoch - 2))
		}
		if slot < slots.Start {
			return nil
		}
		return each(Rated{b, r})
	})
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
