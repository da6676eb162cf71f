package reward

import (
	"context"

	"blockprint"
	"blockprint/beacon"
)

// finish makes pending what the chain has up to the end of the range, by what follows the range. It returns the block
// that the range is known up to: one after its end, or the head if that is not after it.
func (w *walk) finish(ctx context.Context) (beacon.Header, error) {
	after, err := Following(ctx, w.t.source, w.slots.End)
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
		err = lacks(w.start, w.slots.End)
	}
	return err
}

func (w *walk) head(ctx context.Context) (*beacon.Header, error) {
	h, err := w.t.source.Header(ctx, beacon.Head)
	return &h, err
}

// Following returns the first block of the chain after a slot, nil if there is none yet. Its parent is the last block up
// to that slot. Slots are looked at one by one for some epochs, then in growing steps: a node whose history begins much
// later has nothing for millions of slots. As a slot may give an orphan, two blocks must agree on what comes first, or
// the head decides.
func Following(ctx context.Context, source Source, end blockprint.Slot) (*beacon.Header, error) {
	network, err := source.Network(ctx)
	if err != nil {
		return nil, err
	}
	head, err := source.Header(ctx, beacon.Head)
	if err != nil || head.Slot <= end {
		return nil, err
	}
	f := following{source: source, end: end, known: map[blockprint.Root]*beacon.Header{}}
	var found *beacon.Header
	for slot := end + 1; slot < head.Slot; slot += 1 + (slot-end)/blockprint.Slot(4*network.SlotsPerEpoch) {
		h, err := source.Header(ctx, beacon.AtSlot(slot))
		if unfit(err) || err == nil && !h.Canonical {
			continue
		}
		if err != nil {
			return nil, err
		}
		first, err := f.back(ctx, h)
		if err != nil {
			return nil, err
		}
		if found != nil && found.Root == first.Root {
			return found, nil
		}
		found = first
	}
	return f.back(ctx, head)
}

// following is the work of Following.
type following struct {
	source Source
	end    blockprint.Slot
	known  map[blockprint.Root]*beacon.Header // the first one before each block that was passed
}

// back goes from a block by parents to the first one after the end.
func (f *following) back(ctx context.Context, h beacon.Header) (first *beacon.Header, err error) {
	const most = 8192 // blocks
	var way []blockprint.Root
	defer func() {
		for _, root := range way {
			f.known[root] = first
		}
	}()
	for range most {
		if known := f.known[h.Root]; known != nil {
			return known, nil
		}
		way = append(way, h.Root)
		parent, err := f.source.Header(ctx, beacon.AtRoot(h.ParentRoot))
		switch {
		case missing(err):
			return &h, nil // whoever needs the parent finds out
		case err != nil:
			return nil, err
		case parent.Slot >= h.Slot:
			return nil, blockprint.Errorf(blockprint.Invalid, "block %s of slot %d has a parent of slot %d", h.Root.Short(), h.Slot, parent.Slot)
		case parent.Slot <= f.end:
			return &h, nil
		}
		h = parent
	}
	return nil, lacks(f.end+1, h.Slot-1)
}
