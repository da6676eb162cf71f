package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"blockprint"
	"blockprint/classify"
	"blockprint/classify/algorithm"
	"blockprint/dataset"
	"blockprint/feature"
	"blockprint/file"
	"blockprint/names"
	"blockprint/store"
	"blockprint/train"
)

// fitFlags are the flags of all commands that fit classifiers: which blocks, which features, which algorithm.
type fitFlags struct {
	train.Options
	words   []string // of --features: names, or one word for many
	combine *int     // if not nil, gets a --group that is a number
	fromDB  string
	rules   rulesFlags
	names   *names.Names
}

// addSelection adds the flags that choose blocks and features.
func (f *fitFlags) addSelection(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.words, "features", []string{"auto"}, "features to learn from, separated by commas, or: auto (for gbt all but those that describe the network rather than the client, for other classifiers the original's four), default (the original's four), all (every feature of the data), candidates (all that vary between blocks)")
	addClients(cmd, &f.Disable, "disable", nil, "clients whose blocks are left out")
	addClients(cmd, &f.GraffitiOnly, "graffiti-only", []string{"none"}, "clients that the model labels by their graffiti only and does not learn; none for no client")
	addParsed(cmd, &f.Within, parseWithin, "data-slots", "all", "learn only from blocks in these slots, as A-B or A-")
	flags.StringVar(&f.fromDB, "from-db", "", "learn from the blocks of this database whose client is known, by their graffiti or --names, instead of DATA")
	flags.BoolVar(&f.KeepDuplicates, "keep-duplicates", false, "count a block that occurs several times each time")
	f.rules.add(cmd)
	addNames(cmd, &f.names)
	cmd.Args = cobra.ArbitraryArgs
	before(cmd, func() error {
		switch args := flags.Args(); {
		case f.fromDB == "" && len(args) == 0:
			return usagef("expected DATA: feature files or prepared directories, or --from-db D")
		case f.fromDB != "" && len(args) > 0:
			return usagef("DATA %s and --from-db %s: expected one of them", args[0], f.fromDB)
		}
		if f.fromDB == "" && f.names != nil {
			return usagef("--names is for --from-db: give it to prepare, which labels the blocks of DATA")
		}
		return nil
	})
}

func parseWithin(s string) (*blockprint.Interval, error) {
	if s == "all" {
		return nil, nil
	}
	i, err := blockprint.ParseInterval(s)
	return &i, err
}

// addAlgorithm adds the flags that choose and tune the classifier.
func (f *fitFlags) addAlgorithm(cmd *cobra.Command) {
	d, flags := train.DefaultOptions(train.Best), cmd.Flags()
	flags.StringVar(&f.Type, "type", d.Type, "classifier: "+strings.Join(train.Algorithms(), ", "))
	flags.Uint64Var(&f.Seed, "seed", 1, "seed of all random choices")
	flags.IntVar(&f.Folds, "folds", d.Folds, "number of folds in the cross-validation")
	flags.StringVar(&f.Calibrate, "calibrate", d.Calibrate, "correct probabilities by the results of cross-validation: on, off, or auto (on except for knn, which keeps the original's probabilities)")
	group := flags.StringSlice("group", nil, "clients to combine into Other")
	before(cmd, func() (err error) {
		if flags.Changed("folds") && (f.Folds < 2 || f.Folds > 100) {
			return usagef("--folds %d: expected 2 to 100", f.Folds)
		}
		if f.combine != nil && len(*group) == 1 {
			if *f.combine, err = strconv.Atoi((*group)[0]); err == nil {
				return nil
			}
		}
		f.Group, err = parseClients(*group)
		return err
	})
	f.addSettings(cmd)
}

