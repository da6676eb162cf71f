package notify

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"blockprint"
	"blockprint/greylist"
)

// Command runs one of the operator's programs for each change, without a shell.
type Command struct {
	args    []string
	timeout time.Duration
}

func commandFlags(flags *flag.FlagSet, _ Secret) func() (Notifier, error) {
	line := flags.String("notify", "", "command to run for each change, without a shell; HASH SUBJECT OLD NEW REASON are appended, or HASH replaces %s")
	timeout := flags.Duration("notify-timeout", time.Minute, "how long the command may run")
	return func() (Notifier, error) {
		if *line == "" {
			return nil, nil //nolint:nilnil // none is asked for
		}
		return NewCommand(*line, *timeout)
	}
}

// NewCommand returns a notifier that runs a command line, whose words are separated by blanks. If a word contains %s, the hash
// replaces it and there are no other arguments, as Gridcoin's scripts expect; otherwise HASH SUBJECT OLD NEW REASON are appended.
// The environment has the same values and more. Unprintable characters are escaped, and very long texts are cut.
func NewCommand(line string, timeout time.Duration) (*Command, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "the command to run for each change is empty")
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "command %q: %w", words[0], err)
	}
	return &Command{words, timeout}, nil
}

// Name implements Notifier.
func (c *Command) Name() string { return "command " + c.args[0] }

// Notify implements Notifier.
func (c *Command) Notify(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	hash, subject, reason := greylist.Printable(n.Hash, most), greylist.Printable(n.Subject, most), greylist.Printable(n.Reason, most)
	args := make([]string, len(c.args))
	replaced := false
	for i, a := range c.args {
		args[i] = strings.ReplaceAll(a, "%s", hash)
		replaced = replaced || args[i] != a
	}
	if !replaced {
		args = append(args, hash, subject, n.Old.String(), n.New.String(), reason)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second // a child that keeps the output open must not hold up the rest
	cmd.Env = append(os.Environ(),
		"GREYLIST_HASH="+hash, "GREYLIST_SUBJECT="+subject, "GREYLIST_OLD="+n.Old.String(), "GREYLIST_NEW="+n.New.String(), "GREYLIST_REASON="+reason,
		"GREYLIST_BOUNDARY="+strconv.Itoa(n.Boundary), "GREYLIST_HEIGHT="+strconv.FormatUint(n.Height, 10))
	for _, f := range n.Numbers {
		cmd.Env = append(cmd.Env, "GREYLIST_"+strings.ToUpper(f.Name)+"="+greylist.Printable(fmt.Sprint(f.Exact), most))
	}
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return unreachable{fmt.Errorf("the command did not end within %s", c.timeout)}
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return fmt.Errorf("%w: %s", err, greylist.Printable(string(bytes.TrimSpace(out)), 200))
	case err != nil: // it cannot be started
		return unreachable{err}
	}
	return nil
}
