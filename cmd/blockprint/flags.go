package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/beacon"
	"blockprint/classify"
	"blockprint/classify/builtin"
	"blockprint/httpapi"
	"blockprint/service"
	"blockprint/store"
)

// process is what the services have in common.
func process() app.Process { return app.Process{Version: version} }

// nodeFlags are the flags that choose beacon nodes.
type nodeFlags struct{ app.Beacon }

func (f *nodeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.URLs, "beacon", []string{"http://localhost:5052"}, "URL of a beacon node; repeat it for failover")
	cmd.Flags().DurationVar(&f.Timeout, "timeout", 30*time.Second, "how long to wait for a node's answer")
}

func (f *nodeFlags) client() (*beacon.Client, error) {
	return beacon.New(f.URLs, beacon.Options{Timeout: f.Timeout, Logger: slog.Default()})
}

// authFlags are the flags that guard the private routes.
type authFlags struct{ users, tokens, hosts []string }

func (f *authFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.users, "user", nil, "NAME:PASSWORD for the private routes, or @FILE with one per line; without --user and --token only this machine may use them")
	cmd.Flags().StringArrayVar(&f.tokens, "token", nil, "bearer token for the private routes, or @FILE with one per line")
	cmd.Flags().StringArrayVar(&f.hosts, "host", nil, "another name of this machine, besides localhost and the host of --listen, that its own requests for private routes may use without credentials")
}

// names returns the names that a server listening on these addresses may be called by.
func (f *authFlags) names(addresses ...string) []string {
	out := slices.Clone(f.hosts)
	for _, a := range addresses {
		if host, _, err := net.SplitHostPort(a); err == nil && host != "" {
			out = append(out, host)
		}
	}
	return out
}

func (f *authFlags) load() (service.Auth, error) {
	a := service.Auth{Users: map[string]string{}}
	users, err := secrets("--user", f.users)
	if err != nil {
		return a, err
	}
	for _, u := range users {
		name, password, ok := strings.Cut(u, ":")
		if !ok || name == "" || password == "" {
			return a, usagef("--user: expected NAME:PASSWORD")
		}
		a.Users[name] = password
	}
	a.Tokens, err = secrets("--token", f.tokens)
	return a, err
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
	for _, v := range out {
		if v == "" {
			return nil, usagef("%s: empty", flag)
		}
	}
	return out, nil
}

// addLimits adds the flags that bound what clients of an API may ask for.
func addLimits(cmd *cobra.Command, o *httpapi.Options) {
	cmd.Flags().Float64Var(&o.Rate, "rate", 0, "requests per second for one client address; 0 means no limit")
	cmd.Flags().Int64Var(&o.MaxBody, "max-body", service.DefaultMaxBody, "size limit for the body of a request, in bytes")
}

// modelHelp describes a --model flag.
const modelHelp = "model file, or \"simulated\" for the built-in model, which was trained in simulated networks only; append #FORK to label every block with the part for that fork"

// openModel opens a model file, or the model that ships. network is what the user says that the blocks are of; a name
// that is not public says nothing about forks, which nodes, databases and the blocks themselves tell better.
func openModel(path, network string) (m *classify.Model, err error) {
	name, fork, chosen := path, "", false
	if _, missing := os.Stat(path); missing != nil { // a file's name may have a # in it
		name, fork, chosen = strings.Cut(path, "#")
	}
	switch name {
	case "":
		return nil, usagef("--model M is missing: train a model with `blockprint train`, or try --model %s, which was trained in simulated networks only", builtin.Name)
	case builtin.Name:
		slog.Warn("the built-in model was trained in simulated networks only; its accuracy on real networks is unknown")
		m, err = builtin.Model()
	default:
		m, err = classify.Open(name)
	}
	if err != nil {
		return nil, err
	}
	if s, ok := blockprint.PublicSchedule(network); ok {
		m.SetSchedule(s)
	}
	if !chosen {
		return m, nil
	}
	f, err := blockprint.ParseFork(strings.ToLower(fork))
	if err != nil {
		return nil, usagef("--model %s: %v", path, err)
	}
	return m, m.Only(f)
}

// labeling opens the model and loads the graffiti rules.
func (f *rulesFlags) labeling(model string) (l app.Labeling, err error) {
	if l.Model, err = openModel(model, f.network); err != nil {
		return l, err
	}
	l.Rules, err = f.load()
	return l, err
}

// openDB opens a database that must be there; flag names it in the error.
func openDB(ctx context.Context, flag, path string) (store.Store, error) {
	s, err := store.Open(ctx, path, store.Options{Existing: true})
	if err != nil {
		return nil, blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", flag, err)
	}
	return s, nil
}

// openToRead opens a database that must exist, for a command that changes nothing in it.
func openToRead(ctx context.Context, flag, path string) (store.Store, error) {
	s, err := process().OpenToRead(ctx, path)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", flag, err)
	}
	return s, nil
}
