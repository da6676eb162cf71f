package sim

import (
	"encoding/binary"
	"math"

	"blockprint"
	"blockprint/gossip"
	"blockprint/reward"
)

// flagTarget is the participation flag of a timely vote for the target.
const flagTarget = 2

// block is a block of the world's tree, which includes orphans.
type block struct {
	root, stateRoot blockprint.Root
	slot            blockprint.Slot
	parent          *block
	proposer        uint64
	node            *node // which built it
	fork            blockprint.Fork
	encoded         []byte // signed, in SSZ
	mix             blockprint.Root
	state           *state
	attestations    []gossip.Attestation
	exact           uint64 // what it paid its proposer for attestations, in gwei
	arrived         bool   // the API shows it
}

// rootAt returns the root of the newest block of b's chain that is not after a slot.
func (b *block) rootAt(slot blockprint.Slot) blockprint.Root { return b.at(slot).root }

// at returns the newest block among b and its ancestors that is not after a slot.
func (b *block) at(slot blockprint.Slot) *block {
	for b.slot > slot && b.parent != nil {
		b = b.parent
	}
	return b
}

// state is the part of a beacon state that the world needs.
type state struct {
	epoch             blockprint.Epoch
	previous, current []uint8 // participation flags
	base              []uint64
	balances          []uint64 // effective, gwei; the same slice in all states
	bits              [4]bool  // justification bits, newest first
	previousJustified blockprint.Checkpoint
	currentJustified  blockprint.Checkpoint
	finalized         blockprint.Checkpoint
}

func genesisState(balances []uint64, root blockprint.Root) *state {
	n := len(balances)
	s := &state{previous: make([]uint8, n), current: make([]uint8, n), base: make([]uint64, n), balances: balances}
	total := uint64(0)
	for _, b := range balances {
		total += b
	}
	perIncrement := 1_000_000_000 * 64 / uint64(math.Sqrt(float64(total)))
	for i, b := range balances {
		s.base[i] = b / 1_000_000_000 * perIncrement
	}
	checkpoint := blockprint.Checkpoint{Root: root}
	s.previousJustified, s.currentJustified, s.finalized = checkpoint, checkpoint, checkpoint
	return s
}

// advance returns a copy of the state, moved to the start of an epoch if that is later than its own. b is its block.
func (s *state) advance(spec *blockprint.Spec, b *block, epoch blockprint.Epoch) *state {
	out := *s
	out.previous = append([]uint8(nil), s.previous...)
	out.current = append([]uint8(nil), s.current...)
	for out.epoch < epoch {
		out.justify(spec, b)
		out.epoch++
		out.previous = out.current
		out.current = make([]uint8, len(out.previous))
	}
	return &out
}

// justify is the specification's weigh_justification_and_finalization at the end of an epoch.
func (s *state) justify(spec *blockprint.Spec, b *block) {
	if s.epoch <= 1 {
		return
	}
	oldPrevious, oldCurrent := s.previousJustified, s.currentJustified
	s.previousJustified = s.currentJustified
	s.bits = [4]bool{false, s.bits[0], s.bits[1], s.bits[2]}
	total := uint64(0)
	for _, x := range s.balances {
		total += x
	}
	supported := func(flags []uint8) bool {
		sum := uint64(0)
		for i, f := range flags {
			if f&flagTarget != 0 {
				sum += s.balances[i]
			}
		}
		return 3*sum >= 2*total
	}
	if supported(s.previous) {
		s.currentJustified = blockprint.Checkpoint{Epoch: s.epoch - 1, Root: b.rootAt(spec.StartOf(s.epoch - 1))}
		s.bits[1] = true
	}
	if supported(s.current) {
		s.currentJustified = blockprint.Checkpoint{Epoch: s.epoch, Root: b.rootAt(spec.StartOf(s.epoch))}
		s.bits[0] = true
	}
	switch {
	case s.bits[1] && s.bits[2] && s.bits[3] && oldPrevious.Epoch+3 == s.epoch,
		s.bits[1] && s.bits[2] && oldPrevious.Epoch+2 == s.epoch:
		s.finalized = oldPrevious
	}
	switch {
	case s.bits[0] && s.bits[1] && s.bits[2] && oldCurrent.Epoch+2 == s.epoch,
		s.bits[0] && s.bits[1] && oldCurrent.Epoch+1 == s.epoch:
		s.finalized = oldCurrent
	}
}

// shuffleKey identifies the committees of an epoch on a branch.
type shuffleKey struct {
	epoch  blockprint.Epoch
	anchor blockprint.Root
}

// shuffling returns the key of an epoch's committees on the chain of b.
func (w *World) shuffling(b *block, epoch blockprint.Epoch) shuffleKey {
	key := shuffleKey{epoch: epoch, anchor: w.genesis.root}
	if epoch > 1 {
		key.anchor = b.at(w.spec.StartOf(epoch-1) - 1).root
	}
	return key
}

// committees returns the committees of an epoch on the chain of b, and remembers them for some epochs.
func (w *World) committees(b *block, epoch blockprint.Epoch) *reward.Committees {
	key := w.shuffling(b, epoch)
	if c := w.shuffled[key]; c != nil {
		return c
	}
	mix := w.genesis.mix
	if epoch > 1 {
		mix = b.at(w.spec.StartOf(epoch-1) - 1).mix
	}
	c := reward.ComputeCommittees(&w.spec, epoch, w.active, mix)
	w.shuffled[key] = c
	for k := range w.shuffled {
		if k.epoch+8 < epoch {
			delete(w.shuffled, k)
		}
	}
	return c
}

// committeeOf returns the members of a vote group's committee on the chain of b.
func (w *World) committeeOf(b *block, g gossip.Group) []uint32 {
	return w.committees(b, g.Data.Target.Epoch).Of(g.Data.Slot, uint64(g.Committee))
}

func le64(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
