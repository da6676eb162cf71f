package classify

import (
	"fmt"
	"slices"

	"blockprint"
)

// origin is what is known of where a block comes from, by which the model's part is chosen.
type origin struct {
	slot  blockprint.Slot
	fork  string               // the name of the block's own fork; empty if it is not known
	shape blockprint.ForkRange // the forks that its attestations allow
}

// SetSchedule gives the model the fork schedule of the network whose blocks it is asked about, for blocks that do not
// say their own fork. It may be called while the model is in use.
func (m *Model) SetSchedule(s blockprint.ForkSchedule) { m.schedule.Store(&s) }

// choose returns the part for a block, or nil and the reason. The block's own fork decides; if it is not known, the
// network's schedule; without a schedule, the forks that the block's attestations allow. If parts for several forks are
// still possible, mainnet's schedule decides. Slots decide between parts for the same fork.
func (m *Model) choose(from origin) (part *Part, reason string) {
	forks, known := m.forksOf(from)
	fits := m.partsFor(forks)
	if len(fits) > 1 && !known && slices.ContainsFunc(fits, func(p *Part) bool { return p.Forks != nil }) {
		schedule, _ := blockprint.PublicSchedule("mainnet")
		if f := schedule.ForkAt(from.slot); from.shape.Has(f) {
			forks = blockprint.ForkRange{First: f, Last: f}
			fits = m.partsFor(forks)
		}
	}
	if len(fits) == 0 {
		name := forks.String()
		if from.fork != "" {
			name = "of " + from.fork
		}
		return nil, fmt.Sprintf("the model has no part for blocks %s", name)
	}
	for i, p := range fits {
		last := i+1 == len(fits)
		if p.Slots != nil && (from.slot < p.Slots.Start || from.slot > p.Slots.End && !last) {
			continue
		}
		if p.Forks != nil && !p.Forks.Overlaps(from.shape) {
			return nil, fmt.Sprintf("the attestations are those of blocks %s, but the model's part for the block's fork is for blocks %s", from.shape, p.Forks)
		}
		return p, ""
	}
	return nil, fmt.Sprintf("the model has no part for slot %d", from.slot)
}

// forksOf returns the forks that a block can be of, and whether its fork is known.
func (m *Model) forksOf(from origin) (forks blockprint.ForkRange, known bool) {
	f, err := blockprint.ParseFork(from.fork)
	if err == nil {
		return blockprint.ForkRange{First: f, Last: f}, true
	}
	if from.fork != "" { // later than all that this version knows
		return blockprint.ForkRange{First: blockprint.NumForks, Last: blockprint.NumForks}, true
	}
	if s := m.schedule.Load(); s != nil {
		f := s.ForkAt(from.slot)
		return blockprint.ForkRange{First: f, Last: f}, true
	}
	return from.shape, false
}

// partsFor returns the parts for some of the forks, in the model's order.
func (m *Model) partsFor(forks blockprint.ForkRange) []*Part {
	fits := make([]*Part, 0, 4)
	for i := range m.Parts {
		if p := &m.Parts[i]; p.Forks == nil || p.Forks.Overlaps(forks) {
			fits = append(fits, p)
		}
	}
	return fits
}

// ShapeFeatures are the features that show which forks a block can be of; the first is the number of attestations.
var ShapeFeatures = []string{"num_attestations", "committee_entries"}

// Shape reads the forks that a block's attestations allow from its feature values, as blockprint.BlockReward.Shape does
// from the attestations themselves.
type Shape [2]int

// NewShape returns a reader of the values of features. Without ShapeFeatures among them, every block can be of any fork.
func NewShape(features []string) (s Shape) {
	for i, name := range ShapeFeatures {
		s[i] = slices.Index(features, name)
	}
	return s
}

// Of returns the forks that a block's values allow.
func (s Shape) Of(values []float64) blockprint.ForkRange {
	if s[0] < 0 || s[0] >= len(values) {
		return blockprint.AnyFork
	}
	switch attestations := values[s[0]]; { // NaN is above nothing
	case attestations > blockprint.MaxAttestationsElectra:
		return blockprint.BeforeElectra
	case s[1] >= 0 && s[1] < len(values) && values[s[1]] > attestations:
		return blockprint.SinceElectra
	}
	return blockprint.AnyFork
}

// Only makes the part for a fork serve all blocks, whatever they are of.
func (m *Model) Only(fork blockprint.Fork) error {
	fits := m.partsFor(blockprint.ForkRange{First: fork, Last: fork})
	if len(fits) != 1 {
		return blockprint.Errorf(blockprint.NotFound, "model %s has %d parts for %s: expected one", m.Name, len(fits), fork)
	}
	p := *fits[0]
	p.Forks, p.Slots = nil, nil
	m.Parts = []Part{p}
	return nil
}

// ForksBySlots writes a part's slots as forks if they begin or end with Electra on the network that the part was trained on
// (mainnet if it does not say), since these slots are another time on every other network. Model files had no forks
// before November 2026.
func (p *PartInfo) ForksBySlots() {
	network := p.Training.Network
	if network == "" {
		network = "mainnet"
	}
	electra, err := blockprint.ElectraSlot(network)
	if err != nil || p.Slots == nil || p.Forks != nil {
		return
	}
	var forks blockprint.ForkRange
	switch *p.Slots {
	case blockprint.Interval{Start: 0, End: electra - 1}:
		forks = blockprint.BeforeElectra
	case blockprint.Interval{Start: electra, End: 1<<63 - 1}:
		forks = blockprint.SinceElectra
	default:
		return
	}
	p.Forks, p.Slots = &forks, nil
}
