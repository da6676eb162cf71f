// Package record makes labeled training data from simulated networks: it runs a world, rates each block through a Beacon
// API as it would a real network's, and returns it with the client that built it.
//
// A model that learns from this data knows simulated clients (docs/simulation.md), not real ones.
package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/reward"
	"blockprint/sim"
)

// Block is a rated block and the client that built it.
type Block struct {
	Reward  *blockprint.BlockReward // valid until the callback returns
	Client  blockprint.Client
	Variant string
}

// Source names this data in models and feature files.
const Source = "simulated network"

// warmUpEpochs are left out at the start of a world, while the nodes' pools fill.
const warmUpEpochs = 2

// Run makes a world, runs it for a number of slots after its warm-up, and calls each for every canonical block in order,
// each after those that were dreamt for the same slot.
func Run(ctx context.Context, c sim.Config, slots int, log *slog.Logger, each func(Block) error) (err error) {
	w, err := sim.New(c)
	if err != nil {
		return err
	}
	first := blockprint.Slot(warmUpEpochs * c.SlotsPerEpoch)
	for range int(first) + slots {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.Step()
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: w.Handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // ends with Close
	defer func() { err = errors.Join(err, server.Close()) }()
	client, err := beacon.New([]string{"http://" + l.Addr().String()}, beacon.Options{Logger: log})
	if err != nil {
		return err
	}
	defer client.Close()
	_, head := w.Head()
	dreams := w.Dreams()
	schemas := beacon.NewSchemas(&w.Network().Spec)
	return reward.Walk(ctx, client, log, blockprint.Interval{Start: first + 1, End: head}, reward.Walker{
		Block: func(r reward.Rated) error {
			truth, variant, ok := w.Truth(r.Block.Root)
			if !ok {
				return fmt.Errorf("the world does not know block %s", r.Block.Root.Short())
			}
			return each(Block{r.Reward, truth, variant})
		},
		Rivals: func(chain *beacon.Block) (out []*beacon.Block, err error) {
			for _, d := range dreams[chain.ParentRoot] {
				if d.Slot != chain.Slot {
					continue // beside an orphan on the same parent
				}
				b, err := schemas.Decode(beacon.Signed, d.Fork, d.Block)
				if err != nil {
					return nil, fmt.Errorf("dreamt block of slot %d: %w", d.Slot, err)
				}
				out = append(out, b)
			}
			return out, nil
		},
	})
}
