package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"blockprint/dataset"
	"blockprint/names"
	"blockprint/rewardfile"
)

func newPrepare() *cobra.Command {
	var out, labels string
	o := dataset.PrepareOptions{Tool: tool()}
	var rules *rulesFlags
	cmd := &cobra.Command{
		Use:   "prepare RAW... OUT | prepare RAW... -o FILE.features",
		Short: "Label reward files by graffiti and turn them into training data",
		Long: `Labels reward files and writes a compact feature file (-o) or, as the original does, a directory with one file per
block, OUT/<Client>/<root>.json. An existing feature file gets the blocks of the files that it does not have yet,
so you can continue an interrupted run, or add new files later.`,
		Example: "  blockprint prepare rewards/ -o mainnet.features\n" +
			"  blockprint prepare rewards/ training/\n" +
			"  blockprint prepare training/ -o mainnet.features --labels directory",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if labels != "graffiti" && labels != "directory" {
				return usagef("--labels %q: expected graffiti or directory", labels)
			}
			if labels == "directory" && o.Labels.Names != nil {
				return usagef("--labels directory takes no --names: the directory is the label")
			}
			o.Labels.Directory, o.Network, o.Progress = labels == "directory", rules.network, progressBar("files")
			raw, write, to := args, dataset.PrepareFeatures, out
			if out == "" {
				if len(args) != 2 {
					return usagef("expected RAW and OUT, or -o FILE.features")
				}
				raw, write, to = args[:1], dataset.Prepare, args[1]
			}
			paths, err := rewardfile.List(raw)
			if err != nil {
				return err
			}
			report, err := write(cmd.Context(), paths, to, o)
			if err != nil {
				return err
			}
			t := newTable("label", "blocks")
			if out == "" {
				t.clients(report.Labelled)
			} else {
				t.clients(report.InFile)
			}
			t.row("(none)", report.Unlabeled)
			t.print(cmd)
			printOrigins(cmd.OutOrStdout(), o.Labels.Names, report.Origins)
			if report.Skipped > 0 {
				notice("%d of %d files were in %s already", report.Skipped, report.Files, out)
			}
			return badFiles(report.Bad, report.Files)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "feature file to write")
	cmd.Flags().StringVar(&labels, "labels", "graffiti", "source of the labels: graffiti, or directory (the name of the directory that a file is in)")
	cmd.Flags().BoolVar(&o.Strict, "strict", false, "stop at the first unreadable file")
	addClients(cmd, &o.Labels.Disable, "disable", nil, "ignore the graffiti rules of these clients")
	rules = addRules(cmd, &o.Labels.Rules)
	addNames(cmd, &o.Labels.Names)
	return cmd
}

// printOrigins says where labels came from, if some may have come from the names of validators.
func printOrigins(w io.Writer, n *names.Names, o dataset.Origins) {
	if n != nil {
		_, _ = fmt.Fprintf(w, "labeled by the validator's name alone: %d, by the graffiti alone: %d, by both: %d; not labeled because they contradict each other: %d\n",
			o.Validator, o.Graffiti, o.Both, o.Contradict)
	}
}

func newBalance() *cobra.Command {
	o := dataset.BalanceOptions{Tool: tool()}
	cmd := &cobra.Command{
		Use:   "balance IN OUT",
		Short: "Reduce training data to similar numbers of blocks for each client, at random",
		Example: "  blockprint balance training/ balanced/ --max-imbalance 2\n" +
			"  blockprint balance mainnet.features balanced.features --seed 7",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Progress = progressBar("blocks")
			report, err := dataset.Balance(cmd.Context(), args[0], args[1], o)
			if err != nil {
				return err
			}
			t := newTable("client", "blocks", "taken")
			t.clients(report.Before, report.After)
			t.print(cmd)
			return nil
		},
	}
	cmd.Flags().Float64Var(&o.MaxImbalance, "max-imbalance", 1, "maximum number of blocks of a client, as a multiple of the smallest client's number")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of the random choice")
	addClients(cmd, &o.Disable, "disable", nil, "clients whose blocks are left out")
	return cmd
}
