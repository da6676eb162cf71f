package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"blockprint/demo"
)

func newDemo() *cobra.Command {
	var world worldFlags
	var o demo.Options
	var exit bool
	var asJSON *bool
	var slotTime time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch everything work on a simulated network",
		Long: `Starts a simulated network, follows its chain, labels each block with the built-in model, stores it and serves the API.
With --train-epochs, it first trains a model on the network's first epochs, whose builders are known. All figures are
those of a simulation.`,
		Example: "  blockprint demo\n  blockprint demo --slots 320 --exit --json\n  blockprint demo --electra-epoch 0 --train-epochs 20",
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
			o.Version, o.Logger = version, slog.New(slog.DiscardHandler)
			if level, _ := cmd.Flags().GetString("log-level"); level == "debug" {
				o.Logger = slog.Default()
			}
			if !*asJSON {
				o.Started, o.Each = started, (&liveTable{exit: exit}).row
				fmt.Printf("A simulated network of %d validators; everything below is a model, not a measurement.\n", o.World.Validators)
			}
			s, err := demo.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if *asJSON {
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
	asJSON = addJSON(cmd, "print only the summary, as JSON")
	cmd.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8000", "address of the API")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "directory for the database and the model (default a temporary one)")
	return cmd
}

// started prints what runs.
func started(s demo.Started) {
	if s.TrainBlocks > 0 {
		fmt.Printf("Trained on %d blocks in %.1f s (%s).\n", s.TrainBlocks, s.Took.Seconds(), s.Model)
	} else {
		fmt.Printf("Using the built-in model (%s), which was trained in other simulated networks.\n", s.Model)
	}
	fmt.Printf("Beacon API of the simulated node: %s\nblockprint's API: %s (try %s/sync/status and %s/docs)\n\n", s.Node, s.API, s.API, s.API)
}

// liveTable prints a row for each slot.
type liveTable struct {
	exit bool
	rows int
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
	var shares []string
	for c, n := range r.Shares {
		shares = append(shares, fmt.Sprintf("%s %.0f%%", c, 100*float64(n)/float64(max(r.Blocks, 1))))
	}
	sort.Strings(shares)
	fmt.Printf("%8d  %-11s %-11s %-5s %8.1f%%  %8.1f%%  %-11s %5d  %s\n", r.Slot, label, truth, mark,
		100*float64(r.Right)/float64(max(r.Blocks, 1)), 100*r.Gauge.BalancedAccuracy, opinion, r.Gaps, strings.Join(shares, " "))
}
