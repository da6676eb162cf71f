package packer

import (
	"slices"
	"time"

	"blockprint"
	"blockprint/gossip"
)

// prysmGroup is what the pool has of a vote group: aggregates, single votes, and what it has deleted and will not take
// again.
type prysmGroup struct {
	stored  []gossip.Bits // in the client's order, which decides ties
	singles []gossip.Bits // one vote each
	// The pool ignores subsets of deleted, which are votes of head blocks and folded single votes, and subsets of gone,
	// which are aggregates that it once stored.
	deleted, gone []gossip.Bits
}

func newPrysm(v prysmVariant) *prysm {
	return &prysm{prysmVariant: v, groups: newEntries[prysmGroup]()}
}

// inOne reports whether b is a subset of one of the sets.
func inOne(list []gossip.Bits, b gossip.Bits) bool { return slices.ContainsFunc(list, b.Within) }

// addUnlessIn appends b unless it is a subset of one of the sets.
func addUnlessIn(list []gossip.Bits, b gossip.Bits) []gossip.Bits {
	if inOne(list, b) {
		return list
	}
	return append(list, b)
}

func (p *prysm) Aggregate(a gossip.Aggregate) {
	g := p.groups.of(a.Group)
	if a.Bits.Count() == 1 {
		g.single(a.Bits.Clone())
		return
	}
	g.add(a.Bits.Clone())
}

func (g *prysmGroup) add(b gossip.Bits) {
	if !inOne(g.stored, b) && !inOne(g.gone, b) && !inOne(g.deleted, b) {
		g.stored = disjointUnions(append(g.stored, b))
	}
}

// Singles puts in votes from subnets. Unlike a single vote that came as an aggregate, one of an aggregate is ignored.
func (p *prysm) Singles(votes gossip.Aggregate) {
	g := p.groups.of(votes.Group)
	votes.Bits.Each(func(i int) {
		b := make(gossip.Bits, len(votes.Bits))
		b.Set(i)
		if !inOne(g.stored, b) && !inOne(g.gone, b) {
			g.single(b)
		}
	})
}

func (g *prysmGroup) single(b gossip.Bits) {
	if !inOne(g.deleted, b) {
		g.singles = addUnlessIn(g.singles, b)
	}
}

// Ticks are the times at which the client folds single votes into aggregates.
func (p *prysm) Ticks() []time.Duration {
	return []time.Duration{7 * time.Second, 9500 * time.Millisecond, 11800 * time.Millisecond}
}

// Tick folds each group's single votes into an aggregate and forgets them. A vote that is alone in its group waits.
func (p *prysm) Tick() {
	for _, e := range p.groups.at {
		if len(e.open()) < 2 {
			continue
		}
		union := e.singles[0].Clone()
		for _, b := range e.singles[1:] {
			union.Add(b)
		}
		e.add(union)
		e.deleted = append(e.deleted, e.singles...)
		e.singles = nil
	}
}

// open returns the single votes that are not in a deleted set.
func (g *prysmGroup) open() []gossip.Bits {
	g.singles = slices.DeleteFunc(g.singles, func(b gossip.Bits) bool { return inOne(g.deleted, b) })
	return g.singles
}

// delete forgets the subsets of b.
func (g *prysmGroup) delete(b gossip.Bits) {
	g.deleted = addUnlessIn(g.deleted, b)
	if b.Count() == 1 {
		return
	}
	g.stored = slices.DeleteFunc(g.stored, func(o gossip.Bits) bool {
		if o.Within(b) {
			g.gone = addUnlessIn(g.gone, o)
			return true
		}
		return false
	})
}

// Load takes over a group from a node's pool.
func (p *prysm) Load(g gossip.Group, list []gossip.Bits) {
	e := p.groups.of(g)
	for _, b := range list {
		if b.Count() == 1 {
			e.singles = append(e.singles, b)
		} else {
			e.stored = append(e.stored, b)
		}
	}
}

func (p *prysm) Imported(slot blockprint.Slot, attestations []gossip.Attestation) {
	for _, a := range attestations {
		for i, c := range a.Committees {
			p.groups.of(gossip.Group{Data: a.Data, Committee: c}).delete(a.Bits[i])
		}
	}
	p.groups.drop(func(g gossip.Group) bool { return g.Data.Slot+64 > slot })
}
