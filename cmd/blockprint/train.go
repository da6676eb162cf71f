package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/classify"
	"blockprint/dataset"
	"blockprint/file"
	"blockprint/rewardfile"
	"blockprint/train"
)

func newPrepare() *cobra.Command {
	var disable []string
	var rules rulesFlags
	var out, labels string
	o := dataset.PrepareOptions{Tool: tool()}
	cmd := &cobra.Command{
		Use:   "prepare RAW... OUT | prepare RAW... -o FILE.features",
		Short: "Label reward files by graffiti and turn them into training data",
		Long: "Labels reward files and writes a compact feature file (-o) or, as the original does, a directory with one file per\n" +
			"block, OUT/<Client>/<root>.json. An existing feature file gets the blocks of the files that it does not have yet,\n" +
			"so you can continue an interrupted run, or add new files later.",
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
			paths, err := rewardfile.List(raw)
			if err != nil {
				return err
			}
			o.Progress = progressBar("files")
			var report dataset.PrepareReport
			if out == "" {
				report, err = dataset.Prepare(cmd.Context(), paths, args[1], o)
			} else {
				report, err = dataset.PrepareFeatures(cmd.Context(), paths, out, o)
			}
			if err != nil {
				return err
			}
			counts := report.Labelled
			if out != "" {
				counts = report.InFile
			}
			t := newTable("label", "blocks")
			for _, c := range blockprint.Clients() {
				if n := counts[c]; n > 0 {
					t.row(c, n)
				}
			}
			t.row("(none)", report.Unlabeled)
			t.print(cmd.OutOrStdout())
			if report.Skipped > 0 {
				fmt.Fprintf(os.Stderr, "blockprint: %d of %d files were in %s already\n", report.Skipped, report.Files, out)
			}
			return badFiles(report.Bad, report.Files)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "feature file to write")
	cmd.Flags().StringSliceVar(&disable, "disable", nil, "ignore the graffiti rules of these clients")
	cmd.Flags().StringVar(&labels, "labels", "graffiti", "source of the labels: graffiti, or directory (the name of the directory that a file is in)")
	cmd.Flags().BoolVar(&o.Strict, "strict", false, "stop at the first unreadable file")
	rules.add(cmd)
	return cmd
}

// badFiles prints the files that could not be read and makes them the command's failure.
func badFiles(bad []file.Bad, total int) error {
	for _, b := range bad {
		fmt.Fprintf(os.Stderr, "blockprint: left out: %s\n", oneLine(b.Err))
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d of %d files could not be read; the others were", len(bad), total)
	}
	return nil
}

func newTrain() *cobra.Command {
	var f fitFlags
	var out, source string
	var slots, forks []string
	cmd := &cobra.Command{
		Use:   "train DATA... -o MODEL",
		Short: "Train a model on a feature file or a prepared directory",
		Long: "Trains a model on feature files or prepared directories and measures it by cross-validation. If there are several files\n" +
			"or directories, it is tested on blocks of ones that it was not trained on. With --slots A-B, the model is for these\n" +
			"slots and learns from their blocks (unless --data-slots says otherwise); several --slots give a model with several\n" +
			"parts. A directory of slot_A_to_B directories, the original's layout, gives one part for each.",
		Example: "  blockprint train mainnet.features -o mainnet.model\n" +
			"  blockprint train mainnet.features -o original.model --type knn --graffiti-only Lodestar\n" +
			"  blockprint train mainnet.features -o mainnet.model --forks -deneb --forks electra-\n" +
			"  blockprint train training/ -o electra.model --forks electra- --group Lodestar\n" +
			"  blockprint train --from-db mainnet.db -o mainnet.model",
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usagef("-o MODEL is missing")
			}
			data, err := f.data(args)
			if err != nil {
				return err
			}
			if err := errors.Join(f.check(cmd), file.CheckOutput(out)); err != nil {
				return err
			}
			ranges, err := trainingRanges(data, slots, forks)
			if err != nil {
				return err
			}
			var models []*classify.Model
			var bad []file.Bad
			files := 0
			for _, r := range ranges {
				set, o, badHere, err := f.readData(cmd, r.data)
				if err != nil {
					return err
				}
				bad, files = append(bad, badHere...), files+set.Len()+len(badHere)
				o.Slots, o.Forks = r.slots, r.forks
				if source != "" {
					o.Source = source
				}
				if !cmd.Flags().Changed("data-slots") {
					o.Within = r.within
				}
				o.Progress = progressBar("classifiers")
				model, report, err := train.Fit(cmd.Context(), set, o)
				warn(report.Warnings)
				if err != nil {
					return err
				}
				models = append(models, model)
				printFit(cmd, out, model.Parts[0].PartInfo, &o, report)
			}
			model := models[0]
			if len(models) > 1 {
				if model, err = classify.Join(models...); err != nil {
					return err
				}
			}
			if err := model.Save(out); err != nil {
				return err
			}
			return badFiles(bad, files)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "model file to write")
	cmd.Flags().StringArrayVar(&slots, "slots", nil, "slots that the model is for, as A-B or A- (default all); repeat it for a model with several parts")
	cmd.Flags().StringArrayVar(&forks, "forks", nil, "forks that the model is for and learns from, as A-B, A- or -B (default all forks in the data); repeat it for a model with several parts")
	cmd.Flags().StringVar(&source, "source", "", "where the blocks come from, in a few words; shown by \"blockprint model inspect\"")
	f.addSelection(cmd)
	f.addAlgorithm(cmd)
	return cmd
}

