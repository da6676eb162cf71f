package main

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"blockprint/evaluate"
)

func newEvaluate() *cobra.Command {
	o := evaluate.Options{Tool: tool(), Size: evaluate.DefaultSize()}
	var era string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "evaluate",
		Short: "Measure classifiers in simulated networks that differ from those of the training",
		Long: "Trains the original's classifier and ours in simulated networks, and tests them in others: drawn alike, shifted\n" +
			"in participation, latency, subscriptions or skipped slots, and with a variant of a client that was never seen.\n" +
			"Everything follows from the seed. What is measured is a model of the clients, not a real network.",
		Example: "  blockprint evaluate --era electra\n" +
			"  blockprint evaluate --era deneb --seed 2 --dir worlds/ --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Era, o.Logger, o.Progress = evaluate.Era(era), slog.Default(), progressBar("worlds")
			e, err := evaluate.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(e)
			}
			_, _ = fmt.Fprint(cmd.OutOrStdout(), e.Text())
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&era, "era", "electra", "deneb (128 attestations of a committee each) or electra (8 of many)")
	flags.Uint64Var(&o.Seed, "seed", 1, "everything follows from it")
	flags.IntVar(&o.TrainWorlds, "train-worlds", 16, "networks to train in")
	flags.IntVar(&o.TestWorlds, "test-worlds", 3, "networks to test in, of each kind")
	flags.IntVar(&o.Size.Slots, "slots", o.Size.Slots, "slots of each network")
	flags.IntVar(&o.Size.Validators, "validators", o.Size.Validators, "validators of each network")
	flags.IntVar(&o.Size.Committees, "committees", o.Size.Committees, "committees in a slot")
	flags.StringVar(&o.Dir, "dir", "", "keep the networks' blocks here, as feature files, and use those that are there")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
