package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/classify"
	"blockprint/label"
)

func newUp() *cobra.Command {
	var c app.Up
	var dreaming app.Dreaming
	cmd := &cobra.Command{
		Use:   "up --config F",
		Short: "Run everything for a real network in one process: follow, serve, dream and gauge",
		Long: `Follows the chain, labels and stores its blocks, and serves the API. With --dream, it also asks nodes whose client is
known for blocks, to measure the accuracy of the labels. --config is a TOML file with these flags as keys:

  beacon = ["http://localhost:5052"]
  db = "mainnet.db"
  model = "mainnet.model"
  listen = "127.0.0.1:8000"
  dream = "blockdreamer.toml"`,
		Example: "  blockprint up --config blockprint.toml\n  blockprint up --beacon http://localhost:5052 --db mainnet.db --model mainnet.model --dream blockdreamer.toml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Process, c.Labels = process("serving "+c.DB+" on http://ADDRESS (routes: http://ADDRESS/docs)"), dreaming.Labels
			if given(cmd, "dream") {
				c.Dream = &dreaming
			}
			return c.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	addDB(cmd, &c.DB, "database for the labeled blocks (created if it does not exist)")
	addBeacon(cmd, &c.Beacon)
	addSince(cmd, &c.Since, &c.Extend)
	addLabelsAPI(cmd, &c.API, func() []string { return []string{c.Listen, c.GaugeListen} })
	flags.StringVar(&c.Listen, "listen", "127.0.0.1:8000", "address of the API")
	flags.StringVar(&c.GaugeListen, "gauge-listen", "", "address to accept blocks at POST /classify from other dreamers (default none)")
	load := addLabeling(cmd, &c.Labeling, "")
	before(cmd, load)
	addNames(cmd, &c.Names)
	addDreaming(cmd, &dreaming, "dream", "dream-")
	addNotify(cmd, &c.Notify, "notify")
	return cmd
}

func newServe() *cobra.Command {
	var c app.Serve
	cmd := &cobra.Command{
		Use:     "serve --db D [--model M]",
		Short:   "Serve the HTTP API of a database",
		Example: "  blockprint serve --db mainnet.db --model mainnet.model --listen 127.0.0.1:8000\n  blockprint serve --db mainnet.db --listen :8000 --user alice:secret",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Process = process("serving " + c.DB + " on http://ADDRESS (routes: http://ADDRESS/docs)")
			return c.Run(cmd.Context())
		},
	}
	addDB(cmd, &c.DB, "database; if it does not exist, it is created with --model, and otherwise awaited")
	cmd.Flags().BoolVar(&c.Immutable, "immutable", false, "promise that nothing writes to the database while it is served; needed on read-only disks")
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:8000", "address to listen on")
	addLabelsAPI(cmd, &c.API, func() []string { return []string{c.Listen} })
	load := addLabeling(cmd, &c.Labeling, "; without a model, labels are served but none are made")
	before(cmd, func() error {
		if !given(cmd, "model") {
			return nil
		}
		return load()
	})
	addNames(cmd, &c.Names)
	return cmd
}

func newFollow() *cobra.Command {
	var c app.Follow
	cmd := &cobra.Command{
		Use:   "follow --beacon URL (--db D --model M | --blockprint URL)",
		Short: "Label the chain's blocks as they come and store them in a database",
		Long: `Follows the head of the chain, labels each block and stores it. It also fills gaps, marks orphaned blocks and records
which blocks are final. You can stop and restart it at any time.`,
		Example: "  blockprint follow --beacon http://localhost:5052 --db mainnet.db --model mainnet.model\n" +
			"  blockprint follow --beacon http://a:5052 --beacon http://b:5052 --blockprint http://user:password@labels.example:8000",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Process = process("")
			return c.Run(cmd.Context())
		},
	}
	addBeacon(cmd, &c.Beacon)
	addSince(cmd, &c.Since, &c.Extend)
	cmd.Flags().StringVar(&c.DB, "db", "", "database for the labeled blocks (created if it does not exist)")
	cmd.Flags().StringVar(&c.Remote, "blockprint", "", "URL of a \"blockprint serve --model\" to write to instead of a database")
	cmd.Flags().StringVar(&c.Token, "token", "", "bearer token for --blockprint")
	cmd.Flags().StringVar(&c.Listen, "listen", "", "address to serve /metrics, /healthz and /readyz on (default none)")
	load := addLabeling(cmd, &c.Labeling, "; with --db")
	before(cmd, func() error {
		if given(cmd, "db") == given(cmd, "blockprint") {
			return usagef("expected either --db D or --blockprint URL")
		}
		if c.Remote != "" {
			return nil
		}
		return load()
	})
	return cmd
}

func newWatch() *cobra.Command {
	var c app.Watch
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "watch --beacon URL --model M",
		Short:   "Print each new block with its label",
		Example: "  blockprint watch --beacon http://localhost:5052 --model mainnet.model",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Process, c.Block = process(""), printBlocks(cmd.OutOrStdout(), *asJSON)
			return c.Run(cmd.Context())
		},
	}
	addBeacon(cmd, &c.Beacon)
	before(cmd, addLabeling(cmd, &c.Labeling, ""))
	asJSON = addJSON(cmd, "print one JSON line per block")
	return cmd
}

// printBlocks returns what prints labeled blocks, the first one below a header. An output that fails ends the watch.
func printBlocks(out io.Writer, asJSON bool) func(*blockprint.BlockReward, classify.Labeled) error {
	header := fmt.Sprintf("%10s %10s  %-11s %11s  %-24s %s\n", "slot", "proposer", "most likely", "probability", "possible", "graffiti")
	return func(r *blockprint.BlockReward, c classify.Labeled) error {
		if asJSON {
			return json.NewEncoder(out).Encode(label.NewJSON(r.Meta.Slot, r.BlockRoot, c.Classification, c.Says, ""))
		}
		probability := "-"
		if p, ok := c.ProbabilityMap()[c.Single]; ok {
			probability = fmt.Sprintf("%.1f %%", 100*p)
		}
		_, err := fmt.Fprintf(out, "%s%10d %10d  %-11s %11s  %-24s %q\n", header, r.Meta.Slot, r.Meta.ProposerIndex, c.Single, probability, c.Multi, r.Meta.Graffiti)
		header = ""
		return err
	}
}
