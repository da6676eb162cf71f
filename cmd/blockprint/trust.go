package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/estimate"
	"blockprint/file"
	"blockprint/greylist"
	"blockprint/store"
	"blockprint/trust"
)

func newTrust() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "trust COMMAND",
		Short:   "Show which labels cannot be trusted at the moment",
		Example: "  blockprint trust status --db mainnet.db\n  blockprint trust set label:Lodestar manual --db mainnet.db\n  blockprint trust replay gauge-history.json.gz",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTrustStatus(), newTrustSet(), newTrustReplay(), newTrustFeed())
	return cmd
}

func newTrustReplay() *cobra.Command {
	var silentAfter, window time.Duration
	l := trust.DefaultSettings()
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Apply the rules to a recorded gauge history",
		Long: `Reads a gauge's history, a JSON list of days with the nodes' counts and the shares published that day, and prints a
JSON line for each change of a node's or label's status or of its reasons, and one that sums up.`,
		Example: "  blockprint trust replay gauge-history.json.gz\n  blockprint trust replay --rate 0.9 --silent-after 24h gauge-history.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l.Silent, l.Window = silentAfter.Hours()/24, int(math.Ceil(window.Hours()/24))
			if err := l.Check(); err != nil {
				return usageError{err}
			}
			in, err := file.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // read only
			r, err := trust.NewReplay(l)
			if err != nil {
				return err
			}
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetEscapeHTML(false)
			err = estimate.ReadHistory(in, func(d *estimate.GaugeDay) error {
				changes, err := r.Day(d)
				for _, c := range changes {
					if err := enc.Encode(c); err != nil {
						return err
					}
				}
				return err
			})
			if err != nil {
				return blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", args[0], err)
			}
			s := r.Summary()
			fmt.Fprintln(os.Stderr, s.Text)
			return enc.Encode(s)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&silentAfter, "silent-after", 48*time.Hour, "greylist a node or label that has had no block for this long")
	flags.DurationVar(&window, "window", estimate.Window, "maximum age of the blocks that count, in whole days")
	flags.Float64Var(&l.Rate, "rate", l.Rate, "greylist a label with a lower true-positive rate than this")
	flags.Float64Var(&l.Precise, "precision", l.Precise, "greylist a label with a lower precision than this")
	flags.IntVar(&l.DryWindow, "zcd-window", l.DryWindow, "newest days to search for days without a correctly labeled block")
	flags.IntVar(&l.DryLimit, "zcd-limit", l.DryLimit, "greylist after more such days than this")
	return cmd
}

// withTrust opens a database's labels and nodes.
func withTrust(cmd *cobra.Command, db string, use func(context.Context, *trust.Service, store.Store) error) error {
	if db == "" {
		return usagef("--db D is missing")
	}
	ctx := cmd.Context()
	s, err := openDB(ctx, "--db", db)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // all writes are on the disk already
	return use(ctx, trust.NewService(s, trust.DefaultSettings(), store.NetworkOf(s), trust.ServiceOptions{}), s)
}

func newTrustStatus() *cobra.Command {
	var db string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status --db D",
		Short:   "List the status of labels and nodes, and the reasons",
		Example: "  blockprint trust status --db mainnet.db\n  blockprint trust status --db mainnet.db --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTrust(cmd, db, func(ctx context.Context, t *trust.Service, _ store.Store) error {
				r, err := t.Report(ctx)
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				if asJSON {
					for _, s := range r.Subjects {
						if err := json.NewEncoder(w).Encode(s); err != nil {
							return err
						}
					}
					return nil
				}
				for _, s := range r.Subjects {
					_, _ = fmt.Fprintf(w, "%-32s %-28s %d of %d blocks right\n", s.Subject, s.Status.Text(), s.Right, s.Blocks)
					for _, why := range s.Reasons {
						_, _ = fmt.Fprintf(w, "    %s\n", why)
					}
				}
				return printPending(ctx, w, t, r)
			})
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "database of blockprint up or blockprint gauge")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON line per label or node")
	return cmd
}

// printPending says what no boundary has judged yet.
func printPending(ctx context.Context, w io.Writer, t *trust.Service, r *trust.Report) error {
	list, next, err := t.Pending(ctx)
	switch {
	case blockprint.CodeOf(err) == blockprint.NotFound:
		_, _ = fmt.Fprintln(w, "nothing has been measured yet:", err)
		return nil
	case err != nil:
		return err
	case r.Measured:
		_, _ = fmt.Fprintf(w, "judged up to slot %d; the next boundary is slot %d; since then:\n", r.Slot, next)
	default:
		_, _ = fmt.Fprintln(w, "not judged yet: the first boundary comes when a node has given 100 blocks, the next ones daily; so far:")
	}
	for _, p := range list {
		_, _ = fmt.Fprintf(w, "%-32s %-28s %d of %d blocks right\n", p.Subject, "", p.Right, p.Blocks)
	}
	if len(list) == 0 {
		_, _ = fmt.Fprintln(w, "no blocks of nodes whose client is known: `blockprint up --dream` or `blockprint dream` asks for some")
	}
	return nil
}

func newTrustSet() *cobra.Command {
	var db string
	var notifyTo notifyFlags
	cmd := &cobra.Command{
		Use:     "set SUBJECT manual|override|active --db D",
		Short:   "Greylist a label or node by hand, keep it off the greylist, or leave it to the rules",
		Example: "  blockprint trust set label:Lodestar manual --db mainnet.db\n  blockprint trust set node:teku-1 override --db mainnet.db",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			status, ok := map[string]greylist.Status{"manual": greylist.Manual, "override": greylist.AutoOverride, "active": greylist.Active}[args[1]]
			if !ok {
				return usagef("%q: expected manual, override or active", args[1])
			}
			return withTrust(cmd, db, func(ctx context.Context, t *trust.Service, s store.Store) error {
				if err := t.Set(ctx, args[0], status); err != nil {
					return err
				}
				return notifyTo.dispatch(ctx, s, trust.Tenant)
			})
		},
	}
	notifyTo.add(cmd)
	cmd.Flags().StringVar(&db, "db", "", "database of blockprint up or blockprint gauge")
	return cmd
}

func newTrustFeed() *cobra.Command {
	return newFeed(trust.Tenant, "trust", "Trust in labels and dreaming nodes", "Write the newest changes of labels and nodes as an Atom feed",
		"  blockprint trust feed --db mainnet.db --id https://example.org/trust.atom > trust.atom")
}
