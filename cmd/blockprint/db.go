package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/store/sqlite"
)

func newDB() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Look after a database",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDBCheck())
	return cmd
}

func newDBCheck() *cobra.Command {
	var db string
	var repair, asJSON bool
	cmd := &cobra.Command{
		Use:   "check --db D [--repair]",
		Short: "Find what cannot be right in a database, and repair it",
		Long: `Compares a database with itself and with the clock: blocks that are stored twice, orphans from which canonical
blocks descend, slots that count as covered though a block is missing there, blocks, coverage and finality of the future,
sums that differ from the table, labels and features that cannot be read, and damage to the file.

--repair takes out what is wrong or computes it anew, all of it or nothing. What is missing then is a gap, which
"blockprint follow" fills again. It may run beside a follower, but on a large database it keeps it waiting for a while. The exit
status is 1 if something is wrong and not repaired.`,
		Example: "  blockprint db check --db mainnet.db\n  blockprint db check --db mainnet.db --repair --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if db == "" {
				return usagef("--db D is missing")
			}
			s, err := openDB(cmd.Context(), "--db", db)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }() // all writes are on the disk already
			found, err := s.Check(cmd.Context(), repair)
			if err != nil {
				return err
			}
			return printFindings(cmd, db, found, asJSON)
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "database")
	cmd.Flags().BoolVar(&repair, "repair", false, "repair what can be repaired")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON lines")
	return cmd
}

func printFindings(cmd *cobra.Command, db string, found []sqlite.Finding, asJSON bool) error {
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
		return blockprint.Errorf(blockprint.Conflict, "database %s: %d kinds of contradictions are left; `blockprint db check --repair` mends what can be mended", db, wrong)
	}
	if len(found) == 0 && !asJSON {
		_, err := fmt.Fprintf(w, "nothing wrong was found in %s\n", db)
		return err
	}
	return nil
}
