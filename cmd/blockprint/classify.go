package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"sort"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/file"
)

func newClassify() *cobra.Command {
	var modelPath string
	var asJSON bool
	var rules rulesFlags
	cmd := &cobra.Command{
		Use:     "classify --model M FILE|DIR...",
		Short:   "Label the blocks in reward files",
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
			paths, err := file.Rewards(args)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			enc := json.NewEncoder(out)
			counts, total := map[string]int{}, 0
			for _, path := range paths {
				err := file.ReadRewards(path, func(r *blockprint.BlockReward) error {
					c, _ := labeler.Label(r)
					counts[c.Multi]++
					total++
					if !asJSON {
						return nil
					}
					return enc.Encode(newClassified(r, c))
				})
				if err != nil {
					_ = out.Flush() // what was labelled before the bad block is still right
					return err
				}
			}
			if !asJSON {
				printShares(out, counts, total)
			}
			return out.Flush()
		},
	}
	cmd.Flags().StringVar(&modelPath, "model", "", modelHelp)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON line per block instead of the table of shares")
	rules.add(cmd)
	return cmd
}

// classified is the JSON of a labelled block.
type classified struct {
	Slot          blockprint.Slot               `json:"slot"`
	BlockRoot     blockprint.Root               `json:"block_root"`
	Single        blockprint.Client             `json:"best_guess_single"`
	Multi         string                        `json:"best_guess_multi"`
	Probabilities map[blockprint.Client]float64 `json:"probability_map"`
	Graffiti      *blockprint.Client            `json:"graffiti_guess"`
	Reason        string                        `json:"reason,omitempty"`
}

func newClassified(r *blockprint.BlockReward, c blockprint.Classification) classified {
	return classified{r.Meta.Slot, r.BlockRoot, c.Single, c.Multi, c.ProbabilityMap(), nullableClient(c.Graffiti.Client), c.Reason}
}

func printShares(out *bufio.Writer, counts map[string]int, total int) {
	labels := make([]string, 0, len(counts))
	for l := range counts {
		labels = append(labels, l)
	}
	sort.Strings(labels)
	for _, l := range labels {
		_, _ = fmt.Fprintf(out, "%s,%.4f\n", l, float64(counts[l])/float64(total))
	}
}