// addSettings adds a flag for each option of the algorithms. Those that have an option in common share its flag. A flag
// that only one of them has asks for that one, unless it is the default or --type asks for another.
func (f *fitFlags) addSettings(cmd *cobra.Command) {
	var options []algorithm.Option
	of, defaults := map[string][]string{}, map[string][]string{}
	for _, a := range classify.Algorithms {
		for _, o := range a.Options {
			if of[o.Name] == nil {
				options = append(options, o)
			}
			of[o.Name], defaults[o.Name] = append(of[o.Name], a.Name), append(defaults[o.Name], o.Default)
		}
	}
	f.Settings = algorithm.Settings{}
	flags, asked := cmd.Flags(), ""
	for _, o := range options {
		who, implies := strings.Join(of[o.Name], " and "), ""
		if len(of[o.Name]) == 1 && who != train.Best {
			implies = " (which it implies)"
		}
		help := fmt.Sprintf("%s%s: %s (default %s)", who, implies, o.Help, strings.Join(defaults[o.Name], " and "))
		switch o.Kind {
		case algorithm.Int:
			flags.Int(o.Name, 0, help)
		case algorithm.Float:
			flags.Float64(o.Name, 0, help)
		case algorithm.Ints:
			flags.IntSlice(o.Name, nil, help)
		}
		before(cmd, func() error {
			if !flags.Changed(o.Name) {
				return nil
			}
			f.Settings[o.Name] = numbers(flags.Lookup(o.Name).Value.String())
			if err := o.Check(f.Settings[o.Name]); err != nil {
				return usageError{err}
			}
			if implies != "" && asked == "" && !flags.Changed("type") {
				f.Type, asked = who, who
			}
			return nil
		})
	}
}

// numbers reads the text of a flag that is a number or a list of numbers in brackets.
func numbers(text string) (out []float64) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("[,]", r) }) {
		n, _ := strconv.ParseFloat(word, 64) // the flag has checked it
		out = append(out, n)
	}
	return out
}

// read reads training data: pieces of it, or that of a database, and completes the options by what it says.
func (f *fitFlags) read(cmd *cobra.Command, data []string) (set *dataset.Set, o train.Options, bad []file.Bad, err error) {
	ctx := cmd.Context()
	have := dataset.Description{Features: feature.Names()}
	if f.fromDB == "" {
		if have, err = dataset.Describe(data); err != nil {
			return nil, o, nil, err
		}
	}
	o = f.Options
	o.Tool, o.Network = tool(), cmp.Or(f.rules.network, have.Network) // what the user says counts
	if s, ok := blockprint.PublicSchedule(f.rules.network); ok {
		o.Schedule = &s
	}
	choice := strings.Join(f.words, ",")
	switch {
	case choice == "default", choice == "auto" && o.Type != train.Best:
		o.Features = feature.Default()
	case choice == "auto":
		o.Features = feature.OfClient(have.Features)
	case choice == "all", choice == "candidates":
		o.Features = have.Features
	default:
		o.Features = f.words
	}
	if f.fromDB == "" {
		features := slices.Clone(o.Features)
		for _, name := range classify.ShapeFeatures { // they tell a block's fork
			if slices.Contains(have.Common, name) && !slices.Contains(features, name) {
				features = append(features, name)
			}
		}
		set, bad, err = dataset.ReadAll(ctx, data, features)
	} else {
		err = reading(ctx, "--from-db", f.fromDB, func(s store.Store) (err error) {
			set, err = f.history(ctx, s, &o)
			return err
		})
	}
	if err == nil && choice == "candidates" {
		o.Features = train.Candidates(set)
	}
	return set, o, bad, err
}

// history reads a database's blocks whose client is known.
func (f *fitFlags) history(ctx context.Context, s store.Store, o *train.Options) (*dataset.Set, error) {
	rules, err := f.rules.load()
	if err != nil {
		return nil, err
	}
	if id, known, err := s.Identity(ctx); err == nil && known {
		o.Network = cmp.Or(o.Network, id.ConfigName)
		if schedule, ok := id.Schedule(); ok && o.Schedule == nil {
			o.Schedule = &schedule
		}
	}
	labels := dataset.Labels{Rules: rules, Names: f.names}
	o.Source = cmp.Or(o.Source, labels.String()+" of the network's own blocks")
	slots := blockprint.AllSlots
	if o.Within != nil {
		slots = *o.Within
	}
	set, from, err := dataset.FromStore(ctx, s, &labels, slots, feature.Names())
	printOrigins(os.Stderr, f.names, from)
	return set, err
}

// name is what reports call the training data.
func (f *fitFlags) name(args []string) string {
	if f.fromDB != "" {
		return filepath.Base(f.fromDB)
	}
	name := filepath.Base(filepath.Clean(args[0]))
	if len(args) > 1 {
		name += fmt.Sprintf(" and %d more", len(args)-1)
	}
	return name
}
