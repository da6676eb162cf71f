// Package train makes models: it fetches raw rewards (Load), labels them by graffiti (Prepare), reads labelled
// directories into sets of feature vectors (ReadDir) and fits classifiers to them (Fit).
package train

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/feature"
	"blockprint/file"
)

// Set is labelled training data: one row of features per block.
type Set struct {
	Features []string
	Rows     []float64 // len(Features) numbers per block, one block after another
	Labels   []blockprint.Client
	Slots    []blockprint.Slot
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
func (s *Set) Add(label blockprint.Client, slot blockprint.Slot, row []float64) {
	s.Rows = append(s.Rows, row...)
	s.Labels = append(s.Labels, label)
	s.Slots = append(s.Slots, slot)
}

// append adds all blocks of o, which has the same features.
func (s *Set) append(o *Set) {
	s.Rows = append(s.Rows, o.Rows...)
	s.Labels = append(s.Labels, o.Labels...)
	s.Slots = append(s.Slots, o.Slots...)
}

// BadFile is an input file that could not be read, with the reason.
type BadFile struct {
	Path string
	Err  error
}

// ReadDir reads a prepared directory, DIR/<Client>/<root>.json (or .json.gz), and extracts the named features. The
// rows come in order of client and file name. Files that cannot be read are left out and returned.
func ReadDir(ctx context.Context, dir string, features []string) (*Set, []BadFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, blockprint.Errorf(blockprint.NotFound, "training data: %w", err)
	}
	type job struct {
		client blockprint.Client
		path   string
	}
	var jobs []job
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		client, err := blockprint.ParseClient(e.Name())
		if err != nil {
			return nil, nil, blockprint.Errorf(blockprint.Invalid, "training data %s: each directory must be named after a client: %w", dir, err)
		}
		paths, err := file.Rewards([]string{filepath.Join(dir, e.Name())})
		if err != nil && blockprint.CodeOf(err) != blockprint.NotFound {
			return nil, nil, err
		}
		for _, p := range paths {
			jobs = append(jobs, job{client, p})
		}
	}
	if len(jobs) == 0 {
		return nil, nil, blockprint.Errorf(blockprint.NotFound, "training data %s holds no <Client>/<root>.json files: make them with `blockprint prepare RAW %s`", dir, dir)
	}

	// Each worker takes a run of files, so that the order of rows does not depend on timing.
	const run = 256
	parts := make([]*Set, (len(jobs)+run-1)/run)
	bad := make([][]BadFile, len(parts))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range parts {
		g.Go(func() error {
			e, err := feature.NewExtractor(features)
			if err != nil {
				return err
			}
			parts[i] = NewSet(e.Names())
			var row []float64
			for _, j := range jobs[i*run : min((i+1)*run, len(jobs))] {
				if err := ctx.Err(); err != nil {
					return err
				}
				before := *parts[i]
				err := file.ReadRewards(j.path, func(r *blockprint.BlockReward) error {
					row = e.Extract(row[:0], r)
					parts[i].Add(j.client, r.Meta.Slot, row)
					return nil
				})
				if err != nil {
					*parts[i] = before
					bad[i] = append(bad[i], BadFile{j.path, err})
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
		set.append(p)
	}
	badFiles := slices.Concat(bad...)
	if set.Len() == 0 {
		return nil, badFiles, blockprint.Errorf(blockprint.Invalid, "training data %s: none of %d files could be read, the first because of: %w", dir, len(jobs), badFiles[0].Err)
	}
	return set, badFiles, nil
}

// Counts returns the number of blocks of each label.
func (s *Set) Counts() map[blockprint.Client]int {
	counts := map[blockprint.Client]int{}
	for _, l := range s.Labels {
		counts[l]++
	}
	return counts
}

// String describes the set in a line.
func (s *Set) String() string {
	return fmt.Sprintf("%d blocks with %d features", s.Len(), len(s.Features))
}
