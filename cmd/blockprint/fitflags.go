package main

import (
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
	"blockprint/dataset/featurefile"
	"blockprint/feature"
	"blockprint/file"
	"blockprint/train"
)

// fitFlags are the flags of all commands that fit classifiers: which blocks, which features, which algorithm.
type fitFlags struct {
	o                            train.Options
	features                     []string
	group, disable, graffitiOnly []string
	settings                     []setting
	dataSlots                    string
	keepDuplicates               bool
	fromDB                       string
	rules                        rulesFlags
}

// addSelection adds the flags that choose blocks and features.
func (f *fitFlags) addSelection(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.features, "features", []string{"auto"}, "features to learn from, separated by commas, or: auto (all for gbt, the original's four for other classifiers), default (the original's four), all (every feature of the data), candidates (all that vary between blocks)")
	cmd.Flags().StringSliceVar(&f.disable, "disable", nil, "clients whose blocks are left out")
	cmd.Flags().StringSliceVar(&f.graffitiOnly, "graffiti-only", []string{"none"}, "clients that the model labels by their graffiti only and does not learn; none for no client")
	cmd.Flags().StringVar(&f.dataSlots, "data-slots", "all", "learn only from blocks in these slots, as A-B or A-")
	cmd.Flags().StringVar(&f.fromDB, "from-db", "", "learn from the blocks of this database whose graffiti names their client, instead of DATA")
	f.rules.add(cmd)
	cmd.Flags().BoolVar(&f.keepDuplicates, "keep-duplicates", false, "count a block that occurs several times each time")
}

// addAlgorithm adds the flags that choose and tune the classifier.
func (f *fitFlags) addAlgorithm(cmd *cobra.Command) {
	d := train.DefaultOptions(train.Best)
	cmd.Flags().StringVar(&f.o.Type, "type", d.Type, "classifier: "+strings.Join(train.Algorithms(), ", "))
	f.addSettings(cmd)
	cmd.Flags().Uint64Var(&f.o.Seed, "seed", 1, "seed of all random choices")
	cmd.Flags().IntVar(&f.o.Folds, "folds", d.Folds, "number of folds in the cross-validation")
	cmd.Flags().StringVar(&f.o.Calibrate, "calibrate", d.Calibrate, "correct probabilities by the results of cross-validation: on, off, or auto (on except for knn, which keeps the original's probabilities)")
	cmd.Flags().StringSliceVar(&f.group, "group", nil, "clients to combine into Other")
}

// setting is a flag for an option of one or several algorithms.
type setting struct {
	algorithm.Option
	of   []*algorithm.Algorithm
	read func() []float64
}

// implies returns the algorithm that the flag asks for; empty if it belongs to several or to the default one.
func (s *setting) implies() string {
	if len(s.of) == 1 && s.of[0].Name != train.Best {
		return s.of[0].Name
	}
	return ""
}

// addSettings adds a flag for each option of the algorithms. Those that have an option in common share its flag.
func (f *fitFlags) addSettings(cmd *cobra.Command) {
	defaults := map[string][]string{}
	for _, a := range classify.Algorithms {
		for _, o := range a.Options {
			defaults[o.Name] = append(defaults[o.Name], o.Default)
			at := slices.IndexFunc(f.settings, func(s setting) bool { return s.Name == o.Name })
			if at < 0 {
				f.settings, at = append(f.settings, setting{Option: o}), len(f.settings)
			}
			f.settings[at].of = append(f.settings[at].of, a)
		}
	}
	for i := range f.settings {
		s := &f.settings[i]
		var names []string
		for _, a := range s.of {
			names = append(names, a.Name)
		}
		who := strings.Join(names, " and ")
		if s.implies() != "" {
			who += " (which it implies)"
		}
		help := fmt.Sprintf("%s: %s (default %s)", who, s.Help, strings.Join(defaults[s.Name], " and "))
		switch s.Kind {
		case algorithm.Int:
			v := cmd.Flags().Int(s.Name, 0, help)
			s.read = func() []float64 { return []float64{float64(*v)} }
		case algorithm.Float:
			v := cmd.Flags().Float64(s.Name, 0, help)
			s.read = func() []float64 { return []float64{*v} }
		case algorithm.Ints:
			v := cmd.Flags().IntSlice(s.Name, nil, help)
			s.read = func() (out []float64) {
				for _, n := range *v {
					out = append(out, float64(n))
				}
				return out
			}
		}
	}
}

// options reads the flags; data is the first of the training data, whose features "all" means.
func (f *fitFlags) options(data string) (train.Options, error) {
	o := f.o
	o.Tool, o.KeepDuplicates = tool(), f.keepDuplicates
	if slices.Equal(f.graffitiOnly, []string{"none"}) {
		f.graffitiOnly = nil
	}
	var err error
	for _, list := range []struct {
		from []string
		into *[]blockprint.Client
	}{{f.group, &o.Group}, {f.disable, &o.Disable}, {f.graffitiOnly, &o.GraffitiOnly}} {
		if *list.into, err = parseClients(list.from); err != nil {
			return o, err
		}
	}
	if f.dataSlots != "all" {
		if o.Within, err = parseSlots("--data-slots", f.dataSlots); err != nil {
			return o, err
		}
	}
	switch strings.Join(f.features, ",") {
	case "auto":
		if o.Type != train.Best {
			o.Features = feature.Default()
			break
		}
		fallthrough
	case "all", "candidates":
		if f.fromDB != "" {
			o.Features = feature.Names()
		} else {
			o.Features, err = dataset.Features(data)
		}
	case "default":
		o.Features = feature.Default()
	default:
		o.Features = f.features
	}
	if err != nil {
		return o, err
	}
	if featurefile.IsFile(data) {
		file, err := featurefile.Open(data)
		if err != nil {
			return o, err
		}
		o.Network = file.Header.Network
		if err := file.Close(); err != nil {
			return o, err
		}
	}
	if f.rules.network != "" { // what the user says counts
		o.Network = f.rules.network
		if s, ok := blockprint.PublicSchedule(o.Network); ok {
			o.Schedule = &s
		}
	}
	return o, nil
}

