package follow

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/label"
	"blockprint/store"
)

// headLoop follows the head, woken by events or, when they fail, by the clock.
func (f *Follower) headLoop(ctx context.Context) {
	poll := time.NewTicker(f.o.Poll)
	defer poll.Stop()
	shortest := min(f.o.Poll, 2*time.Second)
	pause := shortest
	var t trouble
	for ctx.Err() == nil {
		again := time.After(min(f.o.Poll, eventPause))
		err := f.guarded("following the head", f.forget, func() error { return f.advance(ctx) })
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.o.Metrics.HeadErrors.Inc()
			t.note(f.log, "cannot follow the head now, will retry", err, f.o.Now())
			if !sleep(ctx, pause) {
				return
			}
			if pause = shortest; blockprint.CodeOf(err) == blockprint.Conflict { // another network: it may take hours
				pause = min(shortest<<min(t.failures, 16), time.Minute)
			}
			continue
		}
		if t.failures > 0 {
			f.log.Info("following the head again", "failures", t.failures)
			t = trouble{}
		}
		pause = shortest
		select {
		case <-ctx.Done():
		case <-f.wake:
			select { // a node may send events without end
			case <-ctx.Done():
			case <-again:
			}
		case <-poll.C:
		}
	}
}

// eventPause is the least time between two looks at the head.
const eventPause = 20 * time.Millisecond

// trouble is a run of failures, which the log reports once a minute.
type trouble struct {
	failures int
	logged   time.Time
}

func (t *trouble) note(log *slog.Logger, what string, err error, now time.Time) {
	t.failures++
	if t.failures > 1 && now.Sub(t.logged) < time.Minute {
		return
	}
	t.logged = now
	log.Warn(what, "error", err, "failures", t.failures)
}

// advance brings the database to the node's head.
func (f *Follower) advance(ctx context.Context) error {
	f.mu.Lock()
	heard := f.heard
	f.heard = time.Time{}
	f.mu.Unlock()
	if err := f.flush(ctx); err != nil {
		return err
	}
	head, err := f.head(ctx)
	if err != nil || head.Slot == 0 {
		return err
	}
	err = f.follow(ctx, head)
	f.noteHead(err)
	if err != nil {
		return err
	}
	if !heard.IsZero() {
		f.o.Metrics.HeadLatency.Observe(f.o.Now().Sub(heard).Seconds())
	}
	f.prune(head.Slot)
	return f.noteFinality(ctx, head)
}

// head asks for the node's head. One beyond the clock is refused: no honest block can be there.
func (f *Follower) head(ctx context.Context) (beacon.Header, error) {
	head, err := f.node.Header(ctx, beacon.Head)
	if present := f.network.SlotAt(f.o.Clock()); err == nil && head.Slot > present+1 {
		f.o.Metrics.Refused.WithLabelValues("head").Inc()
		if err = f.node.Verify(ctx); err == nil {
			err = blockprint.Errorf(blockprint.Invalid, "the node says that its head is at slot %d, but the present slot is %d: look at the clocks of both machines", head.Slot, present)
		}
	}
	if err = f.ours(err, f.forget); ctx.Err() == nil {
		f.health.heard(err, f.o.Clock())
	}
	return head, err
}

// noteHead remembers why the head could not be stored, for Ready.
func (f *Follower) noteHead(err error) {
	f.health.note(func() {
		if f.health.headErr = err; blockprint.CodeOf(err) == blockprint.Conflict {
			f.health.nodeErr = err
		}
	})
}

// follow records a head that is not recorded yet, with the chain that leads to it.
func (f *Follower) follow(ctx context.Context, head beacon.Header) error {
	if len(f.chain) > 0 && f.chain[len(f.chain)-1].Root == head.Root {
		f.health.stored(head.Slot)
		return nil
	}
	if final := f.finalized().block.Slot; head.Slot < final {
		return blockprint.Errorf(blockprint.Unavailable, "the node's head, slot %d, is before the finalized slot %d: it is catching up", head.Slot, final)
	}
	if err := f.reach(ctx, head); err != nil {
		return err
	}
	if err := f.flush(ctx); err != nil {
		return err
	}
	f.health.stored(head.Slot)
	f.o.Metrics.HeadSlot.Set(float64(head.Slot))
	return nil
}

// verify asks the node again for its network (see ours).
func (f *Follower) verify(ctx context.Context, forget func()) error {
	return f.ours(f.node.Verify(ctx), forget)
}

// ours returns the error of a request. If it says that the node belongs to another network, forget drops what the node said.
func (f *Follower) ours(err error, forget func()) error {
	if blockprint.CodeOf(err) == blockprint.Conflict {
		f.o.Metrics.OtherNetwork.Inc()
		forget()
	}
	return err
}

// forget drops everything that is not in the database.
func (f *Follower) forget() {
	f.tracker.Reset()
	f.chain, f.pending, f.anew, f.joined = nil, label.Batch{}, false, false
}

// reach tracks a new head and collects in f.pending what it learns.
func (f *Follower) reach(ctx context.Context, head beacon.Header) error {
	if !f.tracker.Has(head.ParentRoot) {
		if err := f.verify(ctx, f.forget); err != nil {
			return err
		}
	}
	f.verified = false
	rated, err := f.tracker.Reach(ctx, head.Root)
	for _, r := range rated {
		if r.Reward != nil {
			f.pending.Rewards = append(f.pending.Rewards, r.Reward)
		}
	}
	if err != nil {
		return err
	}
	f.extend(head.Root)
	return nil
}

