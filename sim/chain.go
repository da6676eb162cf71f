package sim

import (
	"encoding/binary"

	"blockprint"
	"blockprint/gossip"
	"blockprint/packer"
	"blockprint/reward"
)

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
	state           *packer.State
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
