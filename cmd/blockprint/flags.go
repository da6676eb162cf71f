package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"blockprint"
	"blockprint/app"
	"blockprint/file"
	"blockprint/greylist/notify"
	"blockprint/httpapi"
	"blockprint/service"
	"blockprint/store"
)

// before has a command take a step before it runs, after the steps that were added earlier: it checks flags, or opens
// what they name.
func before(cmd *cobra.Command, step func() error) {
	earlier := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if earlier != nil {
			if err := earlier(cmd, args); err != nil {
				return err
			}
		}
		return step()
	}
}

// given tells whether a flag has a value.
func given(cmd *cobra.Command, name string) bool { return cmd.Flag(name).Value.String() != "" }

// need makes a command refuse to run without a flag. what is the placeholder of its value.
func need(cmd *cobra.Command, name, what string) {
	before(cmd, func() error {
		if given(cmd, name) {
			return nil
		}
		f := cmd.Flag(name)
		if name = "--" + name; f.Shorthand != "" {
			name = "-" + f.Shorthand
		}
		return usagef("%s is missing: %s", strings.TrimSpace(name+" "+what), f.Usage)
	})
}

// addParsed adds a flag whose text is parsed before the command runs.
func addParsed[T any](cmd *cobra.Command, into *T, parse func(string) (T, error), name, value, usage string) {
	text := cmd.Flags().String(name, value, usage)
	before(cmd, func() (err error) {
		if *into, err = parse(*text); err != nil {
			return usagef("--%s %q: %w", name, *text, err)
		}
		return nil
	})
}

// addClients adds a flag that lists clients; "none" is an empty list.
func addClients(cmd *cobra.Command, into *[]blockprint.Client, name string, value []string, usage string) {
	names := cmd.Flags().StringSlice(name, value, usage)
	before(cmd, func() (err error) {
		*into, err = parseClients(*names)
		return err
	})
}

// parseClients reads a list of client names.
func parseClients(names []string) (out []blockprint.Client, err error) {
	if slices.Equal(names, []string{"none"}) {
		return nil, nil
	}
	for _, n := range names {
		c, err := blockprint.ParseClient(n)
		if err != nil {
			return nil, usageError{err}
		}
		out = append(out, c)
	}
	return out, nil
}

// addOutput adds -o for a file that the command writes, and checks before the work that it can be written.
func addOutput(cmd *cobra.Command, into *string, what, usage string, check func(path string) error) {
	cmd.Flags().StringVarP(into, "output", "o", "", usage)
	need(cmd, "output", what)
	before(cmd, func() error { return check(*into) })
}

// addDB adds --db, without which the command cannot work.
func addDB(cmd *cobra.Command, into *string, usage string) {
	cmd.Flags().StringVar(into, "db", "", usage)
	need(cmd, "db", "D")
}

// withDB opens a database while it is used. Whatever use stores is on the disk when use returns.
func withDB(ctx context.Context, path string, o store.Options, use func(store.Store) error) error {
	s, err := store.Open(ctx, path, o)
	if err != nil {
		return blockprint.Errorf(blockprint.CodeOf(err), "--db: %w", err)
	}
	defer func() { _ = s.Close() }() // all writes are on the disk already
	return use(s)
}

// reading opens a database that must exist, while it is read. flag names it in the error.
func reading(ctx context.Context, flag, path string, use func(store.Store) error) error {
	s, err := process("").OpenToRead(ctx, path)
	if err != nil {
		return blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", flag, err)
	}
	defer func() { _ = s.Close() }() // only read
	return use(s)
}

// addJSON adds --json.
func addJSON(cmd *cobra.Command, usage string) *bool { return cmd.Flags().Bool("json", false, usage) }

// process is what the services have in common. When a server listens, it prints where, with the address in place of
// ADDRESS, unless that text is empty.
func process(started string) app.Process {
	return app.Process{Version: version, Started: func(address string) {
		if started != "" {
			fmt.Fprintln(os.Stderr, strings.ReplaceAll(started, "ADDRESS", address))
		}
	}}
}

// addBeacon adds the flags that choose beacon nodes.
func addBeacon(cmd *cobra.Command, b *app.Beacon) {
	cmd.Flags().StringSliceVar(&b.URLs, "beacon", []string{"http://localhost:5052"}, "URL of a beacon node; repeat it for failover")
	cmd.Flags().DurationVar(&b.Timeout, "timeout", 30*time.Second, "how long to wait for a node's answer")
}

// addSince adds the flags that say where a database begins.
func addSince(cmd *cobra.Command, since **blockprint.Slot, extend *bool) {
	addParsed(cmd, since, parseSince, "since", "finalized", "first slot of a new database: a slot, genesis, or finalized")
	cmd.Flags().BoolVar(extend, "extend", false, "with --since: make an existing database begin earlier")
}

