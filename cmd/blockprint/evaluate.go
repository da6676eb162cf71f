package main

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"

	"blockprint/classify/algorithm"
	"blockprint/evaluate"
	"blockprint/file"
)

// maxWorlds bounds how many networks are run: a thousand take a day.
const maxWorlds = 1000

func newEvaluate() *cobra.Command {
	o := evaluate.Options{Tool: tool(), Size: evaluate.DefaultSize()}
	var era, model string
	var shifts []string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "evaluate",
		Short: "Measure classifiers in simulated networks that differ from the ones they were trained in",
		Long: `Trains the original's classifier and ours in simulated networks like mainnet and tests them in others: similar ones,
ones with different participation, latency, subscriptions or skipped slots, messy ones, and ones with a client variant
that training did not have. The seed decides everything. The networks are models of the clients, not real networks.`,
		Example: "  blockprint evaluate --era electra\n" +
			"  blockprint evaluate --era deneb --seed 2 --dir worlds/ --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Era, o.Logger, o.Progress = evaluate.Era(era), slog.Default(), progressBar("worlds")
			for _, s := range shifts {
				if !slices.Contains(evaluate.Shifts(), evaluate.Shift(s)) {
					return usagef("--shifts %q: expected some of %v", s, evaluate.Shifts())
				}
				o.Shifts = append(o.Shifts, evaluate.Shift(s))
			}
			if min(o.TrainWorlds, o.TestWorlds) < 1 || max(o.TrainWorlds, o.TestWorlds) > maxWorlds {
				return usagef("--train-worlds %d, --test-worlds %d: expected 1 to %d", o.TrainWorlds, o.TestWorlds, maxWorlds)
			}
			if o.Dir != "" {
				if err := file.CheckOutputDir(o.Dir); err != nil {
					return err
				}
			}
			if model != "" {
				var err error
				if o.Model, err = openModel(model, ""); err != nil {
					return err
				}
			}
			e, err := evaluate.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			return printEither(cmd, *asJSON, e, e.Text)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&era, "era", "electra", "deneb (128 attestations, each of one committee) or electra (8 attestations, each of many)")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of all random choices")
	flags.IntVar(&o.TrainWorlds, "train-worlds", 16, "number of networks to train in")
	flags.IntVar(&o.TestWorlds, "test-worlds", 3, "number of networks of each kind to test in")
	flags.IntVar(&o.Size.Slots, "slots", o.Size.Slots, "slots in each network")
	flags.IntVar(&o.Size.Validators, "validators", o.Size.Validators, "validators in each network")
	flags.IntVar(&o.Size.Committees, "committees", o.Size.Committees, "committees in a slot")
	flags.StringVar(&o.Dir, "dir", "", "directory for the networks' blocks, as feature files; existing files are used again")
	flags.StringSliceVar(&shifts, "shifts", nil, "test only in networks with these shifts, with all client variants (default all shifts, and without each variant)")
	addTrees(cmd, &o.Settings)
	flags.StringVar(&model, "model", "", "model file to test too, or simulated for the one that ships")
	asJSON = addJSON(cmd, "print JSON")
	return cmd
}

// addTrees adds the flags for the size of boosted trees.
func addTrees(cmd *cobra.Command, into *algorithm.Settings) {
	rounds := cmd.Flags().Int("rounds", 0, "maximum number of trees per client (default 400)")
	leaves := cmd.Flags().Int("leaves", 0, "number of leaves per tree (default 31)")
	before(cmd, func() error {
		*into = algorithm.Settings{}
		for name, n := range map[string]int{"rounds": *rounds, "leaves": *leaves} {
			if n != 0 {
				(*into)[name] = []float64{float64(n)}
			}
		}
		return nil
	})
}

func newSimTrain() *cobra.Command {
	o := evaluate.ModelOptions{Options: evaluate.Options{Tool: tool()}}
	var out string
	var sizes []string
	var slots int
	cmd := &cobra.Command{
		Use:   "train -o MODEL",
		Short: "Train a model in simulated networks, for blocks before Electra and since",
		Long: `Creates random simulated networks with all known variants of all clients and trains a model with two parts in them.
It has seen only simulated blocks; its accuracy on a real network must be measured there.`,
		Example: "  blockprint sim train -o simulated.model\n  blockprint sim train -o simulated.model --sizes 131072x64,262144x64 --dir worlds/",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.TrainWorlds < 1 || o.TrainWorlds > maxWorlds || slots < 1 {
				return usagef("--worlds %d, --slots %d: expected 1 to %d worlds of at least one slot", o.TrainWorlds, slots, maxWorlds)
			}
			for _, s := range sizes {
				size := evaluate.Size{Slots: slots}
				if _, err := fmt.Sscanf(s, "%dx%d", &size.Validators, &size.Committees); err != nil || size.Validators < 1 || size.Committees < 1 {
					return usagef("--sizes %q: expected VALIDATORSxCOMMITTEES, such as 131072x64", s)
				}
				o.Sizes = append(o.Sizes, size)
			}
			o.Logger, o.Progress = slog.Default(), progressBar("worlds")
			m, err := evaluate.BuildModel(cmd.Context(), o)
			if err == nil {
				err = m.Save(out)
			}
			if err != nil {
				return err
			}
			for _, p := range m.Parts {
				printf(cmd, "%s: balanced accuracy %.1f %% (%s)\n", p.Serves(), 100*p.Training.BalancedAccuracy, p.Training.AccuracyMethod)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	addOutput(cmd, &out, "MODEL", "model file to write", file.CheckOutput)
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of all random choices")
	flags.IntVar(&o.TrainWorlds, "worlds", 16, "number of networks for each era")
	flags.IntVar(&slots, "slots", 200, "slots in each network; every client builds a block in each slot")
	flags.StringSliceVar(&sizes, "sizes", []string{"16384x16", "131072x64"}, "sizes of the networks in turn, as VALIDATORSxCOMMITTEES (committees in a slot)")
	addTrees(cmd, &o.Settings)
	flags.StringVar(&o.Dir, "dir", "", "directory for the networks' blocks, as feature files; existing files are used again")
	flags.Uint64("electra-slot", 0, "first slot of the second part")
	_ = flags.MarkDeprecated("electra-slot", "parts are chosen by fork, which holds on every network")
	return cmd
}
