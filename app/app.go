// Package app composes processes: what `blockprint follow`, `serve`, `up` and the other services consist of, and what the
// demonstration runs.
//
// A service is a value whose fields describe its work; its Run works until its context ends, and then closes everything that
// it opened. No field is a flag's text: the command line turns flags into values, and decides what to print.
//
//	err := app.Serve{Process: p, DB: "mainnet.db", Listen: "127.0.0.1:8000"}.Run(ctx)
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/beacon"
	"blockprint/classify"
	"blockprint/graffiti"
	"blockprint/greylist/notify"
	"blockprint/httpapi"
	"blockprint/names"
	"blockprint/store"
	_ "blockprint/store/sqlite" // each backend is imported here, and nowhere else
)

// Process is what all services have in common; the zero value is right for most uses.
type Process struct {
	Version string
	Logger  *slog.Logger
	Now     func() time.Time
	// Started, if not nil, receives the address of each server once it listens.
	Started func(address string)
}

func (p Process) logger() *slog.Logger {
	if p.Logger == nil {
		return slog.Default()
	}
	return p.Logger
}

func (p Process) clock() func() time.Time {
	if p.Now == nil {
		return time.Now
	}
	return p.Now
}

func (p Process) started(address string) {
	if p.Started != nil {
		p.Started(address)
	}
}

// UsageError means that a service was asked for something impossible: the request is wrong, not the machine.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// Beacon says which nodes to ask.
type Beacon struct {
	URLs    []string
	Timeout time.Duration // for an answer; 0 for the client's default
}

func (p Process) client(b Beacon, metrics prometheus.Registerer) (*beacon.Client, error) {
	return beacon.New(b.URLs, beacon.Options{Timeout: b.Timeout, Logger: p.logger(), Metrics: metrics})
}

// newRegistry returns the metrics of a process.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Labeling is what blocks are labeled with.
type Labeling struct {
	Model *classify.Model
	Rules *graffiti.Rules
	// Names are the clients that validators are known to run. They say what is right in the API's reports of shares and
	// mistakes, and change no label.
	Names *names.Names
}

// LearnNetwork gives a model the fork schedule of the network that a database is tied to, if it is tied to one.
func LearnNetwork(ctx context.Context, s store.Store, m *classify.Model) error {
	id, ok, err := s.Identity(ctx)
	if err != nil || !ok || m == nil {
		return err
	}
	if schedule, known := id.Schedule(); known {
		m.SetSchedule(schedule)
	}
	return nil
}

// identified returns a node's network and ties a store to it; the model, if there is one, learns its forks.
func identified(node *beacon.Client, s store.Store, m *classify.Model) func(context.Context) (*blockprint.Network, error) {
	return func(ctx context.Context) (*blockprint.Network, error) {
		network, err := node.Network(ctx)
		if err != nil {
			return nil, err
		}
		if m != nil {
			m.SetSchedule(network.Schedule())
		}
		return network, s.Identify(ctx, store.NewIdentity(network))
	}
}

// dispatcher delivers a tenant's changes to receivers.
func (p Process) dispatcher(s notify.Store, tenant string, to []notify.Notifier) *notify.Dispatcher {
	return &notify.Dispatcher{Log: notify.Log{Store: s, Tenant: tenant}, Notifiers: to, Logger: p.logger(), Now: p.Now}
}

// Deliver tries once to deliver each change of a tenant that has not been delivered yet.
func (p Process) Deliver(ctx context.Context, s notify.Store, tenant string, to []notify.Notifier) error {
	if err := p.dispatcher(s, tenant, to).Dispatch(ctx); err != nil {
		return fmt.Errorf("the changes are stored, but not all could be delivered; the next run retries: %w", err)
	}
	return nil
}

// api completes the options of an API.
func (p Process) api(o httpapi.Options, registry *prometheus.Registry) httpapi.Options {
	o.Version, o.Registry, o.Logger, o.Now = p.Version, registry, p.Logger, p.Now
	return o
}

// closers closes what was opened, the newest first.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() error {
	var errs []error
	for i := len(*c) - 1; i >= 0; i-- {
		errs = append(errs, (*c)[i]())
	}
	*c = nil
	return errors.Join(errs...)
}

// together runs tasks until ctx ends or one of them fails, which stops the others. That ctx has ended is no failure.
func together(ctx context.Context, tasks ...func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, task := range tasks {
		g.Go(func() error { return task(ctx) })
	}
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
