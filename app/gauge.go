package app

import (
	"context"
	"fmt"

	"blockprint/beacon"
	"blockprint/gauge"
	"blockprint/httpapi"
	"blockprint/store"
	"blockprint/trust"
)

// Gauge serves what measures the labels of dreamt blocks that others post.
type Gauge struct {
	Process
	Beacon
	Labeling // of dreamt blocks; without a model, BlockprintURL labels them
	Measuring
	DB            string
	RewardsURL    string // a service that rates blocks; empty rates them on the chain of Beacon
	BlockprintURL string
	Listen        []string
	API           httpapi.Options // who may ask for what; Gauge fills in the rest
}

// Run serves until ctx ends.
func (c Gauge) Run(ctx context.Context) (err error) {
	registry := newRegistry()
	node, err := c.client(c.Beacon, nil)
	if err != nil {
		return err
	}
	defer node.Close()
	rewards, err := c.rewarder(node)
	if err != nil {
		return err
	}
	labels, err := c.classifier()
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, c.DB, store.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // all writes are on the disk already
	m := c.measures(s, c.Measuring, rewards, labels, identified(node, s, c.Model), registry)
	api, err := httpapi.NewGauge(m.gauge, m.judge.Report, c.api(c.API, registry))
	if err != nil {
		return err
	}
	return c.serve(ctx, api.Service, c.Listen, m.judge.Run, c.dispatcher(s, trust.Tenant, c.Notify).Run)
}

func (c *Gauge) rewarder(node *beacon.Client) (gauge.Rewarder, error) {
	if c.RewardsURL == "" {
		return gauge.NewLocalRewards(node, c.logger()), nil
	}
	r, err := gauge.NewRemoteRewards(c.RewardsURL)
	if err != nil {
		return nil, fmt.Errorf("--rewards-url: %w", err)
	}
	return r, nil
}

func (c *Gauge) classifier() (gauge.Classifier, error) {
	if c.BlockprintURL == "" {
		return gauge.NewLocalClassifier(c.Model, c.Rules)
	}
	r, err := gauge.NewRemoteClassifier(c.BlockprintURL)
	if err != nil {
		return nil, fmt.Errorf("--blockprint-url: %w", err)
	}
	return r, nil
}
