// Command blockprint tells which consensus client built each block of Ethereum's beacon chain.
package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"blockprint/classify/builtin"
	"blockprint/eel"
	"blockprint/evaluate"
	"blockprint/gridcoin/rules"
	"blockprint/packer"
	"blockprint/train"
)

// version is set by the Makefile.
var version = "dev"

// tool names the program in the files that it writes.
func tool() string { return "blockprint " + version }

func main() { os.Exit(run()) }

// run is main with an exit status: 0 success, 1 failure, 2 wrong usage, 130 or 143 after an interruption.
func run() int {
	ctx := untilSignal()
	cmd, err := newRoot().ExecuteContextC(ctx)
	return exitStatus(ctx, cmd, err)
}

// oneLine keeps joined errors on one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// usageError is a wrong command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// newRoot returns the whole command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "blockprint",
		Short: "Find out which consensus client built each block of Ethereum's beacon chain",
		Long: `Blockprint finds out which consensus client built each block of Ethereum's beacon chain, from how the block packs its
attestations, and so measures client diversity. It needs only the standard API, which every consensus client has.
If you are new, start with "blockprint demo", which needs neither a node nor a model.`,
		Example:       "  blockprint demo\n  blockprint follow --beacon http://localhost:5052 --db mainnet.db --model mainnet.model\n  blockprint serve --db mainnet.db --model mainnet.model",
		Version:       version,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().String("log-level", "info", "log messages at this level and above: debug, info, warn, error")
	root.PersistentFlags().Bool("log-json", false, "log as JSON lines")
	root.PersistentFlags().String("config", "", "TOML file whose keys are the names of this command's flags; flags on the command line override it")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := applyConfig(cmd); err != nil {
			return err
		}
		endAfterGrace(cmd.Context(), cmd)
		return setLogger(cmd)
	}
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"try", "Try it without a network:", []*cobra.Command{newDemo(), newSim(), newLab(), newLab()}},
		{"run", "Run services, which work until they are stopped:", []*cobra.Command{newUp(), newFollow(), newServe(), newWatch(), newDream(), newGauge(), newEel()}},
		{"label", "Fetch blocks, label them and look after databases:", []*cobra.Command{newLoad(), newClassify(), newFeatures(), newBuildDB(), newReclassify(), newImportDB(), newDB(), newRewards()}},
		{"train", "Train models:", []*cobra.Command{newPrepare(), newBalance(), newTrain(), newCV(), newReport(), newPlot(), newModel()}},
		{"measure", "Measure how far labels can be trusted:", []*cobra.Command{newEvaluate(), newShares(), newSpoofs(), newTrust()}},
		{"greylist", "Greylist sources that have gone silent or bad:", []*cobra.Command{newGreylist(), newGridcoin()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	walk(root, finish)
	complete(root)
	return root
}

// finish gives a command what all but the first have: one that lists no arguments takes none, wrong arguments are a
// usage error, and one that only has others below it prints its help.
func finish(c *cobra.Command) {
	if !c.HasParent() {
		return
	}
	if c.RunE == nil {
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	check := c.Args
	if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// walk visits a command and all below it.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}

func setLogger(cmd *cobra.Command) error {
	name, _ := cmd.Flags().GetString("log-level")
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return usagef("--log-level %q: expected debug, info, warn or error", name)
	}
	options := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewTextHandler(os.Stderr, options)
	if asJSON, _ := cmd.Flags().GetBool("log-json"); asJSON {
		h = slog.NewJSONHandler(os.Stderr, options)
	}
	slog.SetDefault(slog.New(h))
	return nil
}

// complete makes a shell complete the flags of a command, and of those below it, that have fixed values.
func complete(cmd *cobra.Command) {
	var networks []string
	for _, n := range eel.Networks() {
		networks = append(networks, n.Name)
	}
	values := map[string][]string{
		"calibrate": {"auto", "on", "off"}, "chain": {"main", "test"}, "clients": packer.Variants(), "era": {"deneb", "electra"},
		"fcu-matching": {string(eel.Exact), string(eel.Loose), string(eel.HeadOnly)}, "format": {"png", "svg"},
		"labels": {"graffiti", "directory"}, "log-level": {"debug", "info", "warn", "error"}, "network": networks,
		"of": {"gridcoin", "trust"}, "policy": {"rules-first", "manual-first", "fsm"}, "since": {"finalized", "genesis"}, "type": train.Algorithms(),
	}
	for _, s := range evaluate.Shifts() {
		values["shifts"] = append(values["shifts"], string(s))
	}
	walk(cmd, func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			list, fixed := values[f.Name]
			directive := cobra.ShellCompDirectiveNoFileComp
			switch {
			case f.Name == "rules" && c.HasParent() && (c.Parent().Name() == "greylist" || c.Parent().Name() == "gridcoin"):
				list, fixed = rules.Names(), true
			case f.Name == "model":
				list, fixed, directive = []string{builtin.Name}, true, cobra.ShellCompDirectiveDefault // or a file
			}
			if fixed {
				_ = c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(list, directive)) // the flag is there
			}
		})
	})
}
