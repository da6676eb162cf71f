package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/dataset"
	"blockprint/file"
	"blockprint/label"
	"blockprint/reward"
	"blockprint/rewardfile"
	"blockprint/store"
	"blockprint/store/sqlite"
)

func newLoad() *cobra.Command {
	var nodes nodeFlags
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
			var slots blockprint.Interval
			for i, into := range []*blockprint.Slot{&slots.Start, &slots.End} {
				n, err := strconv.ParseUint(args[i], 10, 63)
				if err != nil {
					return usagef("%q: expected a slot", args[i])
				}
				*into = blockprint.Slot(n)
			}
			if slots.End < slots.Start {
				return usagef("END %d is before START %d", slots.End, slots.Start)
			}
			if o.Batch == 0 {
				return usagef("--batch must be at least 1")
			}
			node, err := nodes.client()
			if err != nil {
				return err
			}
			defer node.Close()
			o.Logger, o.Progress = slog.Default(), progressBar("batches")
			return dataset.Load(cmd.Context(), node, slots, args[2], o)
		},
	}
	nodes.add(cmd)
	cmd.Flags().Uint64Var(&o.Batch, "batch", 2048, "slots per file")
	cmd.Flags().BoolVar(&o.Gzip, "gzip", false, "compress the files (.json.gz)")
	cmd.Flags().BoolVar(&o.Exact, "exact", false, "ask for the validators' balances in every epoch, even for long ranges (needs an archive node)")
	cmd.Flags().BoolVar(&o.Finalized, "finalized", false, "stop at the finalized slot; the last blocks before the head may still become orphans")
	cmd.Flags().BoolVar(&o.Lighthouse, "lighthouse", false, "get the rewards from the analysis endpoint of an old Lighthouse instead of computing them")
	return cmd
}

func newBuildDB() *cobra.Command {
	var db, modelPath string
	var rules rulesFlags
	cmd := &cobra.Command{
		Use:     "build-db --db D --model M FILE|DIR...",
		Short:   "Label the blocks in reward files and store them in a database",
		Example: "  blockprint build-db --db mainnet.db --model mainnet.model rewards/",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if db == "" || modelPath == "" {
				return usagef("--db D and --model M are needed")
			}
			model, err := openModel(modelPath, rules.network)
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
			s, err := store.Open(ctx, db, store.Options{})
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }() // all writes are on the disk already
			if err := app.LearnNetwork(ctx, s, model); err != nil {
				return err
			}
			report, err := label.BuildDB(ctx, paths, s, model, guess, progressBar("files"))
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d blocks stored, %d known before\n", report.Blocks, report.Known)
			return badFiles(report.Bad, len(paths))
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "database (created if it does not exist)")
	cmd.Flags().StringVar(&modelPath, "model", "", modelHelp)
	rules.add(cmd)
	return cmd
}

func newReclassify() *cobra.Command {
	var db, modelPath, slots string
	var rules rulesFlags
	cmd := &cobra.Command{
		Use:   "reclassify --db D --model M",
		Short: "Label the blocks in a database again, with another model",
		Long: "Labels all stored blocks with a model, from the features that are stored with them; no node is needed. The API and\n" +
			"the follower may keep running meanwhile; restart both with the new model. An interrupted run continues where it\n" +
			"stopped. Blocks without stored features, such as those of an imported original database, keep their labels.",
		Example: "  blockprint reclassify --db mainnet.db --model new.model",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if db == "" || modelPath == "" {
				return usagef("--db D and --model M are needed")
			}
			span, err := slotsOrAll("--slots", slots)
			if err != nil {
				return err
			}
			r, err := rules.load()
			if err != nil {
				return err
			}
			m, err := openModel(modelPath, rules.network)
			if err != nil {
				return err
			}
			s, err := openDB(ctx, "--db", db)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }() // all writes are on the disk already
			if err := app.LearnNetwork(ctx, s, m); err != nil {
				return err
			}
			report, err := label.Reclassify(ctx, s, m, r, span, progressBar("slots"))
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			t := newTable("label before", "label now", "blocks")
			for _, from := range append(blockprint.Clients(), blockprint.Uncertain) {
				for _, to := range append(blockprint.Clients(), blockprint.Uncertain) {
					if n := report.Moves[from][to]; n > 0 {
						t.row(from, to, n)
					}
				}
			}
			t.print(w)
			_, _ = fmt.Fprintf(w, "%d blocks labeled by %s, %d of them with another client than before; %d without features keep their labels\n", report.Blocks, m.Name, report.Changed, report.NoFeatures)
			return nil
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "database")
	cmd.Flags().StringVar(&modelPath, "model", "", modelHelp)
	cmd.Flags().StringVar(&slots, "slots", "", "label only blocks in these slots, as A-B or A- (default all)")
	rules.add(cmd)
	return cmd
}

