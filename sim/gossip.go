package sim

import (
	"blockprint"
)

// committeeOf returns the members of a vote group's committee on the chain of b.
func (w *World) committeeOf(b *block, g group) []uint32 {
	return w.committees(b, g.data.target.Epoch).Of(g.data.slot, uint64(g.committee))
}

// attest casts the votes of a slot. b is the slot's block, or nil; inTime is the share of validators that have it
// when they vote.
func (w *World) attest(b *block, inTime float64) {
	before := w.voteFor(w.head)
	now := before
	if b != nil && inTime > 0 {
		now = w.voteFor(b)
	}
	epoch := w.spec.EpochOf(w.slot)
	committees := w.committees(w.head, epoch)
	for c := range int(committees.PerSlot) {
		members := committees.Of(w.slot, uint64(c))
		votes := map[voteData]bitset{}
		var voters []int
		data := make([]voteData, len(members))
		for i := range members {
			if w.rng.Float64() >= w.config.Participation {
				continue
			}
			data[i] = before
			if w.rng.Float64() < inTime {
				data[i] = now
			}
			if votes[data[i]] == nil {
				votes[data[i]] = newBitset(len(members))
			}
			votes[data[i]].set(i)
			voters = append(voters, i)
		}
		w.gossipSingles(c, len(members), voters, data)
		w.gossipAggregates(c, len(members), voters, data, votes)
	}
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
func (w *World) gossipSingles(committee, size int, voters []int, data []voteData) {
	for _, n := range w.nodes {
		if n.subnets != nil && !n.subnets[committee] {
			continue
		}
		for _, i := range voters {
			if w.rng.Float64() < 0.97 {
				n.pool.single(group{data[i], committee}, size, i)
			}
		}
	}
}

// gossipAggregates lets the committee's aggregators publish what each has seen. Nodes hear the aggregates in
// different orders, miss some, and get some only after the next block.
func (w *World) gossipAggregates(committee, size int, voters []int, data []voteData, votes map[voteData]bitset) {
	var published []aggregate
	for range min(w.config.Aggregators, len(voters)) {
		own := voters[w.rng.IntN(len(voters))]
		share := 0.85 + 0.14*w.rng.Float64()
		seen := newBitset(size)
		votes[data[own]].each(func(i int) {
			if w.rng.Float64() < share {
				seen.set(i)
			}
		})
		seen.set(own)
		published = append(published, aggregate{group{data[own], committee}, seen})
	}
	for _, n := range w.nodes {
		for _, i := range w.rng.Perm(len(published)) {
			switch x := w.rng.Float64(); {
			case x < 0.02: // lost
			case x < 0.08:
				w.late = append(w.late, delivery{n, published[i]})
			default:
				n.pool.aggregate(published[i])
			}
		}
	}
}
