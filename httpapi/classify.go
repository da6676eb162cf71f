package httpapi

import (
	"bytes"
	"context"
	"net/http"

	"blockprint"
	"blockprint/label"
	"blockprint/rewardfile"
	"blockprint/store"
)

// errNoModel is the answer to requests for labels if there is no model.
func errNoModel() error {
	return blockprint.Errorf(blockprint.Unavailable, "this server has no model: start it with --model")
}

func (l *Labels) classifyRoutes() {
	type rewards struct {
		RawBody []byte `contentType:"application/json" doc:"A block reward or a list of block rewards, in Lighthouse's format."`
	}
	register(l.base, private("private", http.MethodPost, "/classify", "Label blocks and store them"), func(ctx context.Context, in *rewards) (*bodyOf[any], error) {
		return answered(l.classify(ctx, in.RawBody, true))
	})
	register(l.base, private("private", http.MethodPost, "/classify/no_store", "Label blocks without storing them"), func(ctx context.Context, in *rewards) (*bodyOf[any], error) {
		return answered(l.classify(ctx, in.RawBody, false))
	})
}

// classify labels the rewards of a body. A single object gets a single answer.
func (l *Labels) classify(ctx context.Context, body []byte, keep bool) (any, error) {
	if l.Labeling == nil {
		return nil, errNoModel()
	}
	rewards, err := rewardfile.ReadAll(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	blocks := l.Labeling.Label(rewards)
	if err := l.pass(ctx, blocks); err != nil {
		return nil, err
	}
	if keep {
		if _, err := l.Store.Apply(ctx, store.Batch{Blocks: blocks}); err != nil {
			return nil, err
		}
	}
	out := make([]label.JSON, len(blocks))
	for i, b := range blocks {
		out[i] = label.NewJSON(b.Slot, b.Root, b.Classification, b.Says, b.Model)
	}
	if len(out) == 1 && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return out[0], nil
	}
	return out, nil
}

// pass lets blocks through the store's gate, whether they are to be stored or not.
func (l *Labels) pass(ctx context.Context, blocks []store.Block) error {
	id, known, err := l.Store.Identity(ctx)
	if err != nil {
		return err
	}
	gate := store.NewGate(nil, l.Now())
	if known {
		gate = store.NewGate(&id, l.Now())
	}
	for i := range blocks {
		if err := gate.Block(&blocks[i]); err != nil {
			return blockprint.Errorf(blockprint.CodeOf(err), "block %d of the list: %w", i, err)
		}
	}
	return nil
}
