package reward

import (
	"context"
	"errors"
	"math"
	"slices"

	"blockprint"
	"blockprint/beacon"
)

// epochOf returns what rewards in a block's epoch depend on. Effective balances change only at epoch boundaries, so any
// state of the epoch on the same branch will do. known says that the node has the block's own state.
func (t *Tracker) epochOf(ctx context.Context, epoch blockprint.Epoch, parent *tracked, b *beacon.Block, known bool) (*epochInfo, error) {
	key := t.keyOf(epoch, parent)
	if e := t.epochs[key]; e != nil {
		return e, nil
	}
	if !known {
		return t.expectedEpoch(ctx, epoch, parent)
	}
	v, later, err := t.validatorsAt(ctx, b)
	if err != nil {
		return nil, err
	}
	if !later {
		if err := t.grows(epoch, v.Len()); err != nil {
			return nil, err
		}
	}
	e := newEpochInfo(&t.network.Spec, epoch, v)
	e.approximate = later
	e.slashedBy = map[uint64]bool{}
	for _, s := range b.Slashed {
		e.slashedBy[s] = true
	}
	t.epochs[key] = e
	return e, nil
}

// keyOf names an epoch on the branch of a block by the last block before the epoch.
func (t *Tracker) keyOf(epoch blockprint.Epoch, on *tracked) epochKey {
	key := epochKey{epoch: epoch}
	if epoch > 0 {
		key.anchor = on.at(t.network.StartOf(epoch) - 1).root
	}
	return key
}

// validatorsAt returns the registry at a block. Most nodes keep no states of finalized history, and some provide no state
// but the head's. Then the head's registry stands in: it says who was active at any earlier time, and its effective
// balances are nearly right. later says that it was used.
func (t *Tracker) validatorsAt(ctx context.Context, b *beacon.Block) (v *beacon.Validators, later bool, err error) {
	v, err = t.source.Validators(ctx, beacon.StateOf(b.StateRoot, b.Slot))
	if !unfit(err) {
		return v, false, err
	}
	if t.present != nil && t.presentOf >= t.network.EpochOf(b.Slot) {
		return t.present, true, nil
	}
	head, err := t.source.Header(ctx, beacon.Head)
	if err == nil {
		v, err = t.source.Validators(ctx, beacon.Head)
	}
	if err == nil {
		err = t.growth.check(v.Len())
	}
	if err != nil {
		return nil, false, blockprint.Errorf(blockprint.CodeOf(err), "validators of %s: %w", b, err)
	}
	t.present, t.presentOf = v, t.network.EpochOf(head.Slot)
	t.log.Debug("the node has no state of this slot: rewards use the head's effective balances", "slot", b.Slot)
	return v, true, nil
}

// expectedEpoch stands in for epochOf if the block is not on the chain and its branch has no other block in the epoch. It
// uses the previous epoch's balances.
func (t *Tracker) expectedEpoch(ctx context.Context, epoch blockprint.Epoch, parent *tracked) (*epochInfo, error) {
	if e := t.epochs[t.keyOf(t.network.EpochOf(parent.slot), parent)]; e != nil {
		return newEpochInfo(&t.network.Spec, epoch, e.validators), nil
	}
	v, err := t.source.Validators(ctx, beacon.Head)
	if err != nil {
		return nil, err
	}
	return newEpochInfo(&t.network.Spec, epoch, v), nil
}

// committeesOf returns an epoch's committees on the branch of parent: our own shuffle, or the node's committees if it
// provides no RANDAO mix.
func (t *Tracker) committeesOf(ctx context.Context, epoch blockprint.Epoch, parent *tracked, info *epochInfo, b *beacon.Block) (*Committees, error) {
	spec := &t.network.Spec
	lookback := blockprint.Epoch(spec.MinSeedLookahead)
	key := epochKey{epoch: epoch}
	var last *tracked // the last block that contributes to the seed
	if epoch > lookback {
		end := spec.StartOf(epoch-lookback) - 1
		if last = parent.at(end); last.slot > end {
			last = nil
		} else {
			key.anchor = last.root
		}
	}
	if c := t.committees[key]; c != nil {
		return c, nil
	}
	c, err := t.computeCommittees(ctx, epoch, last, parent, info, b)
	if err != nil {
		return nil, err
	}
	t.committees[key] = c
	return c, nil
}

func (t *Tracker) computeCommittees(ctx context.Context, epoch blockprint.Epoch, last, parent *tracked, info *epochInfo, b *beacon.Block) (*Committees, error) {
	active := info.validators.Active(epoch)
	state := beacon.StateOf(b.StateRoot, b.Slot)
	if parent.parent != nil {
		state = beacon.StateOf(parent.stateRoot, parent.slot) // b may not be on the chain, but its parent is
	}
	if last != nil && last.mix != nil {
		c := ComputeCommittees(&t.network.Spec, epoch, active, *last.mix)
		if t.agreed {
			return c, nil
		}
		agreed, err := t.agree(ctx, state, c, active)
		if err != nil {
			t.forgetMixes()
			return nil, err
		}
		t.agreed = agreed
		return c, nil
	}
	mix, err := t.seedMix(ctx, state, epoch)
	if err != nil {
		if ctx.Err() != nil || !unfit(err) {
			return nil, err
		}
		c, nodeErr := t.nodeCommittees(ctx, state, epoch, active)
		if nodeErr != nil {
			return nil, blockprint.Errorf(blockprint.CodeOf(nodeErr), "committees of epoch %d: %w; %s", epoch, err, nodeErr.Error())
		}
		return c, nil
	}
	c := ComputeCommittees(&t.network.Spec, epoch, active, mix)
	if _, err := t.agree(ctx, state, c, active); err != nil {
		t.forgetMixes()
		return nil, err
	}
	return c, nil
}

