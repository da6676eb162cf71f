package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/classify"
	"blockprint/label"
)

func newFollow() *cobra.Command {
	var c app.Follow
	var nodes nodeFlags
	var rules rulesFlags
	var model, since string
	cmd := &cobra.Command{
		Use:   "follow --beacon URL (--db D --model M | --blockprint URL)",
		Short: "Label the chain's blocks as they come and store them in a database",
		Long: `Follows the head of the chain, labels each block and stores it. It also fills gaps, marks orphaned blocks and records
which blocks are final. You can stop and restart it at any time.`,
		Example: "  blockprint follow --beacon http://localhost:5052 --db mainnet.db --model mainnet.model\n" +
			"  blockprint follow --beacon http://a:5052 --beacon http://b:5052 --blockprint http://user:password@labels.example:8000",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (c.DB == "") == (c.Remote == "") {
				return usagef("expected either --db D or --blockprint URL")
			}
			var err error
			if c.Since, err = parseSince(since); err != nil {
				return err
			}
			if c.Remote == "" {
				if c.Labeling, err = rules.labeling(model); err != nil {
					return err
				}
			}
			c.Process, c.Beacon = process(), nodes.Beacon
			return c.Run(cmd.Context())
		},
	}
	nodes.add(cmd)
	rules.add(cmd)
	cmd.Flags().StringVar(&c.DB, "db", "", "database for the labeled blocks (created if it does not exist)")
	cmd.Flags().StringVar(&model, "model", "", modelHelp+"; with --db")
	cmd.Flags().StringVar(&c.Remote, "blockprint", "", "URL of a \"blockprint serve --model\" to write to instead of a database")
	cmd.Flags().StringVar(&c.Token, "token", "", "bearer token for --blockprint")
	cmd.Flags().StringVar(&since, "since", "finalized", "first slot of a new database: a slot, genesis, or finalized")
	cmd.Flags().BoolVar(&c.Extend, "extend", false, "with --since: make an existing database begin earlier")
	cmd.Flags().StringVar(&c.Listen, "listen", "", "address to serve /metrics, /healthz and /readyz on (default none)")
	return cmd
}

func parseSince(s string) (*blockprint.Slot, error) {
	var slot blockprint.Slot
	switch s {
	case "finalized":
		return nil, nil
	case "genesis":
		return &slot, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return nil, usagef("--since %q: expected a slot, genesis or finalized", s)
	}
	slot = blockprint.Slot(n)
	return &slot, nil
}

func newWatch() *cobra.Command {
	var nodes nodeFlags
	var rules rulesFlags
	var modelPath string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "watch --beacon URL --model M",
		Short:   "Print each new block with its label",
		Example: "  blockprint watch --beacon http://localhost:5052 --model mainnet.model",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			labeling, err := rules.labeling(modelPath)
			if err != nil {
				return err
			}
			w := &watcher{out: cmd.OutOrStdout(), asJSON: asJSON}
			return app.Watch{Process: process(), Beacon: nodes.Beacon, Labeling: labeling, Block: w.print}.Run(cmd.Context())
		},
	}
	nodes.add(cmd)
	rules.add(cmd)
	cmd.Flags().StringVar(&modelPath, "model", "", modelHelp)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON line per block")
	return cmd
}

// watcher prints labeled blocks.
type watcher struct {
	out    io.Writer
	asJSON bool
	begun  bool // the header is printed
}

func (w *watcher) print(r *blockprint.BlockReward, c classify.Labeled) error {
	if w.asJSON {
		return json.NewEncoder(w.out).Encode(label.NewJSON(r.Meta.Slot, r.BlockRoot, c.Classification, c.Says, ""))
	}
	if !w.begun {
		w.begun = true
		if _, err := fmt.Fprintf(w.out, "%10s %10s  %-11s %11s  %-24s %s\n", "slot", "proposer", "most likely", "probability", "possible", "graffiti"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w.out, "%10d %10d  %-11s %11s  %-24s %q\n", r.Meta.Slot, r.Meta.ProposerIndex, c.Single, likelihood(c.Classification), c.Multi, r.Meta.Graffiti)
	return err
}

// likelihood is the probability of the most likely client, as text.
func likelihood(c blockprint.Classification) string {
	for _, p := range c.Probabilities {
		if p.Client == c.Single {
			return fmt.Sprintf("%.1f %%", 100*p.P)
		}
	}
	return "-"
}
