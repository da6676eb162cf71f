package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/estimate"
	"blockprint/file"
)

// errFound ends the reading of a history.
var errFound = errors.New("found")

func newShares() *cobra.Command {
	var date string
	var asJSON bool
	var seed uint64
	cmd := &cobra.Command{
		Use:   "shares HISTORY",
		Short: "Correct published client shares for the classifier's measured mistakes",
		Long: "Reads a recorded gauge history (a JSON list of days, each with the gauge's clients and the published\n" +
			"blocks_per_client) and estimates each day's real shares, with 95 % intervals. It names clients that the\n" +
			"classifier could not distinguish; only their sum is known.",
		Example: "  blockprint shares gauge-history.json.gz --date 2023-12-01\n  blockprint shares gauge-history.json.gz --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := file.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // read only
			var last *estimate.GaugeDay
			encoder := json.NewEncoder(cmd.OutOrStdout())
			days := 0
			err = estimate.ReadHistory(in, func(d *estimate.GaugeDay) error {
				days++
				if asJSON && (date == "" || d.Date == date) {
					return encoder.Encode(map[string]any{"date": d.Date, "shares": estimate.Shares(d.Confusion(), d.BlocksPerClient, nil, seed)})
				}
				last = d
				if d.Date == date {
					return errFound
				}
				return nil
			})
			switch {
			case errors.Is(err, errFound):
			case err != nil:
				return fmt.Errorf("%s: %w", args[0], err)
			case days == 0:
				return blockprint.Errorf(blockprint.NotFound, "%s holds no days", args[0])
			case date != "" && !asJSON:
				return blockprint.Errorf(blockprint.NotFound, "%s has no day %s: its last is %s", args[0], date, last.Date)
			}
			if asJSON {
				return nil
			}
			w := cmd.OutOrStdout()
			_, _ = fmt.Fprintf(w, "%s\n%-11s %9s %9s   %s\n", last.Date, "client", "published", "estimate", "95 % interval")
			for _, s := range estimate.Shares(last.Confusion(), last.BlocksPerClient, nil, seed) {
				like := ""
				if len(s.Like) > 0 {
					var names []string
					for _, c := range s.Like {
						names = append(names, string(c))
					}
					like = "   cannot be distinguished from " + strings.Join(names, ", ")
				}
				if s.Unmeasured {
					_, _ = fmt.Fprintf(w, "%-11s %7.2f %%   unknown   no blocks of this client were measured\n", s.Client, 100*s.Raw)
					continue
				}
				_, _ = fmt.Fprintf(w, "%-11s %7.2f %% %7.2f %%   %5.2f to %5.2f %%%s\n", s.Client, 100*s.Raw, 100*s.Share, 100*s.Low, 100*s.High, like)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&date, "date", "", "day to show (default the last one)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON line per day")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of the random samples behind the intervals")
	return cmd
}
