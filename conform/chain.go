package conform

import (
	"math"
	"math/rand/v2"
	"slices"

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
	state  state
}

// state is participation by validator and what is justified. Effective balances stay as they were recorded.
type state struct {
	epoch                               blockprint.Epoch
	previous, current                   []uint8
	previousJustified, currentJustified blockprint.Checkpoint
}

// at returns the newest block of the chain that is not after a slot.
func (b *block) at(slot blockprint.Slot) *block {
	for b.slot > slot && b.parent != nil {
		b = b.parent
	}
	return b
}

// chain follows the published blocks of a recording.
type chain struct {
	recording *recording.Reader
	spec      blockprint.Spec
	wide      blockprint.Spec // the same, with room for all candidates in a block
	base      []uint64        // rewards by validator, in gwei
	total     uint64          // effective balance
	genesis   *block
	blocks    map[blockprint.Root]*block
}

// keepStates is how many slots back a block may still be built upon.
const keepStates = 64

func newChain(r *recording.Reader) *chain {
	c := &chain{recording: r, spec: r.Spec(), blocks: map[blockprint.Root]*block{}}
	c.wide = c.spec
	c.wide.MaxAttestationsElectra = 1 << 16
	for _, b := range r.Balances {
		c.total += b
	}
	perIncrement := c.spec.EffectiveBalanceIncrement * c.spec.BaseRewardFactor / uint64(math.Sqrt(float64(c.total)))
	for _, b := range r.Balances {
		c.base = append(c.base, b/c.spec.EffectiveBalanceIncrement*perIncrement)
	}
	return c
}

// begin makes the first block's parent the genesis of the chain.
func (c *chain) begin(root blockprint.Root) {
	n := len(c.base)
	c.genesis = &block{root: root, state: state{previous: make([]uint8, n), current: make([]uint8, n)}}
	c.blocks[root] = c.genesis
}

// add puts a published block on the chain.
func (c *chain) add(b *recording.Block, attestations []gossip.Attestation) {
	parent := c.blocks[b.Parent]
	s := c.advance(parent, c.spec.EpochOf(b.Slot))
	v := c.view(b.Slot, parent, &s, 0)
	v.Include(attestations)
	c.blocks[b.Root] = &block{root: b.Root, slot: b.Slot, parent: parent, state: s}
	for old := parent; old != nil && old.state.current != nil; old = old.parent {
		if old.slot+keepStates < b.Slot {
			old.state = state{}
		}
	}
}

// targetFlag is the participation flag of a timely vote for the target.
const targetFlag = 1 << 1

// advance returns the state at the start of an epoch on top of a block.
func (c *chain) advance(b *block, epoch blockprint.Epoch) state {
	s := b.state
	s.previous, s.current = slices.Clone(s.previous), slices.Clone(s.current)
	for ; s.epoch < epoch; s.epoch++ {
		if s.epoch > 1 {
			c.justify(&s, b)
		}
		s.previous, s.current = s.current, make([]uint8, len(s.current))
	}
	return s
}

// justify is weigh_justification_and_finalization of the specification, without finality.
func (c *chain) justify(s *state, b *block) {
	s.previousJustified = s.currentJustified
	for _, x := range []struct {
		epoch blockprint.Epoch
		flags []uint8
	}{{s.epoch - 1, s.previous}, {s.epoch, s.current}} {
		voted := uint64(0)
		for i, f := range x.flags {
			if f&targetFlag != 0 {
				voted += c.recording.Balances[i]
			}
		}
		if 3*voted >= 2*c.total {
			s.currentJustified = blockprint.Checkpoint{Epoch: x.epoch, Root: b.at(c.spec.StartOf(x.epoch)).root}
		}
	}
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

// committees returns the members of the committees that vote for a data; nil if the recording does not have them.
func (c *chain) committees(d *gossip.Data) [][]uint32 {
	s, err := c.recording.Shuffling(d.Target.Epoch, d.DependentRoot)
	if err != nil {
		return nil
	}
	return s.Members[uint64(d.Slot)%c.spec.SlotsPerEpoch]
}

// attestations returns recorded attestations as pools file them, without those for unknown blocks and committees, which no
// block of the chain can hold.
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
func (c *chain) view(slot blockprint.Slot, parent *block, s *state, seed uint64) *packer.View {
	return &packer.View{
		Slot: slot, Head: parent.slot, Spec: &c.spec, Rand: rand.New(rand.NewPCG(seed, uint64(slot))),
		Previous: s.previous, Current: s.current, BaseRewards: c.base, Balances: c.recording.Balances,
		RootAt:  func(slot blockprint.Slot) blockprint.Root { return parent.at(slot).root },
		Members: func(g gossip.Group) []uint32 { return c.committees(&g.Data)[g.Committee] },
		Valid: func(d *gossip.Data) bool {
			source := s.currentJustified
			switch d.Target.Epoch {
			case s.epoch:
			case s.epoch - 1:
				source = s.previousJustified
			default:
				return false
			}
			return c.committees(d) != nil && d.Slot < slot && d.Source == source && d.DependentRoot == c.dependent(parent, d.Target.Epoch)
		},
	}
}
