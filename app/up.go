package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
	"blockprint/beacon"
	"blockprint/dream"
	"blockprint/follow"
	"blockprint/gauge"
	"blockprint/httpapi"
	"blockprint/label"
	"blockprint/store"
	"blockprint/trust"
)

// Up runs everything in one process: it follows the chain, labels and stores its blocks, serves them, asks nodes for blocks
// and measures its labels by these.
type Up struct {
	Process
	Beacon
	Labeling
	Measuring
	DB     string
	Since  *blockprint.Slot // where history begins in a new database; nil for the finalized slot
	Extend bool             // lower the beginning of a database that has one
	Listen string
	API    httpapi.LabelsOptions // who may ask for what; Up fills in the rest
	Dream  *Dreaming             // nil for none
	// GaugeListen is an address for dreamers elsewhere; empty for none.
	GaugeListen string
	// Pace makes a network that has no clock, such as a simulated one, look alive.
	Pace Pace
}

// Pace is what a network without a clock needs; the zero value is for real ones.
type Pace struct {
	HealPause, Poll time.Duration
	Stored          func(store.Block) // receives each block once it is stored
	ByHand          bool              // whoever makes the slots lets the dreamer ask, too
}

// House is what Up consists of, for those that run it on a network of their own.
type House struct {
	Store   store.Store
	Gauge   *gauge.Gauge
	Trust   *trust.Service
	Dreamer *dream.Dreamer // nil if nothing is to be dreamt
	Metrics *follow.Metrics
	Address string // of the API

	up       *Up
	local    *label.Local
	follower *follow.Follower
	servers  []*server
	closers  closers
}

// Run runs everything until ctx ends.
func (c Up) Run(ctx context.Context) error {
	h, err := c.Open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(h.Run(ctx), h.Close())
}

// Open opens the database and the addresses, and puts everything together. Nothing works before Run.
func (c Up) Open(ctx context.Context) (_ *House, err error) {
	h := &House{up: &c}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	registry := newRegistry()
	node, err := c.client(c.Beacon, registry)
	if err != nil {
		return nil, err
	}
	h.closers.add(func() error { node.Close(); return nil })
	if h.Store, err = store.Open(ctx, c.DB, store.Options{Now: c.Now}); err != nil {
		return nil, err
	}
	h.closers.add(h.Store.Close)
	if err := LearnNetwork(ctx, h.Store, c.Model); err != nil {
		return nil, err
	}
	h.local, err = label.NewLocal(h.Store, c.Model, c.Rules, c.Pace.Stored)
	if err != nil {
		return nil, err
	}
	h.Metrics = follow.NewMetrics(registry)
	h.follower = follow.New(node, h.local, follow.Options{
		Since: c.Since, Extend: c.Extend, Tolerance: c.API.HeadTolerance, HealPause: c.Pace.HealPause, Poll: c.Pace.Poll,
		Clock: c.Now, Logger: c.Logger, Metrics: h.Metrics,
	})
	if err := c.measure(h, node, registry); err != nil {
		return nil, err
	}
	if err := c.listen(ctx, h, registry); err != nil {
		return nil, err
	}
	return h, nil
}

// measure makes what dreams and what measures the labels by it.
func (c *Up) measure(h *House, node *beacon.Client, registry *prometheus.Registry) error {
	labels, err := gauge.NewLocalClassifier(c.Model, c.Rules)
	if err != nil {
		return err
	}
	m := c.measures(h.Store, c.Measuring, gauge.NewLocalRewards(node, c.logger()), labels, identified(node, h.Store, c.Model), registry)
	h.Gauge, h.Trust = m.gauge, m.judge
	if c.Dream == nil {
		return nil
	}
	d, closeAll, err := c.dreamer(*c.Dream, h.Store, registry, h.Gauge.Take, h.Trust.Take)
	if err != nil {
		return err
	}
	h.Dreamer = d
	h.closers.add(closeAll)
	return nil
}

// listen opens the addresses of the API and of the gauge.
func (c *Up) listen(ctx context.Context, h *House, registry *prometheus.Registry) error {
	o := c.API
	o.Options = c.api(o.Options, registry)
	api, err := httpapi.NewLabels(httpapi.Sources{
		Store: h.Store, Labeling: h.local, Names: c.Names, Accuracy: h.Gauge.Reader, Trust: h.Trust.Report, Ready: h.follower.Ready,
	}, o)
	if err != nil {
		return err
	}
	s, err := listen(ctx, api.Service, c.Listen)
	if err != nil {
		return err
	}
	h.servers = append(h.servers, s)
	h.Address = s.listeners[0].Addr().String()
	if c.GaugeListen == "" {
		return nil
	}
	o.Registry = prometheus.NewRegistry() // the same names again
	measuring, err := httpapi.NewGauge(h.Gauge, h.Trust.Report, o.Options)
	if err != nil {
		return err
	}
	if s, err = listen(ctx, measuring.Service, c.GaugeListen); err != nil {
		return err
	}
	h.servers = append(h.servers, s)
	return nil
}

// Run works until ctx ends or a part of it fails.
func (h *House) Run(ctx context.Context) error {
	tasks := []func(context.Context) error{
		h.follower.Run, h.Trust.Run, h.up.dispatcher(h.Store, trust.Tenant, h.up.Notify).Run,
	}
	if h.Dreamer != nil && !h.up.Pace.ByHand {
		tasks = append(tasks, h.Dreamer.Run)
	}
	for _, s := range h.servers {
		tasks = append(tasks, func(ctx context.Context) error { return s.run(ctx, h.up.Process) })
	}
	h.servers = nil // who serves closes
	return together(ctx, tasks...)
}

// Close gives back what is open.
func (h *House) Close() error {
	for _, s := range h.servers {
		h.closers.add(s.close)
	}
	h.servers = nil
	return h.closers.close()
}
