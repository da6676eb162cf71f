package main

import (
	"encoding/json"
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
	var era string
	var shifts []string
	var asJSON bool
	var settings func() algorithm.Settings
	cmd := &cobra.Command{
		Use:   "evaluate",
		Short: "Measure classifiers in simulated networks that differ from the ones they were trained in",
		Long: "Trains the original's classifier and ours in simulated networks and tests them in others: similar ones, ones with\n" +
			"different participation, latency, subscriptions or skipped slots, and ones with a client variant that training\n" +
			"did not have. The seed decides everything. The networks are models of the clients, not real networks.",
		Example: "  blockprint evaluate --era electra\n" +
			"  blockprint evaluate --era deneb --seed 2 --dir worlds/ --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Era, o.Logger, o.Progress = evaluate.Era(era), slog.Default(), progressBar("worlds")
			o.Settings = settings()
			for _, s := range shifts {
				if !slices.Contains(evaluate.Shifts(), evaluate.Shift(s)) {
					return usagef("--shifts %q: expected some of %v", s, evaluate.Shifts())
				}
				o.Shifts = append(o.Shifts, evaluate.Shift(s))
			}
			if o.TrainWorlds < 1 || o.TrainWorlds > maxWorlds || o.TestWorlds < 1 || o.TestWorlds > maxWorlds {
				return usagef("--train-worlds %d, --test-worlds %d: expected 1 to %d", o.TrainWorlds, o.TestWorlds, maxWorlds)
			}
			if o.Dir != "" {
				if err := file.CheckOutputDir(o.Dir); err != nil {
					return err
				}
			}
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
	settings = treeFlags(cmd)
	flags.StringVar(&era, "era", "electra", "deneb (128 attestations, each of one committee) or electra (8 attestations, each of many)")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of all random choices")
	flags.IntVar(&o.TrainWorlds, "train-worlds", 16, "number of networks to train in")
	flags.IntVar(&o.TestWorlds, "test-worlds", 3, "number of networks of each kind to test in")
	flags.IntVar(&o.Size.Slots, "slots", o.Size.Slots, "slots in each network")
	flags.IntVar(&o.Size.Validators, "validators", o.Size.Validators, "validators in each network")
	flags.IntVar(&o.Size.Committees, "committees", o.Size.Committees, "committees in a slot")
	flags.StringVar(&o.Dir, "dir", "", "directory for the networks' blocks, as feature files; existing files are used again")
	flags.StringSliceVar(&shifts, "shifts", nil, "test only in networks with these shifts, with all client variants (default all shifts, and without each variant)")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newSimTrain() *cobra.Command {
	o := evaluate.ModelOptions{Options: evaluate.Options{Tool: tool()}}
	var out string
	var sizes []string
	var slots int
	var settings func() algorithm.Settings
	cmd := &cobra.Command{
		Use:   "train -o MODEL",
		Short: "Train a model in simulated networks, for blocks before Electra and since",
		Long: "Creates random simulated networks with all known variants of all clients and trains a model with two parts in them.\n" +
			"It has seen only simulated blocks; its accuracy on a real network must be measured there.",
		Example: "  blockprint sim train -o simulated.model\n  blockprint sim train -o simulated.model --sizes 131072x64,262144x64 --dir worlds/",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usagef("-o MODEL is missing")
			}
			if o.TrainWorlds < 1 || o.TrainWorlds > maxWorlds {
				return usagef("--worlds %d: expected 1 to %d", o.TrainWorlds, maxWorlds)
			}
			if err := file.CheckOutput(out); err != nil {
				return err
			}
			var err error
			if o.Sizes, err = parseSizes(sizes, slots); err != nil {
				return err
			}
			o.Logger, o.Progress = slog.Default(), progressBar("worlds")
			o.Settings = settings()
			m, err := evaluate.BuildModel(cmd.Context(), o)
			if err != nil {
				return err
			}
			if err := m.Save(out); err != nil {
				return err
			}
			for _, p := range m.Parts {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: balanced accuracy %.1f %% (%s)\n", p.Serves(), 100*p.Training.BalancedAccuracy, p.Training.AccuracyMethod)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	settings = treeFlags(cmd)
	flags.StringVarP(&out, "output", "o", "", "model file to write")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of all random choices")
	flags.IntVar(&o.TrainWorlds, "worlds", 16, "number of networks for each era")
	flags.IntVar(&slots, "slots", 200, "slots in each network; every client builds a block in each slot")
	flags.StringSliceVar(&sizes, "sizes", []string{"16384x16", "131072x64"}, "sizes of the networks in turn, as VALIDATORSxCOMMITTEES (committees in a slot)")
	flags.StringVar(&o.Dir, "dir", "", "directory for the networks' blocks, as feature files; existing files are used again")
	flags.Uint64("electra-slot", 0, "first slot of the second part")
	_ = flags.MarkDeprecated("electra-slot", "parts are chosen by fork, which holds on every network")
	return cmd
}

// treeFlags adds the flags for the size of boosted trees and returns what reads them.
func treeFlags(cmd *cobra.Command) func() algorithm.Settings {
	rounds := cmd.Flags().Int("rounds", 0, "maximum number of trees per client (default 400)")
	leaves := cmd.Flags().Int("leaves", 0, "number of leaves per tree (default 31)")
	return func() algorithm.Settings {
		out := algorithm.Settings{}
		for name, n := range map[string]int{"rounds": *rounds, "leaves": *leaves} {
			if n != 0 {
				out[name] = []float64{float64(n)}
			}
		}
		return out
	}
}

// parseSizes reads sizes of networks, VALIDATORSxCOMMITTEES each.
func parseSizes(list []string, slots int) ([]evaluate.Size, error) {
	var out []evaluate.Size
	for _, s := range list {
		size := evaluate.Size{Slots: slots}
		if _, err := fmt.Sscanf(s, "%dx%d", &size.Validators, &size.Committees); err != nil || size.Validators < 1 || size.Committees < 1 {
			return nil, usagef("--sizes %q: expected VALIDATORSxCOMMITTEES, 131072x64 say", s)
		}
		out = append(out, size)
	}
	if len(out) == 0 || slots < 1 {
		return nil, usagef("--sizes and --slots must not be empty")
	}
	return out, nil
}
