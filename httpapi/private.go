package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/classify"
	"blockprint/follow"
	"blockprint/rewardfile"
	"blockprint/store"
)

var credentials = []map[string][]string{{"basic": {}}, {"bearer": {}}}

func (s *Server) privateRoutes() {
	op := func(method, path, summary string) huma.Operation {
		return huma.Operation{Method: method, Path: path, Summary: summary, Tags: []string{"private"}, Security: credentials}
	}
	get, post := http.MethodGet, http.MethodPost
	type rewards struct {
		RawBody []byte `contentType:"application/json" doc:"A block reward or a list of them, in Lighthouse's form."`
	}
	register(s, op(post, "/classify", "Label blocks and store them"), func(ctx context.Context, in *rewards) (*bodyOf[any], error) {
		return s.classify(ctx, in.RawBody, true)
	})
	register(s, op(post, "/classify/no_store", "Label blocks"), func(ctx context.Context, in *rewards) (*bodyOf[any], error) {
		return s.classify(ctx, in.RawBody, false)
	})
	register(s, op(get, "/validator/{index}/blocks", "Blocks of a validator"), func(ctx context.Context, in *struct {
		Index uint64 `path:"index" doc:"Index of the validator."`
	},
	) (*bodyOf[[]blockJSON], error) {
		return s.validatorBlocks(ctx, in.Index, 0)
	})
	register(s, op(get, "/validator/{index}/blocks/{since_slot}", "Blocks of a validator from a slot on"), func(ctx context.Context, in *struct {
		Index uint64 `path:"index" doc:"Index of the validator."`
		Since uint64 `path:"since_slot" doc:"First slot."`
	},
	) (*bodyOf[[]blockJSON], error) {
		return s.validatorBlocks(ctx, in.Index, in.Since)
	})
	register(s, op(post, "/validator/blocks", "Blocks of many validators"), func(ctx context.Context, in *IndicesBody) (*huma.StreamResponse, error) {
		return s.manyValidators(ctx, in.RawBody, 0)
	})
	register(s, op(post, "/validator/blocks/{since_slot}", "Blocks of many validators from a slot on"), func(ctx context.Context, in *struct {
		IndicesBody
		Since uint64 `path:"since_slot" doc:"First slot."`
	},
	) (*huma.StreamResponse, error) {
		return s.manyValidators(ctx, in.RawBody, in.Since)
	})
	register(s, op(get, "/validator/blocks/latest", "The newest block of every validator"), func(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
		return s.latest(ctx), nil
	})
	register(s, op(get, "/blocks/{start_slot}", "Blocks from a slot up to the head"), func(ctx context.Context, in *BlocksParams) (*huma.StreamResponse, error) {
		return s.blocks(ctx, in.Start, nil, in.Partial, in.Orphaned)
	})
	register(s, op(get, "/blocks/{start_slot}/{end_slot}", "Blocks of the slots from start to before end"), func(ctx context.Context, in *struct {
		BlocksParams
		End uint64 `path:"end_slot" maximum:"9223372036854775807" doc:"The slot after the last one."`
	},
	) (*huma.StreamResponse, error) {
		return s.blocks(ctx, in.Start, &in.End, in.Partial, in.Orphaned)
	})
	register(s, op(get, "/blocks/{slot}/{root}/explain", "Why a block has its label: features and nearest training blocks"), func(ctx context.Context, in *struct {
		Slot uint64 `path:"slot" maximum:"9223372036854775807" doc:"Slot of the block."`
		Root string `path:"root" doc:"Root of the block, 0x and 64 digits."`
	},
	) (*bodyOf[explanation], error) {
		return s.explain(ctx, in.Slot, in.Root)
	})
	register(s, op(get, "/confusion/{client}/{start_slot}/{end_slot}", "Labels against graffiti for one client"), func(ctx context.Context, in *struct {
		Client string `path:"client" doc:"Name of a client."`
		Start  uint64 `path:"start_slot" maximum:"9223372036854775807" doc:"First slot."`
		End    uint64 `path:"end_slot" maximum:"9223372036854775807" doc:"The slot after the last one."`
		PartialParam
	},
	) (*confusionOutput, error) {
		return s.confusion(ctx, in.Client, in.Start, in.End, in.Partial)
	})
}

// IndicesBody is a body of validator indices.
type IndicesBody struct {
	RawBody []byte `contentType:"application/json" doc:"A list of validator indices."`
}

// BlocksParams choose blocks.
type BlocksParams struct {
	Start uint64 `path:"start_slot" maximum:"9223372036854775807" doc:"First slot."`
	PartialParam
	Orphaned bool `query:"orphaned" doc:"Orphaned blocks too."`
}

// blockJSON is a stored block as the original shows it, with more.
type blockJSON struct {
	Slot          blockprint.Slot               `json:"slot"`
	Proposer      uint64                        `json:"proposer_index"`
	Single        blockprint.Client             `json:"best_guess_single"`
	Multi         string                        `json:"best_guess_multi"`
	Probabilities map[blockprint.Client]float64 `json:"probability_map"`
	Graffiti      *blockprint.Client            `json:"graffiti_guess"`
	Root          *blockprint.Root              `json:"block_root" doc:"null for blocks imported from a database without roots"`
	Canonical     *bool                         `json:"canonical" doc:"null while it can still change"`
}

