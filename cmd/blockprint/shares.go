package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/estimate"
	"blockprint/file"
	"blockprint/label"
	"blockprint/store"
)

// errFound ends the reading of a history.
var errFound = errors.New("found")

func newShares() *cobra.Command {
	var date string
	var asJSON *bool
	var seed uint64
	cmd := &cobra.Command{
		Use:   "shares HISTORY",
		Short: "Correct published client shares for the classifier's measured mistakes",
		Long: `Reads a recorded gauge history (a JSON list of days, each with the gauge's clients and the published
blocks_per_client) and estimates each day's real shares, with 95 % intervals. It names clients that the
classifier could not distinguish; only their sum is known.`,
		Example: "  blockprint shares gauge-history.json.gz --date 2023-12-01\n  blockprint shares gauge-history.json.gz --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := file.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // read only
			var last *estimate.GaugeDay
			err = estimate.ReadHistory(in, func(d *estimate.GaugeDay) error {
				last = d
				switch {
				case date != "" && d.Date != date:
				case *asJSON:
					return printLines(cmd, map[string]any{"date": d.Date, "shares": estimate.Shares(d.Confusion(), d.BlocksPerClient, nil, seed)})
				case date != "":
					return errFound
				}
				return nil
			})
			switch {
			case err != nil && !errors.Is(err, errFound):
				return fmt.Errorf("%s: %w", args[0], err)
			case last == nil:
				return blockprint.Errorf(blockprint.NotFound, "%s holds no days", args[0])
			case *asJSON:
				return nil
			case date != "" && last.Date != date:
				return blockprint.Errorf(blockprint.NotFound, "%s has no day %s: its last is %s", args[0], date, last.Date)
			}
			printEstimates(cmd, last, seed)
			return nil
		},
	}
	cmd.Flags().StringVar(&date, "date", "", "day to show (default the last one)")
	asJSON = addJSON(cmd, "print one JSON line per day")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of the random samples behind the intervals")
	return cmd
}

func printEstimates(cmd *cobra.Command, d *estimate.GaugeDay, seed uint64) {
	printf(cmd, "%s\n%-11s %9s %9s   %s\n", d.Date, "client", "published", "estimate", "95 % interval")
	for _, s := range estimate.Shares(d.Confusion(), d.BlocksPerClient, nil, seed) {
		if s.Unmeasured {
			printf(cmd, "%-11s %7.2f %%   unknown   no blocks of this client were measured\n", s.Client, 100*s.Raw)
			continue
		}
		like := ""
		if len(s.Like) > 0 {
			like = "   cannot be distinguished from " + joined(s.Like)
		}
		printf(cmd, "%-11s %7.2f %% %7.2f %%   %5.2f to %5.2f %%%s\n", s.Client, 100*s.Raw, 100*s.Share, 100*s.Low, 100*s.High, like)
	}
}

func newSpoofs() *cobra.Command {
	var db string
	var slots blockprint.Interval
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "spoofs --db D",
		Short: "List blocks whose graffiti strongly contradicts how they were packed",
		Long: `Lists blocks whose graffiti names one client while the model is almost certain of another. The graffiti may be false
or outdated, middleware may have chosen another client's block, or a client may have changed how it packs.`,
		Example: "  blockprint spoofs --db mainnet.db --slots 9000000-",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return reading(cmd.Context(), "--db", db, func(s store.Store) error {
				n := 0
				err := label.Spoofs(cmd.Context(), s, slots, func(b label.Spoof) error {
					if n++; *asJSON {
						return printLines(cmd, b)
					}
					_, err := fmt.Fprintf(cmd.OutOrStdout(), "slot %d, proposer %d: says %s (%q), packs like %s (%.2f %%)\n", b.Slot, b.Proposer, b.Says, b.Graffiti, b.Packs, 100*b.P)
					return err
				})
				if !*asJSON && err == nil {
					printf(cmd, "%d blocks\n", n)
				}
				return err
			})
		},
	}
	addDB(cmd, &db, "database")
	addParsed(cmd, &slots, blockprint.ParseInterval, "slots", "", "slots to search, as A-B or A- (default all)")
	asJSON = addJSON(cmd, "print JSON lines")
	return cmd
}
