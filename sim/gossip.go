package sim

import (
	"blockprint"
)

// committeeOf returns the members of a vote group's committee on the chain of b.
func (w *World) committeeOf(b *block, g group) []uint32 {
	return w.committees(b, g.data.target.Epoch).Of(g.data.slot, uint64(g.committee))
}

// committeeVotes is how a committee voted in a slot.
type committeeVotes struct {
	index, size int
	voters      []int      // positions
	data        []voteData // by position
	votes       map[voteData]bitset
}

// attest casts the votes of a slot. b is the slot's block, or nil; inTime is the share of validators that have it
// when they vote.
func (w *World) attest(b *block, inTime float64) {
	before := w.voteFor(w.head)
	now := before
	if b != nil && inTime > 0 {
		now = w.voteFor(b)
	}
	committees := w.committees(w.head, w.spec.EpochOf(w.slot))
	all := make([]committeeVotes, committees.PerSlot)
	for c := range all {
		size := len(committees.Of(w.slot, uint64(c)))
		v := committeeVotes{index: c, size: size, data: make([]voteData, size), votes: map[voteData]bitset{}}
		for i := range size {
			if w.rng.Float64() >= w.config.Participation {
				continue
			}
			v.data[i] = before
			if w.rng.Float64() < inTime*(1-w.config.WrongHeads) {
				v.data[i] = now
			}
			if w.rng.Float64() < w.config.LateVotes {
				// Most come in the next slot, few much later.
				delay := blockprint.Slot(1)
				for delay < 8 && w.rng.Float64() < 0.4 {
					delay++
				}
				w.votes[w.slot+delay] = append(w.votes[w.slot+delay], lateVote{group{v.data[i], c}, size, i})
				continue
			}
			if v.votes[v.data[i]] == nil {
				v.votes[v.data[i]] = newBitset(size)
			}
			v.votes[v.data[i]].set(i)
			v.voters = append(v.voters, i)
		}
		all[c] = v
	}
	w.gossipSingles(all)
	w.gossipAggregates(all)
}

// voteFor returns the data of a validator that sees b as head.
func (w *World) voteFor(b *block) voteData {
	epoch := w.spec.EpochOf(w.slot)
	s := b.state.advance(&w.spec, b, epoch)
	return voteData{
		slot: w.slot, root: b.root, source: s.currentJustified, shuffle: w.shuffling(b, epoch).anchor,
		target: blockprint.Checkpoint{Epoch: epoch, Root: b.rootAt(w.spec.StartOf(epoch))},
	}
}

// gossipSingles gives each node the single votes of the subnets that it hears; a few get lost.
func (w *World) gossipSingles(all []committeeVotes) {
	for _, n := range w.nodes {
		for _, at := range w.rng.Perm(len(all)) {
			c := &all[at]
			if n.subnets != nil && !n.subnets[c.index] {
				continue
			}
			for _, i := range c.voters {
				if w.rng.Float64() < 0.97 {
					n.pool.single(group{c.data[i], c.index}, c.size, i)
				}
			}
		}
	}
}

// deliverLateVotes gives the nodes that hear their subnets the votes that come only now.
func (w *World) deliverLateVotes() {
	for _, v := range w.votes[w.slot] {
		for _, n := range w.nodes {
			if (n.subnets == nil || n.subnets[v.committee]) && w.rng.Float64() < 0.97 {
				n.pool.single(v.group, v.size, v.position)
			}
		}
	}
	delete(w.votes, w.slot)
}

// gossipAggregates lets the aggregators of each committee publish what they have seen. Nodes hear the aggregates
// in different orders, miss some, and get some only after the next block.
func (w *World) gossipAggregates(all []committeeVotes) {
	var published []aggregate
	for _, c := range all {
		for range min(w.config.Aggregators, len(c.voters)) {
			own := c.voters[w.rng.IntN(len(c.voters))]
			share := 0.85 + 0.14*w.rng.Float64()
			seen := newBitset(c.size)
			c.votes[c.data[own]].each(func(i int) {
				if w.rng.Float64() < share {
					seen.set(i)
				}
			})
			seen.set(own)
			published = append(published, aggregate{group{c.data[own], c.index}, seen})
		}
	}
	for _, n := range w.nodes {
		for _, i := range w.rng.Perm(len(published)) {
			switch x := w.rng.Float64(); {
			case x < n.lost:
			case x < n.lost+n.late:
				w.late = append(w.late, delivery{n, published[i]})
			default:
				n.pool.aggregate(published[i])
			}
		}
	}
}
