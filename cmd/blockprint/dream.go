package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/beacon"
	"blockprint/classify"
	"blockprint/dataset"
	"blockprint/dream"
	"blockprint/gauge"
	"blockprint/httpapi"
	"blockprint/store"
	"blockprint/store/sqlite"
	"blockprint/trust"
)

// dreamFlags are the flags of what is dreamt, beside the configuration file.
type dreamFlags struct {
	timeout  time.Duration
	labels   []string
	features string
}

// defaultDreamTimeout is the original's.
const defaultDreamTimeout = 6 * time.Second

func (f *dreamFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.timeout, "timeout", defaultDreamTimeout, "how long to wait for a node's block")
	cmd.Flags().StringArrayVar(&f.labels, "label", nil, "a label to allow besides the clients' names")
	cmd.Flags().StringVar(&f.features, "features", "", "also write the blocks' features to this file, to train on")
}

// dreamer makes a dreamer of a configuration file. close must be called when it has stopped.
func (f *dreamFlags) dreamer(path string, registry prometheus.Registerer, sinks []dream.Sink, opinions func(context.Context, dream.Opinion) error) (d *dream.Dreamer, closeAll func() error, err error) {
	c, warnings, err := dream.ReadConfig(path)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range warnings {
		slog.Warn(w, "config", path)
	}
	o := dream.Options{Timeout: f.timeout, Labels: f.labels, Sinks: sinks, Opinions: opinions, Registry: registry}
	closeFile := func() error { return nil }
	if f.features != "" {
		network := c.Network
		file, err := dataset.NewDreamt(f.features, tool(), network)
		if err != nil {
			return nil, nil, err
		}
		closeFile = file.Close
		o.Sinks = append(o.Sinks, func(_ context.Context, n *dream.Round) error {
			labels, rewards := rated(n)
			return file.Add(n.Slot, labels, rewards)
		})
	}
	if d, err = dream.New(c, o); err != nil {
		return nil, nil, errors.Join(err, closeFile())
	}
	return d, func() error {
		d.Close()
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

func newDream() *cobra.Command {
	var f dreamFlags
	var config, db string
	cmd := &cobra.Command{
		Use:   "dream --config F",
		Short: "Ask nodes of known clients for a block in every slot",
		Long: `Asks every node of a blockdreamer configuration for a block at the start of each slot and posts what they build
to the configured endpoints, a gauge for instance. When the slot's own block is there, it is compared with the dreamt
ones: the nearest is a second opinion on who built it. No block is signed or published.`,
		Example: "  blockprint dream --config blockdreamer.toml\n" +
			"  blockprint dream --config blockdreamer.toml --features dreamt.features --db mainnet.db",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return usagef("--config F is missing: a blockdreamer configuration (TOML)")
			}
			ctx := cmd.Context()
			opinions := printOpinion(cmd)
			if db != "" {
				if _, _, err := dream.ReadConfig(config); err != nil {
					return err // before a database is made for nothing
				}
				s, err := sqlite.Open(ctx, db)
				if err != nil {
					return err
				}
				defer func() { _ = s.Close() }() // all writes are on the disk already
				printed, keep := opinions, gauge.KeepOpinions(s)
				opinions = func(ctx context.Context, v dream.Opinion) error { return errors.Join(printed(ctx, v), keep(ctx, v)) }
			}
			d, closeAll, err := f.dreamer(config, nil, nil, opinions)
			if err != nil {
				return err
			}
			err = d.Run(ctx)
			if ctx.Err() != nil {
				err = nil
			}
			return errors.Join(err, closeAll())
		},
	}
	cmd.Annotations = map[string]string{ownConfig: ""}
	cmd.Flags().StringVar(&config, "config", "", "blockdreamer's configuration file (TOML)")
	cmd.Flags().StringVar(&db, "db", "", "database to keep the distances in (made if it does not exist)")
	f.add(cmd)
	withoutEffect(cmd, "genesis-state-timeout", "no genesis state is downloaded")
	return cmd
}

// withoutEffect takes a flag that the original had and that means nothing here; who gives it is told why.
func withoutEffect(cmd *cobra.Command, flag, why string) {
	cmd.Flags().String(flag, "", "no effect: "+why)
	_ = cmd.Flags().MarkDeprecated(flag, "it has no effect: "+why) // the flag is there
}

// printOpinion prints a line for each canonical block.
func printOpinion(cmd *cobra.Command) func(context.Context, dream.Opinion) error {
	return func(_ context.Context, v dream.Opinion) error {
		likely := "too close to call"
		if v.Likely != "" {
			likely = "likely " + string(v.Likely)
		}
		var parts []string
		for _, n := range v.Nearest {
			parts = append(parts, fmt.Sprintf("%s %d", n.Name, n.Distance))
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "slot %d  %-18s  %s\n", v.Slot, likely, strings.Join(parts, ", "))
		return err
	}
}

