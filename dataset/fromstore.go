package dataset

import (
	"context"
	"iter"

	"blockprint"
	"blockprint/feature"
	"blockprint/graffiti"
	"blockprint/store"
)

// Blocks is a store whose blocks are read.
type Blocks interface {
	Blocks(ctx context.Context, i blockprint.Interval, q store.Query) iter.Seq2[store.Block, error]
}

// FromStore makes training data of a store's blocks whose graffiti says who built them, the network's own history.
// rules read the graffiti anew, so that better ones serve old blocks. Orphaned blocks are blocks too.
func FromStore(ctx context.Context, s Blocks, rules *graffiti.Rules, slots blockprint.Interval, features []string) (*Set, error) {
	if len(features) == 0 {
		features = feature.Names()
	}
	set := NewSet(features)
	if _, err := (&Set{Features: feature.Names()}).Columns(features); err != nil {
		return nil, err
	}
	row := make([]float64, len(features))
	blocks, unfeatured := 0, 0
	for b, err := range s.Blocks(ctx, slots, store.Query{Orphaned: true, Features: true}) {
		if err != nil {
			return nil, err
		}
		blocks++
		label := rules.Guess(b.Graffiti).Client
		if label == "" {
			continue
		}
		if b.Features.Values == nil {
			unfeatured++
			continue
		}
		set.Add(label, b.Slot, b.Root, b.Proposer, b.Features.In(features, row))
	}
	if set.Len() == 0 {
		return nil, blockprint.Errorf(blockprint.NotFound, "of %d blocks in the database none says who built it and has features (%d lack features)", blocks, unfeatured)
	}
	return set, nil
}
