package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sort"

	"blockprint"
	"blockprint/gossip"
)

// pool is a node's attestation pool with the packer that uses it. A pool sees the gossip of its node and the
// blocks that become head, and is asked for a block when one of its validators proposes.
type pool interface {
	aggregate(a gossip.Aggregate)
	singles(votes gossip.Aggregate)
	imported(slot blockprint.Slot, attestations []gossip.Attestation)
	pack(v *view) []gossip.Attestation
}

// singleVotes are the single votes that a node has heard, one set for each group. Pools that use them embed it.
type singleVotes struct{ heard entries[gossip.Bits] }

func newSingleVotes() singleVotes { return singleVotes{newEntries[gossip.Bits]()} }

func (s *singleVotes) singles(votes gossip.Aggregate) {
	b := s.heard.of(votes.Group)
	if *b == nil {
		*b = votes.Bits.Clone()
		return
	}
	b.Add(votes.Bits)
}

// view is the state that a block is built on, as a packer sees it: what a client knows of its own chain. It leads to no
// other node, no gossip and no block's truth, so a packer has only its pool to choose from.
type view struct {
	slot    blockprint.Slot
	spec    *blockprint.Spec
	fork    blockprint.Fork
	limit   int // attestations in the block
	rng     *rand.Rand
	state   *state
	rootAt  func(blockprint.Slot) blockprint.Root // of the chain that the block is built on
	members func(g gossip.Group) []uint32         // committee members by position
	valid   func(d *gossip.Data) bool             // the attestation may be included at all

	unseenOf map[gossip.Group]gossip.Bits // members without a flag, of groups that were asked for
	earnedBy map[gossip.Data]uint8        // flags, of votes that were asked for
}

// electra tells whether attestations join committees.
func (v *view) electra() bool { return v.fork >= blockprint.Electra }

func (v *view) distance(d *gossip.Data) uint64 { return uint64(v.slot - d.Slot) }

func (v *view) epoch() blockprint.Epoch { return v.spec.EpochOf(v.slot) }

// isCurrent tells whether a vote is of the block's epoch.
func (v *view) isCurrent(d *gossip.Data) bool { return d.Target.Epoch == v.epoch() }

// flags returns the participation flags that hold for a vote's epoch.
func (v *view) flags(d *gossip.Data) []uint8 {
	if v.isCurrent(d) {
		return v.state.current
	}
	return v.state.previous
}

// earned returns the flags that a vote would set.
func (v *view) earned(d *gossip.Data) uint8 {
	f, ok := v.earnedBy[*d]
	if !ok {
		f = earned(v.spec, v.fork, v.rootAt, v.slot, d)
		v.earnedBy[*d] = f
	}
	return f
}

// unseenIn returns the members of a group's committee who have no flag yet. It must not be changed.
func (v *view) unseenIn(g gossip.Group) gossip.Bits {
	out, ok := v.unseenOf[g]
	if !ok {
		members, flags := v.members(g), v.flags(&g.Data)
		out = gossip.NewBits(len(members))
		for i, m := range members {
			if flags[m] == 0 {
				out.Set(i)
			}
		}
		v.unseenOf[g] = out
	}
	return out
}

// unseen returns those of an aggregate whose voters have no flag yet.
func (v *view) unseen(a gossip.Aggregate) gossip.Bits {
	out := a.Bits.Clone()
	out.Keep(v.unseenIn(a.Group))
	return out
}

// weight sums f over the members in bits.
func (v *view) weight(g gossip.Group, b gossip.Bits, f func(validator uint32) uint64) uint64 {
	members := v.members(g)
	var sum uint64
	b.Each(func(i int) { sum += f(members[i]) })
	return sum
}

// numerator is the specification's reward numerator of votes against the state before the block.
func (v *view) numerator(a gossip.Aggregate) uint64 {
	flags, f := v.flags(&a.Data), v.earned(&a.Data)
	return v.weight(a.Group, a.Bits, func(n uint32) uint64 {
		return v.state.base[n] * flagWeights(f&^flags[n])
	})
}

// variants are the known client variants, grouped by client, the newest last. Each packs before and after Electra; forks
// are those in which that version was in use.
var variants = []variant{
	{"grandine/optimal", blockprint.Grandine, blockprint.AnyFork, func() pool { return newGrandine(false) }},
	{"grandine/greedy", blockprint.Grandine, blockprint.AnyFork, func() pool { return newGrandine(true) }},
	{"lighthouse/2024", blockprint.Lighthouse, blockprint.AnyFork, func() pool { return newLighthouse() }},
	{"lodestar/2023", blockprint.Lodestar, blockprint.BeforeElectra, func() pool { return newLodestar(lodestar2023) }},
	{"lodestar/2024", blockprint.Lodestar, blockprint.BeforeElectra, func() pool { return newLodestar(lodestar2024) }},
	{"lodestar/electra-distance", blockprint.Lodestar, blockprint.SinceElectra, func() pool { return newLodestar(lodestarDistance) }},
	{"lodestar/electra-weight", blockprint.Lodestar, blockprint.SinceElectra, func() pool { return newLodestar(lodestarWeight) }},
	{"nimbus/2023", blockprint.Nimbus, blockprint.AnyFork, func() pool { return newNimbus(nimbus2023) }},
	{"nimbus/2026", blockprint.Nimbus, blockprint.SinceElectra, func() pool { return newNimbus(nimbus2026) }},
	{"prysm/2023", blockprint.Prysm, blockprint.BeforeElectra, func() pool { return newPrysm(prysm2023) }},
	{"prysm/2024", blockprint.Prysm, blockprint.AnyFork, func() pool { return newPrysm(prysm2024) }},
	{"prysm/marginal", blockprint.Prysm, blockprint.SinceElectra, func() pool { return newPrysm(prysmMarginal) }},
	{"teku/v1-plain", blockprint.Teku, blockprint.BeforeElectra, func() pool { return newTeku(tekuPlain) }},
	{"teku/v1-sorted", blockprint.Teku, blockprint.AnyFork, func() pool { return newTeku(tekuSorted) }},
	{"teku/v2", blockprint.Teku, blockprint.SinceElectra, func() pool { return newTeku(tekuV2) }},
}

