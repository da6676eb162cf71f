package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/classify"
	"blockprint/follow"
	"blockprint/label"
	"blockprint/service"
	"blockprint/store"
)

func newFollow() *cobra.Command {
	var nodes nodeFlags
	var rules rulesFlags
	var db, remote, token, modelPath, since, address string
	var extend bool
	cmd := &cobra.Command{
		Use:   "follow --beacon URL (--db D --model M | --blockprint URL)",
		Short: "Keep a database in step with the chain",
		Long: `Follows the head of the chain by events, labels each block and stores it; fills gaps, marks orphaned
blocks and settles what is final. It can be stopped and started at any moment.`,
		Example: "  blockprint follow --beacon http://localhost:5052 --db mainnet.db --model mainnet.model\n" +
			"  blockprint follow --beacon http://a:5052 --beacon http://b:5052 --blockprint http://user:password@labels.example:8000",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if (db == "") == (remote == "") {
				return usagef("expected either --db D or --blockprint URL")
			}
			from, err := parseSince(since)
			if err != nil {
				return err
			}
			registry := newRegistry()
			nodes.metrics = registry
			node, err := nodes.client()
			if err != nil {
				return err
			}
			defer node.Close()
			to, closeStore, err := openRecorder(ctx, db, modelPath, remote, token, &rules, nil)
			if err != nil {
				return err
			}
			defer closeStore()
			f := follow.New(node, to, follow.Options{Since: from, Extend: extend, Metrics: follow.NewMetrics(registry)})
			if address == "" {
				return f.Run(ctx)
			}
			l, err := listen(ctx, address)
			if err != nil {
				return err
			}
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return f.Run(ctx) })
			g.Go(func() error { return serveFollower(ctx, l, f, registry) })
			return g.Wait()
		},
	}
	nodes.add(cmd)
	rules.add(cmd)
	cmd.Flags().StringVar(&db, "db", "", "database to keep (made if it does not exist)")
	cmd.Flags().StringVar(&modelPath, "model", "", modelHelp+"; with --db")
	cmd.Flags().StringVar(&remote, "blockprint", "", "URL of a \"blockprint serve --model\" to write to instead of a database")
	cmd.Flags().StringVar(&token, "token", "", "bearer token for --blockprint")
	cmd.Flags().StringVar(&since, "since", "finalized", "where history begins in a new database: a slot, genesis, or finalized")
	cmd.Flags().BoolVar(&extend, "extend", false, "with --since: lower the beginning of a database that has one")
	cmd.Flags().StringVar(&address, "listen", "", "address for /metrics, /healthz and /readyz (default none)")
	return cmd
}

// serveFollower serves what operators ask a follower.
func serveFollower(ctx context.Context, l net.Listener, f *follow.Follower, registry *prometheus.Registry) error {
	s, err := service.New(service.Options{Registry: registry})
	if err != nil {
		return err
	}
	s.Health(service.Guarded, func(context.Context) error { return f.Ready() })
	return s.Serve(ctx, l)
}

func parseSince(s string) (*blockprint.Slot, error) {
	var slot blockprint.Slot
	switch s {
	case "finalized":
		return nil, nil
	case "genesis":
		return &slot, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return nil, usagef("--since %q: expected a slot, genesis or finalized", s)
	}
	slot = blockprint.Slot(n)
	return &slot, nil
}

// openRecorder opens a database with a model, or a remote blockprint.
func openRecorder(ctx context.Context, db, modelPath, remote, token string, rules *rulesFlags, onBlock func(store.Block)) (follow.Recorder, func(), error) {
	if remote != "" {
		r, err := label.NewRemote(remote, token)
		return r, func() {}, err
	}
	model, err := openModel(modelPath, rules.network)
	if err != nil {
		return nil, nil, err
	}
	guess, err := rules.load()
	if err != nil {
		return nil, nil, err
	}
	s, err := store.Open(ctx, db, store.Options{})
	if err != nil {
		return nil, nil, err
	}
	if err := learnNetwork(ctx, s, model); err != nil {
		return nil, func() {}, errors.Join(err, s.Close())
	}
	local, err := label.NewLocal(s, model, guess, onBlock)
	return local, func() { _ = s.Close() }, err // all writes are on the disk already
}

func newWatch() *cobra.Command {
	var nodes nodeFlags
	var rules rulesFlags
	var modelPath string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "watch --beacon URL --model M",
		Short:   "Print each new block with its label",
		Example: "  blockprint watch --beacon http://localhost:5052 --model mainnet.model",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			model, err := openModel(modelPath, rules.network)
			if err != nil {
				return err
			}
			guess, err := rules.load()
			if err != nil {
				return err
			}
			labeler, err := model.NewLabeler(guess, model.Features()...)
			if err != nil {
				return err
			}
			node, err := nodes.client()
			if err != nil {
				return err
			}
			defer node.Close()
			w := &watcher{labeler: labeler, out: cmd.OutOrStdout(), asJSON: asJSON}
			return follow.New(node, follow.Func(w.print), follow.Options{}).Run(cmd.Context())
		},
	}
	nodes.add(cmd)
	rules.add(cmd)
	cmd.Flags().StringVar(&modelPath, "model", "", modelHelp)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON line per block")
	return cmd
}

// watcher prints what a follower learns.
type watcher struct {
	labeler *classify.Labeler
	out     io.Writer
	asJSON  bool
	begun   bool // the header stands
}

func (w *watcher) print(_ context.Context, b label.Batch) error {
	lines := json.NewEncoder(w.out)
	for _, r := range b.Rewards {
		c, _ := w.labeler.Label(r)
		if w.asJSON {
			if err := lines.Encode(label.NewJSON(r.Meta.Slot, r.BlockRoot, c, "")); err != nil {
				return err
			}
			continue
		}
		if !w.begun {
			w.begun = true
			if _, err := fmt.Fprintf(w.out, "%10s %10s  %-11s %11s  %-24s %s\n", "slot", "proposer", "most likely", "probability", "possible", "graffiti"); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(w.out, "%10d %10d  %-11s %11s  %-24s %q\n", r.Meta.Slot, r.Meta.ProposerIndex, c.Single, likelihood(c), c.Multi, r.Meta.Graffiti); err != nil {
			return err
		}
	}
	return nil
}

// likelihood is the probability of the most likely client, as text.
func likelihood(c blockprint.Classification) string {
	for _, p := range c.Probabilities {
		if p.Client == c.Single {
			return fmt.Sprintf("%.1f %%", 100*p.P)
		}
	}
	return "-"
}
