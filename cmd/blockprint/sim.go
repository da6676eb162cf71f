package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/demo"
	"blockprint/file"
	"blockprint/packer"
	"blockprint/sim"
	"blockprint/sim/record"
)

// worldFlags are the flags that make a simulated network.
type worldFlags struct {
	config         sim.Config
	clients        []string
	deneb, electra int64
}

func (f *worldFlags) add(cmd *cobra.Command) {
	f.config = sim.DefaultConfig(1)
	flags := cmd.Flags()
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

func (f *worldFlags) load() (sim.Config, error) {
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
		for _, s := range f.clients {
			name, weight, ok := strings.Cut(s, "=")
			w := 1.0
			if ok {
				var err error
				if w, err = strconv.ParseFloat(weight, 64); err != nil || w < 0 {
					return c, usagef("--clients %q: expected NAME=WEIGHT", s)
				}
			}
			c.Shares = append(c.Shares, sim.Share{Variant: name, Weight: w})
		}
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
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			c, err := world.load()
			if err != nil {
				return err
			}
			if slotMillis < 1000 || slotMillis%1000 != 0 {
				return usagef("--slot-time %d: expected a multiple of 1000", slotMillis)
			}
			c.SecondsPerSlot = uint64(slotMillis / 1000)
			slot := time.Duration(slotMillis) * time.Millisecond
			c.GenesisTime = time.Now().Add(-time.Duration(history) * slot).Truncate(time.Second)
			w, err := sim.New(c)
			if err != nil {
				return err
			}
			for i := range history {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				w.Step()
				if i%320 == 319 {
					slog.Info("simulating history", "slot", i+1)
				}
			}
			network, err := demo.Serve(ctx, w, address, dreamConfig != "")
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "simulated beacon node on %s, at slot %d\n", network.URL, w.Now())
			if dreamConfig != "" {
				if err := os.WriteFile(dreamConfig, []byte(network.DreamConfig(w.Network().ConfigName)), 0o644); err != nil {
					return errors.Join(fmt.Errorf("--dream-config: %w", err), network.Close())
				}
				fmt.Fprintf(os.Stderr, "%d nodes build blocks: ask them with `blockprint dream --config %s`\n", len(network.Nodes), dreamConfig)
			}
			for runNextSlot(ctx, w) {
			}
			return network.Close()
		},
	}
	cmd.AddCommand(newSimRecord(), newSimTrain(), newRealism())
	world.add(cmd)
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:5052", "address of the Beacon API")
	cmd.Flags().StringVar(&dreamConfig, "dream-config", "", "serve one node for each client variant, and write a configuration for blockprint dream that asks them to this file")
	cmd.Flags().IntVar(&history, "history", 0, "slots to simulate before serving")
	cmd.Flags().IntVar(&slotMillis, "slot-time", 12000, "duration of a slot in milliseconds; a multiple of 1000")
	return cmd
}

// runNextSlot waits for the next slot's time and runs it; it returns false when ctx ends.
func runNextSlot(ctx context.Context, w *sim.World) bool {
	next := time.NewTimer(time.Until(w.Network().TimeOf(w.Now() + 1)))
	defer next.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-next.C:
	}
	if s := w.Step(); !s.Block.IsZero() {
		slog.Info("slot", "slot", s.Slot, "block", s.Block.Short(), "built_by", s.Client)
	} else {
		slog.Info("slot", "slot", s.Slot, "block", "skipped")
	}
	return true
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
		Long: "Runs a simulated network as fast as possible and writes the features of its canonical blocks, labeled with the\n" +
			"clients that built them. A model that learns from this data knows simulated clients, not real ones.",
		Example: "  blockprint sim record -o deneb.features --slots 3200\n" +
			"  blockprint sim record -o electra.features --slots 3200 --electra-epoch 0 --clients lighthouse/electra,prysm/electra",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usagef("-o FILE.features is missing")
			}
			if slots < 1 || slots > maxSlots {
				return usagef("--slots %d: expected 1 to %d", slots, maxSlots)
			}
			if err := file.CheckOutput(out); err != nil {
				return err
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
			for _, client := range blockprint.Clients() {
				if n := counts[client]; n > 0 {
					t.row(client, n)
				}
			}
			t.print(cmd.OutOrStdout())
			return nil
		},
	}
	world.add(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "feature file to write")
	cmd.Flags().IntVar(&slots, "slots", 3200, "slots to record")
	return cmd
}