type variant struct {
	name   string
	client blockprint.Client
	forks  blockprint.ForkRange
	make   func() pool
}

func variantNamed(name string) (v variant, ok bool) {
	i := slices.IndexFunc(variants, func(v variant) bool { return v.name == name })
	if i < 0 {
		return v, false
	}
	return variants[i], true
}

// Variants lists the known client variants, sorted by name.
func Variants() []string {
	var names []string
	for _, v := range variants {
		names = append(names, v.name)
	}
	sort.Strings(names)
	return names
}

// VariantsAt lists, for each client, the variants that were in use under a fork, the newest last.
func VariantsAt(fork blockprint.Fork) (out [][]string) {
	var last blockprint.Client
	for _, v := range variants {
		if !v.forks.Has(fork) {
			continue
		}
		if v.client != last {
			out, last = append(out, nil), v.client
		}
		out[len(out)-1] = append(out[len(out)-1], v.name)
	}
	return out
}

// ClientOf returns the client of a variant.
func ClientOf(variant string) (client blockprint.Client, ok bool) {
	v, ok := variantNamed(variant)
	return v.client, ok
}

// joined makes an on-chain aggregate of the votes of one data by committee.
func joined(d gossip.Data, bits map[int]gossip.Bits) gossip.Attestation {
	parts := make([]gossip.Aggregate, 0, len(bits))
	for c, b := range bits {
		parts = append(parts, gossip.Aggregate{Group: gossip.Group{Data: d, Committee: c}, Bits: b})
	}
	return gossip.Join(parts...)
}

// accounts are the participation flags while a block is being filled.
type accounts struct {
	v                 *view
	current, previous []uint8
}

func (v *view) accounts() *accounts {
	return &accounts{v, append([]uint8(nil), v.state.current...), append([]uint8(nil), v.state.previous...)}
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
	for i, c := range a.Committees {
		members := s.v.members(gossip.Group{Data: a.Data, Committee: c})
		a.Bits[i].Each(func(at int) {
			n := members[at]
			sum += s.v.state.base[n] * flagWeights(f&^flags[n])
		})
	}
	return sum
}

// include sets the flags of an attestation's voters.
func (s *accounts) include(a *gossip.Attestation) {
	flags, f := s.flags(&a.Data), s.v.earned(&a.Data)
	for i, c := range a.Committees {
		members := s.v.members(gossip.Group{Data: a.Data, Committee: c})
		a.Bits[i].Each(func(at int) { flags[members[at]] |= f })
	}
}

// greedyByReward picks up to the limit, each time what earns most after all that is picked; ties fall at random.
// Worthless ones are picked too unless stop is true.
func (v *view) greedyByReward(list []gossip.Attestation, stop bool) []gossip.Attestation {
	s := v.accounts()
	rest := append([]gossip.Attestation(nil), list...)
	v.rng.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	values := make([]uint64, len(rest))
	for i := range rest {
		values[i] = s.numerator(&rest[i])
	}
	var out []gossip.Attestation
	for len(out) < v.limit && len(rest) > 0 {
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

// entries is a map of vote groups that can be walked in the order of first arrival. Packers whose client walks a
// hash map shuffle it.
type entries[T any] struct {
	at   map[gossip.Group]*T
	keys []gossip.Group
}

func newEntries[T any]() entries[T] { return entries[T]{at: map[gossip.Group]*T{}} }

// of returns the entry of a group, making it if there is none.
func (e *entries[T]) of(g gossip.Group) *T {
	t := e.at[g]
	if t == nil {
		t = new(T)
		e.at[g] = t
		e.keys = append(e.keys, g)
	}
	return t
}

// drop forgets the groups that keep refuses.
func (e *entries[T]) drop(keep func(g gossip.Group) bool) {
	kept := e.keys[:0]
	for _, g := range e.keys {
		if keep(g) {
			kept = append(kept, g)
		} else {
			delete(e.at, g)
		}
	}
	e.keys = kept
}

// newest returns the groups by slot, newest first; inside a slot in order of arrival, or shuffled.
func (e *entries[T]) newest(shuffle *rand.Rand) []gossip.Group {
	keys := append([]gossip.Group(nil), e.keys...)
	if shuffle != nil {
		shuffle.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	}
	slices.SortStableFunc(keys, func(a, b gossip.Group) int { return cmp.Compare(b.Data.Slot, a.Data.Slot) })
	return keys
}