// extend makes root the end of f.chain and puts the piece from the fork point to it into f.pending.
func (f *Follower) extend(root blockprint.Root) {
	place := make(map[blockprint.Root]int, len(f.chain))
	for i, id := range f.chain {
		place[id.Root] = i
	}
	var piece []store.BlockID // newest first
	keep := 0                 // blocks of the old chain that stay
	for r := root; ; {
		if i, ok := place[r]; ok {
			keep = i + 1
			break
		}
		parent, slot, ok := f.tracker.Parent(r)
		if !ok || parent.IsZero() { // the anchor before the first tracked block
			break
		}
		piece = append(piece, store.BlockID{Slot: slot, Root: r})
		r = parent
	}
	if len(piece) == 0 {
		return
	}
	start, end := piece[len(piece)-1].Slot, piece[0].Slot
	if keep > 0 {
		// Orphans may lie at slots after the new head too.
		start, end = f.chain[keep-1].Slot+1, max(end, f.chain[len(f.chain)-1].Slot)
		for _, b := range f.pending.Chains {
			end = max(end, b.Slots.End)
		}
		f.noteReorganization(keep, root)
	} else {
		f.anew = true
	}
	f.chain = f.chain[:keep]
	for i := len(piece) - 1; i >= 0; i-- {
		f.chain = append(f.chain, piece[i])
	}
	f.pending.Chains = append(f.pending.Chains, store.Chain{
		Slots: blockprint.Interval{Start: start, End: end}, Blocks: append([]store.BlockID(nil), f.chain[keep:]...),
	})
}

// noteReorganization reports a new head that leaves all but the first keep blocks of the chain.
func (f *Follower) noteReorganization(keep int, head blockprint.Root) {
	depth := len(f.chain) - keep
	if depth == 0 {
		return
	}
	f.o.Metrics.Reorgs.Inc()
	final := f.finalized().block
	if from := f.chain[keep-1]; from.Slot < final.Slot {
		f.leaveFinal(from.Slot, final.Slot)
	} else {
		f.log.Info("reorganization", "depth", depth, "from_slot", from.Slot, "new_head", head.Short())
	}
}

// leaveFinal reports that the node's chain leaves final blocks, which must never happen: most of the network's stake,
// or the node, has broken the rules. The node is followed anyway.
func (f *Follower) leaveFinal(from, final blockprint.Slot) {
	f.o.Metrics.FinalReorgs.Inc()
	f.log.Error("reorganization beyond finality: the node's chain has left final blocks; it is followed anyway, but check whether the node is right",
		"from_slot", from, "finalized_slot", final)
	f.mu.Lock()
	f.final, f.distrust = finalized{}, true
	f.mu.Unlock()
}

// flush records what is pending, once the node has confirmed its network. If that fails, it stays
// pending.
func (f *Follower) flush(ctx context.Context) error {
	if len(f.pending.Rewards) == 0 && len(f.pending.Chains) == 0 {
		return nil
	}
	if !f.verified {
		if err := f.verify(ctx, f.forget); err != nil {
			return err
		}
		f.verified = true
	}
	if err := f.join(ctx); err != nil {
		return err
	}
	if err := f.record(ctx, f.pending); err != nil {
		if blockprint.CodeOf(err) == blockprint.Invalid {
			f.pending = label.Batch{} // the healer asks the node again
			f.health.wrote(err, f.o.Clock())
		}
		return err
	}
	f.health.count(len(f.pending.Rewards))
	f.o.Metrics.Blocks.WithLabelValues("head").Add(float64(len(f.pending.Rewards)))
	f.pending = label.Batch{}
	if f.joined && len(f.chain) > 0 {
		f.joined = false
		f.mu.Lock()
		f.seam = f.chain[len(f.chain)-1]
		f.mu.Unlock()
		signal(f.healNow)
	}
	return nil
}

// join ties a chain that does not join the one before to what is stored: those of its stored ancestors that are not
// final are on the chain again, whatever they were. The healer looks where they break off.
func (f *Follower) join(ctx context.Context) error {
	if !f.anew || len(f.chain) == 0 {
		return nil
	}
	first := f.chain[0]
	root, _, _ := f.tracker.Parent(first.Root)
	if _, slot, ok := f.tracker.Parent(root); ok {
		st, err := f.status(ctx)
		if err != nil {
			return err
		}
		list, before, err := f.to.Ancestors(ctx, store.BlockID{Slot: slot, Root: root}, st.Finalized+1)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			slices.Reverse(list)
			f.pending.Chains = append(f.pending.Chains, store.Chain{Slots: blockprint.Interval{Start: before.Slot + 1, End: first.Slot - 1}, Blocks: list})
		}
	}
	f.anew, f.joined = false, true
	return nil
}

// prune forgets, once an epoch, what a reorganization can hardly reach any more. It keeps everything from two epochs before
// finality on, but no more than a few epochs, since finality may stall for weeks. After a deeper reorganization the tracker
// starts anew.
func (f *Follower) prune(head blockprint.Slot) {
	epoch := f.network.EpochOf(head)
	if epoch == f.pruned {
		return
	}
	f.pruned = epoch
	const longest, back = 4, 2 // epochs
	keep := max(f.network.EpochOf(f.finalized().slot), epoch-min(epoch, longest))
	before := f.network.StartOf(keep - min(keep, back))
	f.tracker.Prune(before)
	for len(f.chain) > 1 && f.chain[0].Slot < before {
		f.chain = f.chain[1:]
	}
}
