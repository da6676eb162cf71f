package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"blockprint/greylist"
	"blockprint/store"
)

func newGreylistExplain() *cobra.Command {
	var f bookFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "explain SUBJECT --db D",
		Short:   "Say why a subject stands as it does, since when, and what it takes to recover",
		Example: "  blockprint greylist explain Amicable_Numbers --db gridcoin.db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd, false, func(_ context.Context, b *greylist.Book, _ store.Store) error {
				r, err := b.Explain(args[0])
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				if asJSON {
					enc := json.NewEncoder(w)
					enc.SetIndent("", "  ")
					return enc.Encode(r)
				}
				_, _ = fmt.Fprint(w, r.Text())
				return nil
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
