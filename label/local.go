// Package label turns block rewards into stored labels: a follower's, in this process (Local) or on another machine (Remote),
// and those in reward files (BuildDB). Reclassify relabels stored blocks with a newer model.
package label

import (
	"context"
	"slices"
	"sync"

	"blockprint"
	"blockprint/classify"
	"blockprint/graffiti"
	"blockprint/store"
)

// Batch is what a follower has learned: rewards that have no labels yet, and what store.Batch says about the chain.
type Batch struct {
	Rewards   []*blockprint.BlockReward
	Covered   []blockprint.Interval
	Uncovered []blockprint.Interval
	Chains    []store.Chain
	Finalized *blockprint.Slot
}

// Database is what a follower needs of a store.
type Database interface {
	Identify(ctx context.Context, id store.Identity) error
	SetFloor(ctx context.Context, floor blockprint.Slot) error
	Apply(ctx context.Context, b store.Batch) (store.Result, error)
	Status(ctx context.Context) (store.Status, error)
	Gaps(ctx context.Context, i blockprint.Interval) (blockprint.Intervals, error)
	Undecided(ctx context.Context, i blockprint.Interval) ([]store.BlockID, error)
	Ancestors(ctx context.Context, from store.BlockID, down blockprint.Slot) (list []store.BlockID, next store.BlockID, err error)
}

// Local labels blocks with a model and keeps them in a database. It is a follow.Recorder, safe for concurrent use.
type Local struct {
	Database
	Model    *classify.Model
	labelers *sync.Pool // of classify.Labelers, which have scratch memory
	onBlock  func(store.Block)
}

// NewLocal returns a recorder. It calls onBlock, if not nil, with every block once it is stored, possibly from several
// goroutines at once.
func NewLocal(db Database, m *classify.Model, rules *graffiti.Rules, onBlock func(store.Block)) (*Local, error) {
	labelers, err := m.Labelers(rules)
	return &Local{Database: db, Model: m, labelers: labelers, onBlock: onBlock}, err
}

// Identify implements follow.Recorder. The model learns when the network's forks are, for blocks that do not say their own.
func (l *Local) Identify(ctx context.Context, id store.Identity) error {
	if err := l.Database.Identify(ctx, id); err != nil {
		return err
	}
	if s, ok := id.Schedule(); ok {
		l.Model.SetSchedule(s)
	}
	return nil
}

// Label returns the rewards' blocks as they would be stored.
func (l *Local) Label(rewards []*blockprint.BlockReward) []store.Block {
	labeler := l.labelers.Get().(*classify.Labeler)
	defer l.labelers.Put(labeler)
	blocks := make([]store.Block, len(rewards))
	for i, r := range rewards {
		blocks[i] = labeled(labeler, r, l.Model.Name)
	}
	return blocks
}

func labeled(l *classify.Labeler, r *blockprint.BlockReward, model string) store.Block {
	c := l.Label(r)
	c.Features.Values = slices.Clone(c.Features.Values)
	return store.Block{
		Slot: r.Meta.Slot, Root: r.BlockRoot, ParentSlot: r.Meta.ParentSlot, ParentRoot: r.Meta.ParentRoot,
		Proposer: r.Meta.ProposerIndex, Graffiti: r.Meta.Graffiti, Says: c.Says,
		Classification: c.Classification, Features: c.Features, Model: model,
	}
}

// Record implements follow.Recorder.
func (l *Local) Record(ctx context.Context, b Batch) error {
	blocks := l.Label(b.Rewards)
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
