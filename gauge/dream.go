package gauge

import (
	"context"
	"encoding/json"

	"blockprint/dream"
	"blockprint/store"
)

// Take is a dream.Sink: it observes the blocks of a round that could be rated.
func (g *Gauge) Take(ctx context.Context, n *dream.Round) error {
	var list []Dreamt
	for _, b := range n.Blocks {
		if b.Reward != nil {
			list = append(list, Dreamt{b.Name, string(b.Label), b.Reward})
		}
	}
	return g.Observe(ctx, list)
}

// KeepOpinions returns what keeps a dreamer's opinions in a store.
func KeepOpinions(s store.Gauge) func(context.Context, dream.Opinion) error {
	return func(ctx context.Context, v dream.Opinion) error {
		details, err := json.Marshal(struct {
			Distances []dream.NodeDistance `json:"distances"`
			Between   []dream.PairDistance `json:"between"`
		}{v.Nearest, v.Between})
		if err != nil {
			return err
		}
		return s.AddOpinion(ctx, store.Opinion{BlockID: store.BlockID{Slot: v.Slot, Root: v.Root}, Likely: v.Likely, Details: details})
	}
}
