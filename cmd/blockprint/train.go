package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/feature"
	"blockprint/file"
	"blockprint/train"
)

func newPrepare() *cobra.Command {
	var disable []string
	var rules rulesFlags
	var out, labels string
	o := train.PrepareOptions{Tool: tool()}
	cmd := &cobra.Command{
		Use:   "prepare RAW... OUT | prepare RAW... -o FILE.features",
		Short: "Label raw reward files, into a feature file or OUT/<Client>/<root>.json",
		Long: "Label raw reward files: into a compact feature file (-o), or into a directory of one file a block, as the\n" +
			"original did. A feature file that is there already gets the blocks of files that it does not have yet, so an\n" +
			"interrupted run goes on where it was, and new files can be added later.",
		Example: "  blockprint prepare rewards/ -o mainnet.features\n" +
			"  blockprint prepare rewards/ training/\n" +
			"  blockprint prepare training/ -o mainnet.features --labels directory",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Labels.Rules, err = rules.load(); err != nil {
				return err
			}
			if o.Labels.Disable, err = parseClients(disable); err != nil {
				return err
			}
			switch labels {
			case "graffiti", "directory":
				o.Labels.Directory = labels == "directory"
			default:
				return usagef("--labels %q: expected graffiti or directory", labels)
			}
			o.Network = rules.network
			raw := args
			if out == "" {
				if len(args) != 2 {
					return usagef("expected RAW and OUT, or -o FILE.features")
				}
				raw = args[:1]
			}
			paths, err := file.Rewards(raw)
			if err != nil {
				return err
			}
			o.Progress = progressBar("files")
			var report train.PrepareReport
			if out == "" {
				report, err = train.Prepare(cmd.Context(), paths, args[1], o)
			} else {
				report, err = train.PrepareFeatures(cmd.Context(), paths, out, o)
			}
			if err != nil {
				return err
			}
			counts := report.Labelled
			if out != "" {
				counts = report.InFile
			}
			for _, c := range blockprint.Clients() {
				if n := counts[c]; n > 0 {
					_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s,%d\n", c, n)
				}
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "unlabelled,%d\n", report.Unlabeled)
			if report.Skipped > 0 {
				fmt.Fprintf(os.Stderr, "blockprint: %d of %d files were in %s already\n", report.Skipped, report.Files, out)
			}
			return badFiles(report.Bad, report.Files)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "feature file to write")
	cmd.Flags().StringSliceVar(&disable, "disable", nil, "clients whose graffiti rules are not used")
	cmd.Flags().StringVar(&labels, "labels", "graffiti", "where labels come from: graffiti, or the directory that a file is in")
	cmd.Flags().BoolVar(&o.Strict, "strict", false, "stop at the first file that cannot be read")
	rules.add(cmd)
	return cmd
}

// badFiles prints the files that could not be read and makes them the command's failure.
func badFiles(bad []train.BadFile, total int) error {
	for _, b := range bad {
		fmt.Fprintf(os.Stderr, "blockprint: left out: %s\n", oneLine(b.Err))
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d of %d files could not be read; the others were", len(bad), total)
	}
	return nil
}

func newTrain() *cobra.Command {
	var o train.Options
	var out, slots string
	var group, disable, graffitiOnly []string
	cmd := &cobra.Command{
		Use:   "train DATA -o MODEL",
		Short: "Train a model on a prepared directory",
		Example: "  blockprint train training/ -o mainnet.model\n" +
			"  blockprint train training/ -o electra.model --slots 11649024- --group Lodestar --graffiti-only none",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if out == "" {
				return usagef("-o MODEL is missing")
			}
			if o.Slots, err = parseSlots(slots); err != nil {
				return err
			}
			if slices.Equal(graffitiOnly, []string{"none"}) {
				graffitiOnly = nil
			}
			for _, list := range []struct {
				from []string
				into *[]blockprint.Client
			}{{group, &o.Group}, {disable, &o.Disable}, {graffitiOnly, &o.GraffitiOnly}} {
				if *list.into, err = parseClients(list.from); err != nil {
					return err
				}
			}
			set, bad, err := train.ReadDir(cmd.Context(), args[0], nil)
			if err != nil {
				return err
			}
			o.Tool = tool()
			model, report, err := train.Fit(set, o)
			for _, w := range report.Warnings {
				fmt.Fprintln(os.Stderr, "blockprint: warning:", w)
			}
			if err != nil {
				return err
			}
			if err := model.Save(out); err != nil {
				return err
			}
			info := model.Parts[0].PartInfo
			for _, c := range info.Classes {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%-12s %7d blocks, %5.1f %% recognised\n", c, info.Training.Blocks[c], 100*info.Training.Accuracy[c])
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d blocks, %d without a number in every feature; accuracy by %s\n", out, report.Rows, report.Dropped, info.Training.AccuracyMethod)
			return badFiles(bad, set.Len()+len(bad))
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "model file to write")
	cmd.Flags().StringVar(&o.Type, "type", "knn", "classifier: knn")
	cmd.Flags().StringSliceVar(&o.Features, "features", feature.Default(), "features to train on, by comma")
	cmd.Flags().IntVar(&o.K, "k", train.DefaultK, "neighbours, for knn")
	cmd.Flags().StringSliceVar(&group, "group", nil, "clients to take together as Other")
	cmd.Flags().StringSliceVar(&disable, "disable", nil, "clients to leave out")
	cmd.Flags().StringSliceVar(&graffitiOnly, "graffiti-only", []string{string(blockprint.Lodestar)}, "clients to label by graffiti only; none for no client")
	cmd.Flags().StringVar(&slots, "slots", "", "slots for which the model is to be used, as A-B or A- (default all)")
	return cmd
}

// parseSlots reads A-B or A-.
func parseSlots(s string) (*blockprint.Interval, error) {
	if s == "" {
		return nil, nil
	}
	a, b, ok := strings.Cut(s, "-")
	var i blockprint.Interval
	if _, err := fmt.Sscan(a, &i.Start); !ok || err != nil {
		return nil, usagef("--slots %q: expected A-B or A-", s)
	}
	i.End = 1<<63 - 1
	if b != "" {
		if _, err := fmt.Sscan(b, &i.End); err != nil || i.End < i.Start {
			return nil, usagef("--slots %q: expected A-B with A at most B", s)
		}
	}
	return &i, nil
}
