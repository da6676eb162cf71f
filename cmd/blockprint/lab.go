package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/dataset"
	"blockprint/file"
	"blockprint/label"
	"blockprint/train"
)

func newBalance() *cobra.Command {
	var disable []string
	o := dataset.BalanceOptions{Tool: tool()}
	cmd := &cobra.Command{
		Use:   "balance IN OUT",
		Short: "Reduce training data to similar numbers of blocks for each client, at random",
		Example: "  blockprint balance training/ balanced/ --max-imbalance 2\n" +
			"  blockprint balance mainnet.features balanced.features --seed 7",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Disable, err = parseClients(disable); err != nil {
				return err
			}
			o.Progress = progressBar("blocks")
			report, err := dataset.Balance(cmd.Context(), args[0], args[1], o)
			if err != nil {
				return err
			}
			t := newTable("client", "blocks", "taken")
			for _, c := range blockprint.Clients() {
				if n := report.Before[c]; n > 0 {
					t.row(c, n, report.After[c])
				}
			}
			t.print(cmd.OutOrStdout())
			return nil
		},
	}
	cmd.Flags().Float64Var(&o.MaxImbalance, "max-imbalance", 1, "maximum number of blocks of a client, as a multiple of the smallest client's number")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of the random choice")
	cmd.Flags().StringSliceVar(&disable, "disable", nil, "clients whose blocks are left out")
	return cmd
}

