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
	singles gossip.Bits
	// The pool ignores subsets of deleted, which are aggregates of head blocks, and subsets of gone, which are aggregates
	// that it once stored. used are single votes that were folded or deleted, alone or in an aggregate.
	deleted, gone []gossip.Bits
	used          gossip.Bits
	waits         bool // it is in the pool's list of groups with single votes
}

func newPrysm(v prysmVariant) *prysm {
	return &prysm{prysmVariant: v, groups: newEntries[prysmGroup]()}
}

// of returns the entry of a group whose committee has bits of a length.
func (p *prysm) of(g gossip.Group, length int) *prysmGroup {
	e := p.groups.of(g)
	if e.singles == nil {
		e.singles, e.used = make(gossip.Bits, length), make(gossip.Bits, length)
	}
	return e
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
	e := p.of(a.Group, len(a.Bits))
	if a.Bits.Count() == 1 {
		p.wait(a.Group, e, a.Bits)
		return
	}
	e.add(a.Bits.Clone())
}

// Post ignores an aggregate: the client sends on what is posted to its API, but does not store it.
func (p *prysm) Post(gossip.Aggregate) {}

func (e *prysmGroup) add(b gossip.Bits) {
	if !inOne(e.stored, b) && !inOne(e.gone, b) && !inOne(e.deleted, b) {
		e.stored = disjointUnions(append(e.stored, b))
	}
}

// Singles puts in votes from subnets. Unlike a single vote that came as an aggregate, one of an aggregate is ignored.
func (p *prysm) Singles(votes gossip.Aggregate) {
	e := p.of(votes.Group, len(votes.Bits))
	fresh := votes.Bits.Clone()
	for _, b := range e.stored {
		fresh.Remove(b)
	}
	for _, b := range e.gone {
		fresh.Remove(b)
	}
	p.wait(votes.Group, e, fresh)
}

// wait keeps single votes until they are folded.
func (p *prysm) wait(g gossip.Group, e *prysmGroup, votes gossip.Bits) {
	e.singles.Add(votes)
	if !e.waits {
		e.waits = true
		p.waiting = append(p.waiting, g)
	}
}

// Ticks are the times at which the client folds single votes into aggregates.
func (p *prysm) Ticks() []time.Duration {
	return []time.Duration{7 * time.Second, 9500 * time.Millisecond, 11800 * time.Millisecond}
}

// Tick folds each group's single votes into an aggregate and forgets them. A vote that is alone in its group waits.
func (p *prysm) Tick() {
	waiting := p.waiting
	p.waiting = nil
	for _, g := range waiting {
		e := p.groups.at[g]
		if e == nil {
			continue // it has expired
		}
		switch e.waits = false; e.open().Count() {
		case 0:
		case 1:
			p.wait(g, e, e.singles)
		default:
			e.used.Add(e.singles)
			e.add(e.singles)
			e.singles = make(gossip.Bits, len(e.used))
		}
	}
}

// open returns the single votes that have not been used.
func (e *prysmGroup) open() gossip.Bits {
	e.singles.Remove(e.used)
	return e.singles
}

// delete forgets the subsets of b.
func (e *prysmGroup) delete(b gossip.Bits) {
	e.used.Add(b)
	if b.Count() == 1 {
		return
	}
	e.deleted = addUnlessIn(e.deleted, b)
	e.stored = slices.DeleteFunc(e.stored, func(o gossip.Bits) bool {
		if o.Within(b) {
			e.gone = addUnlessIn(e.gone, o)
			return true
		}
		return false
	})
}

// Load takes over a group from a node's pool.
func (p *prysm) Load(g gossip.Group, list []gossip.Bits) {
	e := p.of(g, len(list[0]))
	for _, b := range list {
		if b.Count() == 1 {
			e.singles.Add(b)
		} else {
			e.stored = append(e.stored, b)
		}
	}
}

func (p *prysm) Imported(slot blockprint.Slot, attestations []gossip.Attestation) {
	for _, a := range attestations {
		for i := range a.Committees {
			part := a.Part(i)
			p.of(part.Group, len(part.Bits)).delete(part.Bits)
		}
	}
	p.groups.drop(func(g gossip.Group) bool { return g.Data.Slot+64 > slot })
}
