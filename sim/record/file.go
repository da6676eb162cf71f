package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"blockprint"
	"blockprint/dataset/featurefile"
	"blockprint/feature"
	"blockprint/sim"
)

// WriteFile records a number of slots of each world into a feature file and returns each client's number of blocks. The
// file must not exist yet; otherwise, the error has the code Conflict.
func WriteFile(ctx context.Context, path string, worlds []sim.Config, slots int, tool string, log *slog.Logger, progress func(done, total int)) (map[blockprint.Client]int, error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, blockprint.Errorf(blockprint.Conflict, "%s is there already: choose another name or remove it", path)
	}
	e, err := feature.NewExtractor(nil)
	if err != nil {
		return nil, err
	}
	header := featurefile.NewHeader(tool, featurefile.Simulated, Source, e.Names())
	if err := os.Remove(path + ".partial"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove what an earlier run left: %w", err)
	}
	w, err := featurefile.Resume(path, header)
	if err != nil {
		return nil, err
	}
	var row []float64
	done := 0
	for i, c := range worlds {
		w.Begin()
		blocks := 0
		err := Run(ctx, c, slots, log, func(b Block) error {
			row = e.Extract(row[:0], b.Reward)
			rows := featurefile.NewRows(len(row))
			rows.Add(b.Reward.Meta.Slot, b.Reward.Meta.ProposerIndex, b.Reward.BlockRoot, uint8(slices.Index(header.Clients, b.Client)), row)
			blocks++
			done++
			if progress != nil {
				progress(min(done, len(worlds)*slots), len(worlds)*slots)
			}
			return w.Append(rows)
		})
		if err != nil {
			return nil, errors.Join(err, w.Close(), os.Remove(path+".partial"))
		}
		w.End(featurefile.Source{Path: fmt.Sprintf("world %d, seed %d", i+1, c.Seed), Blocks: blocks, Labelled: blocks})
	}
	if progress != nil {
		progress(len(worlds)*slots, len(worlds)*slots)
	}
	err = w.Finish()
	return w.Summary(), err
}
