package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/feature"
	"blockprint/graffiti"
	"blockprint/rewardfile"
)

func newFeatures() *cobra.Command {
	var only []string
	var list, asJSON bool
	var rules rulesFlags
	cmd := &cobra.Command{
		Use:   "features FILE|DIR...",
		Short: "Print the features of each block in reward files, or list the features",
		Example: "  blockprint features --list\n" +
			"  blockprint features --only reward,difflib_slot slot_1_to_2048.json.gz",
		RunE: func(cmd *cobra.Command, args []string) error {
			out := bufio.NewWriter(cmd.OutOrStdout())
			defer func() { _ = out.Flush() }() // an error shows in the last write below
			if list {
				return listFeatures(out, asJSON)
			}
			if len(args) == 0 {
				return usagef("expected a file, a directory or - (or --list)")
			}
			e, err := feature.NewExtractor(only)
			if err != nil {
				return err
			}
			guess, err := rules.load()
			if err != nil {
				return err
			}
			paths, err := rewardfile.List(args)
			if err != nil {
				return err
			}
			var row []float64
			for _, path := range paths {
				for r, err := range rewardfile.ReadFile(path) {
					if err == nil {
						row = e.Extract(row[:0], r)
						err = printFeatures(out, r, e.Names(), row, guess.Guess(r.Meta.Graffiti))
					}
					if err != nil {
						return err
					}
				}
			}
			return out.Flush()
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "features to print, separated by commas (default all)")
	cmd.Flags().BoolVar(&list, "list", false, "list all features with their ranges and meanings")
	cmd.Flags().BoolVar(&asJSON, "json", false, "with --list: print JSON lines (blocks are always printed as JSON lines)")
	rules.add(cmd)
	return cmd
}

func listFeatures(out *bufio.Writer, asJSON bool) error {
	for _, f := range feature.All() {
		if asJSON {
			if err := json.NewEncoder(out).Encode(f); err != nil {
				return err
			}
			continue
		}
		_, _ = fmt.Fprintf(out, "%-26s %-26s %s\n", f.Name, f.Range, f.Meaning)
	}
	return out.Flush()
}

func printFeatures(out io.Writer, r *blockprint.BlockReward, names []string, row []float64, guess blockprint.Graffiti) error {
	values := make(map[string]*float64, len(row))
	for i, name := range names {
		values[name] = feature.Nullable(row[i])
	}
	return json.NewEncoder(out).Encode(struct {
		BlockRoot blockprint.Root     `json:"block_root"`
		Slot      blockprint.Slot     `json:"slot"`
		Features  map[string]*float64 `json:"features"`
		Graffiti  *blockprint.Client  `json:"graffiti_guess"`
	}{r.BlockRoot, r.Meta.Slot, values, nullableClient(guess.Client)})
}

func nullableClient(c blockprint.Client) *blockprint.Client {
	if c == "" {
		return nil
	}
	return &c
}

// rulesFlags are the flags that choose graffiti rules and name the network; network is empty if it is not given.
type rulesFlags struct{ path, network string }

func (f *rulesFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "rules", "", "TOML file with graffiti rules, to replace the built-in ones")
	cmd.Flags().StringVar(&f.network, "network", "", "name of the network, for graffiti rules of that network (default mainnet) and for the fork times of blocks that do not state their fork")
}

func (f *rulesFlags) load() (*graffiti.Rules, error) {
	return graffiti.Load(f.path, cmp.Or(f.network, "mainnet"))
}