// forgetMixes makes the next blocks ask for a mix again, because an earlier answer was wrong.
func (t *Tracker) forgetMixes() {
	for _, b := range t.blocks {
		b.mix = nil
	}
	t.agreed = false
}

// seedMix asks for the RANDAO mix with which an epoch's committees are shuffled.
func (t *Tracker) seedMix(ctx context.Context, state beacon.ID, epoch blockprint.Epoch) (blockprint.Root, error) {
	back := blockprint.Epoch(t.network.MinSeedLookahead) + 1
	if epoch >= back {
		mix, err := t.source.Randao(ctx, state, epoch-back)
		if err == nil || ctx.Err() != nil || !unfit(err) {
			return mix, err
		}
		return t.source.Randao(ctx, beacon.Head, epoch-back) // states keep mixes for a long time
	}
	// Before genesis, every mix is that of the genesis state. A node without that state may still have the mix at the
	// end of the present state's list, if nothing has overwritten it yet.
	mix, err := t.source.Randao(ctx, "genesis", 0)
	if err == nil || ctx.Err() != nil {
		return mix, err
	}
	return t.source.Randao(ctx, beacon.Head, epoch+blockprint.Epoch(t.network.EpochsPerHistoricalVector)-back)
}

// agree reports whether our committees are the node's; it is false if the node provides none. If they differ, ours, the
// node's, or the registry is wrong, so nothing may be computed with them: that is an error.
func (t *Tracker) agree(ctx context.Context, state beacon.ID, ours *Committees, active []uint32) (bool, error) {
	theirs, err := t.nodeCommittees(ctx, state, ours.Epoch, active)
	var contradiction *disagreement
	switch {
	case errors.As(err, &contradiction):
		return false, err
	case ctx.Err() != nil:
		return false, err
	case err != nil:
		t.log.Debug("cannot compare the node's committees with ours", "epoch", ours.Epoch, "error", err)
		return false, nil
	case !slices.Equal(ours.members, theirs.members):
		return false, &disagreement{blockprint.Errorf(blockprint.Unavailable, "the node's committees of epoch %d contradict its RANDAO mix: no reward is computed until they agree", ours.Epoch)}
	}
	t.log.Debug("the node's committees agree with ours", "epoch", ours.Epoch, "committees", ours.PerSlot)
	return true, nil
}

// disagreement is the error for committees that do not fit the active validators or the mix. Any of the three may be wrong.
type disagreement struct{ error }

func (d *disagreement) Unwrap() error { return d.error }

// nodeCommittees asks the node for an epoch's committees. Lodestar up to 1.5 exchanges slot (within the epoch) and index;
// both forms are understood.
func (t *Tracker) nodeCommittees(ctx context.Context, state beacon.ID, epoch blockprint.Epoch, active []uint32) (*Committees, error) {
	list, err := t.source.Committees(ctx, state, epoch)
	if err != nil {
		return nil, err
	}
	spec := &t.network.Spec
	c := newCommittees(spec, epoch, len(active))
	total := c.PerSlot * c.slots
	bad := func(format string, args ...any) error {
		return &disagreement{blockprint.Errorf(blockprint.Unavailable, "the node's committees of epoch %d do not fit its registry: "+format, append([]any{epoch}, args...)...)}
	}
	if uint64(len(list)) != total {
		return nil, bad("%d committees, expected %d", len(list), total)
	}
	start := spec.StartOf(epoch)
	exchanged := false
	for _, m := range list {
		if m.Index >= c.PerSlot || m.Slot < start || m.Slot >= start+blockprint.Slot(c.slots) {
			exchanged = true
		}
	}
	c.members = make([]uint32, len(active))
	filled := make([]bool, total)
	n := uint64(len(active))
	for _, m := range list {
		slot, index := uint64(m.Slot-start), m.Index
		if exchanged {
			slot, index = m.Index, uint64(m.Slot)
		}
		if slot >= c.slots || index >= c.PerSlot || filled[slot*c.PerSlot+index] {
			return nil, bad("slot %d, index %d is out of place", m.Slot, m.Index)
		}
		at := slot*c.PerSlot + index
		filled[at] = true
		part := c.members[n*at/total : n*(at+1)/total]
		if len(part) != len(m.Validators) {
			return nil, bad("slot %d, index %d has %d members instead of %d", m.Slot, m.Index, len(m.Validators), len(part))
		}
		for i, v := range m.Validators {
			if _, ok := slices.BinarySearch(active, uint32(v)); !ok || v > math.MaxUint32 {
				return nil, bad("slot %d, index %d has validator %d, which is not active", m.Slot, m.Index, v)
			}
			part[i] = uint32(v)
		}
	}
	c.note(active)
	return c, nil
}
