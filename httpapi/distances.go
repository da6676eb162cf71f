package httpapi

import (
	"context"
	"encoding/json"
	"iter"

	"blockprint"
	"blockprint/store"
)

// distanceStore reads opinions.
type distanceStore interface {
	Opinions(ctx context.Context, i blockprint.Interval) iter.Seq2[store.Opinion, error]
}

type opinionJSON struct {
	Slot      blockprint.Slot    `json:"slot"`
	BlockRoot blockprint.Root    `json:"block_root"`
	Likely    *blockprint.Client `json:"likely" doc:"The client whose node's block is clearly nearest; null if it is too close to call."`
	Details   json.RawMessage    `json:"details" doc:"The distances of the dreamt blocks from the canonical one, nearest first, and from each other."`
}

func (l *Labels) distanceRoutes() {
	op := public("accuracy", "/distances/{start_slot}/{end_slot}", "How far the canonical blocks from start to end are from those that nodes dreamt: a second opinion on their clients")
	registerExpensive(l.gates, op, func(ctx context.Context, in *struct {
		Start uint64 `path:"start_slot" maximum:"9223372036854775807" doc:"First slot."`
		End   uint64 `path:"end_slot" maximum:"9223372036854775807" doc:"Last slot."`
	},
	) (*bodyOf[[]opinionJSON], error) {
		return answered(l.opinions(ctx, in.Start, in.End))
	})
}

// opinions reads the opinions on the blocks of at most one day.
func (l *Labels) opinions(ctx context.Context, start, end uint64) ([]opinionJSON, error) {
	c, err := l.clock(ctx)
	if err != nil {
		return nil, err
	}
	if most := c.slots(day); end < start || end-start >= most {
		return nil, blockprint.Errorf(blockprint.Invalid, "slots %d to %d: expected at most %d slots, with the end not before the start", start, end, most)
	}
	out := []opinionJSON{}
	for o, err := range l.Store.Opinions(ctx, blockprint.Interval{Start: blockprint.Slot(start), End: blockprint.Slot(end)}) {
		if err != nil {
			return nil, err
		}
		out = append(out, opinionJSON{o.Slot, o.Root, nullable(o.Likely), json.RawMessage(o.Details)})
	}
	return out, nil
}
