package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"blockprint/conform"
	"blockprint/recording"
)

func newConform() *cobra.Command {
	var variant string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "conform RECORDING",
		Short: "Compare simulated clients' blocks with those that real clients built from the same pools",
		Long: `Reads a recording of real clients (docs/recording.md), gives each client's pool to the packer that models it, and
compares the two blocks: the same attestations in the same order; the same up to ties, with an attestation that earns as
much in every place; the same attestations in another order; the same committees with other voters; or different ones. The
first difference of each packer is printed in words. Blocks are left out, and counted, if the client's pool was read too
late or is not in the recording.`,
		Example: "  blockprint sim conform recording.jsonl.gz\n  blockprint sim conform recording.jsonl.gz --variant prysm/marginal",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := recording.Open(args[0])
			if err != nil {
				return err
			}
			report, err := conform.Run(cmd.Context(), r, variant)
			if err = errors.Join(err, r.Close()); err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd, report)
			}
			printConformance(cmd, report)
			return nil
		},
	}
	cmd.Flags().StringVar(&variant, "variant", "", "client variant that packs instead of the one that the recording names for each node")
	asJSON = addJSON(cmd, "print JSON")
	return cmd
}

func printConformance(cmd *cobra.Command, report *conform.Report) {
	t := newTable("client", "variant", "blocks", "same", "ties", "other order", "other voters", "different", "up to ties", "slow", "unknown")
	for _, r := range report.Rows {
		client := r.Version
		if !strings.HasPrefix(client, string(r.Client)) {
			client = string(r.Client) + " " + client
		}
		t.row(client, r.Variant, r.Blocks, r.Same, r.Ties, r.Attestations, r.Committees, r.Different, percent(r.Same+r.Ties, r.Blocks), r.Slow, r.Unknown)
	}
	t.print(cmd)
	for _, r := range report.Rows {
		if d := r.First; d != nil {
			printf(cmd, "%s: node %s first differs in slot %d (%s): %s\n", r.Variant, d.Node, d.Slot, d.Class, d.Words)
		}
	}
	printf(cmd, "%s", counted(report.Slots, "slot"))
	if report.Skipped > 0 {
		printf(cmd, "; the last one was skipped, because the recording does not have all of it")
	}
	if report.Cut != "" {
		printf(cmd, ": %s", report.Cut)
	}
	printf(cmd, "\n")
}
