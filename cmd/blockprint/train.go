package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/classify"
	"blockprint/dataset"
	"blockprint/file"
	"blockprint/train"
)

func newTrain() *cobra.Command {
	var f fitFlags
	var out, source string
	var slots, forks []string
	cmd := &cobra.Command{
		Use:   "train DATA... -o MODEL",
		Short: "Train a model on a feature file or a prepared directory",
		Long: `Trains a model on feature files or prepared directories and measures it by cross-validation. If there are several files
or directories, it is tested on blocks of ones that it was not trained on. With --slots A-B, the model is for these
slots and learns from their blocks (unless --data-slots says otherwise); several --slots give a model with several
parts. A directory of slot_A_to_B directories, the original's layout, gives one part for each.`,
		Example: "  blockprint train mainnet.features -o mainnet.model\n" +
			"  blockprint train mainnet.features -o original.model --type knn --graffiti-only Lodestar\n" +
			"  blockprint train mainnet.features -o mainnet.model --forks -deneb --forks electra-\n" +
			"  blockprint train training/ -o electra.model --forks electra- --group Lodestar\n" +
			"  blockprint train --from-db mainnet.db -o mainnet.model",
		RunE: func(cmd *cobra.Command, args []string) error {
			parts, err := trainingParts(args, slots, forks)
			if err != nil {
				return err
			}
			var models []*classify.Model
			var bad []file.Bad
			files := 0
			f.Progress, f.Source = progressBar("classifiers"), source
			for _, p := range parts {
				set, o, badHere, err := f.read(cmd, p.data)
				if err != nil {
					return err
				}
				bad, files = append(bad, badHere...), files+set.Len()+len(badHere)
				o.Slots, o.Forks = p.slots, p.forks
				if !cmd.Flags().Changed("data-slots") {
					o.Within = p.within
				}
				model, report, err := train.Fit(cmd.Context(), set, o)
				warn(report.Warnings)
				if err != nil {
					return err
				}
				models = append(models, model)
				printFit(cmd, out, &model.Parts[0].PartInfo, &o, &report)
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
	addOutput(cmd, &out, "MODEL", "model file to write", file.CheckOutput)
	cmd.Flags().StringArrayVar(&slots, "slots", nil, "slots that the model is for, as A-B or A- (default all); repeat it for a model with several parts")
	cmd.Flags().StringArrayVar(&forks, "forks", nil, "forks that the model is for and learns from, as A-B, A- or -B (default all forks in the data); repeat it for a model with several parts")
	cmd.Flags().StringVar(&source, "source", "", "where the blocks come from, in a few words; shown by \"blockprint model inspect\"")
	f.addSelection(cmd)
	f.addAlgorithm(cmd)
	return cmd
}

// trainingPart is what a part of a model is trained on and for.
type trainingPart struct {
	data   []string
	slots  *blockprint.Interval // that the part is for
	within *blockprint.Interval // that its blocks are of
	forks  *blockprint.ForkRange
}

// trainingParts divides a model into parts by the slots of the data's layout, or by the flags.
func trainingParts(data, slots, forks []string) (out []trainingPart, err error) {
	var dirs []dataset.RangeDir
	if len(data) > 0 {
		if dirs, err = dataset.RangeDirs(data[0]); err != nil {
			return nil, err
		}
	}
	switch {
	case len(dirs) > 0 && len(data) > 1:
		return nil, usagef("%s is laid out by slots, so it must be the only DATA", data[0])
	case len(dirs) > 0 && len(slots) > 0:
		return nil, usagef("--slots: %s is laid out by slots already", data[0])
	case len(dirs)+len(slots) > 0 && len(forks) > 0:
		return nil, usagef("--forks: the model is divided by slots already")
	}
	for _, dir := range dirs {
		out = append(out, trainingPart{data: []string{dir.Path}, slots: &dir.Slots})
	}
	for _, s := range slots {
		i, err := blockprint.ParseInterval(s)
		if err != nil {
			return nil, usagef("--slots %q: %w", s, err)
		}
		out = append(out, trainingPart{data: data, slots: &i, within: &i})
	}
	for _, s := range forks {
		r, err := blockprint.ParseForkRange(s)
		if err != nil {
			return nil, usagef("--forks %q: %w", s, err)
		}
		out = append(out, trainingPart{data: data, forks: &r})
	}
	if len(out) == 0 {
		out = append(out, trainingPart{data: data})
	}
	return out, nil
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

func printFit(cmd *cobra.Command, out string, info *classify.PartInfo, o *train.Options, report *train.Report) {
	if info.Slots != nil || info.Forks != nil {
		printf(cmd, "for %s:\n", info.Serves())
	}
	if missing := notLearned(info, o); missing != "" {
		printf(cmd, "not learned: %s; their blocks will get the labels of other clients\n", missing)
	}
	for _, c := range info.Classes {
		printf(cmd, "%-12s %7d blocks, %5.1f %% recognized\n", c, info.Training.Blocks[c], 100*info.Training.Accuracy[c])
	}
	left := report.Left.String()
	if left != "" {
		left = "; left out: " + left
	}
	printf(cmd, "%s: %d blocks, balanced accuracy %.1f %% (%s)%s\n", out, report.Rows, 100*info.Training.BalancedAccuracy, info.Training.AccuracyMethod, left)
}

func newCV() *cobra.Command {
	var f fitFlags
	var asJSON *bool
	var top int
	o := train.SearchOptions{}
	cmd := &cobra.Command{
		Use:   "cv DATA...",
		Short: "Measure by cross-validation how well a model recognizes unseen blocks, and search for better features",
		Long: `Stratified k-fold cross-validation: balanced accuracy and the confusion matrix. With --num-features N every
combination of N of the --features (default: candidates) is tried, with --group N every way to combine N clients
into Other. The best ones are printed first.`,
		Example: "  blockprint cv mainnet.features\n" +
			"  blockprint cv mainnet.features --type knn --json\n" +
			"  blockprint cv mainnet.features --num-features 4 --top 10\n" +
			"  blockprint cv mainnet.features --group 2",
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.NumFeatures < 0 || cmd.Flags().Changed("num-features") && o.NumFeatures == 0 || top < 0 {
				return usagef("--num-features %d and --top %d: expected at least 1 feature, and 0 or more lines", o.NumFeatures, top)
			}
			if o.NumFeatures > 0 && !cmd.Flags().Changed("features") {
				f.words = []string{"candidates"}
			}
			set, options, bad, err := f.read(cmd, args)
			if err != nil {
				return err
			}
			if o.Options = options; o.NumFeatures > 0 || o.NumGrouped > 0 {
				o.Progress = progressBar("combinations")
				found, err := train.Search(cmd.Context(), set, o)
				if err != nil {
					return err
				}
				if top > 0 {
					found = found[:min(top, len(found))]
				}
				return printFound(cmd, found, *asJSON)
			}
			v, err := train.Validate(cmd.Context(), set, options)
			if err != nil {
				return err
			}
			if !*asJSON {
				printf(cmd, "%s", v.Text())
			} else if err := printLines(cmd, v); err != nil {
				return err
			}
			return badFiles(bad, set.Len()+len(bad))
		},
	}
	f.combine = &o.NumGrouped
	f.addSelection(cmd)
	f.addAlgorithm(cmd)
	cmd.Flag("group").Usage = "clients to combine into Other; or a number N, to try every combination of N clients"
	cmd.Flags().IntVar(&o.NumFeatures, "num-features", 0, "try every combination of this many features")
	cmd.Flags().IntVar(&top, "top", 20, "how many combinations to print; 0 for all")
	asJSON = addJSON(cmd, "print JSON")
	return cmd
}

// printFound prints the combinations that a search found.
func printFound(cmd *cobra.Command, found []train.Found, asJSON bool) error {
	if asJSON {
		return printLines(cmd, found...)
	}
	printf(cmd, "%8s %8s %8s  combination\n", "balanced", "+-", "worst")
	for _, r := range found {
		grouped := ""
		if len(r.Group) > 0 {
			grouped = "; together: " + joined(r.Group)
		}
		printf(cmd, "%8.4f %8.4f %8.4f  %s%s\n", r.Balanced, r.Deviation, r.Worst, strings.Join(r.Features, ", "), grouped)
	}
	return nil
}

func newReport() *cobra.Command {
	var f fitFlags
	var html string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "report DATA...",
		Short: "Report what can be learned from data: feature importance, learning curve, calibration, confusions",
		Example: "  blockprint report mainnet.features\n" +
			"  blockprint report mainnet.features --type knn --html report.html",
		RunE: func(cmd *cobra.Command, args []string) error {
			set, o, bad, err := f.read(cmd, args)
			if err != nil {
				return err
			}
			s, err := train.NewStudy(cmd.Context(), set, o, progressBar("steps"))
			if err != nil {
				return err
			}
			if s.Data = f.name(args); html != "" {
				page, err := s.HTML()
				if err == nil {
					err = file.WriteAtomic(html, page)
				}
				if err != nil {
					return err
				}
				notice("wrote %s", html)
			}
			if err := printEither(cmd, *asJSON, s, s.Text); err != nil {
				return err
			}
			return badFiles(bad, set.Len()+len(bad))
		},
	}
	cmd.Flags().StringVar(&html, "html", "", "also write the report to this file, as one self-contained HTML page")
	before(cmd, func() error { return file.CheckOutput(html) })
	f.addSelection(cmd)
	f.addAlgorithm(cmd)
	asJSON = addJSON(cmd, "print JSON")
	return cmd
}

func newPlot() *cobra.Command {
	var f fitFlags
	var o train.PlotOptions
	var out string
	cmd := &cobra.Command{
		Use:   "plot DATA... -o DIR",
		Short: "Plot every pair of features, with one color for each client",
		Example: "  blockprint plot mainnet.features -o plots/\n" +
			"  blockprint plot mainnet.features -o plots/ --features difflib_slot,difflib_rewards --format svg",
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.PerClass < 0 {
				return usagef("--per-client %d: expected 0 for all, or a number of blocks", o.PerClass)
			}
			set, options, bad, err := f.read(cmd, args)
			if err != nil {
				return err
			}
			o.Selection, o.Progress = options.Selection, progressBar("pairs")
			n, err := train.Plot(cmd.Context(), set, out, o)
			if err != nil {
				return err
			}
			printf(cmd, "%s of features in %s\n", counted(n, "pair"), out)
			return badFiles(bad, set.Len()+len(bad))
		},
	}
	addOutput(cmd, &out, "DIR", "directory for the images", file.CheckOutputDir)
	f.addSelection(cmd)
	cmd.Flags().StringSliceVar(&o.Formats, "format", []string{"png", "svg"}, "formats of the images")
	cmd.Flags().IntVar(&o.PerClass, "per-client", 2000, "maximum number of blocks to draw for each client; 0 for all")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of the random choice")
	return cmd
}