func newGauge() *cobra.Command {
	var nodes nodeFlags
	var rules rulesFlags
	var auth authFlags
	var notifyTo notifyFlags
	var db, modelPath, rewardsURL, lighthouseURL, blockprintURL, listenFlag string
	var addresses, labels []string
	var port uint16
	var o httpapi.Options
	cmd := &cobra.Command{
		Use:   "gauge --db D (--model M | --blockprint-url URL) [--beacon URL | --rewards-url URL]",
		Short: "Measure the classifier by dreamt blocks",
		Long: `Serves POST /classify for dreamt blocks (blockdreamer's post endpoints), labels them, and GET /accuracy for how
often the labels were right in the last two weeks. Blocks are rated on top of --beacon's chain, or by any service with
Lighthouse's /lighthouse/analysis/block_rewards, and labelled by --model, or by another blockprint.`,
		Example: "  blockprint gauge --db gauge.db --model mainnet.model --beacon http://localhost:5052\n" +
			"  blockprint gauge --db gauge.db --rewards-url http://localhost:5052 --blockprint-url http://localhost:8000 --port 8002",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if rewardsURL == "" {
				rewardsURL = lighthouseURL
			}
			switch {
			case db == "":
				return usagef("--db D is missing: what was measured must outlive a restart")
			case (modelPath == "") == (blockprintURL == ""):
				return usagef("expected either --model M or --blockprint-url URL")
			}
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			var err error
			if o.Auth, err = auth.load(); err != nil {
				return err
			}
			if rewardsURL != "" && !cmd.Flags().Changed("beacon") {
				nodes.urls = []string{rewardsURL} // the original's Lighthouse tells the time too
			}
			node, err := nodes.client()
			if err != nil {
				return err
			}
			defer node.Close()
			rewarder, err := newRewarder(node, rewardsURL)
			if err != nil {
				return err
			}
			classifier, model, err := newClassifier(modelPath, blockprintURL, &rules)
			if err != nil {
				return err
			}
			s, err := sqlite.Open(ctx, db)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }() // all writes are on the disk already
			g := gauge.New(s, classifier, identified(node, s, model), gauge.Options{Rewarder: rewarder, Labels: labels})
			listenOn := gaugeAddresses(listenFlag, addresses, port)
			o.Version, o.Registry, o.Hosts = version, newRegistry(), auth.names(listenOn...)
			judge := trust.NewService(s, trust.DefaultSettings(), identified(node, s, model), trust.ServiceOptions{})
			o.Registry.MustRegister(gauge.NewCollector(g.Reader), judge)
			o.Trust = judge.Report
			server, err := httpapi.NewGauge(g, o)
			if err != nil {
				return err
			}
			group, ctx := errgroup.WithContext(ctx)
			group.Go(func() error { return judge.Run(ctx) })
			group.Go(func() error { return notifyTo.keepTelling(ctx, s, trust.Tenant) })
			group.Go(func() error { return serveGauge(ctx, server, listenOn) })
			return group.Wait()
		},
	}
	flags := cmd.Flags()
	nodes.add(cmd)
	rules.add(cmd)
	auth.add(cmd)
	flags.StringVar(&db, "db", "", "database to keep the observations in (made if it does not exist)")
	flags.StringVar(&modelPath, "model", "", modelHelp)
	notifyTo.addAs(cmd, "notify")
	flags.StringVar(&blockprintURL, "blockprint-url", "", "URL of a blockprint service to label the blocks")
	flags.StringVar(&rewardsURL, "rewards-url", "", "URL of a service with /lighthouse/analysis/block_rewards, instead of rating blocks on --beacon's chain")
	flags.StringVar(&lighthouseURL, "lighthouse-url", "", "the original's name for --rewards-url")
	flags.StringVar(&listenFlag, "listen", "", "address to serve on (default: --listen-address and --port)")
	flags.StringArrayVar(&addresses, "listen-address", []string{"127.0.0.1"}, "IP address to listen on; several may be given")
	flags.Uint16Var(&port, "port", 8002, "port to listen on")
	flags.StringArrayVar(&labels, "label", nil, "a label to allow besides the clients' names")
	flags.Float64Var(&o.Rate, "rate", 0, "requests a second for one client address; 0 for any number")
	flags.Int64Var(&o.MaxBody, "max-body", 64<<20, "largest body of a request in bytes")
	return cmd
}

// identified gives a node's network and ties a store to it; the model, if there is one, learns its forks.
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

func newRewarder(node *beacon.Client, rewardsURL string) (gauge.Rewarder, error) {
	if rewardsURL == "" {
		return &gauge.LocalRewards{Node: node, Log: slog.Default()}, nil
	}
	r, err := gauge.NewRemoteRewards(rewardsURL)
	if err != nil {
		return nil, fmt.Errorf("--rewards-url: %w", err)
	}
	return r, nil
}

// newClassifier returns what labels dreamt blocks: a model, which is returned too, or another blockprint.
func newClassifier(modelPath, blockprintURL string, rules *rulesFlags) (gauge.Classifier, *classify.Model, error) {
	if blockprintURL != "" {
		c, err := gauge.NewRemoteClassifier(blockprintURL)
		if err != nil {
			return nil, nil, fmt.Errorf("--blockprint-url: %w", err)
		}
		return c, nil, nil
	}
	m, err := openModel(modelPath, rules.network)
	if err != nil {
		return nil, nil, err
	}
	guess, err := rules.load()
	if err != nil {
		return nil, nil, err
	}
	c, err := gauge.NewLocalClassifier(m, guess)
	return c, m, err
}

func gaugeAddresses(listenFlag string, ips []string, port uint16) []string {
	if listenFlag != "" {
		return []string{listenFlag}
	}
	var out []string
	for _, ip := range ips {
		out = append(out, net.JoinHostPort(ip, strconv.Itoa(int(port))))
	}
	return out
}

// serveGauge serves on all addresses until ctx ends or one of them fails.
func serveGauge(ctx context.Context, server *httpapi.Server, addresses []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var listeners []net.Listener
	for _, a := range addresses {
		l, err := listen(ctx, a)
		if err != nil {
			for _, l := range listeners {
				_ = l.Close()
			}
			return err
		}
		slog.Info("gauge listens", "address", l.Addr().String())
		listeners = append(listeners, l)
	}
	done := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			done <- httpapi.Serve(ctx, l, server.Handler(), server.Shutdown)
			cancel()
		}()
	}
	var err error
	for range listeners {
		err = errors.Join(err, <-done)
	}
	return err
}
