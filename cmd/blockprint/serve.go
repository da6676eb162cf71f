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
	cmd.Flags().StringVar(&c.DB, "db", "", "database (made if it does not exist and --model is given)")
	cmd.Flags().BoolVar(&c.Immutable, "immutable", false, "nothing writes to the database while it is served: needed on read-only disks")
	cmd.Flags().StringVar(&modelPath, "model", "", modelHelp+"; without one, labels are served but not made")
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:8000", "address to serve on")
	cmd.Flags().Uint64Var(&c.API.HeadTolerance, "head-tolerance", httpapi.DefaultHeadTolerance, "slots behind the clock that do not count as a gap")
	cmd.Flags().Float64Var(&c.API.Rate, "rate", 0, "requests a second for one client address; 0 for any number")
	cmd.Flags().Int64Var(&c.API.MaxBody, "max-body", 64<<20, "largest body of a request in bytes")
	auth.add(cmd)
	rules.add(cmd)
	return cmd
}
