package main

import (
	"cmp"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/app"
	"blockprint/classify"
	"blockprint/classify/builtin"
	"blockprint/graffiti"
	"blockprint/names"
)

// rulesFlags are the flags that choose graffiti rules and name the network, which is empty if it is not given.
type rulesFlags struct{ path, network string }

func (f *rulesFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "rules", "", "TOML file with graffiti rules, to replace the built-in ones")
	cmd.Flags().StringVar(&f.network, "network", "", "name of the network, for graffiti rules of that network (default mainnet) and for the fork times of blocks that do not state their fork")
}

func (f *rulesFlags) load() (*graffiti.Rules, error) {
	return graffiti.Load(f.path, cmp.Or(f.network, "mainnet"))
}

// addRules adds the flags of graffiti rules and reads these before the command runs.
func addRules(cmd *cobra.Command, into **graffiti.Rules) *rulesFlags {
	f := &rulesFlags{}
	f.add(cmd)
	before(cmd, func() (err error) {
		*into, err = f.load()
		return err
	})
	return f
}

// addNames adds the flag of a file that says which clients validators run, and reads it before the command runs. Its
// table may hold several networks, of which --network chooses one.
func addNames(cmd *cobra.Command, into **names.Names) {
	path := cmd.Flags().String("names", "", "file that says which clients validators run, by ranges of indices: Dora's names, or a table with the columns first, last and client")
	before(cmd, func() (err error) {
		if *path == "" {
			return nil
		}
		if *into, err = names.Load(*path, cmp.Or(cmd.Flag("network").Value.String(), "mainnet")); err != nil {
			return blockprint.Errorf(blockprint.CodeOf(err), "--names: %w", err)
		}
		slog.Info("read the names of validators", "file", *path, "ranges", len((*into).Ranges()), "other_entries", (*into).Other())
		return nil
	})
}

// addLabeling adds the flags that choose what blocks are labeled with, reads the rules before it runs, and returns what opens
// the model.
func addLabeling(cmd *cobra.Command, l *app.Labeling, more string) (load func() error) {
	rules := addRules(cmd, &l.Rules)
	model := cmd.Flags().String("model", "", "model file, or \"simulated\" for the built-in model, which was trained in simulated networks only; append #FORK to label every block with the part for that fork"+more)
	return func() (err error) {
		l.Model, err = openModel(*model, rules.network)
		return err
	}
}

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
