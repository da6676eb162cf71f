package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"blockprint/app"
	"blockprint/dream"
)

// dreamFlags are the flags of what is dreamt, beside the configuration file.
type dreamFlags struct {
	config string
	app.Dreaming
}

// defaultDreamTimeout is the original's.
const defaultDreamTimeout = 6 * time.Second

func (f *dreamFlags) add(cmd *cobra.Command) {
	cmd.Flags().DurationVar(&f.Timeout, "timeout", defaultDreamTimeout, "how long to wait for each node's block")
	cmd.Flags().StringArrayVar(&f.Labels, "label", nil, "allow this label in addition to the clients' names")
	cmd.Flags().StringVar(&f.Features, "features", "", "also write the features of these blocks to this file, as training data")
}

// load reads the configuration file.
func (f *dreamFlags) load() (_ *app.Dreaming, err error) {
	var warnings []string
	if f.Config, warnings, err = dream.ReadConfig(f.config); err != nil {
		return nil, err
	}
	for _, w := range warnings {
		slog.Warn(w, "config", f.config)
	}
	return &f.Dreaming, nil
}

func newDream() *cobra.Command {
	var f dreamFlags
	var db string
	cmd := &cobra.Command{
		Use:   "dream --config F",
		Short: "Ask nodes whose client is known for a block in every slot",
		Long: `Asks every node in a blockdreamer configuration for a block at the start of each slot and posts these blocks to the
configured endpoints, such as a gauge. When the slot's own block arrives, it is compared with them: the closest one
gives a second opinion on which client built it. No block is signed or published.`,
		Example: "  blockprint dream --config blockdreamer.toml\n" +
			"  blockprint dream --config blockdreamer.toml --features dreamt.features --db mainnet.db",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.config == "" {
				return usagef("--config F is missing: a blockdreamer configuration (TOML)")
			}
			d, err := f.load()
			if err != nil {
				return err
			}
			d.Opinion = printOpinion(cmd)
			return app.Dream{Process: process(), Dreaming: *d, DB: db}.Run(cmd.Context())
		},
	}
	cmd.Annotations = map[string]string{ownConfig: ""}
	cmd.Flags().StringVar(&f.config, "config", "", "configuration file of blockdreamer (TOML)")
	cmd.Flags().StringVar(&db, "db", "", "database for the distances (created if it does not exist)")
	f.add(cmd)
	withoutEffect(cmd, "genesis-state-timeout", "no genesis state is downloaded")
	return cmd
}

// withoutEffect takes a flag that the original had and that means nothing here; who gives it is told why.
func withoutEffect(cmd *cobra.Command, flag, why string) {
	cmd.Flags().String(flag, "", "has no effect: "+why)
	_ = cmd.Flags().MarkDeprecated(flag, "it has no effect: "+why) // the flag is there
}

// printOpinion prints a line for each canonical block.
func printOpinion(cmd *cobra.Command) func(context.Context, dream.Opinion) error {
	return func(_ context.Context, v dream.Opinion) error {
		likely := "too close to call"
		if v.Likely != "" {
			likely = "likely " + string(v.Likely)
		}
		var parts []string
		for _, n := range v.Nearest {
			parts = append(parts, fmt.Sprintf("%s %d", n.Name, n.Distance))
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "slot %d  %-18s  %s\n", v.Slot, likely, strings.Join(parts, ", "))
		return err
	}
}

func newGauge() *cobra.Command {
	var c app.Gauge
	var nodes nodeFlags
	var rules rulesFlags
	var auth authFlags
	var notifyTo notifyFlags
	var model, lighthouseURL, address string
	var addresses []string
	var port uint16
	cmd := &cobra.Command{
		Use:   "gauge --db D (--model M | --blockprint-url URL) [--beacon URL | --rewards-url URL]",
		Short: "Measure the accuracy of labels with blocks from nodes whose client is known",
		Long: `Accepts blocks of nodes whose client is known at POST /classify, which is where blockdreamer posts them, and labels
them. GET /accuracy returns how often the labels were right in the last two weeks. Blocks are rated on the chain of
--beacon, or by any service with Lighthouse's /lighthouse/analysis/block_rewards. They are labeled by --model, or by
another blockprint.`,
		Example: "  blockprint gauge --db gauge.db --model mainnet.model --beacon http://localhost:5052\n" +
			"  blockprint gauge --db gauge.db --rewards-url http://localhost:5052 --blockprint-url http://localhost:8000 --port 8002",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case c.DB == "":
				return usagef("--db D is missing: measurements must survive a restart")
			case (model == "") == (c.BlockprintURL == ""):
				return usagef("expected either --model M or --blockprint-url URL")
			}
			if err := c.API.Check(); err != nil {
				return usageError{err}
			}
			var err error
			if c.API.Auth, err = auth.load(); err != nil {
				return err
			}
			c.RewardsURL = cmp.Or(c.RewardsURL, lighthouseURL)
			c.Process, c.Beacon, c.Listen = process(), nodes.Beacon, gaugeAddresses(address, addresses, port)
			if c.RewardsURL != "" && !cmd.Flags().Changed("beacon") {
				c.URLs = []string{c.RewardsURL} // the original's Lighthouse tells the time too
			}
			if model != "" {
				if c.Labeling, err = rules.labeling(model); err != nil {
					return err
				}
			}
			if c.Notify, err = notifyTo.notifiers(); err != nil {
				return err
			}
			c.API.Hosts = auth.names(c.Listen...)
			c.Started = func(address string) { slog.Info("gauge listens", "address", address) }
			return c.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	nodes.add(cmd)
	rules.add(cmd)
	auth.add(cmd)
	flags.StringVar(&c.DB, "db", "", "database for the observations (created if it does not exist)")
	flags.StringVar(&model, "model", "", modelHelp)
	notifyTo.add(cmd)
	flags.StringVar(&c.BlockprintURL, "blockprint-url", "", "URL of a blockprint that labels the blocks, instead of --model")
	flags.StringVar(&c.RewardsURL, "rewards-url", "", "URL of a service with /lighthouse/analysis/block_rewards, to rate the blocks there instead of on the chain of --beacon")
	flags.StringVar(&lighthouseURL, "lighthouse-url", "", "same as --rewards-url, under the name that the original uses")
	flags.StringVar(&address, "listen", "", "address to listen on (default: --listen-address and --port)")
	flags.StringArrayVar(&addresses, "listen-address", []string{"127.0.0.1"}, "IP address to listen on; repeat it for several")
	flags.Uint16Var(&port, "port", 8002, "port to listen on")
	flags.StringArrayVar(&c.Labels, "label", nil, "allow this label in addition to the clients' names")
	addLimits(cmd, &c.API)
	return cmd
}

func gaugeAddresses(listenFlag string, ips []string, port uint16) []string {
	if listenFlag != "" {
		return []string{listenFlag}
	}
	var out []string
	for _, ip := range ips {
		out = append(out, net.JoinHostPort(ip, strconv.Itoa(int(port))))
	}
	return out
}
