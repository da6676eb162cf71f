package dream

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"blockprint"
	"blockprint/file"
	"blockprint/jsonhttp"
	"blockprint/rewardfile"
)

// endpoint is a service that rounds are posted to.
type endpoint struct {
	EndpointConfig
	client *jsonhttp.Client
	log    *slog.Logger
	failed bool
}

func newEndpoint(c EndpointConfig, log *slog.Logger) (*endpoint, error) {
	client, err := jsonhttp.New("", c.URL, exampleEndpoint, jsonhttp.Options{Limit: 256 << 20})
	if err != nil {
		return nil, err
	}
	if c.Name == "" {
		c.Name = client.Name()
	}
	return &endpoint{EndpointConfig: c, client: client, log: log}, nil
}

// Request is a gauge's input: blocks with the names and labels of their nodes, in lists of the same length.
type Request struct {
	Names  []string          `json:"names"`
	Labels []string          `json:"labels"`
	Blocks []json.RawMessage `json:"blocks"`
}

// post sends the blocks of a round, and compares and stores the rewards in the answer if the configuration says so. asked is
// the number of nodes that were asked.
func (e *endpoint) post(ctx context.Context, r *Round, asked int) error {
	if e.RequireAll && len(r.Blocks) != asked {
		return nil
	}
	var q Request
	for _, b := range r.Blocks {
		if e.RequireSameParent && b.ParentRoot != r.Blocks[0].ParentRoot {
			return nil
		}
		q.Names, q.Labels, q.Blocks = append(q.Names, b.Name), append(q.Labels, string(b.Label)), append(q.Blocks, b.JSON)
	}
	var payload any = q
	if e.ExtraData != nil && !*e.ExtraData {
		payload = q.Blocks
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	if !e.CompareRewards && e.ResultsDir == "" {
		return e.client.Post(ctx, "", body, nil)
	}
	var list []json.RawMessage
	if err := e.client.Post(ctx, "", body, &list); err != nil {
		return err
	}
	if len(list) != len(r.Blocks) {
		return fmt.Errorf("%d blocks were posted, but the answer has %d rewards", len(r.Blocks), len(list))
	}
	if e.CompareRewards {
		if err := e.compare(r, list); err != nil {
			return err
		}
	}
	if e.ResultsDir != "" {
		if err := e.write(r, list); err != nil {
			return fmt.Errorf("results_dir: %w", err)
		}
	}
	return nil
}

// compare logs which node's block would earn the most.
func (e *endpoint) compare(r *Round, list []json.RawMessage) error {
	var best []string
	most := blockprint.Gwei(0)
	for i, b := range r.Blocks {
		reward, err := rewardfile.Decode(list[i])
		if err != nil {
			return fmt.Errorf("reward of the block by %s: %w", b.Name, err)
		}
		switch total := reward.Attestations.Total; {
		case total > most:
			best, most = []string{b.Name}, total
		case total == most:
			best = append(best, b.Name)
		}
	}
	e.log.Info("most profitable block", "slot", r.Slot, "nodes", best, "gwei", most)
	return nil
}

// write stores rewards in the layout of training data, which has a folder for each label.
func (e *endpoint) write(r *Round, list []json.RawMessage) error {
	for i, b := range r.Blocks {
		dir := filepath.Join(e.ResultsDir, string(b.Label))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := file.WriteAtomic(filepath.Join(dir, fmt.Sprintf("%s_%d.json", b.Name, r.Slot)), list[i]); err != nil {
			return err
		}
	}
	return nil
}

// note logs the endpoint's state when that changes.
func (e *endpoint) note(err error) {
	switch failed := err != nil; {
	case failed && !e.failed:
		e.log.Warn("dreamt blocks cannot be posted", "endpoint", e.Name, "error", err)
	case !failed && e.failed:
		e.log.Info("dreamt blocks are posted again", "endpoint", e.Name)
	}
	e.failed = err != nil
}
