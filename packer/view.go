package packer

import (
	"math"
	"math/rand/v2"

	"blockprint"
	"blockprint/gossip"
)

// Participation flags and their weights out of 64 (consensus-specs, altair). They stand here a second time on purpose:
// a simulated network's own rewards check the tracker's.
const (
	flagSource = 1
	flagTarget = 2
	flagHead   = 4
)

func flagWeights(f uint8) uint64 {
	return 14*uint64(f&1) + 26*uint64(f>>1&1) + 14*uint64(f>>2&1)
}

// View is what a client knows of the chain that a block is built on. It leads to no other node, no gossip, and no
// block's truth, so a packer has only its pool to choose from. A View is for one block.
type View struct {
	Slot blockprint.Slot // of the block
	Head blockprint.Slot // of the block that it is built on
	Spec *blockprint.Spec
	Rand *rand.Rand // stands for the random order of hash maps

	*State // in the block's epoch; Include changes its flags

	// RootAt returns the root of the newest block of the chain that is not after a slot.
	RootAt func(blockprint.Slot) blockprint.Root
	// Members returns a committee's validators by position.
	Members func(g gossip.Group) []uint32
	// Valid reports whether a vote may be included at all: its slot, its source, and its committees are the chain's.
	Valid func(d *gossip.Data) bool

	unseenOf map[gossip.Group]gossip.Bits // members without a flag, of groups that were asked for
	earnedBy map[gossip.Data]uint8        // flags, of votes that were asked for
}

func (v *View) fork() blockprint.Fork { return v.Spec.ForkAt(v.epoch()) }

// electra reports whether attestations join committees.
func (v *View) electra() bool { return v.fork() >= blockprint.Electra }

// limit returns how many attestations a block holds.
func (v *View) limit() int {
	if v.electra() {
		return int(v.Spec.MaxAttestationsElectra)
	}
	return 128
}

func (v *View) distance(d *gossip.Data) uint64 { return uint64(v.Slot - d.Slot) }

func (v *View) epoch() blockprint.Epoch { return v.Spec.EpochOf(v.Slot) }

// isCurrent reports whether a vote is of the block's epoch.
func (v *View) isCurrent(d *gossip.Data) bool { return d.Target.Epoch == v.epoch() }

// flags returns the participation flags that hold for a vote's epoch.
func (v *View) flags(d *gossip.Data) []uint8 {
	if v.isCurrent(d) {
		return v.Current
	}
	return v.Previous
}

// earned returns the flags that a vote sets in the block.
func (v *View) earned(d *gossip.Data) uint8 {
	f, ok := v.earnedBy[*d]
	if ok {
		return f
	}
	delay := uint64(v.Slot - d.Slot)
	if root := uint64(math.Sqrt(float64(v.Spec.SlotsPerEpoch))); delay <= root {
		f |= flagSource
	}
	if v.targetMatches(d) {
		if delay <= v.Spec.SlotsPerEpoch || v.fork() >= blockprint.Deneb {
			f |= flagTarget
		}
		if delay == 1 && d.BeaconBlockRoot == v.RootAt(d.Slot) {
			f |= flagHead
		}
	}
	if v.earnedBy == nil {
		v.earnedBy = map[gossip.Data]uint8{}
	}
	v.earnedBy[*d] = f
	return f
}

func (v *View) targetMatches(d *gossip.Data) bool {
	return d.Target.Root == v.RootAt(v.Spec.StartOf(d.Target.Epoch))
}

// unseenIn returns the members of a group's committee who have no flag yet. It must not be changed.
func (v *View) unseenIn(g gossip.Group) gossip.Bits {
	out, ok := v.unseenOf[g]
	if !ok {
		members, flags := v.Members(g), v.flags(&g.Data)
		out = gossip.NewBits(len(members))
		for i, m := range members {
			if flags[m] == 0 {
				out.Set(i)
			}
		}
		if v.unseenOf == nil {
			v.unseenOf = map[gossip.Group]gossip.Bits{}
		}
		v.unseenOf[g] = out
	}
	return out
}

