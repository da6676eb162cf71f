package app

import (
	"context"

	"blockprint"
	"blockprint/classify"
	"blockprint/follow"
	"blockprint/label"
	"blockprint/service"
	"blockprint/store"
)

// Follow keeps a database in step with the chain.
type Follow struct {
	Process
	Beacon
	Labeling
	DB     string
	Remote string // URL of a blockprint that labels and stores, instead of Labeling and DB
	Token  string // bearer token for it
	Since  *blockprint.Slot
	Extend bool
	Listen string // for /metrics and health; empty for none
}

// Run follows until ctx ends.
func (c Follow) Run(ctx context.Context) error {
	registry := newRegistry()
	node, err := c.client(c.Beacon, registry)
	if err != nil {
		return err
	}
	defer node.Close()
	to, closeStore, err := c.recorder(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	f := follow.New(node, to, follow.Options{Since: c.Since, Extend: c.Extend, Logger: c.Logger, Clock: c.Now, Metrics: follow.NewMetrics(registry)})
	if c.Listen == "" {
		return f.Run(ctx)
	}
	health, err := service.New(service.Options{Registry: registry, Logger: c.Logger, Now: c.Now})
	if err != nil {
		return err
	}
	health.Health(service.Guarded, func(context.Context) error { return f.Ready() })
	return c.serve(ctx, health, []string{c.Listen}, f.Run)
}

// recorder opens the database, or a remote blockprint.
func (c *Follow) recorder(ctx context.Context) (follow.Recorder, func(), error) {
	if c.Remote != "" {
		r, err := label.NewRemote(c.Remote, c.Token)
		return r, func() {}, err
	}
	s, err := store.Open(ctx, c.DB, store.Options{Now: c.Now})
	if err != nil {
		return nil, nil, err
	}
	closeStore := func() { _ = s.Close() } // all writes are on the disk already
	if err := LearnNetwork(ctx, s, c.Model); err != nil {
		closeStore()
		return nil, nil, err
	}
	local, err := label.NewLocal(s, c.Model, c.Rules, nil)
	return local, closeStore, err
}

// Watch hands on each new block with its label, and stores nothing.
type Watch struct {
	Process
	Beacon
	Labeling
	Block func(*blockprint.BlockReward, classify.Labeled) error
}

// Run watches until ctx ends or Block fails.
func (c Watch) Run(ctx context.Context) error {
	labeler, err := c.Model.NewLabeler(c.Rules, c.Model.Features()...)
	if err != nil {
		return err
	}
	node, err := c.client(c.Beacon, nil)
	if err != nil {
		return err
	}
	defer node.Close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	to := follow.Func(func(_ context.Context, b label.Batch) error {
		for _, r := range b.Rewards {
			answer := labeler.Label(r)
			if err := c.Block(r, answer); err != nil {
				stop(err) // otherwise the follower would retry
				return err
			}
		}
		return nil
	})
	err = follow.New(node, to, follow.Options{Logger: c.Logger}).Run(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
