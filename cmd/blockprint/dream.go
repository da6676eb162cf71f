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

// addDreaming adds the flags of what is dreamt. config names the flag of the configuration file; prefix stands before flags
// whose names mean something else elsewhere.
func addDreaming(cmd *cobra.Command, d *app.Dreaming, config, prefix string) {
	flags := cmd.Flags()
	flags.DurationVar(&d.Timeout, prefix+"timeout", 6*time.Second, "how long to wait for each node's block") // the original's
	flags.StringArrayVar(&d.Labels, "label", nil, "allow this label in addition to the clients' names")
	flags.StringVar(&d.Features, prefix+"features", "", "also write the features of these blocks to this file, as training data")
	path := flags.String(config, "", "configuration file of blockdreamer (TOML) with the nodes to ask for blocks")
	before(cmd, func() (err error) {
		if *path == "" {
			return nil
		}
		var warnings []string
		d.Config, warnings, err = dream.ReadConfig(*path)
		for _, w := range warnings {
			slog.Warn(w, "config", *path)
		}
		return err
	})
}

func newDream() *cobra.Command {
	var c app.Dream
	cmd := &cobra.Command{
		Use:   "dream --config F",
		Short: "Ask nodes whose client is known for a block in every slot",
		Long: `Asks every node in a blockdreamer configuration for a block at the start of each slot and posts these blocks to the
configured endpoints, such as a gauge. When the slot's own block arrives, it is compared with them: the closest one
gives a second opinion on which client built it. No block is signed or published.`,
		Example: "  blockprint dream --config blockdreamer.toml\n" +
			"  blockprint dream --config blockdreamer.toml --features dreamt.features --db mainnet.db",
		Annotations: map[string]string{ownConfig: ""},
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Process, c.Opinion = process(""), func(_ context.Context, v dream.Opinion) error {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), sentence(v))
				return err
			}
			return c.Run(cmd.Context())
		},
	}
	addDreaming(cmd, &c.Dreaming, "config", "")
	need(cmd, "config", "F")
	cmd.Flags().StringVar(&c.DB, "db", "", "database for the distances (created if it does not exist)")
	withoutEffect(cmd, "genesis-state-timeout", "no genesis state is downloaded")
	return cmd
}

// withoutEffect accepts a flag of the original that means nothing here, and warns whoever gives it.
func withoutEffect(cmd *cobra.Command, flag, why string) {
	cmd.Flags().String(flag, "", "has no effect: "+why)
	_ = cmd.Flags().MarkDeprecated(flag, "it has no effect: "+why) // the flag is there
}

// sentence says which client's block was closest to a canonical one.
func sentence(v dream.Opinion) string {
	likely := "too close to call"
	if v.Likely != "" {
		likely = "likely " + string(v.Likely)
	}
	var parts []string
	for _, n := range v.Nearest {
		parts = append(parts, fmt.Sprintf("%s %d", n.Name, n.Distance))
	}
	return fmt.Sprintf("slot %d  %-18s  %s", v.Slot, likely, strings.Join(parts, ", "))
}

func newGauge() *cobra.Command {
	var c app.Gauge
	var lighthouseURL, address string
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.RewardsURL = cmp.Or(c.RewardsURL, lighthouseURL)
			if c.RewardsURL != "" && !cmd.Flags().Changed("beacon") {
				c.URLs = []string{c.RewardsURL} // the original's Lighthouse also provides the genesis time
			}
			c.Process = process("")
			c.Started = func(address string) { slog.Info("gauge listens", "address", address) }
			return c.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	addDB(cmd, &c.DB, "database for the measurements, which must survive a restart (created if it does not exist)")
	addBeacon(cmd, &c.Beacon)
	flags.StringVar(&c.BlockprintURL, "blockprint-url", "", "URL of a blockprint that labels the blocks, instead of --model")
	flags.StringVar(&c.RewardsURL, "rewards-url", "", "URL of a service with /lighthouse/analysis/block_rewards, to rate the blocks there instead of on the chain of --beacon")
	flags.StringVar(&lighthouseURL, "lighthouse-url", "", "same as --rewards-url, under the name that the original uses")
	flags.StringVar(&address, "listen", "", "address to listen on (default: --listen-address and --port)")
	flags.StringArrayVar(&addresses, "listen-address", []string{"127.0.0.1"}, "IP address to listen on; repeat it for several")
	flags.Uint16Var(&port, "port", 8002, "port to listen on")
	flags.StringArrayVar(&c.Labels, "label", nil, "allow this label in addition to the clients' names")
	addAPI(cmd, &c.API, func() []string {
		if c.Listen = nil; address != "" {
			c.Listen = []string{address}
			return c.Listen
		}
		for _, ip := range addresses {
			c.Listen = append(c.Listen, net.JoinHostPort(ip, strconv.Itoa(int(port))))
		}
		return c.Listen
	})
	load := addLabeling(cmd, &c.Labeling, "")
	before(cmd, func() error {
		if given(cmd, "model") == given(cmd, "blockprint-url") {
			return usagef("expected either --model M or --blockprint-url URL")
		}
		if c.BlockprintURL != "" {
			return nil
		}
		return load()
	})
	addNotify(cmd, &c.Notify, "notify")
	return cmd
}
