package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/estimate"
	"blockprint/file"
	"blockprint/greylist"
	"blockprint/greylist/notify"
	"blockprint/store"
	"blockprint/trust"
)

func newTrust() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "trust COMMAND",
		Short:   "Show which labels cannot be trusted at the moment",
		Example: "  blockprint trust status --db mainnet.db\n  blockprint trust set label:Lodestar manual --db mainnet.db\n  blockprint trust replay gauge-history.json.gz",
	}
	cmd.AddCommand(newTrustStatus(), newTrustSet(), newTrustReplay(), newFeed(trust.Tenant, "trust", "Trust in labels and dreaming nodes",
		"Write the newest changes of labels and nodes as an Atom feed",
		"  blockprint trust feed --db mainnet.db --id https://example.org/trust.atom > trust.atom"))
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
func withTrust(ctx context.Context, db string, use func(*trust.Service, store.Store) error) error {
	return withDB(ctx, db, store.Options{Existing: true}, func(s store.Store) error {
		return use(trust.NewService(s, trust.DefaultSettings(), store.NetworkOf(s), trust.ServiceOptions{}), s)
	})
}

func newTrustStatus() *cobra.Command {
	var db string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "status --db D",
		Short:   "List the status of labels and nodes, and the reasons",
		Example: "  blockprint trust status --db mainnet.db\n  blockprint trust status --db mainnet.db --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withTrust(cmd.Context(), db, func(t *trust.Service, _ store.Store) error {
				r, err := t.Report(cmd.Context())
				switch {
				case err != nil:
					return err
				case *asJSON:
					return printLines(cmd, r.Subjects...)
				}
				for _, s := range r.Subjects {
					printf(cmd, trustLine, s.Subject, s.Status.Text(), s.Right, s.Blocks)
					for _, why := range s.Reasons {
						printf(cmd, "    %s\n", why)
					}
				}
				return printPending(cmd, t, r)
			})
		},
	}
	addDB(cmd, &db, "database of blockprint up or blockprint gauge")
	asJSON = addJSON(cmd, "print one JSON line per label or node")
	return cmd
}

const trustLine = "%-32s %-28s %d of %d blocks right\n"

// printPending prints what no boundary has judged yet.
func printPending(cmd *cobra.Command, t *trust.Service, r *trust.Report) error {
	list, next, err := t.Pending(cmd.Context())
	switch {
	case blockprint.CodeOf(err) == blockprint.NotFound:
		printf(cmd, "nothing has been measured yet: %v\n", err)
		return nil
	case err != nil:
		return err
	case r.Measured:
		printf(cmd, "judged up to slot %d; the next boundary is slot %d; since then:\n", r.Slot, next)
	default:
		printf(cmd, "not judged yet: the first boundary comes when a node has given 100 blocks, the next ones daily; so far:\n")
	}
	for _, p := range list {
		printf(cmd, trustLine, p.Subject, "", p.Right, p.Blocks)
	}
	if len(list) == 0 {
		printf(cmd, "no blocks of nodes whose client is known: `blockprint up --dream` or `blockprint dream` asks for some\n")
	}
	return nil
}

func newTrustSet() *cobra.Command {
	var db string
	var notifiers []notify.Notifier
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
			return withTrust(cmd.Context(), db, func(t *trust.Service, s store.Store) error {
				if err := t.Set(cmd.Context(), args[0], status); err != nil {
					return err
				}
				return process("").Deliver(cmd.Context(), s, trust.Tenant, notifiers)
			})
		},
	}
	addNotify(cmd, &notifiers, "notify")
	addDB(cmd, &db, "database of blockprint up or blockprint gauge")
	return cmd
}
