package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"blockprint/beacon"
	"blockprint/eel"
)

// firstAnswer is how long the start waits for nodes that are asked for their network.
const firstAnswer = 5 * time.Second

// Eel lets many consensus clients share the execution clients.
type Eel struct {
	Process
	eel.Config // Eel fills in its logger and registry
	Listen     string
	// BeaconURL is a node to ask for the fork times; empty if Config has them or the execution client decides.
	BeaconURL string
}

// Run serves until ctx ends.
func (c Eel) Run(ctx context.Context) error {
	if c.BeaconURL != "" {
		network, err := EelNetwork(ctx, c.BeaconURL)
		if err != nil {
			return fmt.Errorf("--beacon: %w", err)
		}
		c.Network = network
	}
	c.Config.Registry, c.Config.Logger = newRegistry(), c.logger()
	e, err := eel.New(c.Config)
	if err != nil {
		return UsageError{err}
	}
	first, cancel := context.WithTimeout(ctx, firstAnswer)
	err = e.Learn(first)
	cancel()
	if _, wrong := errors.AsType[*eel.WrongChain](err); err != nil && !wrong {
		c.logger().Warn("the execution client's chain is not known yet", "error", err)
	}
	return c.serve(ctx, e.Handler(), []string{c.Listen}, func(ctx context.Context) error { e.Run(ctx); return nil })
}

// EelNetwork returns the fork times of a beacon node's network.
func EelNetwork(ctx context.Context, url string) (*eel.Network, error) {
	node, err := beacon.New([]string{url}, beacon.Options{Timeout: firstAnswer})
	if err != nil {
		return nil, err
	}
	defer node.Close()
	network, err := node.Network(ctx)
	if err != nil {
		return nil, err
	}
	return eel.NetworkOf(network), nil
}
