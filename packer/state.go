package packer

import (
	"math"
	"slices"

	"blockprint"
)

// State is the part of a beacon state that packers need.
type State struct {
	Epoch blockprint.Epoch
	// By validator: the participation flags of the previous and the current epoch, the base reward in gwei, and the
	// effective balance in gwei. Rewards and balances are the same slices in all states of a chain.
	Previous, Current     []uint8
	BaseRewards, Balances []uint64

	PreviousJustified, CurrentJustified, Finalized blockprint.Checkpoint

	bits [4]bool // justification bits, newest first
}

// GenesisState returns the state at genesis, at which a root counts as justified and finalized.
func GenesisState(balances []uint64, root blockprint.Root) *State {
	n := len(balances)
	s := &State{Previous: make([]uint8, n), Current: make([]uint8, n), BaseRewards: make([]uint64, n), Balances: balances}
	total := uint64(0)
	for _, b := range balances {
		total += b
	}
	perIncrement := 1_000_000_000 * 64 / uint64(math.Sqrt(float64(total)))
	for i, b := range balances {
		s.BaseRewards[i] = b / 1_000_000_000 * perIncrement
	}
	checkpoint := blockprint.Checkpoint{Root: root}
	s.PreviousJustified, s.CurrentJustified, s.Finalized = checkpoint, checkpoint, checkpoint
	return s
}

// Advance returns a copy of the state, moved to the start of an epoch if that is later than its own. rootAt returns the
// root of the chain's newest block that is not after a slot.
func (s *State) Advance(spec *blockprint.Spec, rootAt func(blockprint.Slot) blockprint.Root, epoch blockprint.Epoch) *State {
	out := *s
	out.Previous, out.Current = slices.Clone(s.Previous), slices.Clone(s.Current)
	for out.Epoch < epoch {
		out.justify(spec, rootAt)
		out.Epoch++
		out.Previous, out.Current = out.Current, make([]uint8, len(out.Current))
	}
	return &out
}

// justify is the specification's weigh_justification_and_finalization at the end of an epoch.
func (s *State) justify(spec *blockprint.Spec, rootAt func(blockprint.Slot) blockprint.Root) {
	if s.Epoch <= 1 {
		return
	}
	oldPrevious, oldCurrent := s.PreviousJustified, s.CurrentJustified
	s.PreviousJustified = s.CurrentJustified
	s.bits = [4]bool{false, s.bits[0], s.bits[1], s.bits[2]}
	total := uint64(0)
	for _, x := range s.Balances {
		total += x
	}
	supported := func(flags []uint8) bool {
		sum := uint64(0)
		for i, f := range flags {
			if f&flagTarget != 0 {
				sum += s.Balances[i]
			}
		}
		return 3*sum >= 2*total
	}
	if supported(s.Previous) {
		s.CurrentJustified = blockprint.Checkpoint{Epoch: s.Epoch - 1, Root: rootAt(spec.StartOf(s.Epoch - 1))}
		s.bits[1] = true
	}
	if supported(s.Current) {
		s.CurrentJustified = blockprint.Checkpoint{Epoch: s.Epoch, Root: rootAt(spec.StartOf(s.Epoch))}
		s.bits[0] = true
	}
	switch {
	case s.bits[1] && s.bits[2] && s.bits[3] && oldPrevious.Epoch+3 == s.Epoch,
		s.bits[1] && s.bits[2] && oldPrevious.Epoch+2 == s.Epoch:
		s.Finalized = oldPrevious
	}
	switch {
	case s.bits[0] && s.bits[1] && s.bits[2] && oldCurrent.Epoch+2 == s.Epoch,
		s.bits[0] && s.bits[1] && oldCurrent.Epoch+1 == s.Epoch:
		s.Finalized = oldCurrent
	}
}

// HasSource reports whether a vote has the source and the epoch of votes that the state accepts.
func (s *State) HasSource(d *blockprint.AttestationData) bool {
	switch d.Target.Epoch {
	case s.Epoch:
		return d.Source == s.CurrentJustified
	case s.Epoch - 1:
		return d.Source == s.PreviousJustified
	}
	return false
}
