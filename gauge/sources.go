package gauge

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/classify"
	"blockprint/graffiti"
	"blockprint/jsonhttp"
	"blockprint/reward"
	"blockprint/rewardfile"
)

// LocalRewards rates blocks itself, on top of a beacon node's chain.
type LocalRewards struct {
	Node *beacon.Client
	Log  *slog.Logger

	mu    sync.Mutex
	rater *reward.Rater
}

// Rewards implements Rewarder.
func (l *LocalRewards) Rewards(ctx context.Context, blocks []json.RawMessage) ([]*blockprint.BlockReward, []error, error) {
	rewards, errs := make([]*blockprint.BlockReward, len(blocks)), make([]error, len(blocks))
	rated := 0
	for i, raw := range blocks {
		rewards[i], errs[i] = l.rate(ctx, raw)
		if errs[i] == nil {
			rated++
		}
	}
	if rated == 0 {
		return nil, nil, blockprint.Errorf(blockprint.CodeOf(errs[0]), "no block can be rated: block 0 of the list: %w", errs[0])
	}
	return rewards, errs, nil
}

func (l *LocalRewards) rate(ctx context.Context, raw json.RawMessage) (*blockprint.BlockReward, error) {
	b, err := l.Node.ParseBlock(ctx, raw)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rater == nil {
		if l.rater, err = reward.NewRater(ctx, l.Node, l.Log); err != nil {
			l.rater = nil
			return nil, err
		}
	}
	return l.rater.Rate(ctx, b)
}

// LocalClassifier labels by a model, without looking at the graffiti: a dreamt block has none of an operator's.
type LocalClassifier struct {
	model    *classify.Model
	labelers sync.Pool
}

// NewLocalClassifier returns a classifier by a model.
func NewLocalClassifier(m *classify.Model, rules *graffiti.Rules) (*LocalClassifier, error) {
	if _, err := m.NewLabeler(rules, m.Features()...); err != nil {
		return nil, err
	}
	c := &LocalClassifier{model: m}
	c.labelers.New = func() any {
		l, err := m.NewLabeler(rules, m.Features()...)
		if err != nil {
			panic(err) // one just like it has been made
		}
		return l
	}
	return c, nil
}

// Guess implements Classifier.
func (c *LocalClassifier) Guess(_ context.Context, rewards []*blockprint.BlockReward) ([]blockprint.Client, string, error) {
	l := c.labelers.Get().(*classify.Labeler)
	defer c.labelers.Put(l)
	out := make([]blockprint.Client, len(rewards))
	for i, r := range rewards {
		plain := *r
		plain.Meta.Graffiti = ""
		answer, _ := l.Label(&plain)
		out[i] = answer.Single
	}
	return out, c.model.Name, nil
}

// remote posts JSON to another service.
type remote struct {
	url  string
	http *http.Client
}

func newRemote(base, path string) (*remote, error) {
	if _, err := jsonhttp.ParseURL(base, "http://localhost:8000"); err != nil {
		return nil, err
	}
	return &remote{strings.TrimRight(base, "/") + path, &http.Client{Timeout: time.Minute}}, nil
}

// name is how messages name the service.
func (r *remote) name() string { return jsonhttp.ServerName(r.url) }

func (r *remote) post(ctx context.Context, body []byte, into any) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body)) // a name and password of the URL are sent
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	res, err := r.http.Do(q)
	if err != nil {
		return blockprint.Errorf(blockprint.Unavailable, "%s: %w", r.name(), jsonhttp.WithoutURL(err))
	}
	defer func() { _ = res.Body.Close() }() // read only
	answer, err := io.ReadAll(io.LimitReader(res.Body, 256<<20))
	if err != nil {
		return blockprint.Errorf(blockprint.Unavailable, "%s: %w", r.name(), err)
	}
	if res.StatusCode/100 != 2 {
		return blockprint.Errorf(blockprint.Unavailable, "%s: status %d: %.300s", r.name(), res.StatusCode, bytes.TrimSpace(answer))
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return blockprint.Errorf(blockprint.Unavailable, "%s: the answer is not what was expected: %w", r.name(), err)
	}
	return nil
}

// RemoteRewards asks a service with Lighthouse's /lighthouse/analysis/block_rewards.
type RemoteRewards struct{ *remote }

// NewRemoteRewards returns a rewarder that asks the service at a base URL.
func NewRemoteRewards(base string) (*RemoteRewards, error) {
	r, err := newRemote(base, "/lighthouse/analysis/block_rewards")
	return &RemoteRewards{r}, err
}

// Rewards implements Rewarder.
func (r *RemoteRewards) Rewards(ctx context.Context, blocks []json.RawMessage) ([]*blockprint.BlockReward, []error, error) {
	body, err := json.Marshal(blocks)
	if err != nil {
		return nil, nil, blockprint.Errorf(blockprint.Invalid, "blocks: %w", err)
	}
	var list []json.RawMessage
	if err := r.post(ctx, body, &list); err != nil {
		return nil, nil, err
	}
	if len(list) != len(blocks) {
		return nil, nil, blockprint.Errorf(blockprint.Unavailable, "%d blocks were to be rated, %d rewards came back", len(blocks), len(list))
	}
	rewards, errs := make([]*blockprint.BlockReward, len(list)), make([]error, len(list))
	for i := range list {
		rewards[i], errs[i] = rewardfile.Decode(list[i])
	}
	return rewards, errs, nil
}

// RemoteClassifier asks a blockprint service's /classify/no_store.
type RemoteClassifier struct{ *remote }

// NewRemoteClassifier returns a classifier that asks the service at a base URL.
func NewRemoteClassifier(base string) (*RemoteClassifier, error) {
	r, err := newRemote(base, "/classify/no_store")
	return &RemoteClassifier{r}, err
}

// Guess implements Classifier.
func (c *RemoteClassifier) Guess(ctx context.Context, rewards []*blockprint.BlockReward) ([]blockprint.Client, string, error) {
	plain := make([]*blockprint.BlockReward, len(rewards))
	for i, r := range rewards {
		silent := *r
		silent.Meta.Graffiti = "" // a label by graffiti would be the node's word, not the classifier's
		plain[i] = &silent
	}
	var list []struct {
		Single blockprint.Client `json:"best_guess_single"`
		Model  string            `json:"model"`
	}
	if err := c.post(ctx, rewardfile.AppendList(nil, plain), &list); err != nil {
		return nil, "", err
	}
	out, model := make([]blockprint.Client, len(list)), "remote"
	for i, l := range list {
		if l.Single == "" {
			return nil, "", blockprint.Errorf(blockprint.Unavailable, "%s: answer %d has no best_guess_single", c.name(), i)
		}
		if out[i] = l.Single; l.Model != "" {
			model = l.Model
		}
	}
	return out, model, nil
}
