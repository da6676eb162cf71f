package dataset

import (
	"fmt"
	"slices"

	"blockprint"
	"blockprint/dataset/featurefile"
	"blockprint/feature"
)

// dreamtSlots is how many slots of dreamt blocks are written at once: what a crash can lose.
const dreamtSlots = 32

// Dreamt writes dreamt blocks, whose builders are known, to a feature file as they come. It is not safe for concurrent
// use.
type Dreamt struct {
	w         *featurefile.Writer
	header    featurefile.Header
	extractor *feature.Extractor
	row       []float64
	slots     blockprint.Interval // pending
	count     int                 // slots pending
	blocks    int                 // pending
}

// NewDreamt starts a file of all features, or continues one.
func NewDreamt(path, tool, network string) (*Dreamt, error) {
	e, err := feature.NewExtractor(nil)
	if err != nil {
		return nil, err
	}
	d := &Dreamt{header: featurefile.NewHeader(tool, network, "dreamt by nodes of known clients", e.Names()), extractor: e}
	if d.w, err = featurefile.Resume(path, d.header); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// Add adds the blocks that were dreamt in a slot. Those whose label no feature file knows are left out.
func (d *Dreamt) Add(slot blockprint.Slot, labels []blockprint.Client, rewards []*blockprint.BlockReward) error {
	if d.count == 0 {
		d.w.Begin()
		d.slots.Start = slot
	}
	rows := featurefile.NewRows(len(d.extractor.Names()))
	for i, r := range rewards {
		client := slices.Index(d.header.Clients, labels[i])
		if client < 0 {
			continue
		}
		d.row = d.extractor.Extract(d.row[:0], r)
		rows.Add(slot, r.Meta.ProposerIndex, r.BlockRoot, uint8(client), d.row)
	}
	if err := d.w.Append(rows); err != nil {
		return err
	}
	d.slots.End, d.count, d.blocks = slot, d.count+1, d.blocks+rows.Len()
	if d.count < dreamtSlots {
		return nil
	}
	return d.flush()
}

func (d *Dreamt) flush() error {
	if d.count == 0 {
		return nil
	}
	d.w.End(featurefile.Source{Path: fmt.Sprintf("dreamt in slots %s", d.slots), Blocks: d.blocks, Labelled: d.blocks})
	d.count, d.blocks = 0, 0
	return d.w.Flush()
}

// Close finishes the file.
func (d *Dreamt) Close() error {
	if err := d.flush(); err != nil {
		return err
	}
	return d.w.Finish()
}