func newImportDB() *cobra.Command {
	var db, beaconURL string
	cmd := &cobra.Command{
		Use:   "import-db OLD.sqlite --db NEW",
		Short: "Import a database of the original blockprint",
		Long: `Imports the blocks and labels of an original database, with or without the pr_grandine column, into a new or existing
one. You can interrupt and repeat it. The original stores neither block roots nor graffiti.`,
		Example: "  blockprint import-db block_db.sqlite --db mainnet.db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if db == "" {
				return usagef("--db NEW is missing")
			}
			// Nothing is made before all that goes in has been looked at.
			old, err := sqlite.OpenOriginal(ctx, args[0])
			if err != nil {
				return err
			}
			defer func() { _ = old.Close() }() // only read
			var network *blockprint.Network
			if beaconURL != "" {
				node, err := (&nodeFlags{Beacon: app.Beacon{URLs: []string{beaconURL}}}).client()
				if err != nil {
					return err
				}
				defer node.Close()
				if network, err = node.Network(ctx); err != nil {
					return err
				}
			}
			s, err := store.Open(ctx, db, store.Options{})
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }() // all writes are on the disk already
			if network != nil {
				if err := s.Identify(ctx, store.NewIdentity(network)); err != nil {
					return err
				}
			}
			report, err := old.Import(ctx, s, progressBar("rows"))
			if err != nil {
				return err
			}
			with := "without"
			if report.HadGrandine {
				with = "with"
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d rows (%s pr_grandine): %d blocks stored, %d known before\n", report.Rows, with, report.Inserted, report.Known)
			return nil
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "database to write to (created if it does not exist)")
	cmd.Flags().StringVar(&beaconURL, "beacon", "", "beacon node of the database's network, which the new database is then tied to (needed if epochs do not have 32 slots)")
	return cmd
}

func newRewards() *cobra.Command {
	var nodes nodeFlags
	cmd := &cobra.Command{
		Use:   "rewards FILE...",
		Short: "Compute the rewards of the blocks in a file, or serve rewards",
		Long: `Computes what beacon blocks in JSON (one, or a list; signed or not) earn on the chain of a beacon node, which must know
their parents, and prints one reward per line. "rewards serve" answers tools that were made for Lighthouse.`,
		Example: "  blockprint rewards --beacon http://localhost:5052 blocks.json\n  blockprint rewards serve --beacon http://localhost:5052 --listen 127.0.0.1:5053",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if len(args) == 0 {
				return usagef("expected a file of blocks, or the command serve")
			}
			node, err := nodes.client()
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
					b, err := node.ParseBlock(ctx, raw)
					if err != nil {
						return errors.Join(fmt.Errorf("%s, block %d: %w", path, i+1, err), out.Flush())
					}
					r, err := rater.Rate(ctx, b)
					if err != nil {
						return errors.Join(fmt.Errorf("%s, block %d: %w", path, i+1, err), out.Flush())
					}
					_, _ = out.Write(append(rewardfile.Append(nil, r), '\n')) // Flush tells
				}
			}
			return out.Flush()
		},
	}
	nodes.add(cmd)
	cmd.AddCommand(newRewardsServe())
	return cmd
}

// readBlocks reads one block or a list of them.
func readBlocks(path string) ([]json.RawMessage, error) {
	f, err := file.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
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
	var nodes nodeFlags
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Serve /lighthouse/analysis/block_rewards from any beacon node",
		Example: "  blockprint rewards serve --beacon http://localhost:5052 --listen 127.0.0.1:5053\n  curl 'http://127.0.0.1:5053/lighthouse/analysis/block_rewards?start_slot=9000000&end_slot=9000031'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Process, c.Beacon = process(), nodes.Beacon
			c.Started = func(address string) {
				fmt.Fprintf(os.Stderr, "serving rewards on http://%s/lighthouse/analysis/block_rewards\n", address)
			}
			return c.Run(cmd.Context())
		},
	}
	nodes.add(cmd)
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:5053", "address to listen on")
	return cmd
}
