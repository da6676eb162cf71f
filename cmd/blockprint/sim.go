package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"blockprint"
	"blockprint/demo"
	"blockprint/file"
	"blockprint/packer"
	"blockprint/sim"
	"blockprint/sim/record"
)

// worldFlags are the flags that make a simulated network.
type worldFlags struct {
	set            *pflag.FlagSet
	mainnet        bool
	config         sim.Config
	clients        []string
	deneb, electra int64
}

func (f *worldFlags) add(cmd *cobra.Command) {
	f.set, f.config = cmd.Flags(), sim.DefaultConfig(1)
	f.set.BoolVar(&f.mainnet, "mainnet", false, "simulate a network of mainnet's size whose blocks look like mainnet's; the other flags change it, and their defaults do not apply")
	f.bind(f.set)
}

func (f *worldFlags) bind(flags *pflag.FlagSet) {
	flags.Uint64Var(&f.config.Seed, "seed", 1, "seed of all random choices")
	flags.IntVar(&f.config.Validators, "validators", f.config.Validators, "number of validators")
	flags.IntVar(&f.config.Committees, "committees", f.config.Committees, "committees in a slot")
	flags.Uint64Var(&f.config.SlotsPerEpoch, "slots-per-epoch", f.config.SlotsPerEpoch, "slots in an epoch")
	flags.Int64Var(&f.deneb, "deneb-epoch", 0, "epoch of the Deneb fork; -1 means never")
	flags.Int64Var(&f.electra, "electra-epoch", -1, "epoch of the Electra fork; -1 means never")
	flags.StringSliceVar(&f.clients, "clients", nil, "client variants and their weights, as NAME=WEIGHT; known variants: "+strings.Join(packer.Variants(), ", "))
	flags.Float64Var(&f.config.GraffitiRate, "graffiti", f.config.GraffitiRate, "share of blocks with their client's default graffiti")
	flags.Float64Var(&f.config.Participation, "participation", f.config.Participation, "share of validators that vote")
	flags.Uint64Var(&f.config.KeepStates, "keep-states", 0, "number of recent slots whose states the API serves, as on a node that is not an archive; 0 for all")
	flags.Float64Var(&f.config.SkipRate, "skip-rate", f.config.SkipRate, "share of slots in which a run of empty slots begins")
	flags.IntVar(&f.config.SkipRun, "skip-run", f.config.SkipRun, "maximum number of empty slots in a run")
	flags.Float64Var(&f.config.AllSubnetsRate, "all-subnets", f.config.AllSubnetsRate, "share of validators whose node receives all single votes; other nodes receive two subnets")
	flags.IntVar(&f.config.Nodes, "nodes", f.config.Nodes, "number of nodes of each variant")
	flags.Float64Var(&f.config.LateAggregates, "late-aggregates", f.config.LateAggregates, "share of aggregates that reach a node after the next block")
	flags.Float64Var(&f.config.LostAggregates, "lost-aggregates", f.config.LostAggregates, "share of aggregates that never reach a node")
	flags.Float64Var(&f.config.LateVotes, "late-votes", f.config.LateVotes, "share of votes that are too late for any aggregate")
	flags.Float64Var(&f.config.WrongHeads, "wrong-heads", f.config.WrongHeads, "share of votes for the parent although the block had arrived")
	flags.Float64Var(&f.config.Compounding, "compounding", f.config.Compounding, "share of validators with a balance of 33 to 2048 ETH")
	flags.Float64Var(&f.config.LateRate, "late-rate", f.config.LateRate, "share of blocks that are late")
	flags.Float64Var(&f.config.SideChainRate, "side-chain-rate", f.config.SideChainRate, "share of slots in which a side chain begins")
	flags.IntVar(&f.config.SideChainLen, "side-chain-length", f.config.SideChainLen, "number of blocks in a side chain")
}

// likeMainnet makes the network one like mainnet, except for the flags that were set.
func (f *worldFlags) likeMainnet() error {
	values := map[string]string{} // read before the variables change
	f.set.Visit(func(set *pflag.Flag) { values[set.Name] = set.Value.String() })
	clients, fresh := f.clients, pflag.NewFlagSet("", pflag.ContinueOnError)
	f.config = sim.MainnetConfig(f.config.Seed)
	f.bind(fresh) // sets clients and forks to their defaults
	f.clients, f.electra = clients, 0
	var errs []error
	fresh.VisitAll(func(own *pflag.Flag) {
		if value, ok := values[own.Name]; ok && own.Name != "clients" {
			errs = append(errs, own.Value.Set(value))
		}
	})
	return errors.Join(errs...)
}

