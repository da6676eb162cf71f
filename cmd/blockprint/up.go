package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"blockprint/app"
	"blockprint/httpapi"
)

func newUp() *cobra.Command {
	var c app.Up
	var nodes nodeFlags
	var rules rulesFlags
	var auth authFlags
	var dreaming dreamFlags
	var notifyTo notifyFlags
	var model, since string
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
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.DB == "" {
				return usagef("--db D is missing")
			}
			if err := c.API.Check(); err != nil {
				return usageError{err}
			}
			var err error
			if c.Since, err = parseSince(since); err != nil {
				return err
			}
			if c.API.Auth, err = auth.load(); err != nil {
				return err
			}
			if c.Labeling, err = rules.labeling(model); err != nil {
				return err
			}
			if dreaming.config != "" {
				if c.Dream, err = dreaming.load(); err != nil {
					return err
				}
			}
			if c.Notify, err = notifyTo.notifiers(); err != nil {
				return err
			}
			c.Process, c.Beacon, c.Labels = process(), nodes.Beacon, dreaming.Labels
			c.API.Hosts = auth.names(c.Listen, c.GaugeListen)
			c.Started = func(address string) {
				fmt.Fprintf(os.Stderr, "serving %s on http://%s (routes: http://%s/docs)\n", c.DB, address, address)
			}
			return c.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	nodes.add(cmd)
	rules.add(cmd)
	auth.add(cmd)
	flags.StringVar(&c.DB, "db", "", "database for the labeled blocks (created if it does not exist)")
	flags.StringVar(&model, "model", "", modelHelp)
	flags.StringVar(&since, "since", "finalized", "first slot of a new database: a slot, genesis, or finalized")
	flags.BoolVar(&c.Extend, "extend", false, "with --since: make an existing database begin earlier")
	flags.StringVar(&c.Listen, "listen", "127.0.0.1:8000", "address of the API")
	flags.StringVar(&dreaming.config, "dream", "", "configuration file of blockdreamer with the nodes to ask for blocks")
	flags.StringVar(&c.GaugeListen, "gauge-listen", "", "address to accept blocks at POST /classify from other dreamers (default none)")
	flags.DurationVar(&dreaming.Timeout, "dream-timeout", defaultDreamTimeout, "how long to wait for each node's block")
	flags.StringArrayVar(&dreaming.Labels, "label", nil, "allow this label in addition to the clients' names")
	flags.StringVar(&dreaming.Features, "dream-features", "", "also write the features of these blocks to this file, as training data")
	flags.Uint64Var(&c.API.HeadTolerance, "head-tolerance", httpapi.DefaultHeadTolerance, "how many slots the newest block may be behind the clock before this counts as a gap")
	notifyTo.add(cmd)
	addLimits(cmd, &c.API.Options)
	return cmd
}
