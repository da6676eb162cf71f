// Command blockprint tells which consensus client built each block of Ethereum's beacon chain.
package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"blockprint"
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
	root.AddGroup(groups()...)
	root.AddCommand(grouped(trying, newDemo(), newSim())...)
	root.AddCommand(grouped(running, newUp(), newFollow(), newServe(), newWatch(), newDream(), newGauge(), newEel())...)
	root.AddCommand(grouped(labeling, newLoad(), newClassify(), newFeatures(), newBuildDB(), newReclassify(), newImportDB(), newDB(), newRewards())...)
	root.AddCommand(grouped(training, newPrepare(), newBalance(), newTrain(), newCV(), newReport(), newPlot(), newModel())...)
	root.AddCommand(grouped(measuring, newEvaluate(), newShares(), newSpoofs(), newTrust())...)
	root.AddCommand(grouped(greylisting, newGreylist(), newGridcoin())...)
	walk(root, checkArgs)
	complete(root)
	return root
}

// checkArgs makes wrong arguments of a command a usage error.
func checkArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
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

// parseClients reads a list of client names.
func parseClients(names []string) ([]blockprint.Client, error) {
	var out []blockprint.Client
	for _, n := range names {
		c, err := blockprint.ParseClient(n)
		if err != nil {
			return nil, usageError{err}
		}
		out = append(out, c)
	}
	return out, nil
}