// check refuses flags that mean nothing, before any work.
func (f *fitFlags) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	if changed("folds") && (f.o.Folds < 2 || f.o.Folds > 100) {
		return usagef("--folds %d: expected 2 to 100", f.o.Folds)
	}
	f.o.Settings = algorithm.Settings{}
	asked := changed("type")
	for _, s := range f.settings {
		if !changed(s.Name) {
			continue
		}
		values := s.read()
		if err := s.Check(values); err != nil {
			return usagef("%v", err)
		}
		f.o.Settings[s.Name] = values
		if name := s.implies(); name != "" && !asked { // a flag of one classifier asks for it
			f.o.Type, asked = name, true
		}
	}
	return nil
}

// data returns the training data of the command line: its arguments, or the database of --from-db.
func (f *fitFlags) data(args []string) ([]string, error) {
	switch {
	case f.fromDB != "" && len(args) > 0:
		return nil, usagef("DATA %s and --from-db %s: expected one of them", args[0], f.fromDB)
	case f.fromDB != "":
		return []string{f.fromDB}, nil
	case len(args) == 0:
		return nil, usagef("expected DATA: feature files or prepared directories, or --from-db D")
	}
	return args, nil
}

// fetch reads the set that options name.
func (f *fitFlags) fetch(cmd *cobra.Command, data []string, o *train.Options) (*dataset.Set, []file.Bad, error) {
	if f.fromDB == "" {
		features, err := withShape(data, o.Features)
		if err != nil {
			return nil, nil, err
		}
		return dataset.ReadAll(cmd.Context(), data, features)
	}
	rules, err := f.rules.load()
	if err != nil {
		return nil, nil, err
	}
	s, err := openToRead(cmd.Context(), "--from-db", f.fromDB)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = s.Close() }() // only read
	if id, known, err := s.Identity(cmd.Context()); err == nil && known {
		if o.Network == "" {
			o.Network = id.ConfigName
		}
		if schedule, ok := id.Schedule(); ok && o.Schedule == nil {
			o.Schedule = &schedule
		}
	}
	if o.Source == "" {
		o.Source = "graffiti of the network's own blocks"
	}
	slots := allSlots
	if o.Within != nil {
		slots = *o.Within
	}
	set, err := dataset.FromStore(cmd.Context(), s, rules, slots, feature.Names())
	return set, nil, err
}

// withShape adds the features that tell a block's forks, where all of the data has them.
func withShape(data, features []string) ([]string, error) {
	everywhere := slices.Clone(classify.ShapeFeatures)
	for _, path := range data {
		have, err := dataset.Features(path)
		if err != nil {
			return nil, err
		}
		everywhere = slices.DeleteFunc(everywhere, func(name string) bool { return !slices.Contains(have, name) })
	}
	out := slices.Clone(features)
	for _, name := range everywhere {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// read reads the training data of the command line.
func (f *fitFlags) read(cmd *cobra.Command, args []string) (*dataset.Set, train.Options, []file.Bad, error) {
	if err := f.check(cmd); err != nil {
		return nil, train.Options{}, nil, err
	}
	data, err := f.data(args)
	if err != nil {
		return nil, train.Options{}, nil, err
	}
	return f.readData(cmd, data)
}

// readData reads training data and drops features that tell nothing if candidates were asked for.
func (f *fitFlags) readData(cmd *cobra.Command, data []string) (*dataset.Set, train.Options, []file.Bad, error) {
	o, err := f.options(data[0])
	if err != nil {
		return nil, o, nil, err
	}
	set, bad, err := f.fetch(cmd, data, &o)
	if err == nil && slices.Equal(f.features, []string{"candidates"}) {
		o.Features = train.Candidates(set)
	}
	return set, o, bad, err
}

// parseSlots reads A-B or A-; nothing is nil.
func parseSlots(flag, s string) (*blockprint.Interval, error) {
	if s == "" {
		return nil, nil
	}
	a, b, ok := strings.Cut(s, "-")
	start, err := strconv.ParseUint(strings.TrimSpace(a), 10, 63)
	if !ok || err != nil {
		return nil, usagef("%s %q: expected A-B or A-", flag, s)
	}
	end := uint64(1<<63 - 1)
	if b = strings.TrimSpace(b); b != "" {
		if end, err = strconv.ParseUint(b, 10, 63); err != nil || end < start {
			return nil, usagef("%s %q: expected A-B with A at most B", flag, s)
		}
	}
	return &blockprint.Interval{Start: blockprint.Slot(start), End: blockprint.Slot(end)}, nil
}

// allSlots is every slot that a database can hold.
var allSlots = blockprint.Interval{End: 1<<63 - 1}

// slotsOrAll reads A-B or A-; nothing is all slots.
func slotsOrAll(flag, s string) (blockprint.Interval, error) {
	i, err := parseSlots(flag, s)
	if err != nil || i == nil {
		return allSlots, err
	}
	return *i, nil
}

// warn prints warnings on standard error.
func warn(warnings []string) {
	for _, w := range warnings {
		fmt.Fprintln(os.Stderr, "blockprint: warning:", w)
	}
}

// name is how the training data is called in reports.
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
