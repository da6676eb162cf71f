package gauge

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"blockprint"
	"blockprint/beacon"
	"blockprint/classify"
	"blockprint/graffiti"
	"blockprint/reward"
)

// LocalRewards rates blocks in this process, on top of a beacon node's chain.
type LocalRewards struct {
	node  *beacon.Client
	rater *reward.Rater
}

// NewLocalRewards returns a rewarder for a node's chain. It does not ask the node before the first block.
func NewLocalRewards(node *beacon.Client, log *slog.Logger) *LocalRewards {
	return &LocalRewards{node, reward.NewRater(node, log)}
}

// Rewards implements Rewarder.
func (l *LocalRewards) Rewards(ctx context.Context, blocks []json.RawMessage) ([]*blockprint.BlockReward, []error, error) {
	rewards, errs := make([]*blockprint.BlockReward, len(blocks)), make([]error, len(blocks))
	rated := 0
	for i, raw := range blocks {
		rewards[i], errs[i] = l.Rate(ctx, raw)
		if errs[i] == nil {
			rated++
		}
	}
	if rated == 0 {
		return nil, nil, blockprint.Errorf(blockprint.CodeOf(errs[0]), "no block can be rated: the first one of the list: %w", errs[0])
	}
	return rewards, errs, nil
}

// Rate rates one block.
func (l *LocalRewards) Rate(ctx context.Context, raw json.RawMessage) (*blockprint.BlockReward, error) {
	b, err := l.node.ParseBlock(ctx, raw)
	if err != nil {
		return nil, err
	}
	return l.rater.Rate(ctx, b)
}

// LocalClassifier labels blocks with a model. It ignores the graffiti, which no operator has chosen for a dreamt block.
type LocalClassifier struct {
	model    *classify.Model
	labelers *sync.Pool // of classify.Labelers
}

// NewLocalClassifier returns a classifier that uses a model.
func NewLocalClassifier(m *classify.Model, rules *graffiti.Rules) (*LocalClassifier, error) {
	labelers, err := m.Labelers(rules, m.Features()...)
	return &LocalClassifier{m, labelers}, err
}

// Guess implements Classifier.
func (c *LocalClassifier) Guess(_ context.Context, rewards []*blockprint.BlockReward) ([]blockprint.Client, string, error) {
	l := c.labelers.Get().(*classify.Labeler)
	defer c.labelers.Put(l)
	out := make([]blockprint.Client, len(rewards))
	for i, r := range rewards {
		plain := *r
		plain.Meta.Graffiti = ""
		out[i] = l.Label(&plain).Single
	}
	return out, c.model.Name, nil
}