// unseen returns those of an aggregate whose voters have no flag yet.
func (v *View) unseen(a gossip.Aggregate) gossip.Bits {
	out := a.Bits.Clone()
	out.Keep(v.unseenIn(a.Group))
	return out
}

// weight sums f over the members in bits.
func (v *View) weight(g gossip.Group, b gossip.Bits, f func(validator uint32) uint64) uint64 {
	members := v.Members(g)
	var sum uint64
	b.Each(func(i int) { sum += f(members[i]) })
	return sum
}

// accounts are the participation flags while a block is being filled.
type accounts struct {
	v                 *View
	current, previous []uint8
}

func (v *View) accounts() *accounts {
	return &accounts{v, append([]uint8(nil), v.Current...), append([]uint8(nil), v.Previous...)}
}

func (s *accounts) flags(d *gossip.Data) []uint8 {
	if s.v.isCurrent(d) {
		return s.current
	}
	return s.previous
}

// numerator is what an attestation would earn now, as the specification counts.
func (s *accounts) numerator(a *gossip.Attestation) (sum uint64) {
	flags, f := s.flags(&a.Data), s.v.earned(&a.Data)
	for i := range a.Committees {
		part := a.Part(i)
		sum += s.v.weight(part.Group, part.Bits, func(n uint32) uint64 {
			return s.v.BaseRewards[n] * flagWeights(f&^flags[n])
		})
	}
	return sum
}

// include sets the flags of an attestation's voters.
func (s *accounts) include(a *gossip.Attestation) {
	flags, f := s.flags(&a.Data), s.v.earned(&a.Data)
	for i, c := range a.Committees {
		members := s.v.Members(gossip.Group{Data: a.Data, Committee: c})
		a.Bits[i].Each(func(at int) { flags[members[at]] |= f })
	}
}

// Include sets the participation flags of a block's attestations in Previous and Current, and returns what they pay the
// proposer, in gwei.
func (v *View) Include(attestations []gossip.Attestation) (paid uint64) {
	s := accounts{v, v.Current, v.Previous}
	for i := range attestations {
		paid += s.numerator(&attestations[i]) / (56 * 64 / 8)
		s.include(&attestations[i])
	}
	return paid
}

// Worth returns the reward numerators of a block's attestations: of each alone in the state before the block, and of each
// after those before it.
func (v *View) Worth(list []gossip.Attestation) (alone, marginal []uint64) {
	before, after := v.accounts(), v.accounts()
	for i := range list {
		alone = append(alone, before.numerator(&list[i]))
		marginal = append(marginal, after.numerator(&list[i]))
		after.include(&list[i])
	}
	return alone, marginal
}

// greedyByReward picks attestations up to the limit, each time the one that earns the most after those before it, and at
// random among equals. It also picks attestations that earn nothing unless stop is true.
func (v *View) greedyByReward(list []gossip.Attestation, stop bool) []gossip.Attestation {
	s := v.accounts()
	rest := append([]gossip.Attestation(nil), list...)
	v.Rand.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	values := make([]uint64, len(rest))
	for i := range rest {
		values[i] = s.numerator(&rest[i])
	}
	var out []gossip.Attestation
	for len(out) < v.limit() && len(rest) > 0 {
		best := 0
		for i := range rest {
			if values[i] > values[best] {
				best = i
			}
		}
		if stop && values[best] == 0 {
			break
		}
		pick := rest[best]
		s.include(&pick)
		out = append(out, pick)
		rest = append(rest[:best], rest[best+1:]...)
		values = append(values[:best], values[best+1:]...)
		for i := range rest {
			if rest[i].Data.Slot == pick.Data.Slot { // other slots' voters are others
				values[i] = s.numerator(&rest[i])
			}
		}
	}
	return out
}
