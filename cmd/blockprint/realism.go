package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"blockprint/graffiti"
	"blockprint/realism"
)

func newRealism() *cobra.Command {
	var world worldFlags
	var slots int
	var byClient bool
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "realism [FILE|FOLDER...]",
		Short: "Compare the shapes of real blocks with those of a simulated network",
		Long: `Reads real blocks (JSON or SSZ, signed or not, one in each file, Electra or later, mainnet preset), runs a
simulated network, and prints how their attestations differ: how many a block has, for which slots, of how many
committees and voters, and how many of those are new. Without FILE, it compares with some mainnet blocks of May to
December 2025 whose shapes are built in. No registry is needed, because the sizes of committees follow from the
lengths of a block's bit lists. A figure differs if it is more than two standard errors away.`,
		Example: "  blockprint sim realism\n  blockprint sim realism blocks/\n  blockprint sim realism --by-client --validators 1048576 --committees 64 mainnet-*.ssz",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, err := world.load()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("electra-epoch") {
				c.ElectraEpoch = c.DenebEpoch // only since Electra have blocks these shapes
			}
			if slots < 1 || slots > maxSlots {
				return usagef("--slots %d: expected 1 to %d", slots, maxSlots)
			}
			actual := realism.Mainnet()
			if len(args) > 0 {
				var skipped []realism.Skipped
				if actual, skipped, err = realism.Read(ctx, args, graffiti.Default("mainnet")); err != nil {
					return err
				}
				for _, s := range skipped {
					slog.Warn("skipping a file without a block to compare", "file", s.File, "reason", s.Why)
				}
			}
			simulated, err := realism.Simulate(ctx, c, slots)
			if err != nil {
				return err
			}
			all := realism.CompareAll(actual, simulated, byClient)
			if *asJSON {
				return printLines(cmd, all)
			}
			for _, c := range all {
				if err := c.Write(cmd.OutOrStdout()); err != nil {
					return err
				}
				printf(cmd, "%d of %d figures differ.\n\n", len(c.Outside()), len(c.Figures))
			}
			return nil
		},
	}
	world.add(cmd)
	cmd.Flags().IntVar(&slots, "slots", 512, "number of simulated slots to compare with")
	cmd.Flags().BoolVar(&byClient, "by-client", false, "also compare the blocks of each client that their graffiti name")
	asJSON = addJSON(cmd, "print JSON")
	return cmd
}
