// Package reward computes what each block earns its proposer, from the standard Beacon API alone: blocks,
// validators, and a RANDAO mix or committees.
//
// A Tracker walks the chain and records, on every branch, whose votes have been paid for (participation flags). Reach
// brings it to a block and returns the rewards on the way. Rate values any block on top of a tracked one without
// adding it. Walk streams the rewards of a range of slots, fetching ahead.
//
// An epoch's votes can be included from its first slot on. So a reward is right if every block since the first slot of
// the previous epoch is tracked; the tracker begins there or earlier.
//
// The source's answers are checked. Only the parent of the next block proves that a slot is empty; "not found" does not. If
// a block does not join by its parents, the source must prove its network again. A registry that is shorter than an earlier
// one and committees that contradict the RANDAO mix are refused until the source sends others. No index is used unchecked.
package reward

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"maps"

	"blockprint"
	"blockprint/beacon"
)

// Source provides the chain to a tracker; *beacon.Client is one.
type Source interface {
	// Verify makes sure that the last answers came from the source's network.
	Verify(ctx context.Context) error
	Network(ctx context.Context) (*blockprint.Network, error)
	Header(ctx context.Context, id beacon.ID) (beacon.Header, error)
	Block(ctx context.Context, id beacon.ID) (*beacon.Block, error)
	Validators(ctx context.Context, state beacon.ID) (*beacon.Validators, error)
	Randao(ctx context.Context, state beacon.ID, epoch blockprint.Epoch) (blockprint.Root, error)
	Committees(ctx context.Context, state beacon.ID, epoch blockprint.Epoch) ([]beacon.Committee, error)
}

// Tracker follows the participation of validators along the chain. It is not safe for concurrent use.
type Tracker struct {
	source  Source
	network *blockprint.Network
	log     *slog.Logger

	blocks map[blockprint.Root]*tracked
	// reliable is the first slot whose reward is right. Earlier blocks are tracked to warm up.
	reliable blockprint.Slot
	// flags[e][v] are the participation flags of validator v in epoch e, with seenBit, after the block cursor. Moving
	// the cursor undoes and redoes the changes of blocks.
	cursor *tracked
	flags  map[blockprint.Epoch][]uint8
	before beforeBlock

	epochs     map[epochKey]*epochInfo
	committees map[epochKey]*Committees
	agreed     bool               // the node's committees are those of the mix that we carry along the chain
	present    *beacon.Validators // the head's registry, for epochs whose states the node has dropped
	presentOf  blockprint.Epoch   // the head's epoch when it was read
	growth     growth             // of the head's registry
	doubt      doubt
	pruned     blockprint.Slot
}

// tracked is a block in the tree of tracked blocks.
type tracked struct {
	root       blockprint.Root
	parentRoot blockprint.Root
	parent     *tracked // nil for the first tracked block
	parentSlot blockprint.Slot
	slot       blockprint.Slot
	stateRoot  blockprint.Root
	mix        *blockprint.Root // RANDAO mix after the block, if known
	changes    []change
	slashed    []uint64
}

// change is a validator's flags before and after a block.
type change struct {
	validator   uint32
	before, now uint8
	previous    bool // the flags belong to the epoch before the block's
}

// epochKey names an epoch on a branch by the last block that can influence what is known about it.
type epochKey struct {
	epoch  blockprint.Epoch
	anchor blockprint.Root
}

// NewTracker returns a tracker for the chain that source serves.
func NewTracker(ctx context.Context, source Source, log *slog.Logger) (*Tracker, error) {
	network, err := source.Network(ctx)
	if err != nil {
		return nil, err
	}
	t := &Tracker{source: source, network: network, log: log}
	t.Reset()
	return t, nil
}

// Reset forgets everything.
func (t *Tracker) Reset() {
	t.blocks = map[blockprint.Root]*tracked{}
	t.flags = map[blockprint.Epoch][]uint8{}
	t.epochs = map[epochKey]*epochInfo{}
	t.committees = map[epochKey]*Committees{}
	t.cursor, t.reliable, t.pruned, t.agreed = nil, 0, 0, false
}

// Has reports whether a block is tracked.
func (t *Tracker) Has(root blockprint.Root) bool { return t.blocks[root] != nil }

// Parent returns a tracked block's parent and slot.
func (t *Tracker) Parent(root blockprint.Root) (parent blockprint.Root, slot blockprint.Slot, ok bool) {
	b := t.blocks[root]
	if b == nil {
		return parent, 0, false
	}
	return b.parentRoot, b.slot, true
}

// warmStart returns the first slot to track if rewards are wanted from a slot on.
func (t *Tracker) warmStart(slot blockprint.Slot) blockprint.Slot {
	epoch := t.network.EpochOf(slot)
	if epoch == 0 {
		return 0
	}
	return t.network.StartOf(epoch - 1)
}

