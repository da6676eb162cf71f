// Package packer has the attestation pools of consensus clients and how each packs a block from its own, modeled on the
// clients' public behavior in our own words and code; docs/simulation.md says what is left out.
//
// New makes the pool of a client's variant. Whoever plays the node, a simulated network or a replayed recording, puts in
// what it receives and the blocks that it imports, and asks for a block with a View of the chain.
package packer

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"blockprint"
	"blockprint/gossip"
)

// Pool is a node's attestation pool with the packer that uses it.
type Pool interface {
	// Aggregate puts an aggregate in. The pool copies its Bits.
	Aggregate(a gossip.Aggregate)
	// Singles puts single votes of a group in.
	Singles(votes gossip.Aggregate)
	// Imported says that a block became the head.
	Imported(slot blockprint.Slot, attestations []gossip.Attestation)
	// Pack returns the attestations of a block in their order.
	Pack(v *View) []gossip.Attestation
}

// Ticker is a Pool that acts at certain times of each slot.
type Ticker interface {
	// Ticks are the times from the slot's start, in ascending order.
	Ticks() []time.Duration
	Tick()
}

// Poster is a Pool that treats aggregates that are posted to the node's API otherwise than those from gossip.
type Poster interface {
	Post(a gossip.Aggregate)
}

// Loader is a Pool that can take over a group from a real node's pool, in the node's order.
type Loader interface {
	Load(g gossip.Group, list []gossip.Bits)
}

// clients are the clients that can be simulated, each with its default graffiti and its variants, the newest last. Every
// variant can pack for any fork; forks are those in which its version was in use.
var clients = []struct {
	client   blockprint.Client
	graffiti string
	variants []variant
}{
	{blockprint.Grandine, "NM9c0dGRe1f2 Grandine/1.0.0", []variant{
		{"grandine/optimal", blockprint.AnyFork, func() Pool { return newGrandine(false) }},
		{"grandine/greedy", blockprint.AnyFork, func() Pool { return newGrandine(true) }},
	}},
	{blockprint.Lighthouse, "Lighthouse/v5.3.0-d6ba8c3", []variant{
		{"lighthouse/2024", blockprint.AnyFork, func() Pool { return newLighthouse() }},
	}},
	{blockprint.Lodestar, "GE1a2bLSc3d4", []variant{
		{"lodestar/2023", blockprint.BeforeElectra, func() Pool { return newLodestar(lodestar2023) }},
		{"lodestar/2024", blockprint.BeforeElectra, func() Pool { return newLodestar(lodestar2024) }},
		{"lodestar/electra-distance", blockprint.SinceElectra, func() Pool { return newLodestar(lodestarDistance) }},
		{"lodestar/electra-weight", blockprint.SinceElectra, func() Pool { return newLodestar(lodestarWeight) }},
	}},
	{blockprint.Nimbus, "Nimbus/v24.9.0-a3be8d-stateofus", []variant{
		{"nimbus/2023", blockprint.AnyFork, func() Pool { return newNimbus(nimbus2023) }},
		{"nimbus/2026", blockprint.SinceElectra, func() Pool { return newNimbus(nimbus2026) }},
	}},
	{blockprint.Prysm, "prysm v5.1.2", []variant{
		{"prysm/2023", blockprint.BeforeElectra, func() Pool { return newPrysm(prysm2023) }},
		{"prysm/2024", blockprint.AnyFork, func() Pool { return newPrysm(prysm2024) }},
		{"prysm/marginal", blockprint.SinceElectra, func() Pool { return newPrysm(prysmMarginal) }},
	}},
	{blockprint.Teku, "BU5e6fTK7a8b", []variant{
		{"teku/v1-plain", blockprint.BeforeElectra, func() Pool { return newTeku(tekuPlain) }},
		{"teku/v1-sorted", blockprint.AnyFork, func() Pool { return newTeku(tekuSorted) }},
		{"teku/v2", blockprint.SinceElectra, func() Pool { return newTeku(tekuV2) }},
	}},
}

type variant struct {
	name  string
	forks blockprint.ForkRange
	make  func() Pool
}

// New returns an empty pool of a variant, or nil if the variant is unknown.
func New(name string) Pool {
	for _, c := range clients {
		for _, v := range c.variants {
			if v.name == name {
				return v.make()
			}
		}
	}
	return nil
}

// ClientOf returns the client of a variant, and the graffiti that it writes by default.
func ClientOf(name string) (client blockprint.Client, graffiti string, ok bool) {
	for _, c := range clients {
		if slices.ContainsFunc(c.variants, func(v variant) bool { return v.name == name }) {
			return c.client, c.graffiti, true
		}
	}
	return "", "", false
}

// Variants lists the known client variants, sorted by name.
func Variants() (out []string) {
	for _, c := range clients {
		for _, v := range c.variants {
			out = append(out, v.name)
		}
	}
	slices.Sort(out)
	return out
}

// VariantsAt lists, for each client, the variants that were in use under a fork, the newest last.
func VariantsAt(fork blockprint.Fork) (out [][]string) {
	for _, c := range clients {
		var names []string
		for _, v := range c.variants {
			if v.forks.Has(fork) {
				names = append(names, v.name)
			}
		}
		if names != nil {
			out = append(out, names)
		}
	}
	return out
}

// singleVotes are the single votes that a node has heard, one set for each group. Pools that use them embed it.
type singleVotes struct{ heard entries[gossip.Bits] }

func newSingleVotes() singleVotes { return singleVotes{newEntries[gossip.Bits]()} }

func (s *singleVotes) Singles(votes gossip.Aggregate) {
	b := s.heard.of(votes.Group)
	if *b == nil {
		*b = votes.Bits.Clone()
		return
	}
	b.Add(votes.Bits)
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

// newest returns the groups by slot, the newest first. Within a slot, they stand in order of arrival, or in random order
// if shuffle is not nil.
func (e *entries[T]) newest(shuffle *rand.Rand) []gossip.Group {
	return newest(slices.Clone(e.keys), shuffle)
}

// newest sorts groups by slot, the newest first. Within a slot, they keep their order, or stand in random order if shuffle
// is not nil.
func newest(keys []gossip.Group, shuffle *rand.Rand) []gossip.Group {
	if shuffle != nil {
		shuffle.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	}
	slices.SortStableFunc(keys, func(a, b gossip.Group) int { return cmp.Compare(b.Data.Slot, a.Data.Slot) })
	return keys
}
