package dataset

import (
	"context"
	"iter"

	"blockprint"
	"blockprint/feature"
	"blockprint/store"
)

// Blocks is a store whose blocks are read.
type Blocks interface {
	Blocks(ctx context.Context, i blockprint.Interval, q store.Query) iter.Seq2[store.Block, error]
}

// FromStore makes training data from a store's blocks whose client is known, orphaned ones included, and counts how it
// is known. It reads the stored graffiti anew, so that better rules also serve old blocks.
func FromStore(ctx context.Context, s Blocks, labels *Labels, slots blockprint.Interval, features []string) (set *Set, from Origins, err error) {
	if len(features) == 0 {
		features = feature.Names()
	}
	set = NewSet(features)
	if _, err := (&Set{Features: feature.Names()}).Columns(features); err != nil {
		return nil, from, err
	}
	row := make([]float64, len(features))
	blocks, unfeatured := 0, 0
	for b, err := range s.Blocks(ctx, slots, store.Query{Orphaned: true, Features: true}) {
		if err != nil {
			return nil, from, err
		}
		blocks++
		label := labels.Of(b.Graffiti, b.Proposer, &from)
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
		return nil, from, blockprint.Errorf(blockprint.NotFound, "none of the %d blocks in the database has both a known client and features (%d lack features)", blocks, unfeatured)
	}
	return set, from, nil
}
