// Package dataset is where training data comes from: it fetches raw rewards (Load), labels them (Prepare,
// PrepareFeatures), resamples them (Balance), and reads them into sets of feature vectors (Read, FromStore).
//
//	set, bad, err := dataset.Read(ctx, "mainnet.features", feature.Default())
//
// Everything is a function of the data, the options and the seed; the number of cores changes nothing but the time.
package dataset

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/dataset/featurefile"
	"blockprint/feature"
	"blockprint/file"
	"blockprint/rewardfile"
)

// Set is labeled training data: one row of features per block.
type Set struct {
	Features []string
	Rows     []float64 // len(Features) numbers per block, one block after another
	Labels   []blockprint.Client
	Slots    []blockprint.Slot
	Roots    []blockprint.Root // zero where it is not known
	// Proposers are the blocks' validators.
	Proposers []uint64
	// Groups, if not nil, says which blocks belong together: those of one simulated network, or of one piece of data.
	// Cross-validation then never learns and asks in the same group, so its figures hold for other groups.
	Groups []int
}

// NewSet returns an empty set of the named features.
func NewSet(features []string) *Set { return &Set{Features: features} }

// Len returns the number of blocks.
func (s *Set) Len() int { return len(s.Labels) }

// Row returns the features of block i.
func (s *Set) Row(i int) []float64 {
	n := len(s.Features)
	return s.Rows[i*n : (i+1)*n : (i+1)*n]
}

// Add appends a block.
func (s *Set) Add(label blockprint.Client, slot blockprint.Slot, root blockprint.Root, proposer uint64, row []float64) {
	s.Rows = append(s.Rows, row...)
	s.Labels = append(s.Labels, label)
	s.Slots = append(s.Slots, slot)
	s.Roots = append(s.Roots, root)
	s.Proposers = append(s.Proposers, proposer)
}

// Append adds all blocks of o, which has the same features. Groups are not changed.
func (s *Set) Append(o *Set) {
	s.Rows = append(s.Rows, o.Rows...)
	s.Labels = append(s.Labels, o.Labels...)
	s.Slots = append(s.Slots, o.Slots...)
	s.Roots = append(s.Roots, o.Roots...)
	s.Proposers = append(s.Proposers, o.Proposers...)
}

// Counts returns the number of blocks of each label.
func (s *Set) Counts() map[blockprint.Client]int {
	counts := map[blockprint.Client]int{}
	for _, l := range s.Labels {
		counts[l]++
	}
	return counts
}

// Description says what pieces of training data hold.
type Description struct {
	Features []string // of the first piece: those of a feature file, or all that can be extracted from a directory's blocks
	Common   []string // features that all pieces have
	Network  string   // of the first piece; empty if that is a directory
}

// Describe says what pieces of training data hold.
func Describe(paths []string) (d Description, err error) {
	for i, path := range paths {
		features, network := feature.Names(), ""
		if featurefile.IsFile(path) {
			f, err := featurefile.Open(path)
			if err == nil {
				features, network = f.Header.Features(), f.Header.Network
				err = f.Close()
			}
			if err != nil {
				return d, err
			}
		}
		if i == 0 {
			d = Description{features, slices.Clone(features), network}
		}
		d.Common = slices.DeleteFunc(d.Common, func(name string) bool { return !slices.Contains(features, name) })
	}
	return d, nil
}

// Read reads training data: a feature file, or a prepared directory (DIR/<Client>/<root>.json). Only the named
// features are read; none means all that there are. Files of a directory that cannot be read are left out and
// returned.
func Read(ctx context.Context, path string, features []string) (*Set, []file.Bad, error) {
	if len(features) == 0 {
		d, err := Describe([]string{path})
		if err != nil {
			return nil, nil, err
		}
		features = d.Features
	}
	if featurefile.IsFile(path) {
		set, err := readFile(ctx, path, features)
		return set, nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, blockprint.Errorf(blockprint.NotFound, "training data: %w", err)
	}
	if !info.IsDir() {
		return nil, nil, blockprint.Errorf(blockprint.Invalid, "training data %s is neither a feature file nor a directory: make one with `blockprint prepare RAW -o FILE.features`", path)
	}
	return readDir(ctx, path, features)
}

