package gauge

import (
	"context"
	"encoding/json"

	"blockprint/dream"
	"blockprint/store"
)

// KeepOpinions returns a function that stores a dreamer's opinions.
func KeepOpinions(s store.Gauge) func(context.Context, dream.Opinion) error {
	return func(ctx context.Context, o dream.Opinion) error {
		details, err := json.Marshal(struct {
			Distances []dream.NodeDistance `json:"distances"`
			Between   []dream.PairDistance `json:"between"`
		}{o.Nearest, o.Between})
		if err != nil {
			return err
		}
		return s.AddOpinion(ctx, store.Opinion{BlockID: store.BlockID{Slot: o.Slot, Root: o.Root}, Likely: o.Likely, Details: details})
	}
}
