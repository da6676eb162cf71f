package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sort"
	"time"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/lab"
)

func newLab() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "A private network on which real beacon nodes pack blocks from votes that are known",
		Long: `A laboratory: real beacon nodes of any version, started by you on this machine, build a block in every slot of a private
network. All validators' votes come from here, so that it is known what each node had when it packed its block, and who
built the block. The recording is training data of a kind that no public network gives, and of forks that no public
network has yet.`,
		Example: "  blockprint lab genesis net/ --validators 65536 --committee-size 32 --in 2m\n  blockprint lab run --config lab.toml",
	}
	cmd.AddCommand(newLabGenesis(), newLabRun(), newLabFeatures())
	return cmd
}

func newLabGenesis() *cobra.Command {
	o := lab.GenesisOptions{}
	var in time.Duration
	var fork, execution string
	var seconds uint16
	var fulu uint64
	var again bool
	cmd := &cobra.Command{
		Use:   "genesis DIR",
		Short: "Write a private network's genesis state, configuration, and Engine API secret",
		Long: `Writes genesis.ssz, config.yaml, deposit_contract_block.txt, and jwt.hex into a folder, which consensus clients take as
the description of a custom network. The validators have the well-known interop keys: never use them elsewhere.
With --again the files stay as they are and only get a new start.`,
		Example: "  blockprint lab genesis net/ --validators 65536 --committee-size 32 --in 2m\n" +
			"  blockprint lab genesis net/ --fork fulu --slot-seconds 6\n" +
			"  blockprint lab genesis net/ --again --in 1m",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			o.Dir, o.Start = args[0], time.Now().Add(in)
			o.SlotDuration, o.FuluEpoch = time.Duration(seconds)*time.Second, blockprint.FarFuture
			if o.Fork, err = blockprint.ParseFork(fork); err != nil {
				return usageError{err}
			}
			if cmd.Flags().Changed("fulu-epoch") {
				o.FuluEpoch = blockprint.Epoch(fulu)
			}
			if execution != "" {
				text, err := os.ReadFile(execution)
				if err != nil {
					return err
				}
				o.Execution = json.RawMessage(text)
			}
			var c *lab.Chain
			if again {
				c, err = lab.Restart(o.Dir, o.Start)
			} else {
				c, err = lab.MakeGenesis(o)
			}
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d validators, starts with %s at %s (Unix time %d)\n", o.Dir, len(c.Balances), c.Genesis, c.GenesisTime.Format(time.TimeOnly), c.GenesisTime.Unix())
			return nil
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Validators, "validators", 65536, "number of validators")
	flags.Uint64Var(&o.CommitteeSize, "committee-size", 128, "TARGET_COMMITTEE_SIZE: a slot's validators are split into as many committees, at most 64")
	flags.Uint16Var(&seconds, "slot-seconds", 12, "seconds in a slot")
	flags.StringVar(&fork, "fork", "electra", "fork of the genesis state: electra or fulu")
	flags.Uint64Var(&fulu, "fulu-epoch", 0, "epoch in which a network that starts with electra goes over to fulu (default never)")
	flags.Float64Var(&o.Compounding, "compounding", 0.06, "share of validators with 33 to 2047 ETH instead of 32")
	flags.DurationVar(&in, "in", 2*time.Minute, "how long from now the network starts: all nodes must be up by then")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of the balances and the first committees")
	flags.StringVar(&execution, "execution", "", "file with the genesis block of your execution client, the answer to eth_getBlockByNumber; without it, lab run is the execution client")
	flags.BoolVar(&again, "again", false, "only give the network in DIR a new start")
	return cmd
}

func newLabRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run --config F",
		Short: "Feed real beacon nodes known votes, ask each for a block in every slot, and record both",
		Long: `Plays all validators of a network that "blockprint lab genesis" has made, and is its nodes' execution client. The nodes
are yours to start. --config is a TOML file, which docs/lab.md describes:

  network = "net"       # folder of lab genesis
  output = "first-run"  # folder for the recording
  slots = 512

  [[node]]
  name = "prysm-a"
  client = "Prysm"
  url = "http://127.0.0.1:3500"`,
		Example: "  blockprint lab run --config lab.toml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, _ := cmd.Flags().GetString("config")
			if path == "" {
				return usagef("--config F is missing")
			}
			c, err := lab.ReadConfig(path)
			if err != nil {
				return err
			}
			report, err := lab.Run(cmd.Context(), c, lab.Options{Tool: tool(), Logger: slog.Default(), Progress: progressBar("slots")})
			if report != nil {
				printLab(cmd, c, report)
			}
			return err
		},
	}
	cmd.Annotations = map[string]string{ownConfig: ""}
	return cmd
}

// printLab prints what a run brought.
func printLab(cmd *cobra.Command, c *lab.Config, r *lab.Report) {
	w := cmd.OutOrStdout()
	_, _ = fmt.Fprintf(w, "%s recorded in %s; in this run, %d with a block and %d without\n", counted(r.Slots, "slot"), c.Output, r.Published, r.Empty)
	if r.Missed > 0 {
		_, _ = fmt.Fprintf(w, "%s stayed empty because this machine was too slow\n", counted(r.Missed, "slot"))
	}
	t := newTable("node", "client", "blocks", "left out", "votes refused")
	var why []string
	for _, n := range c.Nodes {
		left, refused := 0, 0
		for reason, times := range r.Dropped[n.Name] {
			left += times
			why = append(why, fmt.Sprintf("%s, %d times left out: %s", n.Name, times, reason))
		}
		for reason, times := range r.Refused[n.Name] {
			refused += times
			why = append(why, fmt.Sprintf("%s, %d votes refused: %s", n.Name, times, reason))
		}
		t.row(n.Name, n.Client, r.Blocks[n.Name], left, refused)
	}
	t.print(cmd)
	sort.Strings(why)
	for _, line := range why {
		_, _ = fmt.Fprintln(w, line)
	}
}

func newLabFeatures() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "features RECORDING... -o FILE",
		Short: "Make labeled training data of recordings",
		Long: `Writes a feature file with a row for each block that a recorded node built. The label is the client that the recording
names for the node.`,
		Example: "  blockprint lab features first-run/recording.jsonl.gz -o real.features",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usagef("-o FILE is missing")
			}
			report, err := lab.WriteFeatures(cmd.Context(), out, args, tool(), slog.Default())
			if err != nil {
				return err
			}
			t := newTable("client", "blocks")
			for _, c := range blockprint.Clients() {
				if n := report.Blocks[c]; n > 0 {
					t.row(c, n)
				}
			}
			t.print(cmd)
			if report.Unrated+report.Skipped > 0 {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "left out: %s that cannot be rated, %s that is not whole\n", counted(report.Unrated, "block"), counted(report.Skipped, "slot"))
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "feature file to write")
	return cmd
}