func newDemo() *cobra.Command {
	var world worldFlags
	var o demo.Options
	var exit, asJSON bool
	var slotTime time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch everything work on a simulated network",
		Long: `Starts a simulated network, follows its chain, labels each block with the built-in model, stores it and serves the API.
With --train-epochs, it first trains a model on the network's first epochs, whose builders are known. All figures are
those of a simulation.`,
		Example: "  blockprint demo\n  blockprint demo --slots 320 --exit --json\n  blockprint demo --electra-epoch 0 --train-epochs 20",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.World, err = world.load(); err != nil {
				return err
			}
			if exit && o.Slots == 0 {
				o.Slots = 320
			}
			if o.Slots < 0 || o.Slots > maxSlots || o.TrainEpochs < 0 || uint64(o.TrainEpochs) > maxSlots/o.World.SlotsPerEpoch {
				return usagef("--slots %d, --train-epochs %d: expected 0 to %d slots", o.Slots, o.TrainEpochs, maxSlots)
			}
			if !exit {
				o.SlotTime = slotTime
			} else if !cmd.Flags().Changed("listen") {
				o.Listen = "127.0.0.1:0"
			}
			// Genesis lies so far back that the first followed slot is now.
			back := time.Duration(uint64(o.History())*o.World.SlotsPerEpoch*o.World.SecondsPerSlot) * time.Second
			o.World.GenesisTime = time.Now().Add(-back).Truncate(time.Second)
			o.Version, o.Logger = version, slog.New(slog.DiscardHandler)
			if level, _ := cmd.Flags().GetString("log-level"); level == "debug" {
				o.Logger = slog.Default()
			}
			if !asJSON {
				t := &liveTable{exit: exit}
				o.Started, o.Each = t.started, t.row
				fmt.Printf("A simulated network of %d validators; everything below is a model, not a measurement.\n", o.World.Validators)
			}
			s, err := demo.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			}
			fmt.Printf("\n%d of %d blocks labeled correctly (%.1f %%), %d orphaned in %s, %d of %d slots skipped, %s; from the beginning of the slot to the stored label: median %.1f ms\n",
				s.Correct, s.Blocks, 100*s.Accuracy, s.Orphaned, counted(s.Reorgs, "reorganization"), s.Skipped, s.Slots, counted(s.Gaps, "gap"), s.LatencyMs["p50"])
			fmt.Printf("The gauge has measured %d blocks of known clients; on average, %.1f %% of a client's blocks are labeled correctly. The distance to these blocks named the builder of %d blocks, %d of them correctly, and could not decide %d.\n",
				s.Gauge.Blocks, 100*s.Gauge.BalancedAccuracy, s.Gauge.Opinions, s.Gauge.OpinionsRight, s.Gauge.TooClose)
			if len(s.Gauge.Greylisted) > 0 {
				fmt.Printf("Labels that cannot be trusted: %v (see /trust).\n", s.Gauge.Greylisted)
			}
			return nil
		},
	}
	world.add(cmd)
	cmd.Flags().IntVar(&o.TrainEpochs, "train-epochs", 0, "train a model on this many epochs first (default: use the built-in model)")
	cmd.Flags().IntVar(&o.Slots, "slots", 0, "number of slots to follow; 0 means no end (320 with --exit)")
	cmd.Flags().DurationVar(&slotTime, "slot-time", time.Second, "how long a slot takes in real time")
	cmd.Flags().BoolVar(&exit, "exit", false, "run as fast as possible, then exit")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print only the summary, as JSON")
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8000", "address of the API")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "directory for the database and the model (default a temporary one)")
	return cmd
}

// liveTable prints a row for each slot.
type liveTable struct {
	exit bool
	rows int
}

func (t *liveTable) started(s demo.Started) {
	if s.TrainBlocks > 0 {
		fmt.Printf("Trained on %d blocks in %.1f s (%s).\n", s.TrainBlocks, s.Took.Seconds(), s.Model)
	} else {
		fmt.Printf("Using the built-in model (%s), which was trained in other simulated networks.\n", s.Model)
	}
	fmt.Printf("Beacon API of the simulated node: %s\nblockprint's API: %s (try %s/sync/status and %s/docs)\n\n", s.Node, s.API, s.API, s.API)
}

func (t *liveTable) row(r demo.Row) {
	if t.exit && t.rows%20 != 19 && t.rows > 0 { // every twentieth slot is enough when they fly by
		t.rows++
		return
	}
	if t.rows%20 == 0 || t.exit && t.rows == 0 {
		fmt.Printf("%8s  %-11s %-11s %-5s %9s  %9s  %-11s %5s  %s\n", "slot", "label", "truth", "", "accuracy", "gauge", "opinion", "gaps", "shares")
	}
	t.rows++
	label, truth, mark := string(r.Label), string(r.Truth), "ok"
	switch {
	case !r.Block:
		label, truth, mark = "(skipped)", "", ""
	case r.Label != r.Truth:
		mark = "WRONG"
	}
	opinion := string(r.Opinion)
	if opinion == "" && r.Block {
		opinion = "-"
	}
	fmt.Printf("%8d  %-11s %-11s %-5s %8.1f%%  %8.1f%%  %-11s %5d  %s\n", r.Slot, label, truth, mark,
		100*float64(r.Right)/float64(max(r.Blocks, 1)), 100*r.Gauge.BalancedAccuracy, opinion, r.Gaps, shares(r.Shares, r.Blocks))
}

func shares(counts map[blockprint.Client]int, total int) string {
	var parts []string
	for c, n := range counts {
		parts = append(parts, fmt.Sprintf("%s %.0f%%", c, 100*float64(n)/float64(max(total, 1))))
	}
	sort.Strings(parts)
	return strings.Join(parts, " ")
}