// Rated is a block with its reward. The reward is nil if the block was tracked only to warm up.
type Rated struct {
	Block  *beacon.Block
	Reward *blockprint.BlockReward
}

// Reach tracks a block and its untracked ancestors, and returns them oldest first. If they do not join the tracked
// blocks within the warm-up distance, the tracker starts over.
func (t *Tracker) Reach(ctx context.Context, root blockprint.Root) ([]Rated, error) {
	if t.Has(root) {
		return nil, nil
	}
	head, err := t.source.Block(ctx, beacon.AtRoot(root))
	if err != nil {
		return nil, err
	}
	return t.ReachBlock(ctx, head)
}

// ReachBlock is Reach for a block that is already at hand.
func (t *Tracker) ReachBlock(ctx context.Context, head *beacon.Block) ([]Rated, error) {
	if t.Has(head.Root) {
		return nil, nil
	}
	t.relent()
	chain := []*beacon.Block{head} // newest first
	start := t.warmStart(head.Slot)
	for last := head; !t.Has(last.ParentRoot); {
		parent, err := t.source.Block(ctx, beacon.AtRoot(last.ParentRoot))
		if missing(err) && start == 0 {
			break // many nodes do not serve the genesis block; begin finds out whether it is that
		}
		if err != nil {
			return nil, err
		}
		if parent.Slot >= last.Slot {
			return nil, blockprint.Errorf(blockprint.Invalid, "%s is not after its parent, which is at slot %d", last, parent.Slot)
		}
		if parent.Slot < start || parent.Slot == 0 {
			break
		}
		chain = append(chain, parent)
		last = parent
	}
	first := chain[len(chain)-1]
	if !t.Has(first.ParentRoot) {
		if len(t.blocks) > 0 {
			t.log.Info("reward tracker starts over", "at_slot", first.Slot)
		}
		complete, err := t.begin(ctx, first, start)
		if err != nil {
			return nil, err
		}
		if !complete && start == 0 {
			t.Reset()
			return nil, blockprint.Errorf(blockprint.NotFound, "the node lacks the blocks before slot %d: name one that has the history with --beacon", first.Slot)
		}
	}
	var out []Rated
	for i := len(chain) - 1; i >= 0; i-- {
		r, err := t.add(ctx, chain[i])
		if err != nil {
			return out, err
		}
		out = append(out, Rated{chain[i], r})
	}
	return out, nil
}

// begin makes first, whose parent is not tracked, the first block of the tree. The tree must hold all blocks from slot
// start on; complete says that it can, because the parent lies before start. Roots bind all later blocks to first, so the
// source has to prove its network only here.
func (t *Tracker) begin(ctx context.Context, first *beacon.Block, start blockprint.Slot) (complete bool, err error) {
	if err := t.source.Verify(ctx); err != nil {
		return false, err
	}
	// A node that was started from a checkpoint may lack the parent. Then the parent's slot is unknown, but before the
	// warm-up it does not matter.
	parent := &tracked{root: first.ParentRoot, slot: max(start, 1) - 1}
	complete = first.Slot == max(start, 1)
	h, err := t.source.Header(ctx, beacon.AtRoot(first.ParentRoot))
	switch {
	case err == nil:
		parent.slot = h.Slot
		complete = h.Slot < start || h.Slot == 0
	case !missing(err) && blockprint.CodeOf(err) != blockprint.Invalid:
		return false, err
	case !complete && start == 0: // some nodes find the genesis header only by name
		genesis, err := t.source.Header(ctx, "genesis")
		if err != nil && !unfit(err) {
			return false, err
		}
		complete = err == nil && genesis.Root == first.ParentRoot
	}
	if parent.slot >= first.Slot {
		return false, blockprint.Errorf(blockprint.Invalid, "%s is not after its parent, which is at slot %d", first, parent.slot)
	}
	t.Reset()
	if start > 0 {
		t.reliable = t.network.StartOf(t.network.EpochOf(start) + 1)
	}
	t.blocks[parent.root] = parent
	t.cursor = parent
	return complete, nil
}

// add rates a block whose parent is tracked and adds it to the tree.
func (t *Tracker) add(ctx context.Context, b *beacon.Block) (*blockprint.BlockReward, error) {
	parent := t.blocks[b.ParentRoot]
	r, changes, err := t.rate(ctx, b, parent, true)
	if err != nil {
		return nil, err
	}
	n := &tracked{root: b.Root, parentRoot: b.ParentRoot, parent: parent, parentSlot: parent.slot, slot: b.Slot, stateRoot: b.StateRoot, changes: changes, slashed: b.Slashed}
	t.extendMix(ctx, n, b)
	t.blocks[b.Root] = n
	t.cursor = n // rate has applied the changes
	if b.Slot < t.reliable {
		return nil, nil
	}
	return r, nil
}

