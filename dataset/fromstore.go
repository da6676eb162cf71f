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

// FromStore makes training data from a store's blocks whose graffiti names their client, orphaned ones included. It
// applies rules to the stored graffiti, so that better rules also serve old blocks.
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
		return nil, blockprint.Errorf(blockprint.NotFound, "none of the %d blocks in the database names its client and has features (%d lack features)", blocks, unfeatured)
	}
	return set, nil
}
