package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/dataset"
	"blockprint/store"
)

func newDB() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Check a database and repair it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDBCheck())
	return cmd
}

func newDBCheck() *cobra.Command {
	var db, rewards string
	var repair, asJSON bool
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
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if db == "" && rewards == "" {
				return usagef("--db D or --rewards DIR is missing")
			}
			var all []store.Finding
			if db != "" {
				s, err := openDB(cmd.Context(), "--db", db)
				if err != nil {
					return err
				}
				defer func() { _ = s.Close() }() // all writes are on the disk already
				if all, err = s.Check(cmd.Context(), repair); err != nil {
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
			return printFindings(cmd, all, asJSON)
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "database")
	cmd.Flags().StringVar(&rewards, "rewards", "", "directory of reward files that blockprint load has written")
	cmd.Flags().BoolVar(&repair, "repair", false, "repair what can be repaired")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	return cmd
}

func printFindings(cmd *cobra.Command, found []store.Finding, asJSON bool) error {
	w := cmd.OutOrStdout()
	encoder := json.NewEncoder(w)
	wrong := 0
	for _, f := range found {
		state := "repaired"
		if !f.Repaired {
			state = "wrong"
			wrong++
		}
		if asJSON {
			if err := encoder.Encode(f); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(w, "%-9s %s\n", state, f.Text); err != nil {
			return err
		}
	}
	if wrong > 0 {
		return blockprint.Errorf(blockprint.Conflict, "%s left; `blockprint db check --repair` repairs what can be repaired", counted(wrong, "contradiction"))
	}
	if len(found) == 0 && !asJSON {
		_, err := fmt.Fprintln(w, "nothing wrong was found")
		return err
	}
	return nil
}