func (f *worldFlags) load() (sim.Config, error) {
	if f.mainnet {
		if err := f.likeMainnet(); err != nil {
			return f.config, err
		}
	}
	c := f.config
	epoch := func(n int64) blockprint.Epoch {
		if n < 0 {
			return blockprint.FarFuture
		}
		return blockprint.Epoch(n)
	}
	c.DenebEpoch, c.ElectraEpoch = epoch(f.deneb), epoch(f.electra)
	if c.ElectraEpoch < c.DenebEpoch {
		return c, usagef("--electra-epoch %d is before --deneb-epoch %d", f.electra, f.deneb)
	}
	if len(f.clients) > 0 {
		c.Shares = nil
	}
	for _, s := range f.clients {
		name, weight, ok := strings.Cut(s, "=")
		if !ok {
			weight = "1"
		}
		w, err := strconv.ParseFloat(weight, 64)
		if err != nil || w < 0 {
			return c, usagef("--clients %q: expected NAME=WEIGHT", s)
		}
		c.Shares = append(c.Shares, sim.Share{Variant: name, Weight: w})
	}
	return c, nil
}

func newSim() *cobra.Command {
	var world worldFlags
	var address, dreamConfig string
	var history, slotMillis int
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run a simulated network with a Beacon API",
		Long: `Runs a simulated beacon network and serves it through the Beacon API of one node: first --history slots as fast as
possible, then one slot every --slot-time milliseconds (whole seconds, because the API has no fractions). With
--dream-config, each client also has a node of its own that builds blocks on request, and a configuration for
` + "`blockprint dream`" + ` that asks these nodes is written to a file.`,
		Example: "  blockprint sim --listen 127.0.0.1:5052 --history 640 --slot-time 2000\n  blockprint sim --history 320 --slot-time 2000 --dream-config dream.toml\n  blockprint sim --electra-epoch 10 --clients lighthouse/2024=3,prysm/2024=1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := world.load()
			if err != nil {
				return err
			}
			if slotMillis < 1000 || slotMillis%1000 != 0 {
				return usagef("--slot-time %d: expected a multiple of 1000", slotMillis)
			}
			c.SecondsPerSlot = uint64(slotMillis / 1000)
			c.GenesisTime = time.Now().Add(-time.Duration(history*slotMillis) * time.Millisecond).Truncate(time.Second)
			w, err := sim.New(c)
			if err != nil {
				return err
			}
			if err := demo.Advance(cmd.Context(), w, history, slog.Default()); err != nil {
				return err
			}
			network, err := demo.Serve(cmd.Context(), w, address, dreamConfig != "")
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "simulated beacon node on %s, at slot %d\n", network.URL, w.Now())
			if dreamConfig != "" {
				if err := os.WriteFile(dreamConfig, []byte(network.DreamConfig()), 0o644); err != nil {
					return errors.Join(fmt.Errorf("--dream-config: %w", err), network.Close())
				}
				fmt.Fprintf(os.Stderr, "%d nodes build blocks: ask them with `blockprint dream --config %s`\n", len(network.Nodes), dreamConfig)
			}
			network.Live(cmd.Context())
			return network.Close()
		},
	}
	cmd.AddCommand(newSimRecord(), newSimTrain(), newRealism(), newConform())
	world.add(cmd)
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:5052", "address of the Beacon API")
	cmd.Flags().StringVar(&dreamConfig, "dream-config", "", "serve one node for each client variant, and write a configuration for blockprint dream that asks them to this file")
	cmd.Flags().IntVar(&history, "history", 0, "slots to simulate before serving")
	cmd.Flags().IntVar(&slotMillis, "slot-time", 12000, "duration of a slot in milliseconds; a multiple of 1000")
	return cmd
}

// maxSlots bounds how long a simulated network is run ahead: some four months of it.
const maxSlots = 1_000_000

func newSimRecord() *cobra.Command {
	var world worldFlags
	var out string
	var slots int
	cmd := &cobra.Command{
		Use:   "record -o FILE.features",
		Short: "Write training data: the features of simulated blocks and the clients that built them",
		Long: `Runs a simulated network as fast as possible and writes the features of its canonical blocks, labeled with the
clients that built them. A model that learns from this data knows simulated clients, not real ones.`,
		Example: "  blockprint sim record -o deneb.features --slots 3200\n" +
			"  blockprint sim record -o electra.features --slots 3200 --electra-epoch 0 --clients lighthouse/2024,prysm/2024",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if slots < 1 || slots > maxSlots {
				return usagef("--slots %d: expected 1 to %d", slots, maxSlots)
			}
			c, err := world.load()
			if err != nil {
				return err
			}
			counts, err := record.WriteFile(cmd.Context(), out, []sim.Config{c}, slots, tool(), slog.Default(), progressBar("blocks"))
			if err != nil {
				return err
			}
			t := newTable("client", "blocks")
			t.clients(counts)
			t.print(cmd)
			return nil
		},
	}
	world.add(cmd)
	addOutput(cmd, &out, "FILE.features", "feature file to write", file.CheckOutput)
	cmd.Flags().IntVar(&slots, "slots", 3200, "slots to record")
	return cmd
}
