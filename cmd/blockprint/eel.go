package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"blockprint/app"
	"blockprint/eel"
	"blockprint/jsonhttp"
)

func newEel() *cobra.Command {
	c := app.Eel{Config: eel.DefaultConfig()}
	var ip, matching, network, networkConfig string
	var urls, secrets []string
	var port uint16
	var payloadWait, forkchoiceWait, limit uint64
	cmd := &cobra.Command{
		Use:   "eel --ee-jwt-secret F --controller-jwt-secret F --client-jwt-secrets F",
		Short: "Let many consensus clients share one execution client",
		Long: `Serves the Engine API. POST /canonical is for one consensus client, the controller, whose calls are passed on to the
execution client. POST / is for any number of others, which are answered from what these calls have taught.
--client-jwt-secrets is a TOML file:

  [secrets]
  node1 = "64 hexadecimal digits"

Not for validators: the payloads that clients get are dummies, for dreaming (blockprint dream).`,
		Example: "  blockprint eel --ee-jwt-secret execution.jwt --controller-jwt-secret controller.jwt --client-jwt-secrets clients.toml\n" +
			"  lighthouse bn --execution-endpoint http://localhost:8552/canonical --execution-jwt controller.jwt\n" +
			"  lighthouse bn --execution-endpoint http://localhost:8552 --execution-jwt node1.jwt --execution-jwt-id node1",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if limit < 1 || limit > 1<<20 {
				return usagef("--body-limit-mb must be 1 to 1048576")
			}
			c.PayloadWait, c.ForkchoiceWait = time.Duration(payloadWait)*time.Millisecond, time.Duration(forkchoiceWait)*time.Millisecond
			c.BodyLimit, c.Matching = int64(limit)<<20, eel.Matching(strings.ToLower(matching))
			if c.Network, err = eelNetwork(cmd, network, networkConfig); err != nil {
				return err
			}
			c.Listen = net.JoinHostPort(ip, strconv.Itoa(int(port)))
			c.Process = process(fmt.Sprintf("sharing %s on http://ADDRESS: the controller at /canonical, clients (%d) at /", serverNames(urls), len(c.Clients)))
			return c.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&ip, "listen-address", "127.0.0.1", "IP address to listen on")
	flags.Uint16Var(&port, "listen-port", 8552, "port to listen on")
	flags.StringArrayVar(&urls, "ee-url", []string{"http://localhost:8551"}, "URL of the execution client's Engine API; repeat it for several execution clients that act as one, the preferred one first")
	flags.StringArrayVar(&secrets, "ee-jwt-secret", nil, "file with the execution client's JWT secret; one for all, or one for each --ee-url in the same order")
	before(cmd, func() (err error) {
		c.Executions, err = executionClients(urls, secrets)
		return err
	})
	addSecrets(cmd, &c.Controller, eel.ReadSecret, "controller-jwt-secret", "file with the JWT secret of the controller")
	addSecrets(cmd, &c.Clients, eel.ReadSecrets, "client-jwt-secrets", "TOML file with the JWT secrets of the clients")
	flags.IntVar(&c.PayloadCache, "new-payload-cache-size", c.PayloadCache, "newPayload answers to remember")
	flags.IntVar(&c.ForkchoiceCache, "fcu-cache-size", c.ForkchoiceCache, "forkchoiceUpdated answers to remember")
	flags.IntVar(&c.JustifiedCache, "justified-block-cache-size", c.JustifiedCache, "safe blocks to remember")
	flags.IntVar(&c.FinalizedCache, "finalized-block-cache-size", c.FinalizedCache, "finalized blocks to remember")
	flags.StringVar(&matching, "fcu-matching", string(c.Matching), "when a client's fork choice is VALID: exact (head, safe and finalized block match the controller's), loose (the head matches; the others are recent ones of the controller), head-only (dangerous)")
	flags.Uint64Var(&payloadWait, "new-payload-wait-millis", uint64(c.PayloadWait.Milliseconds()), "how long a client's newPayload waits for the controller's; 0 answers SYNCING at once")
	flags.Uint64Var(&c.Cutoff, "new-payload-wait-cutoff", c.Cutoff, "answer SYNCING at once for blocks this far behind the newest one")
	flags.Uint64Var(&forkchoiceWait, "fcu-wait-millis", uint64(c.ForkchoiceWait.Milliseconds()), "how long a client's forkchoiceUpdated waits for the controller's")
	flags.Uint64Var(&limit, "body-limit-mb", uint64(c.BodyLimit>>20), "largest request in MiB")
	flags.IntVar(&c.BuilderCache, "payload-builder-cache-size", c.BuilderCache, "payloads for clients to remember")
	flags.DurationVar(&c.Silence, "controller-silence", c.Silence, "how long the controller may be silent before /readyz fails; 0 for any time")
	withoutEffect(cmd, "ee-timeout-millis", "the Engine API's own limits hold")
	flags.StringVar(&c.ExtraData, "payload-builder-extra-data", c.ExtraData, "extra data of payloads for clients, at most 32 bytes")
	flags.StringVar(&network, "network", "mainnet", "network whose fork times apply: mainnet, sepolia, holesky, hoodi or gnosis; if it is not given, the execution client's chain id decides")
	flags.StringVar(&networkConfig, "network-config", "", "file with the forks of another network: the execution client's genesis file or the consensus clients' config.yaml")
	flags.StringVar(&c.BeaconURL, "beacon", "", "beacon node to ask for the forks of another network")
	cmd.MarkFlagsMutuallyExclusive("network", "network-config", "beacon")
	return cmd
}

