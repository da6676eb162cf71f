package conform

import (
	"math/rand/v2"

	"blockprint"
	"blockprint/gossip"
	"blockprint/packer"
	"blockprint/recording"
)

// block is a block of the recorded chain with the state after it, as far as packers see it.
type block struct {
	root   blockprint.Root
	slot   blockprint.Slot
	parent *block
	state  *packer.State
}

// at returns the newest block of the chain that is not after a slot.
func (b *block) at(slot blockprint.Slot) *block {
	for b.slot > slot && b.parent != nil {
		b = b.parent
	}
	return b
}

func (b *block) rootAt(slot blockprint.Slot) blockprint.Root { return b.at(slot).root }

// chain follows the published blocks of a recording.
type chain struct {
	recording *recording.Reader
	spec      blockprint.Spec
	wide      blockprint.Spec // the same, but a block has room for all candidates
	genesis   *block
	blocks    map[blockprint.Root]*block
}

// keepStates is how many slots back a block that is not the newest may still be built upon.
const keepStates = 64

func newChain(r *recording.Reader) *chain {
	c := &chain{recording: r, spec: r.Spec(), blocks: map[blockprint.Root]*block{}}
	c.wide = c.spec
	c.wide.MaxAttestationsElectra = 1 << 16
	return c
}

// begin makes the first block's parent the genesis of the chain.
func (c *chain) begin(root blockprint.Root) {
	c.genesis = &block{root: root, state: packer.GenesisState(c.recording.Balances, blockprint.ZeroRoot)}
	c.blocks[root] = c.genesis
}

// add puts a published block on the chain.
func (c *chain) add(b *recording.Block, attestations []gossip.Attestation) {
	parent := c.blocks[b.Parent]
	s := c.advance(parent, b.Slot)
	c.view(b.Slot, parent, s, 0).Include(attestations)
	c.blocks[b.Root] = &block{root: b.Root, slot: b.Slot, parent: parent, state: s}
	for old := parent.parent; old != nil && old.state != nil; old = old.parent {
		if old.slot+keepStates < b.Slot {
			old.state = nil
		}
	}
}

// advance returns the state in a slot's epoch on top of a block.
func (c *chain) advance(b *block, slot blockprint.Slot) *packer.State {
	return b.state.Advance(&c.spec, b.rootAt, c.spec.EpochOf(slot))
}

// dependent returns the block that decided the committees of an epoch on the chain of b.
func (c *chain) dependent(b *block, epoch blockprint.Epoch) blockprint.Root {
	if epoch <= 1 {
		return c.genesis.root
	}
	return b.at(c.spec.StartOf(epoch-1) - 1).root
}

// data returns a vote's data as pools file it; ok is false for a block that is not on the recorded chain.
func (c *chain) data(d *blockprint.AttestationData) (out gossip.Data, ok bool) {
	b := c.blocks[d.BeaconBlockRoot]
	if b == nil {
		return out, false
	}
	return gossip.Data{AttestationData: *d, DependentRoot: c.dependent(b, d.Target.Epoch)}, true
}

// committees returns the committees of a slot, or nil if the recording does not have them.
func (c *chain) committees(d *gossip.Data) [][]uint32 {
	s, err := c.recording.Shuffling(d.Target.Epoch, d.DependentRoot)
	if err != nil {
		return nil
	}
	return s.Members[uint64(d.Slot)%c.spec.SlotsPerEpoch]
}

// attestations returns recorded attestations as pools file them. It leaves out those for unknown blocks and committees,
// which no block of the chain can have.
func (c *chain) attestations(list []recording.Attestation) (out []gossip.Attestation) {
	for i := range list {
		d, ok := c.data(list[i].Data)
		if !ok || c.committees(&d) == nil {
			continue
		}
		a := gossip.Attestation{Data: d}
		for _, p := range list[i].Parts {
			a.Committees, a.Bits = append(a.Committees, p.Committee), append(a.Bits, p.Bits)
		}
		out = append(out, a)
	}
	return out
}

// view is what a packer sees of the chain when it builds on parent; s is the state in the block's epoch.
func (c *chain) view(slot blockprint.Slot, parent *block, s *packer.State, seed uint64) *packer.View {
	return &packer.View{
		Slot: slot, Head: parent.slot, Spec: &c.spec, Rand: rand.New(rand.NewPCG(seed, uint64(slot))),
		State:   s,
		RootAt:  parent.rootAt,
		Members: func(g gossip.Group) []uint32 { return c.committees(&g.Data)[g.Committee] },
		Valid: func(d *gossip.Data) bool {
			return c.committees(d) != nil && d.Slot < slot && s.HasSource(&d.AttestationData) && d.DependentRoot == c.dependent(parent, d.Target.Epoch)
		},
	}
}
