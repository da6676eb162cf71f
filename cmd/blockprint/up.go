package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"blockprint/dream"
	"blockprint/follow"
	"blockprint/gauge"
	"blockprint/httpapi"
	"blockprint/store/sqlite"
	"blockprint/trust"
)

// upFlags are the flags of `up`.
type upFlags struct {
	nodes                                                nodeFlags
	rules                                                rulesFlags
	auth                                                 authFlags
	dream                                                dreamFlags
	notifyTo                                             notifyFlags
	db, model, since, address, dreamConfig, gaugeAddress string
	extend                                               bool
	o                                                    httpapi.Options
}

func newUp() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up --config F",
		Short: "Run all services in one process: follow, serve, dream and gauge",
		Long: `Follows the chain, labels and stores its blocks, serves the API, and, with --dream, asks nodes of known clients for
blocks and measures by them how well the labels can be trusted. --config is a TOML file with these flags as keys:

  beacon = ["http://localhost:5052"]
  db = "mainnet.db"
  model = "mainnet.model"
  listen = "127.0.0.1:8000"
  dream = "blockdreamer.toml"`,
		Example: "  blockprint up --config blockprint.toml\n  blockprint up --beacon http://localhost:5052 --db mainnet.db --model mainnet.model --dream blockdreamer.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.db == "" {
				return usagef("--db D is missing")
			}
			return f.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	f.nodes.add(cmd)
	f.rules.add(cmd)
	f.auth.add(cmd)
	flags.StringVar(&f.db, "db", "", "database to keep (made if it does not exist)")
	flags.StringVar(&f.model, "model", "", modelHelp)
	flags.StringVar(&f.since, "since", "finalized", "where history begins in a new database: a slot, genesis, or finalized")
	flags.BoolVar(&f.extend, "extend", false, "with --since: lower the beginning of a database that has one")
	flags.StringVar(&f.address, "listen", "127.0.0.1:8000", "address of the API")
	flags.StringVar(&f.dreamConfig, "dream", "", "blockdreamer configuration of the nodes to ask for blocks")
	flags.StringVar(&f.gaugeAddress, "gauge-listen", "", "address for POST /classify of dreamers elsewhere (default none)")
	flags.DurationVar(&f.dream.timeout, "dream-timeout", defaultDreamTimeout, "how long to wait for a node's block")
	flags.StringArrayVar(&f.dream.labels, "label", nil, "a label to allow besides the clients' names")
	flags.StringVar(&f.dream.features, "dream-features", "", "also write the dreamt blocks' features to this file, to train on")
	flags.Uint64Var(&f.o.HeadTolerance, "head-tolerance", httpapi.DefaultHeadTolerance, "slots behind the clock that do not count as a gap")
	f.notifyTo.addAs(cmd, "notify")
	flags.Float64Var(&f.o.Rate, "rate", 0, "requests a second for one client address; 0 for any number")
	flags.Int64Var(&f.o.MaxBody, "max-body", 64<<20, "largest body of a request in bytes")
	return cmd
}

func (f *upFlags) run(ctx context.Context) (err error) {
	if err := f.o.Check(); err != nil {
		return usageError{err}
	}
	from, err := parseSince(f.since)
	if err != nil {
		return err
	}
	if f.o.Auth, err = f.auth.load(); err != nil {
		return err
	}
	model, err := openModel(f.model, f.rules.network)
	if err != nil {
		return err
	}
	guess, err := f.rules.load()
	if err != nil {
		return err
	}
	registry := newRegistry()
	f.nodes.metrics = registry
	node, err := f.nodes.client()
	if err != nil {
		return err
	}
	defer node.Close()
	s, err := sqlite.Open(ctx, f.db)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // all writes are on the disk already
	if err := learnNetwork(ctx, s, model); err != nil {
		return err
	}
	local, err := follow.NewLocal(s, model, guess, nil)
	if err != nil {
		return err
	}
	classifier, err := gauge.NewLocalClassifier(model, guess)
	if err != nil {
		return err
	}
	judge := trust.NewService(s, trust.DefaultSettings(), identified(node, s, model), trust.ServiceOptions{})
	registry.MustRegister(judge)
	f.o.Version, f.o.Registry, f.o.Trust, f.o.Hosts = version, registry, judge.Report, f.auth.names(f.address, f.gaugeAddress)
	follower := follow.New(node, local, follow.Options{Since: from, Extend: f.extend, Tolerance: f.o.HeadTolerance, Metrics: follow.NewMetrics(registry)})
	f.o.Ready = follower.Ready
	server, err := httpapi.New(s, model, guess, f.o)
	if err != nil {
		return err
	}
	l, err := listen(ctx, f.address)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		fmt.Fprintf(os.Stderr, "serving %s on http://%s (routes: http://%s/docs)\n", f.db, l.Addr(), l.Addr())
		return httpapi.Serve(ctx, l, server.Handler(), server.Shutdown)
	})
	g.Go(func() error { return follower.Run(ctx) })
	measure := gauge.New(s, classifier, identified(node, s, model), gauge.Options{Rewarder: &gauge.LocalRewards{Node: node}, Labels: f.dream.labels})
	registry.MustRegister(gauge.NewCollector(measure.Reader))
	g.Go(func() error { return judge.Run(ctx) })
	g.Go(func() error { return f.notifyTo.keepTelling(ctx, s, trust.Tenant) })
	f.runGauge(ctx, g, measure)
	f.runDream(ctx, g, measure, s, registry)
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// runGauge serves the gauge to dreamers elsewhere, if that is wanted.
func (f *upFlags) runGauge(ctx context.Context, g *errgroup.Group, measure *gauge.Gauge) {
	if f.gaugeAddress == "" {
		return
	}
	g.Go(func() error {
		o := f.o
		o.Registry = prometheus.NewRegistry() // the same names again
		server, err := httpapi.NewGauge(measure, o)
		if err != nil {
			return err
		}
		return serveGauge(ctx, server, []string{f.gaugeAddress})
	})
}

// runDream asks nodes for blocks, if some are configured.
func (f *upFlags) runDream(ctx context.Context, g *errgroup.Group, measure *gauge.Gauge, s *sqlite.Store, registry prometheus.Registerer) {
	if f.dreamConfig == "" {
		return
	}
	g.Go(func() error {
		d, closeAll, err := f.dream.dreamer(f.dreamConfig, registry, []dream.Sink{measure.Take}, gauge.KeepOpinions(s))
		if err != nil {
			return err
		}
		return errors.Join(d.Run(ctx), closeAll())
	})
}
