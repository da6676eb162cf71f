package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/estimate"
	"blockprint/file"
	"blockprint/trust"
)

func newTrust() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "trust COMMAND",
		Short:   "Say when labels are not to be trusted",
		Example: "  blockprint trust replay gauge-history.json.gz",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTrustReplay())
	return cmd
}

func newTrustReplay() *cobra.Command {
	l := trust.DefaultLimits()
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run the rules over a recorded gauge history",
		Long: `Reads a gauge's history, a JSON list of days with the nodes' counts and the shares published that day, and prints a
JSON line for each change of a node's or label's status or of its reasons, and one that sums up.`,
		Example: "  blockprint trust replay gauge-history.json.gz\n  blockprint trust replay --rate 0.9 --silent-after 24h gauge-history.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.Check(); err != nil {
				return usageError{err}
			}
			in, err := file.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = in.Close() }() // read only
			r := trust.NewReplay(l)
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
	flags.DurationVar(&l.SilentAfter, "silent-after", l.SilentAfter, "how long a node or label may be without a block")
	flags.DurationVar(&l.Window, "window", l.Window, "how old dreamt blocks may be that count")
	flags.Float64Var(&l.Rate, "rate", l.Rate, "least true-positive rate of a label")
	flags.Float64Var(&l.Precision, "precision", l.Precision, "least precision of a label")
	flags.IntVar(&l.Criteria.ZCDWindow, "zcd-window", l.Criteria.ZCDWindow, "days that are looked at for such without a rightly labelled block")
	flags.IntVar(&l.Criteria.ZCDLimit, "zcd-limit", l.Criteria.ZCDLimit, "so many of them are still no reason")
	return cmd
}