// extendMix carries the RANDAO mix along the chain, so that the node is asked only at the start: for the mix after the
// first block or, if it lacks that state, for the mix before it, which later states hold, too.
func (t *Tracker) extendMix(ctx context.Context, n *tracked, b *beacon.Block) {
	p, epoch := n.parent, t.network.EpochOf(b.Slot)
	if p.mix == nil && p.parent == nil {
		if mix, err := t.source.Randao(ctx, beacon.StateOf(b.StateRoot, b.Slot), epoch); err == nil {
			n.mix = &mix
			return
		}
		if epoch > 0 && p.slot < t.network.StartOf(epoch) {
			if mix, err := t.source.Randao(ctx, beacon.Head, epoch-1); err == nil {
				p.mix = &mix
			}
		}
	}
	if p.mix == nil {
		return
	}
	mix := *p.mix
	for i, x := range sha256.Sum256(b.RandaoReveal[:]) {
		mix[i] ^= x
	}
	n.mix = &mix
}

// Rate values a block on top of a tracked one, without adding it.
func (t *Tracker) Rate(ctx context.Context, b *beacon.Block) (*blockprint.BlockReward, error) {
	parent := t.blocks[b.ParentRoot]
	if parent == nil {
		return nil, blockprint.Errorf(blockprint.NotFound, "%s: its parent %s is not tracked", b, b.ParentRoot.Short())
	}
	if b.Slot < t.reliable {
		return nil, blockprint.Errorf(blockprint.NotFound, "%s lies before the tracked part of the chain, which begins at slot %d", b, t.reliable)
	}
	r, changes, err := t.rate(ctx, b, parent, false)
	if err != nil {
		return nil, err
	}
	t.undo(t.network.EpochOf(b.Slot), changes)
	return r, nil
}

// Prune forgets blocks before a slot. The rest can be extended and reorganized as long as no branch forks off before that
// slot and the two epochs before every new block are kept.
func (t *Tracker) Prune(before blockprint.Slot) {
	if before <= t.pruned || t.cursor == nil || before > t.cursor.slot {
		return
	}
	t.pruned = before
	for root, b := range t.blocks {
		if b.slot < before {
			delete(t.blocks, root)
		} else if b.parent != nil && b.parent.slot < before {
			// The parent stays reachable as an anchor; its ancestors are dropped.
			b.parent.parent, b.parent.changes = nil, nil
		}
	}
	keep := t.network.EpochOf(before)
	old := func(e blockprint.Epoch) bool { return e+1 < keep }
	maps.DeleteFunc(t.flags, func(e blockprint.Epoch, _ []uint8) bool { return old(e) })
	t.forget(old)
}

// forget drops what the node said about some epochs.
func (t *Tracker) forget(which func(blockprint.Epoch) bool) {
	maps.DeleteFunc(t.epochs, func(k epochKey, _ *epochInfo) bool { return which(k.epoch) })
	maps.DeleteFunc(t.committees, func(k epochKey, _ *Committees) bool { return which(k.epoch) })
}

// moveTo brings the flags to the state after a block.
func (t *Tracker) moveTo(to *tracked) {
	if t.cursor == to {
		return
	}
	var redo []*tracked
	for from, target := t.cursor, to; from != target; {
		if target.slot > from.slot || target.slot == from.slot && target.parent != nil && from.parent == nil {
			redo = append(redo, target)
			target = target.parent
		} else {
			t.undo(t.network.EpochOf(from.slot), from.changes)
			from = from.parent
		}
		if target == nil || from == nil {
			break // impossible, because begin resets the tree
		}
	}
	for i := len(redo) - 1; i >= 0; i-- {
		epoch := t.network.EpochOf(redo[i].slot)
		for _, c := range redo[i].changes {
			t.flags[c.epoch(epoch)][c.validator] = c.now
		}
	}
	t.cursor = to
}

func (t *Tracker) undo(epoch blockprint.Epoch, changes []change) {
	for i := len(changes) - 1; i >= 0; i-- {
		c := changes[i]
		t.flags[c.epoch(epoch)][c.validator] = c.before
	}
}

func (c change) epoch(of blockprint.Epoch) blockprint.Epoch {
	if c.previous {
		return of - 1
	}
	return of
}

// ensureFlags returns an epoch's flags with room for n validators.
func (t *Tracker) ensureFlags(epoch blockprint.Epoch, n int) []uint8 {
	f := t.flags[epoch]
	if len(f) < n {
		f = append(f, make([]uint8, n-len(f))...)
		t.flags[epoch] = f
	}
	return f
}

// rootAt returns the root of the block that a chain has at a slot: the newest one not after it.
func (b *tracked) rootAt(slot blockprint.Slot) blockprint.Root {
	for b.slot > slot && b.parent != nil {
		b = b.parent
	}
	if b.slot > slot {
		return b.parentRoot
	}
	return b.root
}

// at returns the newest tracked block not after a slot, or the oldest tracked one.
func (b *tracked) at(slot blockprint.Slot) *tracked {
	for b.slot > slot && b.parent != nil {
		b = b.parent
	}
	return b
}
