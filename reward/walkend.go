package reward

import (
	"context"

	"blockprint"
	"blockprint/beacon"
)

// finish makes pending what the chain has up to the end of the range, by what follows the range. It returns the block
// that the range is known up to: one after its end, or the head if that is not after it.
func (w *walk) finish(ctx context.Context) (beacon.Header, error) {
	after, err := w.after(ctx)
	if err != nil {
		return beacon.Header{}, err
	}
	if after == nil {
		after, err = w.head(ctx)
		if err != nil {
			return beacon.Header{}, err
		}
	}
	if after.Slot == 0 {
		return *after, nil // a chain that has not begun
	}
	b, err := w.t.source.Block(ctx, beacon.AtRoot(after.Root))
	if err != nil {
		return beacon.Header{}, err
	}
	if w.last == nil || b.Root != w.last.Root {
		joined, err := w.join(ctx, b)
		if err != nil {
			return beacon.Header{}, err
		}
		if !joined {
			return beacon.Header{}, w.changed(b.Slot)
		}
	}
	for len(w.pending) > 0 && w.pending[len(w.pending)-1].Slot > w.slots.End {
		w.pending = w.pending[:len(w.pending)-1]
	}
	if len(w.pending) > 0 || w.last != nil {
		return *after, nil
	}
	// No block of the range: the one after it must have its parent before the warm-up.
	return *after, w.allEmpty(ctx, b)
}

// allEmpty makes sure that first, the first block after a range without one, has its parent before it.
func (w *walk) allEmpty(ctx context.Context, first *beacon.Block) error {
	complete, err := w.t.begin(ctx, first, w.start)
	if err == nil && !complete {
		err = w.lacks(w.start, w.slots.End)
	}
	return err
}

func (w *walk) head(ctx context.Context) (*beacon.Header, error) {
	h, err := w.t.source.Header(ctx, beacon.Head)
	return &h, err
}

// after returns the first block of the chain after the range, nil if there is none yet. Slots are looked at one by one
// for some epochs, then in growing steps: a node whose history begins much later has nothing for millions of slots. As
// a slot may give an orphan, two blocks must agree on what comes first, or the head decides.
func (w *walk) after(ctx context.Context) (*beacon.Header, error) {
	head, err := w.head(ctx)
	if err != nil {
		return nil, err
	}
	if head.Slot <= w.slots.End {
		return nil, nil
	}
	known := map[blockprint.Root]*beacon.Header{}
	var found *beacon.Header
	for slot := w.slots.End + 1; slot < head.Slot; slot += 1 + (slot-w.slots.End)/blockprint.Slot(4*w.t.network.SlotsPerEpoch) {
		h, err := w.t.source.Header(ctx, beacon.AtSlot(slot))
		if unfit(err) || err == nil && !h.Canonical {
			continue
		}
		if err != nil {
			return nil, err
		}
		first, err := w.back(ctx, h, known)
		if err != nil {
			return nil, err
		}
		if found != nil && found.Root == first.Root {
			return found, nil
		}
		found = first
	}
	return w.back(ctx, *head, known)
}

// back goes from a block after the range by parents to the first one after it. known holds what it found for others.
func (w *walk) back(ctx context.Context, h beacon.Header, known map[blockprint.Root]*beacon.Header) (first *beacon.Header, err error) {
	const most = 8192 // blocks
	var way []blockprint.Root
	defer func() {
		for _, root := range way {
			known[root] = first
		}
	}()
	for range most {
		if f := known[h.Root]; f != nil {
			return f, nil
		}
		way = append(way, h.Root)
		parent, err := w.t.source.Header(ctx, beacon.AtRoot(h.ParentRoot))
		switch {
		case missing(err):
			return &h, nil // whoever needs the parent finds out
		case err != nil:
			return nil, err
		case parent.Slot >= h.Slot:
			return nil, blockprint.Errorf(blockprint.Invalid, "block %s of slot %d has a parent of slot %d", h.Root.Short(), h.Slot, parent.Slot)
		case parent.Slot <= w.slots.End:
			return &h, nil
		}
		h = parent
	}
	return nil, w.lacks(w.slots.End+1, h.Slot-1)
}
