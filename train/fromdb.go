package train

import (
	"context"

	"blockprint"
	"blockprint/feature"
	"blockprint/store"
)

// FromStore makes training data of a store's blocks whose graffiti says who built them, the network's own history.
// rules read the graffiti anew, so that better ones serve old blocks. Orphaned blocks are blocks too.
func FromStore(ctx context.Context, s store.Store, rules *blockprint.GraffitiRules, slots blockprint.Interval, features []string) (*Set, error) {
	if len(features) == 0 {
		features = feature.Names()
	}
	names := feature.Names()
	set := NewSet(features)
	places, err := (&Set{Features: names}).columns(features)
	if err != nil {
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
		if b.Features == nil {
			unfeatured++
			continue
		}
		for i, at := range places {
			row[i] = b.Features[at]
		}
		set.Add(label, b.Slot, b.Root, b.Proposer, row)
	}
	if set.Len() == 0 {
		return nil, blockprint.Errorf(blockprint.NotFound, "of %d blocks in the database none says who built it and has features (%d lack features)", blocks, unfeatured)
	}
	return set, nil
}

// Spoof is a block whose graffiti names one client and whose packing strongly another.
type Spoof struct {
	Slot     blockprint.Slot   `json:"slot"`
	Root     blockprint.Root   `json:"block_root"`
	Proposer uint64            `json:"proposer_index"`
	Graffiti string            `json:"graffiti"`
	Says     blockprint.Client `json:"says"`
	Packs    blockprint.Client `json:"packs_like"`
	P        float64           `json:"probability"` // of Packs
	PSays    float64           `json:"probability_of_what_it_says"`
}

// Thresholds of a contradiction that is worth a look.
const (
	spoofAtLeast = 0.99
	spoofAtMost  = 0.005
)

// Spoofs calls each with the blocks whose graffiti contradicts their packing strongly: made-up or stale graffiti, a
// block that a middleware took from another client, or a client that has changed.
func Spoofs(ctx context.Context, s store.Store, slots blockprint.Interval, each func(Spoof) error) error {
	for b, err := range s.Blocks(ctx, slots, store.Query{Orphaned: true}) {
		if err != nil {
			return err
		}
		says := b.Classification.Graffiti.Client
		p := b.ProbabilityMap()
		if says == "" || says == b.Single || p[b.Single] < spoofAtLeast || p[says] > spoofAtMost || !packs(says) {
			continue
		}
		if err := each(Spoof{b.Slot, b.Root, b.Proposer, b.Graffiti, says, b.Single, p[b.Single], p[says]}); err != nil {
			return err
		}
	}
	return nil
}

// packs tells whether models tell a client by its packing: what they do not know they cannot contradict.
func packs(c blockprint.Client) bool { return c != blockprint.Caplin && c != blockprint.Other }
