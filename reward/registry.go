package reward

import (
	"context"
	"sync"

	"blockprint"
	"blockprint/beacon"
)

// ExactEpochs is the length of the longest range for which each epoch's own registry is fetched. A mainnet node needs
// seconds and 400 MB for one, so longer ranges use a single later registry (HeadRegistry).
const ExactEpochs = 8

// HeadRegistry is a source whose only registry is the head's, which it fetches once and keeps. A later registry says who
// was active at any earlier time, because activation and exit epochs never change back. Its effective balances are nearly
// right, and rewards say that they are approximate.
type HeadRegistry struct {
	Source

	mu         sync.Mutex
	slot       blockprint.Slot // of the head when the registry was read
	validators *beacon.Validators
	growth     growth
}

// upTo makes sure that the registry is not older than a slot.
func (h *HeadRegistry) upTo(ctx context.Context, slot blockprint.Slot) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.validators != nil && h.slot >= slot {
		return nil
	}
	head, err := h.Header(ctx, beacon.Head)
	if err != nil {
		return err
	}
	v, err := h.Source.Validators(ctx, beacon.Head)
	if err != nil {
		return err
	}
	if err := h.growth.check(v.Len()); err != nil {
		return err
	}
	h.slot, h.validators = head.Slot, v
	return nil
}

// Validators returns the kept registry for the head, NotFound for every other state.
func (h *HeadRegistry) Validators(_ context.Context, state beacon.ID) (*beacon.Validators, error) {
	if state != beacon.Head {
		return nil, blockprint.Errorf(blockprint.NotFound, "only the head's registry is used")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.validators, nil
}

// SourceFor returns the source for walking a range: exact for short ranges, with the kept registry for long ones.
func (h *HeadRegistry) SourceFor(ctx context.Context, slots blockprint.Interval) (Source, error) {
	network, err := h.Network(ctx)
	if err != nil {
		return nil, err
	}
	if slots.Len() <= ExactEpochs*network.SlotsPerEpoch {
		return h.Source, nil
	}
	return h, h.upTo(ctx, slots.End)
}
