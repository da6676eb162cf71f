package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"blockprint/label"
	"blockprint/rewardfile"
)

func newClassify() *cobra.Command {
	var modelPath string
	var asJSON bool
	var rules rulesFlags
	cmd := &cobra.Command{
		Use:     "classify --model M FILE|DIR...",
		Short:   "Label the blocks in reward files and print the labels or their shares",
		Example: "  blockprint classify --model mainnet.model rewards/\n  blockprint classify --model mainnet.model --json slot_1_to_2048.json.gz",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			model, err := openModel(modelPath, rules.network)
			if err != nil {
				return err
			}
			guess, err := rules.load()
			if err != nil {
				return err
			}
			labeler, err := model.NewLabeler(guess, model.Features()...)
			if err != nil {
				return err
			}
			paths, err := rewardfile.List(args)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			enc := json.NewEncoder(out)
			single, multi, total := map[string]int{}, map[string]int{}, 0
			for _, path := range paths {
				for r, err := range rewardfile.ReadFile(path) {
					if err != nil {
						_ = out.Flush() // what was labeled before the bad block is still right
						return err
					}
					c := labeler.Label(r)
					single[string(c.Single)]++
					multi[c.Multi]++
					total++
					if !asJSON {
						continue
					}
					if err := enc.Encode(label.NewJSON(r.Meta.Slot, r.BlockRoot, c.Classification, c.Says, "")); err != nil {
						return err
					}
				}
			}
			if !asJSON {
				printShares(out, "client", single, total)
				_, _ = fmt.Fprintln(out)
				printShares(out, "label", multi, total)
			}
			return out.Flush()
		},
	}
	cmd.Flags().StringVar(&modelPath, "model", "", modelHelp)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON line per block instead of the table of shares")
	rules.add(cmd)
	return cmd
}

// printShares prints how many blocks have each name, the most frequent first.
func printShares(out *bufio.Writer, what string, counts map[string]int, total int) {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	t := newTable(what, "blocks", "share")
	for _, n := range names {
		t.row(n, counts[n], percent(counts[n], total))
	}
	t.print(out)
}