func toJSON(b *store.Block) blockJSON {
	out := blockJSON{
		Slot: b.Slot, Proposer: b.Proposer, Single: b.Single, Multi: b.Multi, Probabilities: probabilityMap(b.Classification),
		Graffiti: nullable(b.Classification.Graffiti.Client),
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

// probabilityMap has the original's clients always, as its callers expect.
func probabilityMap(c blockprint.Classification) map[blockprint.Client]float64 {
	m := c.ProbabilityMap()
	for _, client := range blockprint.OriginalKeys() {
		if client != blockprint.Uncertain && client != blockprint.Other {
			m[client] += 0
		}
	}
	return m
}

func nullable(c blockprint.Client) *blockprint.Client {
	if c == "" {
		return nil
	}
	return &c
}

// labelled is the answer of /classify for one block.
type labelled struct {
	Slot          blockprint.Slot               `json:"slot"`
	Root          blockprint.Root               `json:"block_root"`
	Single        blockprint.Client             `json:"best_guess_single"`
	Multi         string                        `json:"best_guess_multi"`
	Probabilities map[blockprint.Client]float64 `json:"probability_map"`
	Graffiti      *blockprint.Client            `json:"graffiti_guess"`
	Model         string                        `json:"model"`
	Reason        string                        `json:"reason,omitempty" doc:"Why a block is Uncertain without an answer of the model."`
}

// classify labels the rewards of a body. A single object gets a single answer.
func (s *Server) classify(ctx context.Context, body []byte, keep bool) (*bodyOf[any], error) {
	if s.model == nil {
		return nil, blockprint.Errorf(blockprint.Unavailable, "this server has no model: start it with --model")
	}
	rewards, err := readRewards(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if err := s.pass(ctx, rewards); err != nil {
		return nil, err
	}
	l := s.labelers.Get().(*classify.Labeler)
	defer s.labelers.Put(l)
	out := []labelled{}
	for _, r := range rewards {
		c, _ := l.Label(r)
		out = append(out, labelled{r.Meta.Slot, r.BlockRoot, c.Single, c.Multi, c.ProbabilityMap(), nullable(c.Graffiti.Client), s.model.Name, c.Reason})
	}
	if keep {
		if err := s.recorder.Record(ctx, follow.Batch{Rewards: rewards}); err != nil {
			return nil, err
		}
	}
	if len(out) == 1 && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return &bodyOf[any]{out[0]}, nil
	}
	return &bodyOf[any]{out}, nil
}

// pass lets rewards through the store's gate, whether they are to be stored or not.
func (s *Server) pass(ctx context.Context, rewards []*blockprint.BlockReward) error {
	id, known, err := s.store.Identity(ctx)
	if err != nil {
		return err
	}
	gate := store.NewGate(nil, s.o.Now())
	if known {
		gate = store.NewGate(&id, s.o.Now())
	}
	for i, r := range rewards {
		b := store.RewardBlock(r, blockprint.Classification{}, nil, "")
		if err := gate.Block(&b); err != nil {
			return blockprint.Errorf(blockprint.CodeOf(err), "block %d of the list: %w", i, err)
		}
	}
	return nil
}

func readRewards(r io.Reader) ([]*blockprint.BlockReward, error) {
	var out []*blockprint.BlockReward
	for reward, err := range rewardfile.Read(r) {
		if err != nil {
			return nil, err
		}
		out = append(out, reward.Clone())
	}
	return out, nil
}

func (s *Server) validatorBlocks(ctx context.Context, index, since uint64) (*bodyOf[[]blockJSON], error) {
	list, err := s.store.ValidatorBlocks(ctx, index, blockprint.Slot(since))
	if err != nil {
		return nil, err
	}
	out := make([]blockJSON, len(list))
	for i := range list {
		out[i] = toJSON(&list[i])
	}
	return &bodyOf[[]blockJSON]{out}, nil
}

type confusionOutput struct {
	AnswerHeaders
	Body confusionJSON
}

// confusionJSON compares labels with graffiti for one client.
type confusionJSON struct {
	TruePos  int64 `json:"true_pos"`
	TrueNeg  int64 `json:"true_neg"`
	FalsePos int64 `json:"false_pos"`
	FalseNeg int64 `json:"false_neg"`
}

func (s *Server) confusion(ctx context.Context, client string, start, end uint64, partial bool) (*confusionOutput, error) {
	c, err := blockprint.ParseClient(client)
	if err != nil {
		return nil, err
	}
	if end < start {
		return nil, blockprint.Errorf(blockprint.Invalid, "end_slot %d is before start_slot %d", end, start)
	}
	h, err := s.covered(ctx, blockprint.Slot(start), blockprint.Slot(end), partial)
	if err != nil || end == start {
		return &confusionOutput{h, confusionJSON{}}, err
	}
	list, err := dearly(ctx, s, func() ([]store.Tally, error) {
		return s.store.Tally(ctx, blockprint.Interval{Start: blockprint.Slot(start), End: blockprint.Slot(end - 1)})
	})
	if err != nil {
		return nil, err
	}
	out := confusionJSON{}
	taught := s.taught(list)
	for _, t := range list {
		named, called := t.Graffiti.Client == c, t.Single == c
		switch {
		case t.Graffiti.Client == "" || taught.byGraffiti(&t): // nothing to compare with
		case named && called:
			out.TruePos += t.Blocks
		case named:
			out.FalseNeg += t.Blocks
		case called:
			out.FalsePos += t.Blocks
		default:
			out.TrueNeg += t.Blocks
		}
	}
	return &confusionOutput{h, out}, nil
}
