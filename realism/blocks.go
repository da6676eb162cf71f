package realism

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"blockprint"
	"blockprint/beacon"
	"blockprint/file"
	"blockprint/graffiti"
	"blockprint/sim"
)

// Skipped is a file that holds no block to compare, and why.
type Skipped struct {
	File string `json:"file"`
	Why  string `json:"why"`
}

// Read measures the blocks in files, and in all files of folders: a block each, JSON or SSZ, compressed or not. The
// builder is the one that the graffiti names. Files without a block of Electra or later are skipped and listed; it is
// an error if none remains. The network must have the mainnet preset.
func Read(ctx context.Context, paths []string, rules *graffiti.Rules) (list []*Shape, skipped []Skipped, err error) {
	spec := blockprint.MainnetSpec()
	schemas := beacon.NewSchemas(&spec)
	layout := Layout{spec.SlotsPerEpoch, spec.TargetCommitteeSize}
	measure := func(path string) error {
		raw, err := file.ReadAll(path)
		if err != nil {
			return err
		}
		b, err := schemas.Read(raw)
		if err != nil {
			return err
		}
		s, err := ShapeOf(b, layout)
		if err != nil {
			return err
		}
		s.Client = rules.Guess(b.Graffiti).Client
		list = append(list, s)
		return nil
	}
	for _, path := range paths {
		err := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
			if err = errors.Join(err, ctx.Err()); err != nil || entry.IsDir() {
				return err
			}
			if err := measure(path); blockprint.CodeOf(err) == blockprint.Invalid {
				skipped = append(skipped, Skipped{path, err.Error()})
			} else if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			return nil
		})
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				err = blockprint.Errorf(blockprint.NotFound, "%w", err)
			}
			return nil, nil, err
		}
	}
	if len(list) == 0 {
		why := "there are no files"
		if len(skipped) > 0 {
			why = fmt.Sprintf("the first of %d files: %s: %s", len(skipped), skipped[0].File, skipped[0].Why)
		}
		return nil, nil, blockprint.Errorf(blockprint.Invalid, "no block of Electra or later to compare: %s", why)
	}
	return list, skipped, nil
}

// warmUpEpochs are left out at the start of a world, while the nodes' pools fill.
const warmUpEpochs = 2

// Simulate runs a simulated network and measures its blocks. Neither rewards nor a registry are needed, so worlds of
// mainnet's size take little more than their own memory.
func Simulate(ctx context.Context, c sim.Config, slots int) (list []*Shape, err error) {
	w, err := sim.New(c)
	if err != nil {
		return nil, err
	}
	first := int(warmUpEpochs * c.SlotsPerEpoch)
	for range first + slots {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w.Step()
	}
	layout, schemas := Layout{c.SlotsPerEpoch, c.CommitteeSize()}, beacon.NewSchemas(&w.Network().Spec)
	for _, e := range w.Chain(blockprint.Slot(first)) {
		b, err := schemas.Decode(beacon.Signed, e.Fork, e.Block)
		if err != nil {
			return nil, err
		}
		if len(b.Attestations) == 0 {
			continue // nothing to pack, as after empty slots
		}
		s, err := ShapeOf(b, layout)
		if err != nil {
			return nil, err
		}
		s.Client, _, _ = w.Truth(e.Root)
		list = append(list, s)
	}
	return list, nil
}

// Clients lists the builders of the real blocks that are known.
func Clients(list []*Shape) (out []blockprint.Client) {
	for _, c := range blockprint.Clients() {
		if len(of(c, list)) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// of returns the blocks of a client.
func of(client blockprint.Client, list []*Shape) (out []*Shape) {
	for _, s := range list {
		if s.Client == client {
			out = append(out, s)
		}
	}
	return out
}

// CompareAll compares all blocks, and after them, if byClient, those of each client with labeled real blocks.
func CompareAll(actual, simulated []*Shape, byClient bool) []*Comparison {
	out := []*Comparison{Compare("", actual, simulated)}
	if byClient {
		for _, c := range Clients(actual) {
			out = append(out, Compare(c, of(c, actual), of(c, simulated)))
		}
	}
	return out
}