// AppendGroups adds all blocks of o, which has the same features, as groups of their own: o's groups, or one.
func (s *Set) AppendGroups(o *Set) {
	next := 0
	if len(s.Groups) > 0 {
		next = slices.Max(s.Groups) + 1
	}
	for i := range o.Len() {
		group := next
		if o.Groups != nil {
			group += o.Groups[i]
		}
		s.Groups = append(s.Groups, group)
	}
	s.Append(o)
}

// ReadAll reads several pieces of training data as one set. Each piece is a group, or several groups if it holds several
// simulated networks.
func ReadAll(ctx context.Context, paths, features []string) (*Set, []file.Bad, error) {
	if len(paths) == 1 {
		return Read(ctx, paths[0], features)
	}
	var all *Set
	var bad []file.Bad
	for _, path := range paths {
		set, badHere, err := Read(ctx, path, features)
		if err != nil {
			return nil, nil, err
		}
		if all == nil {
			all = NewSet(set.Features)
		} else if !slices.Equal(all.Features, set.Features) {
			return nil, nil, blockprint.Errorf(blockprint.Conflict, "%s and %s hold different features: name those that you want with --features", paths[0], path)
		}
		all.AppendGroups(set)
		bad = append(bad, badHere...)
	}
	return all, bad, nil
}

func readFile(ctx context.Context, path string, features []string) (_ *Set, err error) {
	f, err := featurefile.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	set := NewSet(features)
	n := min(f.Rows(), 1<<20) // room for more is made when they have been read
	set.Rows = make([]float64, 0, n*len(features))
	set.Labels = make([]blockprint.Client, 0, n)
	set.Slots = make([]blockprint.Slot, 0, n)
	set.Roots = make([]blockprint.Root, 0, n)
	err = f.Read(ctx, features, func(rows *featurefile.Rows) error {
		for i, c := range rows.Clients {
			for _, column := range rows.Values {
				set.Rows = append(set.Rows, column[i])
			}
			set.Labels = append(set.Labels, f.Header.Clients[c])
		}
		set.Slots = append(set.Slots, rows.Slots...)
		set.Roots = append(set.Roots, rows.Roots...)
		set.Proposers = append(set.Proposers, rows.Proposers...)
		return nil
	})
	if err != nil {
		return nil, blockprint.Errorf(blockprint.CodeOf(err), "feature file %s: %w", path, err)
	}
	if set.Len() == 0 {
		return nil, blockprint.Errorf(blockprint.NotFound, "feature file %s holds no labelled blocks", path)
	}
	if f.Header.Network == featurefile.Simulated {
		set.Groups, err = sourceGroups(f)
	}
	return set, err
}

// sourceGroups gives each row of a file the number of its source: for a file of simulated networks, of its network.
func sourceGroups(f *featurefile.File) ([]int, error) {
	sources, err := f.Sources()
	if err != nil {
		return nil, err
	}
	var groups []int
	for i, s := range sources {
		groups = append(groups, slices.Repeat([]int{i}, s.Labelled)...)
	}
	if len(groups) != f.Rows() {
		return nil, nil // a file whose sources do not say which rows are theirs
	}
	return groups, nil
}

// dirFile is a file of a prepared directory.
type dirFile struct {
	client blockprint.Client
	path   string
}

// dirFiles lists a prepared directory, in order of client and file name.
func dirFiles(dir string) ([]dirFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.NotFound, "training data: %w", err)
	}
	var files []dirFile
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		client, err := blockprint.ParseClient(e.Name())
		if err != nil {
			return nil, blockprint.Errorf(blockprint.Invalid, "training data %s: each directory must be named after a client: %w", dir, err)
		}
		paths, err := rewardfile.List([]string{filepath.Join(dir, e.Name())})
		if err != nil && blockprint.CodeOf(err) != blockprint.NotFound {
			return nil, err
		}
		for _, p := range paths {
			files = append(files, dirFile{client, p})
		}
	}
	if len(files) == 0 {
		return nil, blockprint.Errorf(blockprint.NotFound, "training data %s holds no <Client>/<root>.json files: make them with `blockprint prepare RAW %s`", dir, dir)
	}
	return files, nil
}