// addSecrets adds a flag for a file of secrets, which the command cannot do without.
func addSecrets[T any](cmd *cobra.Command, into *T, read func(string) (T, error), name, usage string) {
	path := cmd.Flags().String(name, "", usage)
	need(cmd, name, "")
	before(cmd, func() (err error) {
		if *into, err = read(*path); err != nil {
			return fmt.Errorf("--%s: %w", name, err)
		}
		return nil
	})
}

// executionClients pairs addresses with the files of their secrets.
func executionClients(urls, files []string) (out []eel.Execution, err error) {
	switch {
	case len(files) == 0:
		return nil, usagef("--ee-jwt-secret is missing")
	case len(files) != 1 && len(files) != len(urls):
		return nil, usagef("%d --ee-jwt-secret for %d --ee-url: give one secret for all, or one for each URL, in the same order", len(files), len(urls))
	}
	for i, address := range urls {
		x := eel.Execution{URL: address}
		if x.Secret, err = eel.ReadSecret(files[min(i, len(files)-1)]); err != nil {
			return nil, fmt.Errorf("--ee-jwt-secret: %w", err)
		}
		out = append(out, x)
	}
	return out, nil
}

// serverNames names servers without what their URLs hold of secrets.
func serverNames(urls []string) string {
	var names []string
	for _, u := range urls {
		names = append(names, jsonhttp.ServerName(u))
	}
	return strings.Join(names, ", ")
}

// eelNetwork returns the network that the flags name; nil if a node or the execution client decides.
func eelNetwork(cmd *cobra.Command, name, file string) (*eel.Network, error) {
	switch {
	case file != "":
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--network-config: %w", err)
		}
		defer func() { _ = f.Close() }() // read only
		n, err := eel.ReadNetwork(f)
		if err != nil {
			return nil, fmt.Errorf("--network-config %s: %w", file, err)
		}
		return n, nil
	case strings.EqualFold(name, "chiado"): // which the original knew
		slog.Warn("the forks of chiado are not built in: they are learned from what the execution client accepts")
		return nil, nil
	case cmd.Flags().Changed("network"):
		n, err := eel.NetworkNamed(name)
		if err != nil {
			return nil, usagef("--network: %v", err)
		}
		return n, nil
	}
	return nil, nil
}
