package httpapi

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/store"
)

// blockStore reads blocks.
type blockStore interface {
	Block(ctx context.Context, id store.BlockID) (store.Block, error)
	Blocks(ctx context.Context, i blockprint.Interval, q store.Query) iter.Seq2[store.Block, error]
}

// BlocksParams choose blocks.
type BlocksParams struct {
	Start uint64 `path:"start_slot" maximum:"9223372036854775807" doc:"First slot."`
	PartialParam
	Orphaned bool `query:"orphaned" doc:"Include orphaned blocks."`
}

func (l *Labels) blockRoutes() {
	get := http.MethodGet
	register(l.base, private("private", get, "/blocks/{start_slot}", "The blocks from a slot up to the head"), func(ctx context.Context, in *BlocksParams) (*huma.StreamResponse, error) {
		return l.blocks(ctx, in, nil)
	})
	register(l.base, private("private", get, "/blocks/{start_slot}/{end_slot}", "The blocks of the slots from start to before end"), func(ctx context.Context, in *struct {
		BlocksParams
		End uint64 `path:"end_slot" maximum:"9223372036854775807" doc:"The slot after the last one."`
	},
	) (*huma.StreamResponse, error) {
		return l.blocks(ctx, &in.BlocksParams, &in.End)
	})
	register(l.base, private("private", get, "/blocks/{slot}/{root}/explain", "Why a block has its label: its features and the nearest training blocks"), func(ctx context.Context, in *struct {
		Slot uint64 `path:"slot" maximum:"9223372036854775807" doc:"Slot of the block."`
		Root string `path:"root" doc:"Root of the block, 0x and 64 digits."`
	},
	) (*bodyOf[*explanation], error) {
		return answered(l.explain(ctx, in.Slot, in.Root))
	})
}

// blocks streams the blocks of a range; without an end, the range goes up to the head.
func (l *Labels) blocks(ctx context.Context, in *BlocksParams, end *uint64) (*huma.StreamResponse, error) {
	var last uint64
	if end != nil {
		if *end < in.Start {
			return nil, blockprint.Errorf(blockprint.Invalid, "end_slot %d is before start_slot %d", *end, in.Start)
		}
		last = *end
	} else {
		st, err := l.Store.Status(ctx)
		if err != nil {
			return nil, err
		}
		last = max(in.Start, uint64(st.Covered)+1)
	}
	h, err := l.covered(ctx, blockprint.Slot(in.Start), blockprint.Slot(last), in.Partial)
	if err != nil {
		return nil, err
	}
	list := func(func(store.Block, error) bool) {}
	if last > in.Start {
		list = l.Store.Blocks(ctx, blockprint.Interval{Start: blockprint.Slot(in.Start), End: blockprint.Slot(last - 1)}, store.Query{Orphaned: in.Orphaned})
	}
	return stream(l.gates, h, "[]", list, func(b *store.Block) ([]byte, error) { return json.Marshal(newBlockJSON(b)) }), nil
}

// blockJSON is a stored block in the original's form, with some more fields.
type blockJSON struct {
	Slot          blockprint.Slot               `json:"slot"`
	Proposer      uint64                        `json:"proposer_index"`
	Single        blockprint.Client             `json:"best_guess_single"`
	Multi         string                        `json:"best_guess_multi"`
	Probabilities map[blockprint.Client]float64 `json:"probability_map"`
	Graffiti      *blockprint.Client            `json:"graffiti_guess"`
	Root          *blockprint.Root              `json:"block_root" doc:"null for blocks from a database without roots"`
	Canonical     *bool                         `json:"canonical" doc:"null while this can still change"`
}

func newBlockJSON(b *store.Block) blockJSON {
	out := blockJSON{
		Slot: b.Slot, Proposer: b.Proposer, Single: b.Single, Multi: b.Multi, Probabilities: b.ProbabilityMap(),
		Graffiti: nullable(b.Says.Client),
	}
	for _, client := range blockprint.OriginalKeys() { // the original's callers expect all of them
		if client != blockprint.Uncertain && client != blockprint.Other {
			out.Probabilities[client] += 0
		}
	}
	if !store.IsPlaceholder(b.Root) {
		out.Root = &b.Root
	}
	if b.Canonical != store.Undecided {
		final := b.Canonical == store.Final
		out.Canonical = &final
	}
	return out
}

// nullable returns a client for JSON: null instead of an empty one.
func nullable(c blockprint.Client) *blockprint.Client {
	if c == "" {
		return nil
	}
	return &c
}
