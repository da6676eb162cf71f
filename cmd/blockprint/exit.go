package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"blockprint/app"

	"github.com/spf13/cobra"
)

// Exit statuses. An interrupted command ends with 128 and the signal's number, as shells expect, so that
// `timeout 1h blockprint train ... && deploy` never deploys yesterday's model.
const (
	exitFailure   = 1
	exitUsage     = 2
	exitSignalled = 128
)

// services are the commands that run until they are stopped. For them a signal is the normal end.
var services = []string{
	"demo", "dream", "eel", "follow", "gauge", "greylist serve", "gridcoin serve", "rewards serve", "serve", "sim", "up", "watch",
}

// nextSteps says how to go on after an interruption, for commands where it is worth saying.
var nextSteps = map[string]string{
	"build-db":        "the blocks stored so far are complete; run the same command again to store the rest",
	"gridcoin scrape": "finished projects are saved; run the same command again to fetch the rest",
	"import-db":       "the rows imported so far are complete; run the same command again to import the rest",
	"load":            "finished files are complete; run the same command again to fetch the rest",
	"model join":      "no model was written",
	"prepare":         "run the same command again to continue where it stopped",
	"reclassify":      "the blocks labeled so far are stored; run the same command again to label the rest",
	"sim train":       "no model was written",
	"train":           "no model was written",
}

// grace is how long an interrupted batch command may take to stop by itself. After that the process ends: every file
// and database is written so that a crash leaves it whole.
const grace = 3 * time.Second

// errSignal is the cause of a context that a signal ended.
type errSignal struct{ syscall.Signal }

func (e errSignal) Error() string { return e.Signal.String() }

// untilSignal returns a context that the first interrupt or termination signal cancels, with an errSignal as its
// cause. The second signal has its usual effect and kills the process.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		signal.Stop(signals)
		cancel(errSignal{s.(syscall.Signal)}) // the two signals above are of this type
	}()
	return ctx
}

// exitStatus reports the error of a command, if there is one, and returns the exit status of the process.
func exitStatus(ctx context.Context, cmd *cobra.Command, err error) int {
	var usage usageError
	var wrongService app.UsageError
	var by errSignal
	stopped := errors.As(context.Cause(ctx), &by)
	name := commandName(cmd)
	switch {
	case err != nil && (errors.As(err, &usage) || errors.As(err, &wrongService) || strings.HasPrefix(err.Error(), "unknown command")): // the library's own error has no type
		fmt.Fprintf(os.Stderr, "blockprint: %v\nTry `%s --help`.\n", err, cmd.CommandPath())
		return exitUsage
	case stopped && !isService(cmd):
		// Whatever the command returned, it returned it because it was stopped.
		next := ""
		if step, ok := nextSteps[name]; ok {
			next = ": " + step
		}
		fmt.Fprintf(os.Stderr, "blockprint %s: interrupted (%s)%s\n", name, by, next)
		return exitSignalled + int(by.Signal)
	case err == nil, stopped && errors.Is(err, context.Canceled):
		return 0
	}
	fmt.Fprintf(os.Stderr, "blockprint: %s\n", oneLine(err))
	return exitFailure
}

// endAfterGrace ends the process if an interrupted batch command does not stop by itself, for example because it reads from
// a terminal, which no context ends.
func endAfterGrace(ctx context.Context, cmd *cobra.Command) {
	if isService(cmd) {
		return
	}
	context.AfterFunc(ctx, func() {
		time.Sleep(grace)
		os.Exit(exitStatus(ctx, cmd, ctx.Err()))
	})
}

// isService says whether a command runs until it is stopped. A demonstration with an end is a batch command.
func isService(cmd *cobra.Command) bool {
	name := commandName(cmd)
	if ends, err := cmd.Flags().GetBool("exit"); name == "demo" && err == nil && ends {
		return false
	}
	return slices.Contains(services, name)
}

// commandName returns a command's name without the program's.
func commandName(cmd *cobra.Command) string {
	_, name, _ := strings.Cut(cmd.CommandPath(), " ")
	return name
}