func newCV() *cobra.Command {
	var f fitFlags
	var asJSON bool
	var numFeatures, top int
	var group []string
	cmd := &cobra.Command{
		Use:   "cv DATA...",
		Short: "Measure by cross-validation how well a model recognizes unseen blocks, and search for better features",
		Long: "Stratified k-fold cross-validation: balanced accuracy and the confusion matrix. With --num-features N every\n" +
			"combination of N of the --features (default: candidates) is tried, with --group N every way to combine N clients\n" +
			"into Other. The best ones are printed first.",
		Example: "  blockprint cv mainnet.features\n" +
			"  blockprint cv mainnet.features --type knn --json\n" +
			"  blockprint cv mainnet.features --num-features 4 --top 10\n" +
			"  blockprint cv mainnet.features --group 2",
		RunE: func(cmd *cobra.Command, args []string) error {
			var grouped int
			if numFeatures < 0 || cmd.Flags().Changed("num-features") && numFeatures == 0 || top < 0 {
				return usagef("--num-features %d and --top %d: expected at least 1 feature, and 0 or more lines", numFeatures, top)
			}
			if len(group) == 1 {
				if _, err := fmt.Sscan(group[0], &grouped); err == nil {
					group = nil
				}
			}
			f.group = group
			search := numFeatures > 0 || grouped > 0
			if numFeatures > 0 && !cmd.Flags().Changed("features") {
				f.features = []string{"candidates"}
			}
			set, o, bad, err := f.read(cmd, args)
			if err != nil {
				return err
			}
			if search {
				return printSearch(cmd, set, train.SearchOptions{Options: o, NumFeatures: numFeatures, NumGrouped: grouped, Progress: progressBar("combinations")}, top, asJSON)
			}
			v, err := train.Validate(cmd.Context(), set, o)
			if err != nil {
				return err
			}
			if asJSON {
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(v); err != nil {
					return err
				}
				return badFiles(bad, set.Len()+len(bad))
			}
			w := cmd.OutOrStdout()
			for i, score := range v.Folds {
				_, _ = fmt.Fprintf(w, "fold %d: balanced accuracy %.4f\n", i+1, score)
			}
			mean, deviation := v.MeanAndDeviation()
			_, _ = fmt.Fprintf(w, "mean %.4f, standard deviation %.4f; accuracy %.4f over %d blocks\n", mean, deviation, v.Accuracy, v.Blocks)
			if left := v.Left.String(); left != "" {
				_, _ = fmt.Fprintf(w, "left out: %s\n", left)
			}
			_, _ = fmt.Fprintf(w, "%s with %s\n\n%s", v.Type, strings.Join(v.Features, ", "), v.Table())
			return badFiles(bad, set.Len()+len(bad))
		},
	}
	f.addSelection(cmd)
	f.addAlgorithm(cmd)
	cmd.Flags().Lookup("group").Usage = "clients to combine into Other; or a number N, to try every combination of N clients"
	cmd.PreRun = func(cmd *cobra.Command, _ []string) { group = f.group }
	cmd.Flags().IntVar(&numFeatures, "num-features", 0, "try every combination of this many features")
	cmd.Flags().IntVar(&top, "top", 20, "how many combinations to print; 0 for all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printSearch(cmd *cobra.Command, set *dataset.Set, o train.SearchOptions, top int, asJSON bool) error {
	found, err := train.Search(cmd.Context(), set, o)
	if err != nil {
		return err
	}
	if top > 0 && len(found) > top {
		found = found[:top]
	}
	w := cmd.OutOrStdout()
	if asJSON {
		encoder := json.NewEncoder(w)
		for _, r := range found {
			if err := encoder.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	_, _ = fmt.Fprintf(w, "%8s %8s %8s  combination\n", "balanced", "+-", "worst")
	for _, r := range found {
		grouped := ""
		if len(r.Group) > 0 {
			var names []string
			for _, c := range r.Group {
				names = append(names, string(c))
			}
			grouped = "; together: " + strings.Join(names, ", ")
		}
		_, _ = fmt.Fprintf(w, "%8.4f %8.4f %8.4f  %s%s\n", r.Balanced, r.Deviation, r.Worst, strings.Join(r.Features, ", "), grouped)
	}
	return nil
}

func newReport() *cobra.Command {
	var f fitFlags
	var html string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "report DATA...",
		Short: "Report what can be learned from data: feature importance, learning curve, calibration, confusions",
		Example: "  blockprint report mainnet.features\n" +
			"  blockprint report mainnet.features --type knn --html report.html",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := file.CheckOutput(html); err != nil {
				return err
			}
			set, o, bad, err := f.read(cmd, args)
			if err != nil {
				return err
			}
			s, err := train.NewStudy(cmd.Context(), set, o, progressBar("steps"))
			if err != nil {
				return err
			}
			s.Data = f.name(args)
			if html != "" {
				page, err := s.HTML()
				if err != nil {
					return err
				}
				if err := file.WriteAtomic(html, page); err != nil {
					return err
				}
				fmt.Fprintln(os.Stderr, "blockprint: wrote", html)
			}
			if asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				if err := encoder.Encode(s); err != nil {
					return err
				}
			} else {
				_, _ = fmt.Fprint(cmd.OutOrStdout(), s.Text())
			}
			return badFiles(bad, set.Len()+len(bad))
		},
	}
	f.addSelection(cmd)
	f.addAlgorithm(cmd)
	cmd.Flags().StringVar(&html, "html", "", "also write the report to this file, as one self-contained HTML page")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
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
			if out == "" {
				return usagef("-o DIR is missing")
			}
			if o.PerClass < 0 {
				return usagef("--per-client %d: expected 0 for all, or a number of blocks", o.PerClass)
			}
			if err := file.CheckOutputDir(out); err != nil {
				return err
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
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s of features in %s\n", counted(n, "pair"), out)
			return badFiles(bad, set.Len()+len(bad))
		},
	}
	f.addSelection(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "directory for the images")
	cmd.Flags().StringSliceVar(&o.Formats, "format", []string{"png", "svg"}, "formats of the images")
	cmd.Flags().IntVar(&o.PerClass, "per-client", 2000, "maximum number of blocks to draw for each client; 0 for all")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "seed of the random choice")
	return cmd
}

func newSpoofs() *cobra.Command {
	var db, slots string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "spoofs --db D",
		Short: "List blocks whose graffiti strongly contradicts how they were packed",
		Long: "Lists blocks whose graffiti names one client while the model is almost certain of another. The graffiti may be false\n" +
			"or outdated, middleware may have chosen another client's block, or a client may have changed how it packs.",
		Example: "  blockprint spoofs --db mainnet.db --slots 9000000-",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if db == "" {
				return usagef("--db D is missing")
			}
			span, err := slotsOrAll("--slots", slots)
			if err != nil {
				return err
			}
			s, err := openToRead(cmd.Context(), "--db", db)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }() // only read
			encoder := json.NewEncoder(cmd.OutOrStdout())
			n := 0
			err = label.Spoofs(cmd.Context(), s, span, func(b label.Spoof) error {
				n++
				if asJSON {
					return encoder.Encode(b)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "slot %d, proposer %d: says %s (%q), packs like %s (%.2f %%)\n", b.Slot, b.Proposer, b.Says, b.Graffiti, b.Packs, 100*b.P)
				return err
			})
			if !asJSON && err == nil {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d blocks\n", n)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "database")
	cmd.Flags().StringVar(&slots, "slots", "", "slots to search, as A-B or A- (default all)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	return cmd
}
