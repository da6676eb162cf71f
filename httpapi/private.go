package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/classify"
	"blockprint/follow"
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
		Index uint64 `path:"index"`
	},
	) (*bodyOf[[]blockJSON], error) {
		return s.validatorBlocks(ctx, in.Index, 0)
	})
	register(s, op(get, "/validator/{index}/blocks/{since_slot}", "Blocks of a validator from a slot on"), func(ctx context.Context, in *struct {
		Index uint64 `path:"index"`
		Since uint64 `path:"since_slot"`
	},
	) (*bodyOf[[]blockJSON], error) {
		return s.validatorBlocks(ctx, in.Index, in.Since)
	})
	register(s, op(post, "/validator/blocks", "Blocks of many validators"), func(ctx context.Context, in *IndicesBody) (*bodyOf[map[uint64][]blockJSON], error) {
		return s.manyValidators(ctx, in.RawBody, 0)
	})
	register(s, op(post, "/validator/blocks/{since_slot}", "Blocks of many validators from a slot on"), func(ctx context.Context, in *struct {
		IndicesBody
		Since uint64 `path:"since_slot"`
	},
	) (*bodyOf[map[uint64][]blockJSON], error) {
		return s.manyValidators(ctx, in.RawBody, in.Since)
	})
	register(s, op(get, "/validator/blocks/latest", "The newest block of every validator"), func(context.Context, *struct{}) (*huma.StreamResponse, error) {
		return s.latest(), nil
	})
	register(s, op(get, "/blocks/{start_slot}", "Blocks from a slot up to the head"), func(ctx context.Context, in *BlocksParams) (*huma.StreamResponse, error) {
		return s.blocks(ctx, in.Start, nil, in.Partial, in.Orphaned)
	})
	register(s, op(get, "/blocks/{start_slot}/{end_slot}", "Blocks of the slots from start to before end"), func(ctx context.Context, in *struct {
		BlocksParams
		End uint64 `path:"end_slot" maximum:"9223372036854775807"`
	},
	) (*huma.StreamResponse, error) {
		return s.blocks(ctx, in.Start, &in.End, in.Partial, in.Orphaned)
	})
	register(s, op(get, "/blocks/{slot}/{root}/explain", "Why a block has its label: features and nearest training blocks"), func(ctx context.Context, in *struct {
		Slot uint64 `path:"slot" maximum:"9223372036854775807"`
		Root string `path:"root"`
	},
	) (*bodyOf[explanation], error) {
		return s.explain(ctx, in.Slot, in.Root)
	})
	register(s, op(get, "/confusion/{client}/{start_slot}/{end_slot}", "Labels against graffiti for one client"), func(ctx context.Context, in *struct {
		Client string `path:"client"`
		Start  uint64 `path:"start_slot" maximum:"9223372036854775807"`
		End    uint64 `path:"end_slot" maximum:"9223372036854775807"`
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
	Start uint64 `path:"start_slot" maximum:"9223372036854775807"`
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
	l := s.labelers.Get().(*classify.Labeler)
	defer s.labelers.Put(l)
	out := []labelled{}
	for _, r := range rewards {
		c, _ := l.Label(r)
		out = append(out, labelled{r.Meta.Slot, r.BlockRoot, c.Single, c.Multi, c.ProbabilityMap(), nullable(c.Graffiti.Client), s.model.Name})
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

func readRewards(r io.Reader) ([]*blockprint.BlockReward, error) {
	in := blockprint.NewRewardReader(r)
	var out []*blockprint.BlockReward
	for {
		b := &blockprint.BlockReward{}
		err := in.Next(b)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
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

// maxValidators is how many validators may be asked for at once.
const maxValidators = 100_000

func (s *Server) manyValidators(ctx context.Context, body []byte, since uint64) (*bodyOf[map[uint64][]blockJSON], error) {
	var indices []uint64
	if err := json.Unmarshal(body, &indices); err != nil || indices == nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "the request must be a list of validator indices, such as [1023, 1024]")
	}
	if len(indices) > maxValidators {
		return nil, blockprint.Errorf(blockprint.TooLarge, "%d validators are asked for: at most %d at once", len(indices), maxValidators)
	}
	out := make(map[uint64][]blockJSON, len(indices))
	for _, v := range indices {
		one, err := s.validatorBlocks(ctx, v, since)
		if err != nil {
			return nil, err
		}
		out[v] = one.Body
	}
	return &bodyOf[map[uint64][]blockJSON]{out}, nil
}

// stream writes a JSON list as it is read. An error after the first element can only break the list off, which the
// caller notices as invalid JSON.
func stream[T any](s *Server, h AnswerHeaders, list iter.Seq2[T, error], each func(*T) any) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		next, stop := iter.Pull2(list)
		defer stop()
		v, err, ok := next()
		if ok && err != nil {
			e := s.toStatus(err)
			ctx.SetStatus(e.GetStatus())
			ctx.SetHeader("Content-Type", "application/json")
			_ = json.NewEncoder(ctx.BodyWriter()).Encode(e) // the client is gone
			return
		}
		ctx.SetHeader("Content-Type", "application/json")
		for name, value := range map[string]string{"Blockprint-As-Of-Slot": h.AsOf, "Blockprint-Model": h.Model, "Blockprint-Trust": h.Trust, "Blockprint-Gaps": h.Gaps} {
			if value != "" {
				ctx.SetHeader(name, value)
			}
		}
		w := ctx.BodyWriter()
		sep := "["
		for ; ok; v, err, ok = next() {
			if err != nil {
				s.o.Logger.Error("an answer broke off", "error", err)
				return
			}
			b, err := json.Marshal(each(&v))
			if err != nil {
				s.o.Logger.Error("an answer broke off", "error", err)
				return
			}
			if _, err := w.Write(append([]byte(sep), b...)); err != nil {
				return // the client is gone
			}
			sep = ","
		}
		if sep == "[" {
			_, _ = w.Write([]byte("[")) // the client is gone
		}
		_, _ = w.Write([]byte("]")) // the client is gone
	}}
}

func (s *Server) latest() *huma.StreamResponse {
	return stream(s, AnswerHeaders{}, s.store.LatestBlocks(context.Background()), func(l *store.Latest) any {
		return map[string]any{"proposer_index": l.Proposer, "slot": l.Slot, "best_guess_single": l.Single}
	})
}

func (s *Server) blocks(ctx context.Context, start uint64, end *uint64, partial, orphaned bool) (*huma.StreamResponse, error) {
	var last uint64
	if end != nil {
		if *end < start {
			return nil, blockprint.Errorf(blockprint.Invalid, "end_slot %d is before start_slot %d", *end, start)
		}
		last = *end
	} else {
		st, err := s.store.Status(ctx)
		if err != nil {
			return nil, err
		}
		last = max(start, uint64(st.Covered)+1)
	}
	h, err := s.covered(ctx, blockprint.Slot(start), blockprint.Slot(last), partial)
	if err != nil {
		return nil, err
	}
	if last == start {
		return stream(s, h, func(func(store.Block, error) bool) {}, func(*store.Block) any { return nil }), nil
	}
	list := s.store.Blocks(ctx, blockprint.Interval{Start: blockprint.Slot(start), End: blockprint.Slot(last - 1)}, store.Query{Orphaned: orphaned})
	return stream(s, h, list, func(b *store.Block) any { return toJSON(b) }), nil
}

type confusionOutput struct {
	AnswerHeaders
	Body store.Confusion
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
		return &confusionOutput{h, store.Confusion{}}, err
	}
	out, err := s.store.ConfusionByGraffiti(ctx, c, blockprint.Interval{Start: blockprint.Slot(start), End: blockprint.Slot(end - 1)})
	return &confusionOutput{h, out}, err
}
