package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"

	"blockprint"
	"blockprint/classify"
	"blockprint/graffiti"
	"blockprint/rewardfile"
	"blockprint/store"
)

// labeling makes labels.
type labeling struct {
	model    *classify.Model
	labelers sync.Pool // each has scratch memory
}

func newLabeling(m *classify.Model, rules *graffiti.Rules) (*labeling, error) {
	if _, err := m.NewLabeler(rules); err != nil {
		return nil, err
	}
	l := &labeling{model: m}
	l.labelers.New = func() any {
		labeler, err := m.NewLabeler(rules)
		if err != nil {
			panic(err) // one just like it has been made
		}
		return labeler
	}
	return l, nil
}

// blocks labels rewards.
func (l *labeling) blocks(rewards []*blockprint.BlockReward) []store.Block {
	labeler := l.labelers.Get().(*classify.Labeler)
	defer l.labelers.Put(labeler)
	out := make([]store.Block, len(rewards))
	for i, r := range rewards {
		c, features := labeler.Label(r)
		out[i] = store.RewardBlock(r, c, features, l.model.Name)
	}
	return out
}

// graffitiOnly returns the clients that the model has not learned.
func (l *labeling) graffitiOnly() (list []blockprint.Client) {
	for _, p := range l.model.Parts {
		list = append(list, p.GraffitiOnly...)
	}
	return list
}

// errNoModel refuses to label.
func errNoModel() error {
	return blockprint.Errorf(blockprint.Unavailable, "this server has no model: start it with --model")
}

func (l *Labels) classifyRoutes() {
	type rewards struct {
		RawBody []byte `contentType:"application/json" doc:"A block reward or a list of them, in Lighthouse's form."`
	}
	register(l.base, private("private", http.MethodPost, "/classify", "Label blocks and store them"), func(ctx context.Context, in *rewards) (*bodyOf[any], error) {
		return answered(l.classify(ctx, in.RawBody, true))
	})
	register(l.base, private("private", http.MethodPost, "/classify/no_store", "Label blocks"), func(ctx context.Context, in *rewards) (*bodyOf[any], error) {
		return answered(l.classify(ctx, in.RawBody, false))
	})
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
func (l *Labels) classify(ctx context.Context, body []byte, keep bool) (any, error) {
	if l.labeling == nil {
		return nil, errNoModel()
	}
	rewards, err := readRewards(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	blocks := l.labeling.blocks(rewards)
	if err := l.pass(ctx, blocks); err != nil {
		return nil, err
	}
	if keep {
		if _, err := l.store.Apply(ctx, store.Batch{Blocks: blocks}); err != nil {
			return nil, err
		}
	}
	out := make([]labelled, len(blocks))
	for i, b := range blocks {
		out[i] = labelled{b.Slot, b.Root, b.Single, b.Multi, b.ProbabilityMap(), nullable(b.Classification.Graffiti.Client), b.Model, b.Reason}
	}
	if len(out) == 1 && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return out[0], nil
	}
	return out, nil
}

// pass lets blocks through the store's gate, whether they are to be stored or not.
func (l *Labels) pass(ctx context.Context, blocks []store.Block) error {
	id, known, err := l.store.Identity(ctx)
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
