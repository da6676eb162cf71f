package main

import (
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"blockprint/classify"
	"blockprint/gauge"
	"blockprint/httpapi"
	"blockprint/label"
	"blockprint/store"
	"blockprint/trust"
)

func newServe() *cobra.Command {
	var db, modelPath, address string
	var auth authFlags
	var rules rulesFlags
	var o httpapi.LabelsOptions
	var immutable bool
	cmd := &cobra.Command{
		Use:     "serve --db D [--model M]",
		Short:   "Serve the HTTP API of a database",
		Example: "  blockprint serve --db mainnet.db --model mainnet.model --listen 127.0.0.1:8000\n  blockprint serve --db mainnet.db --listen :8000 --user alice:secret",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if db == "" {
				return usagef("--db D is missing")
			}
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			guess, err := rules.load()
			if err != nil {
				return err
			}
			var model *classify.Model
			if modelPath != "" {
				if model, err = openModel(modelPath, rules.network); err != nil {
					return err
				}
			}
			if o.Auth, err = auth.load(); err != nil {
				return err
			}
			o.Hosts = auth.names(address)
			s, err := openServed(ctx, db, modelPath != "", immutable)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }() // all writes are on the disk already
			if err := learnNetwork(ctx, s, model); err != nil {
				return err
			}
			o.Version, o.Registry = version, newRegistry()
			judge := trust.NewService(s, trust.DefaultSettings(), store.NetworkOf(s), trust.ServiceOptions{})
			o.Registry.MustRegister(judge)
			from := httpapi.Sources{Store: s, Accuracy: gauge.NewReader(s, store.NetworkOf(s), nil), Trust: judge.Report}
			if model != nil {
				if from.Labeling, err = label.NewLocal(s, model, guess, nil); err != nil {
					return err
				}
			}
			server, err := httpapi.NewLabels(from, o)
			if err != nil {
				return err
			}
			l, err := listen(ctx, address)
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "serving %s on http://%s (routes: http://%s/docs)\n", db, l.Addr(), l.Addr())
			return server.Serve(ctx, l)
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "database (made if it does not exist and --model is given)")
	cmd.Flags().BoolVar(&immutable, "immutable", false, "nothing writes to the database while it is served: needed on read-only disks")
	cmd.Flags().StringVar(&modelPath, "model", "", modelHelp+"; without one, labels are served but not made")
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:8000", "address to serve on")
	cmd.Flags().Uint64Var(&o.HeadTolerance, "head-tolerance", httpapi.DefaultHeadTolerance, "slots behind the clock that do not count as a gap")
	cmd.Flags().Float64Var(&o.Rate, "rate", 0, "requests a second for one client address; 0 for any number")
	cmd.Flags().Int64Var(&o.MaxBody, "max-body", 64<<20, "largest body of a request in bytes")
	auth.add(cmd)
	rules.add(cmd)
	return cmd
}

// newRegistry returns the metrics of a process.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
