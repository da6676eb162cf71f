package reward

import (
	"context"
	"log/slog"
	"sync"

	"blockprint"
	"blockprint/beacon"
)

// Rater values any block, on the chain or not, whose parent the node has. It keeps a tracker near the last such block, so
// blocks on the current head are fast. It is safe for concurrent use.
type Rater struct {
	source Source
	log    *slog.Logger

	mu sync.Mutex
	t  *Tracker // nil until a block is rated: the node may not be up when the program starts
}

// NewRater returns a rater for the chain that source serves. It asks source nothing before the first block.
func NewRater(source Source, log *slog.Logger) *Rater { return &Rater{source: source, log: log} }

// Rate values a block.
func (r *Rater) Rate(ctx context.Context, b *beacon.Block) (*blockprint.BlockReward, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.t == nil {
		t, err := NewTracker(ctx, r.source, r.log)
		if err != nil {
			return nil, err
		}
		r.t = t
	}
	if _, err := r.t.Reach(ctx, b.ParentRoot); err != nil {
		return nil, blockprint.Errorf(blockprint.CodeOf(err), "parent of %s: %w", b, err)
	}
	if _, slot, ok := r.t.Parent(b.ParentRoot); ok && r.t.network.EpochOf(b.Slot) > r.t.network.EpochOf(slot)+1 {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s is more than an epoch after its parent at slot %d: its balances are unknown", b, slot)
	}
	reward, err := r.t.Rate(ctx, b)
	if err != nil {
		return nil, err
	}
	if back := blockprint.Slot(4 * r.t.network.SlotsPerEpoch); b.Slot > back {
		r.t.Prune(b.Slot - back)
	}
	return reward, nil
}
