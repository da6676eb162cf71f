package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"blockprint/app"
	"blockprint/httpapi"
)

func newServe() *cobra.Command {
	var c app.Serve
	var modelPath string
	var auth authFlags
	var rules rulesFlags
	cmd := &cobra.Command{
		Use:     "serve --db D [--model M]",
		Short:   "Serve the HTTP API of a database",
		Example: "  blockprint serve --db mainnet.db --model mainnet.model --listen 127.0.0.1:8000\n  blockprint serve --db mainnet.db --listen :8000 --user alice:secret",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.DB == "" {
				return usagef("--db D is missing")
			}
			if err := c.API.Check(); err != nil {
				return usageError{err}
			}
			var err error
			if c.Rules, err = rules.load(); err != nil {
				return err
			}
			if modelPath != "" {
				if c.Model, err = openModel(modelPath, rules.network); err != nil {
					return err
				}
			}
			if c.API.Auth, err = auth.load(); err != nil {
				return err
			}
			c.API.Hosts, c.Process = auth.names(c.Listen), process()
			c.Started = func(address string) {
				fmt.Fprintf(os.Stderr, "serving %s on http://%s (routes: http://%s/docs)\n", c.DB, address, address)
			}
			return c.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&c.DB, "db", "", "database; if it does not exist, it is created with --model, and otherwise awaited")
	cmd.Flags().BoolVar(&c.Immutable, "immutable", false, "promise that nothing writes to the database while it is served; needed on read-only disks")
	cmd.Flags().StringVar(&modelPath, "model", "", modelHelp+"; without a model, labels are served but none are made")
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:8000", "address to listen on")
	cmd.Flags().Uint64Var(&c.API.HeadTolerance, "head-tolerance", httpapi.DefaultHeadTolerance, "how many slots the newest block may be behind the clock before this counts as a gap")
	addLimits(cmd, &c.API.Options)
	auth.add(cmd)
	rules.add(cmd)
	return cmd
}
