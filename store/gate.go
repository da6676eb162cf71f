package store

import (
	"time"

	"blockprint"
)

// Gate checks every claim before it is stored, whoever makes it: a follower whose node may lie, somebody who posts
// rewards, a file, or an old database. It refuses what cannot be true, with code Invalid. What passes may still be false,
// but it lies within the network's bounds, so that nothing computed from it runs away.
//
// The gate knows the present slot from the network's genesis and slot time. A database that is not tied to a network has no
// clock; then slots must merely be possible numbers.
type Gate struct {
	// Newest is the newest possible slot: the clock's, and one more because clocks differ a little.
	Newest blockprint.Slot
	// Final is the newest slot that may be final. A network needs two epochs to finalize one.
	Final blockprint.Slot
	// Unproven is how many slots in a row may count as empty on a writer's word. For more, the block after them and its
	// parent must both be stored.
	Unproven uint64
	clock    bool
}

const (
	// newestSlot is the bound of slots where there is no clock: 400,000 years of 12 seconds.
	newestSlot = blockprint.Slot(1 << 40)
	// registryLimit is the specification's VALIDATOR_REGISTRY_LIMIT: indices of validators are less.
	registryLimit = 1 << 40
	// unprovenEpochs is Gate.Unproven in epochs.
	unprovenEpochs = 4
	// defaultSlotsPerEpoch is mainnet's; it holds until a database is tied to a network.
	defaultSlotsPerEpoch = 32
)

// NewGate returns the gate of a database that is tied to a network, or of one that is not tied yet if id is nil.
func NewGate(id *Identity, now time.Time) Gate {
	if id == nil {
		return Gate{Newest: newestSlot, Final: newestSlot, Unproven: unprovenEpochs * defaultSlotsPerEpoch}
	}
	g := Gate{Newest: min(id.Network().SlotAt(now)+1, newestSlot), Unproven: unprovenEpochs * id.SlotsPerEpoch, clock: true}
	g.Final = g.Newest - min(g.Newest, blockprint.Slot(2*id.SlotsPerEpoch))
	return g
}

// Slot refuses slots beyond the clock; what names the thing that claims the slot.
func (g *Gate) Slot(what string, slot blockprint.Slot) error {
	switch {
	case slot <= g.Newest:
		return nil
	case !g.clock:
		return blockprint.Errorf(blockprint.Invalid, "%s: slot %d is impossible", what, slot)
	}
	return blockprint.Errorf(blockprint.Invalid, "%s: slot %d is in the future, by the clock of this machine it is slot %d now", what, slot, g.Newest-1)
}

// Block refuses a block that cannot be.
func (g *Gate) Block(b *Block) error {
	if err := g.Slot("block", b.Slot); err != nil {
		return err
	}
	switch {
	case b.ParentSlot >= b.Slot:
		return blockprint.Errorf(blockprint.Invalid, "block of slot %d: its parent's slot %d is not before it", b.Slot, b.ParentSlot)
	case b.Proposer >= registryLimit:
		return blockprint.Errorf(blockprint.Invalid, "block of slot %d: there is no validator %d", b.Slot, b.Proposer)
	case b.Canonical < Undecided || b.Canonical > Final:
		return blockprint.Errorf(blockprint.Invalid, "block of slot %d: unknown place in the chain %d", b.Slot, b.Canonical)
	case IsPlaceholder(b.Root) && (b.Root != PlaceholderRoot(b.Proposer) || b.Features.Values != nil):
		return blockprint.Errorf(blockprint.Invalid, "block of slot %d: its root is missing", b.Slot)
	}
	return nil
}

// Batch refuses a batch in which something cannot be. The newest covered slot is not known to it: see Finalized.
func (g *Gate) Batch(b *Batch) error {
	for i := range b.Blocks {
		if err := g.Block(&b.Blocks[i]); err != nil {
			return err
		}
	}
	for _, i := range b.Covered {
		if err := g.interval("covered slots", i); err != nil {
			return err
		}
	}
	for _, i := range b.Uncovered {
		if err := g.interval("uncovered slots", i); err != nil {
			return err
		}
	}
	for i := range b.Chains {
		c := &b.Chains[i]
		if err := g.interval("piece of the chain", c.Slots); err != nil {
			return err
		}
		for _, id := range c.Blocks {
			if id.Slot < c.Slots.Start || id.Slot > c.Slots.End || id.Root.IsZero() {
				return blockprint.Errorf(blockprint.Invalid, "piece of the chain of slots %s: block %s of slot %d cannot be on it", c.Slots, id.Root.Short(), id.Slot)
			}
		}
	}
	return nil
}

func (g *Gate) interval(what string, i blockprint.Interval) error {
	if i.End < i.Start {
		return blockprint.Errorf(blockprint.Invalid, "%s: %d to %d ends before it begins", what, i.Start, i.End)
	}
	return g.Slot(what, i.End)
}

// Finalized refuses a mark of finality that lies beyond what is covered or what can be final by now.
func (g *Gate) Finalized(slot, covered blockprint.Slot) error {
	switch {
	case slot > g.Final:
		return blockprint.Errorf(blockprint.Invalid, "slot %d cannot be final yet: by the clock of this machine it is slot %d now, and finality needs two epochs", slot, g.Newest-1)
	case slot > covered:
		return blockprint.Errorf(blockprint.Invalid, "slot %d cannot be final: the newest covered slot is %d", slot, covered)
	}
	return nil
}
