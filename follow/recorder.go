package follow

import (
	"context"
	"sync"

	"blockprint"
	"blockprint/classify"
	"blockprint/graffiti"
	"blockprint/store"
)

// Batch is what the follower has learnt: rewards not yet labelled, and what store.Batch says of the chain.
type Batch struct {
	Rewards   []*blockprint.BlockReward
	Covered   []blockprint.Interval
	Uncovered []blockprint.Interval
	Chains    []store.Chain
	Finalized *blockprint.Slot
}

// Recorder is where a follower puts what it learns: Local, or a remote blockprint.
type Recorder interface {
	Identify(ctx context.Context, id store.Identity) error
	SetFloor(ctx context.Context, floor blockprint.Slot) error
	// Record labels and stores a batch, whole or not at all; what is stored already may be in it again.
	Record(ctx context.Context, b Batch) error
	Status(ctx context.Context) (store.Status, error)
	Gaps(ctx context.Context, i blockprint.Interval) (blockprint.Intervals, error)
	Undecided(ctx context.Context, i blockprint.Interval) ([]store.BlockID, error)
	Ancestors(ctx context.Context, from store.BlockID, down blockprint.Slot) (list []store.BlockID, next store.BlockID, err error)
}

// Local labels blocks with a model and keeps them in a store.
type Local struct {
	store.Store
	Model   *classify.Model
	labeler *classify.Labeler
	onBlock func(store.Block)
	mu      sync.Mutex // a labeler has scratch memory
}

// NewLocal returns a recorder. onBlock, if not nil, is told of every block once it is stored.
func NewLocal(s store.Store, m *classify.Model, rules *graffiti.Rules, onBlock func(store.Block)) (*Local, error) {
	l, err := m.NewLabeler(rules)
	if err != nil {
		return nil, err
	}
	return &Local{Store: s, Model: m, labeler: l, onBlock: onBlock}, nil
}

// Identify implements Recorder. The model learns when the network's forks are, for blocks that do not say their own.
func (l *Local) Identify(ctx context.Context, id store.Identity) error {
	if err := l.Store.Identify(ctx, id); err != nil {
		return err
	}
	if s, ok := id.Schedule(); ok {
		l.Model.SetSchedule(s)
	}
	return nil
}

// Record implements Recorder.
func (l *Local) Record(ctx context.Context, b Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	blocks := make([]store.Block, len(b.Rewards))
	for i, r := range b.Rewards {
		c, features := l.labeler.Label(r)
		blocks[i] = store.RewardBlock(r, c, features, l.Model.Name)
	}
	if _, err := l.Apply(ctx, store.Batch{Blocks: blocks, Covered: b.Covered, Uncovered: b.Uncovered, Chains: b.Chains, Finalized: b.Finalized}); err != nil {
		return err
	}
	if l.onBlock != nil {
		for _, block := range blocks {
			l.onBlock(block)
		}
	}
	return nil
}