// trainingRange is what one part of a model is trained on and for.
type trainingRange struct {
	data   []string
	slots  *blockprint.Interval // that the part is for
	within *blockprint.Interval // that its blocks are of
	forks  *blockprint.ForkRange
}

func trainingRanges(data, slots, forks []string) ([]trainingRange, error) {
	dirs, err := dataset.RangeDirs(data[0])
	if err != nil {
		return nil, err
	}
	if len(dirs) > 0 && len(data) > 1 {
		return nil, usagef("%s is laid out by slots, so it must be the only DATA", data[0])
	}
	var out []trainingRange
	for i := range dirs {
		if len(slots) > 0 {
			return nil, usagef("--slots: %s is laid out by slots already", data[0])
		}
		out = append(out, trainingRange{data: []string{dirs[i].Path}, slots: &dirs[i].Slots})
	}
	for _, s := range slots {
		i, err := parseSlots("--slots", s)
		if err != nil {
			return nil, err
		}
		out = append(out, trainingRange{data: data, slots: i, within: i})
	}
	if len(forks) > 0 && len(out) > 0 {
		return nil, usagef("--forks: the model is divided by slots already")
	}
	for _, s := range forks {
		r, err := parseForks(s)
		if err != nil {
			return nil, err
		}
		out = append(out, trainingRange{data: data, forks: r})
	}
	if len(out) == 0 {
		out = append(out, trainingRange{data: data})
	}
	return out, nil
}

// parseForks reads A-B, A-, -B, or the name of one fork.
func parseForks(s string) (*blockprint.ForkRange, error) {
	from, to, several := strings.Cut(s, "-")
	r := blockprint.AnyFork
	var errFrom, errTo error
	if from != "" {
		r.First, errFrom = blockprint.ParseFork(from)
	}
	switch {
	case !several:
		r.Last = r.First
	case to != "":
		r.Last, errTo = blockprint.ParseFork(to)
	}
	if err := errors.Join(errFrom, errTo); err != nil || s == "" || s == "-" || r.Last < r.First {
		return nil, usagef("--forks %q: expected forks as A-B, A- or -B, electra- say", s)
	}
	return &r, nil
}

// notLearned says which clients that build blocks a part cannot name, and why; empty if it knows all.
func notLearned(info *classify.PartInfo, o *train.Options) string {
	var out []string
	for _, c := range blockprint.Clients() {
		switch {
		case slices.Contains(info.Classes, c):
		case slices.Contains(info.GraffitiOnly, c):
			out = append(out, string(c)+" (labeled only if the graffiti says so)")
		case slices.Contains(info.Grouped, c):
			out = append(out, string(c)+" (is Other)")
		case slices.Contains(o.Disable, c):
			out = append(out, string(c)+" (left out)")
		case c != blockprint.Caplin && c != blockprint.Other:
			out = append(out, string(c)+" (the data has no blocks of it)")
		}
	}
	return strings.Join(out, ", ")
}

func printFit(cmd *cobra.Command, out string, info classify.PartInfo, o *train.Options, report train.Report) {
	w := cmd.OutOrStdout()
	if info.Slots != nil || info.Forks != nil {
		_, _ = fmt.Fprintf(w, "for %s:\n", info.Serves())
	}
	if missing := notLearned(&info, o); missing != "" {
		_, _ = fmt.Fprintf(w, "not learned: %s; their blocks will get the labels of other clients\n", missing)
	}
	for _, c := range info.Classes {
		_, _ = fmt.Fprintf(w, "%-12s %7d blocks, %5.1f %% recognized\n", c, info.Training.Blocks[c], 100*info.Training.Accuracy[c])
	}
	left := report.Left.String()
	if left != "" {
		left = "; left out: " + left
	}
	_, _ = fmt.Fprintf(w, "%s: %d blocks, balanced accuracy %.1f %% (%s)%s\n", out, report.Rows, 100*info.Training.BalancedAccuracy, info.Training.AccuracyMethod, left)
}
