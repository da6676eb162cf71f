package reward

import (
	"context"

	"blockprint"
	"blockprint/beacon"
)

// finish makes the chain's last blocks in the range pending, judging by the blocks after the range. It returns the block
// up to which the range is known: the first one after the range, or the head if the head is not after the range.
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
	// If the range has no block, the next block's parent must lie before the warm-up.
	return *after, w.allEmpty(ctx, b)
}

// allEmpty makes sure that a range has no block, by the parent of first, the first block after it.
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

// Following returns the chain's first block after a slot, nil if there is none yet. Its parent is the last block up to
// that slot. Following looks at slots one by one for some epochs, then in growing steps, because a node whose history
// begins much later has nothing for millions of slots. A slot may yield an orphan, so two blocks must agree on the first
// block, or the head decides.
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

// following is the state of Following.
type following struct {
	source Source
	end    blockprint.Slot
	known  map[blockprint.Root]*beacon.Header // by a block that was passed: the first one after the end
}

// back walks from a block along its parents to the first block after the end.
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
			return &h, nil // callers that need the parent will notice
		case err != nil:
			return nil, err
		case parent.Slot >= h.Slot:
			return nil, blockprint.Errorf(blockprint.Invalid, "block %s at slot %d has a parent at slot %d", h.Root.Short(), h.Slot, parent.Slot)
		case parent.Slot <= f.end:
			return &h, nil
		}
		h = parent
	}
	return nil, lacks(f.end+1, h.Slot-1)
}
