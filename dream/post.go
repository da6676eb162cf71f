package dream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"blockprint"
	"blockprint/file"
	"blockprint/rewardfile"
)

// endpoint posts dreamt blocks.
type endpoint struct {
	EndpointConfig
	http   *http.Client
	log    *slog.Logger
	failed bool
}

func newEndpoint(c EndpointConfig, log *slog.Logger) *endpoint {
	if c.Name == "" {
		c.Name = "endpoint"
		if u, err := url.Parse(c.URL); err == nil {
			c.Name = u.Host
		}
	}
	return &endpoint{EndpointConfig: c, log: log, http: &http.Client{Timeout: 30 * time.Second}}
}

// Request is what a gauge is asked: blocks with their nodes' names and labels, in lists of the same length.
type Request struct {
	Names  []string          `json:"names"`
	Labels []string          `json:"labels"`
	Blocks []json.RawMessage `json:"blocks"`
}

// post sends a slot's blocks, and keeps the rewards that come back. asked is how many nodes were asked.
func (e *endpoint) post(ctx context.Context, n *Round, asked int) error {
	if e.RequireAll && len(n.Blocks) != asked {
		return nil // as configured
	}
	var q Request
	for _, b := range n.Blocks {
		if e.RequireSameParent && b.ParentRoot != n.Blocks[0].ParentRoot {
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
	answer, err := e.send(ctx, body)
	if err != nil {
		return err
	}
	if !e.CompareRewards && e.ResultsDir == "" {
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(answer, &list); err != nil {
		return fmt.Errorf("the answer is not a list of block rewards: %w", err)
	}
	if len(list) != len(n.Blocks) {
		return fmt.Errorf("%d blocks were posted, but %d rewards came back", len(n.Blocks), len(list))
	}
	if e.CompareRewards {
		if err := e.compare(n, list); err != nil {
			return err
		}
	}
	if e.ResultsDir == "" {
		return nil
	}
	for i, b := range n.Blocks {
		dir := filepath.Join(e.ResultsDir, string(b.Label))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("results_dir: %w", err)
		}
		if err := file.WriteAtomic(filepath.Join(dir, fmt.Sprintf("%s_%d.json", b.Name, n.Slot)), list[i]); err != nil {
			return fmt.Errorf("results_dir: %w", err)
		}
	}
	return nil
}

func (e *endpoint) send(ctx context.Context, body []byte) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL, bytes.NewReader(body)) // a name and password of the URL are sent
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	res, err := e.http.Do(q)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // read only
	answer, err := io.ReadAll(io.LimitReader(res.Body, 256<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("status %d: %.300s", res.StatusCode, bytes.TrimSpace(answer))
	}
	return answer, nil
}

// compare logs whose block would earn most.
func (e *endpoint) compare(n *Round, list []json.RawMessage) error {
	var best []string
	most := blockprint.Gwei(0)
	for i, b := range n.Blocks {
		r, err := rewardfile.Decode(list[i])
		if err != nil {
			return fmt.Errorf("reward of the block of %s: %w", b.Name, err)
		}
		switch total := r.Attestations.Total; {
		case total > most:
			best, most = []string{b.Name}, total
		case total == most:
			best = append(best, b.Name)
		}
	}
	e.log.Info("most profitable block", "slot", n.Slot, "nodes", best, "gwei", most)
	return nil
}

// note logs a change of the endpoint's state once.
func (e *endpoint) note(err error) {
	switch failed := err != nil; {
	case failed && !e.failed:
		e.log.Warn("dreamt blocks cannot be posted", "endpoint", e.Name, "error", err)
	case !failed && e.failed:
		e.log.Info("dreamt blocks are posted again", "endpoint", e.Name)
	}
	e.failed = err != nil
}
