package app

import (
	"context"

	"blockprint/gauge"
	"blockprint/httpapi"
	"blockprint/label"
	"blockprint/service"
	"blockprint/store"
	"blockprint/trust"
)

// Serve serves the API of a database.
type Serve struct {
	Process
	Labeling         // without a model, labels are served but not made
	DB        string // without a model, Run waits until it exists
	Immutable bool   // nothing writes to it while it is served
	Listen    string
	API       httpapi.LabelsOptions // who may ask for what; Serve fills in the rest
}

// Run serves until ctx ends.
func (c Serve) Run(ctx context.Context) error {
	s, err := c.openServed(ctx, c.DB, c.Model != nil, c.Immutable)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // all writes are on the disk already
	if err := LearnNetwork(ctx, s, c.Model); err != nil {
		return err
	}
	o := c.API
	o.Options = c.api(o.Options, newRegistry())
	judge := trust.NewService(s, trust.DefaultSettings(), store.NetworkOf(s), trust.ServiceOptions{Now: c.Now, Logger: c.logger()})
	o.Registry.MustRegister(judge)
	from := httpapi.Sources{Store: s, Names: c.Names, Accuracy: gauge.NewReader(s, store.NetworkOf(s), c.Now), Trust: judge.Report}
	if c.Model != nil {
		if from.Labeling, err = label.NewLocal(s, c.Model, c.Rules, nil); err != nil {
			return err
		}
	}
	api, err := httpapi.NewLabels(from, o)
	if err != nil {
		return err
	}
	return c.serve(ctx, api.Service, []string{c.Listen})
}

// Rewards serves Lighthouse's rewards of blocks from any beacon node.
type Rewards struct {
	Process
	Beacon
	Listen string
}

// Run serves until ctx ends.
func (c Rewards) Run(ctx context.Context) error {
	node, err := c.client(c.Beacon, nil)
	if err != nil {
		return err
	}
	defer node.Close()
	api, err := httpapi.NewRewards(node, service.Options{Registry: newRegistry(), Logger: c.Logger, Now: c.Now})
	if err != nil {
		return err
	}
	return c.serve(ctx, api.Service, []string{c.Listen})
}
