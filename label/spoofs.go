package label

import (
	"context"
	"iter"

	"blockprint"
	"blockprint/store"
)

// Spoof is a block whose graffiti names one client while its packing strongly suggests another.
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

// Blocks is what Spoofs needs of a store.
type Blocks interface {
	Blocks(ctx context.Context, i blockprint.Interval, q store.Query) iter.Seq2[store.Block, error]
}

// Thresholds for a contradiction that is worth a look.
const (
	spoofAtLeast = 0.99
	spoofAtMost  = 0.005
)

// Spoofs calls each with the blocks whose graffiti strongly contradicts their packing: the graffiti is invented or stale, a
// middleware took the block from another client, or a client has changed.
func Spoofs(ctx context.Context, s Blocks, slots blockprint.Interval, each func(Spoof) error) error {
	for b, err := range s.Blocks(ctx, slots, store.Query{Orphaned: true}) {
		if err != nil {
			return err
		}
		says := b.Says.Client
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

// packs reports whether models know a client's packing: what they do not know they cannot contradict.
func packs(c blockprint.Client) bool { return c != blockprint.Caplin && c != blockprint.Other }