// readDir extracts the features of a prepared directory's blocks, on all cores.
func readDir(ctx context.Context, dir string, features []string) (*Set, []file.Bad, error) {
	files, err := dirFiles(dir)
	if err != nil {
		return nil, nil, err
	}
	// Each worker takes a run of files, so that the order of rows does not depend on timing.
	const run = 256
	parts := make([]*Set, (len(files)+run-1)/run)
	bad := make([][]file.Bad, len(parts))
	readers := sync.Pool{New: func() any { return new(rewardfile.Reader) }}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range parts {
		g.Go(func() error {
			e, err := feature.NewExtractor(features)
			if err != nil {
				return err
			}
			reader, _ := readers.Get().(*rewardfile.Reader)
			defer readers.Put(reader)
			parts[i] = NewSet(e.Names())
			var row []float64
			for _, f := range files[i*run : min((i+1)*run, len(files))] {
				if err := ctx.Err(); err != nil {
					return err
				}
				before := *parts[i]
				for r, err := range reader.ReadFile(f.path) {
					if err != nil {
						*parts[i] = before
						bad[i] = append(bad[i], file.Bad{Path: f.path, Err: err})
						break
					}
					row = e.Extract(row[:0], r)
					parts[i].Add(f.client, r.Meta.Slot, r.BlockRoot, r.Meta.ProposerIndex, row)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	set := NewSet(parts[0].Features)
	for _, p := range parts {
		set.Append(p)
	}
	badFiles := slices.Concat(bad...)
	if set.Len() == 0 {
		return nil, badFiles, blockprint.Errorf(blockprint.Invalid, "training data %s: none of %d files could be read, the first because of: %w", dir, len(files), badFiles[0].Err)
	}
	return set, badFiles, nil
}

// RangeDir is training data for a range of slots.
type RangeDir struct {
	Path  string
	Slots blockprint.Interval
}

// rangeName is how the original names the directories of its models for ranges of slots; both ends belong to it.
var rangeName = regexp.MustCompile(`^slot_(\d+)_to_(\d+)$`)

// RangeDirs lists the slot_A_to_B directories of the original's layout for several models, in order of slot; none
// if the path is not laid out so.
func RangeDirs(path string) ([]RangeDir, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, nil //nolint:nilerr // not a directory: Read says what is wrong with it
	}
	var out []RangeDir
	for _, e := range entries {
		m := rangeName.FindStringSubmatch(e.Name())
		if m == nil || !e.IsDir() {
			continue
		}
		a, errA := strconv.ParseUint(m[1], 10, 63)
		b, errB := strconv.ParseUint(m[2], 10, 63)
		if errA != nil || errB != nil || a > b {
			return nil, blockprint.Errorf(blockprint.Invalid, "training data %s: %s is not a range of slots", path, e.Name())
		}
		out = append(out, RangeDir{filepath.Join(path, e.Name()), blockprint.Interval{Start: blockprint.Slot(a), End: blockprint.Slot(b)}})
	}
	slices.SortFunc(out, func(a, b RangeDir) int { return cmp.Compare(a.Slots.Start, b.Slots.Start) })
	return out, nil
}

// Columns returns the places of the named features in a row.
func (s *Set) Columns(names []string) ([]int, error) {
	var out []int
	for i, f := range names {
		at := slices.Index(s.Features, f)
		if at < 0 {
			return nil, blockprint.Errorf(blockprint.Invalid, "the training data has no feature %q: it has %v", f, s.Features)
		}
		if slices.Contains(names[:i], f) {
			return nil, blockprint.Errorf(blockprint.Invalid, "feature %q is named twice", f)
		}
		out = append(out, at)
	}
	if len(out) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "no features to train on")
	}
	return out, nil
}
