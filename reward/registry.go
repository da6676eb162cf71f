package reward

import (
	"context"
	"sync"

	"blockprint"
	"blockprint/beacon"
)

// ExactEpochs is how many epochs are worth a registry of their own each. A mainnet node needs seconds and 400 MB to
// give one, so longer stretches of history are computed with a single later registry (HeadRegistry).
const ExactEpochs = 8

// HeadRegistry is a source that knows no registry but the head's, which it asks for once and keeps. A later registry
// tells who was active at any time before it, since activation and exit epochs are never taken back; effective
// balances are at most a little off, and the rewards say that they are approximate.
type HeadRegistry struct {
	Source

	mu         sync.Mutex
	slot       blockprint.Slot // of the head when the registry was read
	validators *beacon.Validators
	growth     growth
}

// upTo makes sure that the registry is no older than a slot.
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

// Validators implements Source.
func (h *HeadRegistry) Validators(_ context.Context, state beacon.ID) (*beacon.Validators, error) {
	if state != beacon.Head {
		return nil, blockprint.Errorf(blockprint.NotFound, "only the head's registry is used")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.validators, nil
}

// SourceFor returns the source to walk a range with: exact for short ranges, the kept registry for long ones.
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
