package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/beacon"
	"blockprint/dataset"
	"blockprint/file"
	"blockprint/reward"
	"blockprint/rewardfile"
)

// client asks the beacon nodes that the flags name.
func client(b app.Beacon) (*beacon.Client, error) {
	return beacon.New(b.URLs, beacon.Options{Timeout: b.Timeout, Logger: slog.Default()})
}

func newLoad() *cobra.Command {
	var nodes app.Beacon
	o := dataset.LoadOptions{}
	cmd := &cobra.Command{
		Use:   "load START END DIR",
		Short: "Fetch the rewards of the blocks in slots START to END into files in DIR",
		Long: `Fetches the rewards of the blocks in slots START to END into files DIR/slot_X_to_Y.json of --batch slots each. A file is
written once all its slots are over and the next block proves which of them are empty. If slots are not over yet, the
command stops before them, says so, and fails; run it again later to continue. Existing files are not fetched again
unless they are incomplete: without blocks, with missing blocks, or with an orphan.`,
		Example: "  blockprint load 9000000 9010000 rewards/ --beacon http://localhost:5052 --gzip\n" +
			"  blockprint load 1 2048 rewards/ --beacon http://old-lighthouse:5052 --lighthouse",
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			start, errStart := blockprint.ParseSlot(args[0])
			end, errEnd := blockprint.ParseSlot(args[1])
			switch err := errors.Join(errStart, errEnd); {
			case err != nil:
				return usageError{err}
			case end < start:
				return usagef("END %d is before START %d", end, start)
			case o.Batch == 0:
				return usagef("--batch must be at least 1")
			}
			node, err := client(nodes)
			if err != nil {
				return err
			}
			defer node.Close()
			o.Logger, o.Progress = slog.Default(), progressBar("batches")
			return dataset.Load(cmd.Context(), node, blockprint.Interval{Start: start, End: end}, args[2], o)
		},
	}
	addBeacon(cmd, &nodes)
	cmd.Flags().Uint64Var(&o.Batch, "batch", 2048, "slots per file")
	cmd.Flags().BoolVar(&o.Gzip, "gzip", false, "compress the files (.json.gz)")
	cmd.Flags().BoolVar(&o.Exact, "exact", false, "ask for the validators' balances in every epoch, even for long ranges (needs an archive node)")
	cmd.Flags().BoolVar(&o.Finalized, "finalized", false, "stop at the finalized slot; the last blocks before the head may still become orphans")
	cmd.Flags().BoolVar(&o.Lighthouse, "lighthouse", false, "get the rewards from the analysis endpoint of an old Lighthouse instead of computing them")
	return cmd
}

func newRewards() *cobra.Command {
	var nodes app.Beacon
	cmd := &cobra.Command{
		Use:   "rewards FILE...",
		Short: "Compute the rewards of the blocks in a file, or serve rewards",
		Long: `Computes what beacon blocks in JSON (one, or a list; signed or not) earn on the chain of a beacon node, which must know
their parents, and prints one reward per line. "rewards serve" answers tools that were made for Lighthouse.`,
		Example: "  blockprint rewards --beacon http://localhost:5052 blocks.json\n  blockprint rewards serve --beacon http://localhost:5052 --listen 127.0.0.1:5053",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("expected a file of blocks, or the command serve")
			}
			node, err := client(nodes)
			if err != nil {
				return err
			}
			defer node.Close()
			rater := reward.NewRater(node, slog.Default())
			out := bufio.NewWriter(cmd.OutOrStdout())
			for _, path := range args {
				blocks, err := readBlocks(path)
				if err != nil {
					return err
				}
				for i, raw := range blocks {
					b, err := node.ParseBlock(cmd.Context(), raw)
					var r *blockprint.BlockReward
					if err == nil {
						r, err = rater.Rate(cmd.Context(), b)
					}
					if err != nil {
						return errors.Join(fmt.Errorf("%s, block %d: %w", path, i+1, err), out.Flush())
					}
					_, _ = out.Write(append(rewardfile.Append(nil, r), '\n')) // Flush returns the error
				}
			}
			return out.Flush()
		},
	}
	addBeacon(cmd, &nodes)
	cmd.AddCommand(newRewardsServe())
	return cmd
}

// readBlocks reads one block or a list of them.
func readBlocks(path string) ([]json.RawMessage, error) {
	b, err := file.ReadAll(path)
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if json.Unmarshal(b, &list) == nil {
		return list, nil
	}
	if !json.Valid(b) {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s is not JSON", path)
	}
	return []json.RawMessage{b}, nil
}

func newRewardsServe() *cobra.Command {
	var c app.Rewards
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Serve /lighthouse/analysis/block_rewards from any beacon node",
		Example: "  blockprint rewards serve --beacon http://localhost:5052 --listen 127.0.0.1:5053\n  curl 'http://127.0.0.1:5053/lighthouse/analysis/block_rewards?start_slot=9000000&end_slot=9000031'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Process = process("serving rewards on http://ADDRESS/lighthouse/analysis/block_rewards")
			return c.Run(cmd.Context())
		},
	}
	addBeacon(cmd, &c.Beacon)
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:5053", "address to listen on")
	return cmd
}