func parseSince(s string) (*blockprint.Slot, error) {
	switch s {
	case "finalized":
		return nil, nil
	case "genesis":
		s = "0"
	}
	slot, err := blockprint.ParseSlot(s)
	if err != nil {
		return nil, fmt.Errorf("expected a slot, genesis or finalized")
	}
	return &slot, nil
}

// addAPI adds the flags of an API that has private routes. addresses returns those that it listens on.
func addAPI(cmd *cobra.Command, o *httpapi.Options, addresses func() []string) {
	flags := cmd.Flags()
	addRate(cmd, o)
	flags.Int64Var(&o.MaxBody, "max-body", service.DefaultMaxBody, "size limit for the body of a request, in bytes")
	users := flags.StringArray("user", nil, "NAME:PASSWORD for the private routes, or @FILE with one per line; without --user and --token only this machine may use them")
	tokens := flags.StringArray("token", nil, "bearer token for the private routes, or @FILE with one per line")
	hosts := flags.StringArray("host", nil, "another name of this machine, besides localhost and the host of --listen, that its own requests for private routes may use without credentials")
	before(cmd, func() (err error) {
		o.Hosts = slices.Clone(*hosts)
		for _, a := range addresses() {
			if host, _, err := net.SplitHostPort(a); err == nil && host != "" {
				o.Hosts = append(o.Hosts, host)
			}
		}
		if o.Auth.Users, err = readUsers(*users); err == nil {
			o.Auth.Tokens, err = secrets("--token", *tokens)
		}
		return err
	})
}

// addLabelsAPI adds the flags of the API of a database.
func addLabelsAPI(cmd *cobra.Command, o *httpapi.LabelsOptions, addresses func() []string) {
	cmd.Flags().Uint64Var(&o.HeadTolerance, "head-tolerance", httpapi.DefaultHeadTolerance, "how many slots the newest block may be behind the clock before this counts as a gap")
	addAPI(cmd, &o.Options, addresses)
}

// addRate adds the flag that limits the requests of an API's clients.
func addRate(cmd *cobra.Command, o *httpapi.Options) {
	cmd.Flags().Float64Var(&o.Rate, "rate", 0, "requests per second for one client address; 0 means no limit")
	before(cmd, func() error {
		if err := o.Check(); err != nil {
			return usageError{err}
		}
		return nil
	})
}

// readUsers reads the users of --user and their passwords.
func readUsers(texts []string) (map[string]string, error) {
	users := map[string]string{}
	list, err := secrets("--user", texts)
	for _, u := range list {
		name, password, ok := strings.Cut(u, ":")
		if !ok || name == "" || password == "" {
			return nil, usagef("--user: expected NAME:PASSWORD, or @FILE with that")
		}
		users[name] = password
	}
	return users, err
}

// secrets replaces @FILE by the lines of the file, so that passwords need not stand on the command line.
func secrets(flag string, values []string) ([]string, error) {
	var out []string
	for _, v := range values {
		path, ok := strings.CutPrefix(v, "@")
		if !ok {
			out = append(out, v)
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, line)
			}
		}
	}
	if slices.Contains(out, "") {
		return nil, usagef("%s: empty", flag)
	}
	return out, nil
}

// addNotify adds the flags of all notifiers. name is that of --notify, which Gridcoin spells in two other ways.
func addNotify(cmd *cobra.Command, into *[]notify.Notifier, name string) {
	set := flag.NewFlagSet("", flag.ContinueOnError)
	notifiers := notify.AddFlags(set, func(flag, value string) (string, error) {
		if value == "" {
			return "", nil
		}
		list, err := secrets(flag, []string{value})
		return strings.Join(list[:min(1, len(list))], ""), err
	})
	set.VisitAll(func(f *flag.Flag) {
		one := pflag.PFlagFromGoFlag(f)
		if one.Name == "notify" && name != "notify" {
			one.Name = name
			alias := *one
			alias.Name, alias.Usage = strings.ReplaceAll(name, "-", ""), "Gridcoin's name for --"+name
			cmd.Flags().AddFlag(&alias)
		}
		cmd.Flags().AddFlag(one)
	})
	before(cmd, func() (err error) {
		if *into, err = notifiers(); blockprint.CodeOf(err) == blockprint.Invalid {
			return usageError{err}
		}
		return err
	})
}

// notice prints a line for the user on standard error.
func notice(format string, args ...any) { fmt.Fprintf(os.Stderr, "blockprint: "+format+"\n", args...) }

// warn prints warnings.
func warn(warnings []string) {
	for _, w := range warnings {
		notice("warning: %s", w)
	}
}

// badFiles prints the files that could not be read and makes them the command's failure.
func badFiles(bad []file.Bad, total int) error {
	for _, b := range bad {
		notice("left out: %s", oneLine(b.Err))
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d of %d files could not be read; the others were", len(bad), total)
	}
	return nil
}
