package httpapi

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/estimate"
	"blockprint/store"
)

// validatorStore reads blocks by their proposers.
type validatorStore interface {
	ValidatorBlocks(ctx context.Context, proposer uint64, since blockprint.Slot) ([]store.Block, error)
	LatestBlocks(ctx context.Context) iter.Seq2[store.Latest, error]
}

// IndicesBody is a body with validator indices.
type IndicesBody struct {
	RawBody []byte `contentType:"application/json" doc:"A list of validator indices."`
}

// ValidatorParam is a validator in a path.
type ValidatorParam struct {
	Index uint64 `path:"index" doc:"Index of the validator."`
}

// SinceParam is the first slot of interest in a path.
type SinceParam struct {
	Since uint64 `path:"since_slot" doc:"First slot."`
}

func (l *Labels) validatorRoutes() {
	get, post := http.MethodGet, http.MethodPost
	register(l.base, private("private", get, "/validator/{index}/blocks", "The blocks of a validator"), func(ctx context.Context, in *ValidatorParam) (*bodyOf[[]blockJSON], error) {
		return answered(l.blocksOf(ctx, in.Index, 0))
	})
	register(l.base, private("private", get, "/validator/{index}/blocks/{since_slot}", "The blocks of a validator since a slot"), func(ctx context.Context, in *struct {
		ValidatorParam
		SinceParam
	},
	) (*bodyOf[[]blockJSON], error) {
		return answered(l.blocksOf(ctx, in.Index, in.Since))
	})
	register(l.base, private("private", post, "/validator/blocks", "The blocks of several validators"), func(ctx context.Context, in *IndicesBody) (*huma.StreamResponse, error) {
		return l.blocksOfMany(ctx, in.RawBody, 0)
	})
	register(l.base, private("private", post, "/validator/blocks/{since_slot}", "The blocks of several validators since a slot"), func(ctx context.Context, in *struct {
		IndicesBody
		SinceParam
	},
	) (*huma.StreamResponse, error) {
		return l.blocksOfMany(ctx, in.RawBody, in.Since)
	})
	register(l.base, private("private", get, "/validator/blocks/latest", "The newest block of every validator"), func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		return stream(l.gates, AnswerHeaders{}, "[]", l.Store.LatestBlocks(ctx), func(b *store.Latest) ([]byte, error) {
			return json.Marshal(map[string]any{"proposer_index": b.Proposer, "slot": b.Slot, "best_guess_single": b.Single})
		}), nil
	})
	register(l.base, private("private", get, "/validator/{index}/client", "A validator's client, estimated from all of its blocks"), func(ctx context.Context, in *ValidatorParam) (*bodyOf[validatorClient], error) {
		return answered(inTurn(ctx, l.gates, func() (validatorClient, error) { return l.validatorClient(ctx, in.Index) }))
	})
}

func (l *Labels) blocksOf(ctx context.Context, validator, since uint64) ([]blockJSON, error) {
	list, err := l.Store.ValidatorBlocks(ctx, validator, blockprint.Slot(since))
	out := make([]blockJSON, len(list))
	for i := range list {
		out[i] = newBlockJSON(&list[i])
	}
	return out, err
}

// maxValidators is how many validators one request may ask for.
const maxValidators = 100_000

func (l *Labels) blocksOfMany(ctx context.Context, body []byte, since uint64) (*huma.StreamResponse, error) {
	var indices []uint64
	if err := json.Unmarshal(body, &indices); err != nil || indices == nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "expected a list of validator indices, such as [1023, 1024]")
	}
	if len(indices) > maxValidators {
		return nil, blockprint.Errorf(blockprint.TooLarge, "the request is for %d validators: ask for at most %d at once", len(indices), maxValidators)
	}
	slices.Sort(indices)
	indices = slices.Compact(indices)
	type blocks struct {
		validator uint64
		list      []blockJSON
	}
	list := func(yield func(blocks, error) bool) {
		for _, v := range indices {
			b, err := l.blocksOf(ctx, v, since)
			if !yield(blocks{v, b}, err) || err != nil {
				return
			}
		}
	}
	return stream(l.gates, AnswerHeaders{}, "{}", list, func(v *blocks) ([]byte, error) {
		b, err := json.Marshal(v.list)
		return append([]byte(`"`+strconv.FormatUint(v.validator, 10)+`":`), b...), err
	}), nil
}

type validatorClient struct {
	Validator uint64 `json:"validator"`
	estimate.ProposerReport
}

// validatorClient estimates a validator's client from all of its blocks.
func (l *Labels) validatorClient(ctx context.Context, index uint64) (validatorClient, error) {
	blocks, err := l.Store.ValidatorBlocks(ctx, index, 0)
	if err != nil {
		return validatorClient{}, err
	}
	proposals := make([]estimate.Proposal, len(blocks))
	for i, b := range blocks {
		proposals[i] = estimate.Proposal{Slot: b.Slot, Graffiti: b.Says.Client, Probabilities: b.Probabilities}
	}
	return validatorClient{index, estimate.Proposer(proposals)}, nil
}
