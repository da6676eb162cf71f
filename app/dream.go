package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
	"blockprint/dataset"
	"blockprint/dream"
	"blockprint/gauge"
	"blockprint/store"
)

// Dreaming says which nodes are asked for blocks, and what becomes of these.
type Dreaming struct {
	Config   *dream.Config
	Timeout  time.Duration // for a node's block; 0 for the original's six seconds
	Labels   []string      // allowed besides the clients' names
	Features string        // file for the blocks' features; empty for none
	// Opinion, if not nil, receives what the distance to the dreamt blocks says of each canonical one.
	Opinion func(context.Context, dream.Opinion) error
}

// dreamer makes a dreamer that hands its blocks to sinks. close must be called when it has stopped.
func (p Process) dreamer(d Dreaming, s store.Store, registry prometheus.Registerer, sinks ...dream.Sink) (_ *dream.Dreamer, closeAll func() error, err error) {
	o := dream.Options{Timeout: d.Timeout, Labels: d.Labels, Sinks: sinks, Registry: registry, Logger: p.Logger, Now: p.Now}
	o.Opinions = func(ctx context.Context, v dream.Opinion) error {
		var err error
		if d.Opinion != nil {
			err = d.Opinion(ctx, v)
		}
		if s != nil {
			err = errors.Join(err, gauge.KeepOpinions(s)(ctx, v))
		}
		return err
	}
	closeFile := func() error { return nil }
	if d.Features != "" {
		file, err := dataset.NewDreamt(d.Features, "blockprint "+p.Version, d.Config.Network)
		if err != nil {
			return nil, nil, err
		}
		closeFile = file.Close
		o.Sinks = append(o.Sinks, func(_ context.Context, n *dream.Round) error {
			labels, rewards := rated(n)
			return file.Add(n.Slot, labels, rewards)
		})
	}
	out, err := dream.New(d.Config, o)
	if err != nil {
		return nil, nil, errors.Join(err, closeFile())
	}
	return out, func() error {
		out.Close()
		return closeFile()
	}, nil
}

// rated returns the blocks of a round that could be rated.
func rated(n *dream.Round) (labels []blockprint.Client, rewards []*blockprint.BlockReward) {
	for _, b := range n.Blocks {
		if b.Reward != nil {
			labels, rewards = append(labels, b.Label), append(rewards, b.Reward)
		}
	}
	return labels, rewards
}

// Dream asks nodes of known clients for a block in every slot, and keeps what the distance between blocks says.
type Dream struct {
	Process
	Dreaming
	DB string // keeps the distances; empty for none
}

// Run dreams until ctx ends.
func (c Dream) Run(ctx context.Context) (err error) {
	var s store.Store
	if c.DB != "" {
		if s, err = store.Open(ctx, c.DB, store.Options{}); err != nil {
			return err
		}
		defer func() { _ = s.Close() }() // all writes are on the disk already
	}
	d, closeAll, err := c.dreamer(c.Dreaming, s, nil)
	if err != nil {
		return err
	}
	return errors.Join(together(ctx, d.Run), closeAll())
}
