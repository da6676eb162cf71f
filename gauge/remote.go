package gauge

import (
	"context"
	"encoding/json"
	"time"

	"blockprint"
	"blockprint/jsonhttp"
	"blockprint/rewardfile"
)

// newRemote returns a client for a service that rates or labels blocks. The rewards of all nodes' blocks may be large.
func newRemote(base string) (*jsonhttp.Client, error) {
	return jsonhttp.New("", base, "http://localhost:8000", jsonhttp.Options{Timeout: time.Minute, Limit: 256 << 20})
}

// RemoteRewards asks a service with Lighthouse's /lighthouse/analysis/block_rewards.
type RemoteRewards struct{ client *jsonhttp.Client }

// NewRemoteRewards returns a rewarder that asks the service at a base URL.
func NewRemoteRewards(base string) (*RemoteRewards, error) {
	r, err := newRemote(base)
	return &RemoteRewards{r}, err
}

// Rewards implements Rewarder.
func (r *RemoteRewards) Rewards(ctx context.Context, blocks []json.RawMessage) ([]*blockprint.BlockReward, []error, error) {
	body, err := json.Marshal(blocks)
	if err != nil {
		return nil, nil, blockprint.Errorf(blockprint.Invalid, "blocks: %w", err)
	}
	var list []json.RawMessage
	if err := r.client.Post(ctx, "/lighthouse/analysis/block_rewards", body, &list); err != nil {
		return nil, nil, err
	}
	if len(list) != len(blocks) {
		return nil, nil, blockprint.Errorf(blockprint.Unavailable, "the service returned %d rewards for %d blocks", len(list), len(blocks))
	}
	rewards, errs := make([]*blockprint.BlockReward, len(list)), make([]error, len(list))
	for i := range list {
		rewards[i], errs[i] = rewardfile.Decode(list[i])
	}
	return rewards, errs, nil
}

// RemoteClassifier asks a blockprint service's /classify/no_store.
type RemoteClassifier struct{ client *jsonhttp.Client }

// NewRemoteClassifier returns a classifier that asks the service at a base URL.
func NewRemoteClassifier(base string) (*RemoteClassifier, error) {
	r, err := newRemote(base)
	return &RemoteClassifier{r}, err
}

// Guess implements Classifier.
func (c *RemoteClassifier) Guess(ctx context.Context, rewards []*blockprint.BlockReward) ([]blockprint.Client, string, error) {
	plain := make([]*blockprint.BlockReward, len(rewards))
	for i, r := range rewards {
		silent := *r
		silent.Meta.Graffiti = "" // a label by graffiti would say nothing about the classifier
		plain[i] = &silent
	}
	var list []struct {
		Single blockprint.Client `json:"best_guess_single"`
		Model  string            `json:"model"`
	}
	if err := c.client.Post(ctx, "/classify/no_store", rewardfile.AppendList(nil, plain), &list); err != nil {
		return nil, "", err
	}
	out, model := make([]blockprint.Client, len(list)), "remote"
	for i, l := range list {
		if l.Single == "" {
			return nil, "", blockprint.Errorf(blockprint.Unavailable, "%s: answer %d has no best_guess_single", c.client.Name(), i)
		}
		if out[i] = l.Single; l.Model != "" {
			model = l.Model
		}
	}
	return out, model, nil
}
