package reward

import (
	"context"
	"log/slog"
	"sync"

	"blockprint"
	"blockprint/beacon"
)

// Rater values any blocks, on the chain or not, whose parents the node has. It keeps a tracker near the last one
// asked for, so that blocks on the present head cost nothing but their own work. It is safe for concurrent use.
type Rater struct {
	mu sync.Mutex
	t  *Tracker
}

// NewRater returns a rater on the chain that source serves.
func NewRater(ctx context.Context, source Source, log *slog.Logger) (*Rater, error) {
	t, err := NewTracker(ctx, source, log)
	return &Rater{t: t}, err
}

// Rate values a block.
func (r *Rater) Rate(ctx context.Context, b *beacon.Block) (*blockprint.BlockReward, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.t.Reach(ctx, b.ParentRoot); err != nil {
		return nil, blockprint.Errorf(blockprint.CodeOf(err), "parent of %s: %w", b, err)
	}
	if _, slot, ok := r.t.Parent(b.ParentRoot); ok && r.t.network.EpochOf(b.Slot) > r.t.network.EpochOf(slot)+1 {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s is more than an epoch after its parent of slot %d: its balances cannot be told", b, slot)
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
