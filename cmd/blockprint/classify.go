package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/feature"
	"blockprint/graffiti"
	"blockprint/label"
	"blockprint/rewardfile"
)

// eachReward reads reward files and hands on their blocks. What was printed before a block that cannot be read is flushed:
// it is still right.
func eachReward(paths []string, out *bufio.Writer, use func(*blockprint.BlockReward) error) error {
	defer func() { _ = out.Flush() }() // an error shows in the last write below
	paths, err := rewardfile.List(paths)
	if err != nil {
		return err
	}
	for _, path := range paths {
		for r, err := range rewardfile.ReadFile(path) {
			if err == nil {
				err = use(r)
			}
			if err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

func newClassify() *cobra.Command {
	var l app.Labeling
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "classify --model M FILE|DIR...",
		Short:   "Label the blocks in reward files and print the labels or their shares",
		Example: "  blockprint classify --model mainnet.model rewards/\n  blockprint classify --model mainnet.model --json slot_1_to_2048.json.gz",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			labeler, err := l.Model.NewLabeler(l.Rules, l.Model.Features()...)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			enc := json.NewEncoder(out)
			single, multi := map[string]int{}, map[string]int{}
			err = eachReward(args, out, func(r *blockprint.BlockReward) error {
				c := labeler.Label(r)
				single[string(c.Single)]++
				multi[c.Multi]++
				if !*asJSON {
					return nil
				}
				return enc.Encode(label.NewJSON(r.Meta.Slot, r.BlockRoot, c.Classification, c.Says, ""))
			})
			if err != nil || *asJSON {
				return err
			}
			printShares(cmd, "client", single)
			printf(cmd, "\n")
			printShares(cmd, "label", multi)
			return nil
		},
	}
	before(cmd, addLabeling(cmd, &l, ""))
	asJSON = addJSON(cmd, "print one JSON line per block instead of the table of shares")
	return cmd
}

// printShares prints how many blocks have each name, the most frequent first.
func printShares(cmd *cobra.Command, what string, counts map[string]int) {
	total := 0
	for _, n := range counts {
		total += n
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	t := newTable(what, "blocks", "share")
	for _, n := range names {
		t.row(n, counts[n], percent(counts[n], total))
	}
	t.print(cmd)
}

func newFeatures() *cobra.Command {
	var only []string
	var list bool
	var asJSON *bool
	var rules *graffiti.Rules
	cmd := &cobra.Command{
		Use:   "features FILE|DIR...",
		Short: "Print the features of each block in reward files, or list the features",
		Example: "  blockprint features --list\n" +
			"  blockprint features --only reward,difflib_slot slot_1_to_2048.json.gz",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case list && *asJSON:
				return printLines(cmd, feature.All()...)
			case list:
				for _, f := range feature.All() {
					printf(cmd, "%-26s %-26s %s\n", f.Name, f.Range, f.Meaning)
				}
				return nil
			case len(args) == 0:
				return usagef("expected a file, a directory or - (or --list)")
			}
			e, err := feature.NewExtractor(only)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			var row []float64
			return eachReward(args, out, func(r *blockprint.BlockReward) error {
				row = e.Extract(row[:0], r)
				return printFeatures(out, r, e.Names(), row, rules.Guess(r.Meta.Graffiti).Client)
			})
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "features to print, separated by commas (default all)")
	cmd.Flags().BoolVar(&list, "list", false, "list all features with their ranges and meanings")
	asJSON = addJSON(cmd, "with --list: print JSON lines (blocks are always printed as JSON lines)")
	addRules(cmd, &rules)
	return cmd
}

func printFeatures(out *bufio.Writer, r *blockprint.BlockReward, names []string, row []float64, guess blockprint.Client) error {
	line := struct {
		BlockRoot blockprint.Root     `json:"block_root"`
		Slot      blockprint.Slot     `json:"slot"`
		Features  map[string]*float64 `json:"features"`
		Graffiti  *blockprint.Client  `json:"graffiti_guess"` // nil if the graffiti names no client
	}{r.BlockRoot, r.Meta.Slot, make(map[string]*float64, len(row)), nil}
	for i, name := range names {
		line.Features[name] = feature.Nullable(row[i])
	}
	if guess != "" {
		line.Graffiti = &guess
	}
	return json.NewEncoder(out).Encode(line)
}
