package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/dataset"
	"blockprint/label"
	"blockprint/rewardfile"
	"blockprint/store"
	"blockprint/store/sqlite"
)

func newBuildDB() *cobra.Command {
	var db string
	var l app.Labeling
	cmd := &cobra.Command{
		Use:     "build-db --db D --model M FILE|DIR...",
		Short:   "Label the blocks in reward files and store them in a database",
		Example: "  blockprint build-db --db mainnet.db --model mainnet.model rewards/",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			paths, err := rewardfile.List(args)
			if err != nil {
				return err
			}
			return withDB(cmd.Context(), db, store.Options{}, func(s store.Store) error {
				if err := app.LearnNetwork(cmd.Context(), s, l.Model); err != nil {
					return err
				}
				report, err := label.BuildDB(cmd.Context(), paths, s, l.Model, l.Rules, progressBar("files"))
				if err != nil {
					return err
				}
				printf(cmd, "%d blocks stored, %d known before\n", report.Blocks, report.Known)
				return badFiles(report.Bad, len(paths))
			})
		},
	}
	addDB(cmd, &db, "database (created if it does not exist)")
	before(cmd, addLabeling(cmd, &l, ""))
	return cmd
}

func newReclassify() *cobra.Command {
	var db string
	var slots blockprint.Interval
	var l app.Labeling
	cmd := &cobra.Command{
		Use:   "reclassify --db D --model M",
		Short: "Label the blocks in a database again, with another model",
		Long: `Labels all stored blocks with a model, from the features that are stored with them; no node is needed. The API and
the follower may keep running meanwhile; restart both with the new model. An interrupted run continues where it
stopped. Blocks without stored features, such as those of an imported original database, keep their labels.`,
		Example: "  blockprint reclassify --db mainnet.db --model new.model",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDB(cmd.Context(), db, store.Options{Existing: true}, func(s store.Store) error {
				if err := app.LearnNetwork(cmd.Context(), s, l.Model); err != nil {
					return err
				}
				report, err := label.Reclassify(cmd.Context(), s, l.Model, l.Rules, slots, progressBar("slots"))
				if err != nil {
					return err
				}
				t := newTable("label before", "label now", "blocks")
				clients := append(blockprint.Clients(), blockprint.Uncertain)
				for _, from := range clients {
					for _, to := range clients {
						if n := report.Moves[from][to]; n > 0 {
							t.row(from, to, n)
						}
					}
				}
				t.print(cmd)
				printf(cmd, "%d blocks labeled by %s, %d of them with another client than before; %d without features keep their labels\n", report.Blocks, l.Model.Name, report.Changed, report.NoFeatures)
				return nil
			})
		},
	}
	addDB(cmd, &db, "database")
	addParsed(cmd, &slots, blockprint.ParseInterval, "slots", "", "label only blocks in these slots, as A-B or A- (default all)")
	before(cmd, addLabeling(cmd, &l, ""))
	return cmd
}

func newImportDB() *cobra.Command {
	var db, url string
	cmd := &cobra.Command{
		Use:   "import-db OLD.sqlite --db NEW",
		Short: "Import a database of the original blockprint",
		Long: `Imports the blocks and labels of an original database, with or without the pr_grandine column, into a new or existing
one. You can interrupt and repeat it. The original stores neither block roots nor graffiti.`,
		Example: "  blockprint import-db block_db.sqlite --db mainnet.db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			// Both sources are opened before anything is written.
			old, err := sqlite.OpenOriginal(ctx, args[0])
			if err != nil {
				return err
			}
			defer func() { _ = old.Close() }() // only read
			var network *blockprint.Network
			if url != "" {
				node, err := client(app.Beacon{URLs: []string{url}})
				if err != nil {
					return err
				}
				defer node.Close()
				if network, err = node.Network(ctx); err != nil {
					return err
				}
			}
			return withDB(ctx, db, store.Options{}, func(s store.Store) error {
				if network != nil {
					if err := s.Identify(ctx, store.NewIdentity(network)); err != nil {
						return err
					}
				}
				report, err := old.Import(ctx, s, progressBar("rows"))
				if err != nil {
					return err
				}
				with := map[bool]string{true: "with", false: "without"}[report.HadGrandine]
				printf(cmd, "%d rows (%s pr_grandine): %d blocks stored, %d known before\n", report.Rows, with, report.Inserted, report.Known)
				return nil
			})
		},
	}
	addDB(cmd, &db, "database to write to (created if it does not exist)")
	cmd.Flags().StringVar(&url, "beacon", "", "beacon node of the database's network, which the new database is then tied to (needed if epochs do not have 32 slots)")
	return cmd
}

func newDB() *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Check a database and repair it"}
	cmd.AddCommand(newDBCheck())
	return cmd
}

func newDBCheck() *cobra.Command {
	var db, rewards string
	var repair bool
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "check [--db D] [--rewards DIR] [--repair]",
		Short: "Find contradictions in a database and repair them",
		Long: `Compares a database with itself and with the clock: blocks that are stored twice, orphans from which canonical
blocks descend, slots that count as covered though a block is missing there, blocks, coverage and finality of the future,
sums that differ from the table, labels and features that cannot be read, and damage to the file.

--repair removes what is wrong or computes it again, all of it or nothing. What it removes becomes a gap, which
"blockprint follow" fills. Reward files (--rewards) that lack blocks get another name, so that "blockprint load" fetches
them again. The check may run beside a follower, but on a large database the follower has to wait for a while. The exit
status is 1 if something is wrong and was not repaired.`,
		Example: "  blockprint db check --db mainnet.db\n  blockprint db check --db mainnet.db --repair --json\n  blockprint db check --rewards rewards/ --repair",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if db == "" && rewards == "" {
				return usagef("--db D or --rewards DIR is missing")
			}
			var all []store.Finding
			if db != "" {
				err := withDB(cmd.Context(), db, store.Options{Existing: true}, func(s store.Store) (err error) {
					all, err = s.Check(cmd.Context(), repair)
					return err
				})
				if err != nil {
					return err
				}
			}
			if rewards != "" {
				faults, err := dataset.CheckRewards(cmd.Context(), rewards, repair)
				if err != nil {
					return err
				}
				for _, f := range faults {
					all = append(all, store.Finding{Kind: "rewards", Count: 1, Text: fmt.Sprintf("file %s: %s", f.Path, f.Text), Repaired: f.Moved != ""})
				}
			}
			return printFindings(cmd, all, *asJSON)
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "database")
	cmd.Flags().StringVar(&rewards, "rewards", "", "directory of reward files that blockprint load has written")
	cmd.Flags().BoolVar(&repair, "repair", false, "repair what can be repaired")
	asJSON = addJSON(cmd, "print JSON lines")
	return cmd
}

func printFindings(cmd *cobra.Command, found []store.Finding, asJSON bool) error {
	wrong := 0
	for _, f := range found {
		state := "repaired"
		if !f.Repaired {
			state = "wrong"
			wrong++
		}
		if !asJSON {
			printf(cmd, "%-9s %s\n", state, f.Text)
		} else if err := printLines(cmd, f); err != nil {
			return err
		}
	}
	if wrong > 0 {
		return blockprint.Errorf(blockprint.Conflict, "%s left; `blockprint db check --repair` repairs what can be repaired", counted(wrong, "contradiction"))
	}
	if len(found) == 0 && !asJSON {
		printf(cmd, "nothing wrong was found\n")
	}
	return nil
}
