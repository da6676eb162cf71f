package sim

import (
	"blockprint"
	"blockprint/gossip"
	"blockprint/packer"
)

// attest casts and delivers the votes of a slot. b is the slot's block, or nil; inTime is the share of validators that
// have it when they vote.
func (w *World) attest(b *block, inTime float64) {
	before := w.voteFor(w.head)
	now := before
	if b != nil && inTime > 0 {
		now = w.voteFor(b)
	}
	committees := w.committees(w.head, w.spec.EpochOf(w.slot))
	sizes := make([]int, committees.PerSlot)
	for i := range sizes {
		sizes[i] = len(committees.Of(w.slot, uint64(i)))
	}
	w.hear(w.gossip.Attest(sizes, before, now, inTime))
}

// hear puts what each node receives into its pool. Aggregates come a while after single votes.
func (w *World) hear(heard []gossip.Heard) {
	for i, n := range w.nodes {
		for _, a := range heard[i].Singles {
			n.pool.Singles(a)
		}
		tick(n.pool)
		for _, a := range heard[i].Aggregates {
			n.pool.Aggregate(a)
		}
		tick(n.pool)
	}
}

// tick lets a pool do what it does between what it hears.
func tick(pool packer.Pool) {
	if t, ok := pool.(packer.Ticker); ok {
		t.Tick()
	}
}

// voteFor returns the data of a validator that sees b as head.
func (w *World) voteFor(b *block) gossip.Data {
	epoch := w.spec.EpochOf(w.slot)
	s := b.state.Advance(&w.spec, b.rootAt, epoch)
	return gossip.Data{
		AttestationData: blockprint.AttestationData{
			Slot: w.slot, BeaconBlockRoot: b.root, Source: s.CurrentJustified,
			Target: blockprint.Checkpoint{Epoch: epoch, Root: b.rootAt(w.spec.StartOf(epoch))},
		},
		DependentRoot: w.shuffling(b, epoch).anchor,
	}
}
