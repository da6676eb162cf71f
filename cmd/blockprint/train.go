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
	cmd := &cobra.Command{
		Use:     "prepare RAW OUT",
		Short:   "Label raw reward files by graffiti into OUT/<Client>/<root>.json",
		Example: "  blockprint prepare rewards/ training/",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			guess, err := rules.load()
			if err != nil {
				return err
			}
			disabled, err := parseClients(disable)
			if err != nil {
				return err
			}
			paths, err := file.Rewards(args[:1])
			if err != nil {
				return err
			}
			report, err := train.Prepare(cmd.Context(), paths, args[1], guess, disabled, progressBar("files"))
			if err != nil {
				return err
			}
			for _, c := range blockprint.Clients() {
				if n := report.Labelled[c]; n > 0 {
					_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s,%d\n", c, n)
				}
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "unlabelled,%d\n", report.Unlabeled)
			return badFiles(report.Bad, report.Files)
		},
	}
	cmd.Flags().StringSliceVar(&disable, "disable", nil, "clients whose graffiti rules are not used")
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
