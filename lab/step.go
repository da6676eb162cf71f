package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"blockprint"
	"blockprint/beacon"
)

// The course of a slot, in parts of it: blocks are asked for at its start, which takes a third at most. What the published
// block's lateness makes of the votes is decided by when it arrives.
const (
	votesAt   = 1. / 3 // attestations are due
	lateUntil = 1. / 6 // after that, the latest that a late block comes
)

func (r *run) after(slot blockprint.Slot, part float64) time.Duration {
	return r.start(slot) + time.Duration(part*float64(r.chain.SlotDuration))
}

// offer is a block that a node has built.
type offer struct {
	*beacon.Produced
	pool []beacon.Attestation // of its node right after; nil if that is not asked for
	read time.Duration        // when
	from *node
	err  error
}

// step runs a slot until its votes are on their way. The nodes are fed until its end.
func (r *run) step(ctx context.Context, slot blockprint.Slot) error {
	parent, asked := r.tree.tip(), r.clock.now()
	if err := errors.Join(r.record.committees(parent, r.chain.EpochOf(slot)), r.record.votes(r.nodes, asked)); err != nil {
		return err
	}
	r.subscribe(ctx, slot)
	offers := r.ask(ctx, slot)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.feed(ctx, slot)
	r.votes.stragglers(slot)
	before := r.vote(ctx, slot, parent.Root, r.after(slot, votesAt))
	mood, arrival, inTime := "good", asked, 1.0
	switch x := r.rng.Float64(); {
	case x < r.config.Mess.Empty:
		mood = "empty"
	case x < r.config.Mess.Empty+r.config.Mess.LateRate:
		mood, inTime = "late", r.config.Mess.InTime(r.rng)
		arrival = r.after(slot, votesAt+lateUntil*r.rng.Float64())
	}
	chosen := r.choose(offers, parent)
	if chosen == nil && mood != "empty" {
		mood = "no block"
	}
	var published *block
	if mood == "good" || mood == "late" {
		if err := r.sleep(ctx, arrival); err != nil {
			return err
		}
		var err error
		if published, err = r.publish(ctx, chosen.Block, r.signer.block(chosen.Block, chosen.SSZ)); err != nil {
			r.log.Warn("the block was not published", "slot", slot, "from", chosen.from.Name, "error", err)
			mood = "not published"
		}
	}
	if published == nil {
		inTime = 0
		r.report.Empty++
	} else {
		r.report.Published++
	}
	if err := r.write(slot, mood, offers, chosen, published, asked, r.clock.now()); err != nil {
		return err
	}
	if err := r.sleep(ctx, r.after(slot, votesAt)); err != nil {
		return err
	}
	var now *voteData
	if published != nil {
		now = r.vote(ctx, slot, published.Root, r.after(slot, votesAt+lateUntil))
	}
	r.votes.cast(slot, now, before, inTime)
	return ctx.Err()
}

// ask asks all nodes for a block at once.
func (r *run) ask(ctx context.Context, slot blockprint.Slot) []*offer {
	ctx, cancel := context.WithTimeout(ctx, r.after(slot, votesAt)-r.clock.now())
	defer cancel()
	proposer, known := r.proposer(ctx, slot)
	if !known {
		r.log.Warn("no node says who proposes", "slot", slot)
	}
	reveal := r.signer.reveal(proposer, r.chain.EpochOf(slot))
	var offers []*offer
	var wg sync.WaitGroup
	for _, n := range r.nodes {
		if n.client == "" {
			continue
		}
		o := &offer{from: n}
		offers = append(offers, o)
		switch {
		case !n.met && n.trouble == "":
			o.err = errors.New("it is not up")
		case n.trouble != "":
			o.err = errors.New(n.trouble)
		case !known:
			o.err = errors.New("no node says who proposes")
		default:
			wg.Go(func() {
				if o.Produced, o.err = r.offered(ctx, n, slot, proposer, reveal); o.err == nil && n.Pool > 0 {
					o.read = r.clock.now()
					o.pool, o.err = n.pool(ctx, slot, r.signer.attestation)
				}
			})
		}
	}
	wg.Wait()
	for _, o := range offers {
		if o.err == nil {
			continue
		}
		if errors.Is(o.err, context.DeadlineExceeded) {
			o.err = blockprint.Errorf(blockprint.Unavailable, "too slow: it has built no block when votes are due")
		}
		r.drop(o.from, slot, o.err)
	}
	return offers
}

// offered asks a node for a block, and makes sure that it is what was asked for.
func (r *run) offered(ctx context.Context, n *node, slot blockprint.Slot, proposer uint64, reveal Signature) (*beacon.Produced, error) {
	if err := n.able(ctx); err != nil {
		return nil, err
	}
	b, err := n.produce(ctx, slot, reveal)
	if err != nil {
		return nil, err
	}
	parent := r.tree.get(b.ParentRoot)
	switch {
	case b.Slot != slot || b.ProposerIndex != proposer || !bytes.Equal(b.RandaoReveal[:], reveal[:]):
		return nil, blockprint.Errorf(blockprint.Invalid, "its block is not the one that was asked for: slot %d, proposer %d", b.Slot, b.ProposerIndex)
	case parent == nil:
		return nil, blockprint.Errorf(blockprint.Conflict, "its block builds on %s, which is not of this chain", b.ParentRoot.Short())
	case parent.Slot >= slot:
		return nil, blockprint.Errorf(blockprint.Invalid, "its block builds on one of slot %d", parent.Slot)
	}
	return b, nil
}

// drop counts and says why a node's block is left out.
func (r *run) drop(n *node, slot blockprint.Slot, err error) {
	why := err.Error()
	n.log.Warn("no block of this node is recorded", "slot", slot, "reason", why)
	if r.report.Dropped[n.Name] == nil {
		r.report.Dropped[n.Name] = map[string]int{}
	}
	r.report.Dropped[n.Name][fmt.Sprintf("%.80s", why)]++
}

// proposer finds out who proposes in a slot: any node says it.
func (r *run) proposer(ctx context.Context, slot blockprint.Slot) (validator uint64, known bool) {
	epoch := r.chain.EpochOf(slot)
	for _, n := range r.nodes {
		if r.duties != nil && r.dutiesEpoch == epoch {
			break
		}
		if !n.met || n.trouble != "" {
			continue
		}
		duties, err := n.proposers(ctx, epoch, len(r.chain.Balances))
		if err != nil {
			n.log.Warn("a node does not say who proposes", "epoch", epoch, "error", err)
			continue
		}
		r.duties, r.dutiesEpoch = duties, epoch
	}
	if r.dutiesEpoch != epoch {
		return 0, false
	}
	validator, known = r.duties[slot]
	return validator, known
}

// choose picks the block that joins the chain: one on its head, by the nodes' weights. Nodes whose pool is not certain come
// last.
func (r *run) choose(offers []*offer, head *block) *offer {
	for _, sure := range []bool{true, false} {
		var list []*offer
		total := 0.0
		for _, o := range offers {
			if o.err == nil && o.ParentRoot == head.Root && o.from.weight() > 0 && sure == (o.from.unsure <= o.Slot) {
				list = append(list, o)
				total += o.from.weight()
			}
		}
		x := r.rng.Float64() * total
		for _, o := range list {
			if x -= o.from.weight(); x < 0 {
				return o
			}
		}
	}
	return nil
}

// contents writes a signed block as the API takes it, without blobs.
func (r *run) contents(fork blockprint.Fork, signed []byte) []byte {
	text := r.tree.schemas.Signed(fork).AppendJSON([]byte(`{"signed_block":`), signed)
	return append(text, `,"kzg_proofs":[],"blobs":[]}`...)
}

// publish gives a signed block to all nodes. One that takes it is enough.
func (r *run) publish(ctx context.Context, b *beacon.Block, signed []byte) (*block, error) {
	text := r.contents(b.Fork, signed)
	problems := []error{errors.New("no node is up")}
	taken := make(chan error, len(r.nodes))
	var wg sync.WaitGroup
	for _, n := range r.nodes {
		if !n.met {
			continue
		}
		wg.Go(func() {
			err := n.publish(ctx, b, text)
			if err != nil {
				n.log.Warn("a block was not taken", "slot", b.Slot, "error", err)
			}
			taken <- err
		})
	}
	wg.Wait()
	close(taken)
	for err := range taken {
		if err == nil {
			return r.tree.add(b, signed)
		}
		problems = append(problems, err)
	}
	return nil, errors.Join(problems...)
}

// bringUp gives a node the blocks that it lacks.
func (r *run) bringUp(ctx context.Context, n *node) error {
	tip := r.tree.tip()
	if tip.parent == nil {
		return nil
	}
	h, err := n.api.Header(ctx, beacon.Head)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		h = beacon.Header{Root: r.tree.genesis.Root} // a node at genesis may have no header
	}
	for _, b := range tip.path() {
		if known := r.tree.get(h.Root); known != nil && b.Slot <= known.Slot && tip.at(known.Slot) == known {
			continue
		}
		if err := n.publish(ctx, b.Block, r.contents(b.Fork, b.signed)); err != nil {
			return err
		}
	}
	return nil
}

// vote returns what a vote for a head says, as soon as a node says it; nil if none does by a time.
func (r *run) vote(ctx context.Context, slot blockprint.Slot, head blockprint.Root, limit time.Duration) *voteData {
	for {
		for _, n := range r.nodes {
			if !n.met || n.trouble != "" {
				continue
			}
			if d, err := n.data(ctx, slot); err == nil && d.BeaconBlockRoot == head {
				return r.signer.vote(d)
			}
		}
		if r.clock.now() > limit || r.sleep(ctx, r.clock.now()+r.chain.SlotDuration/50) != nil {
			if ctx.Err() == nil {
				r.log.Warn("no node has the expected head", "slot", slot, "head", head.Short())
			}
			return nil
		}
	}
}

// subscribe makes nodes that want it subscribe to their subnets, at the start of each epoch.
func (r *run) subscribe(ctx context.Context, slot blockprint.Slot) {
	if slot%blockprint.Slot(r.chain.SlotsPerEpoch) > 1 {
		return
	}
	committees, _ := r.tree.committeesOf(r.tree.tip(), r.chain.EpochOf(slot))
	for _, n := range r.nodes {
		if !n.Subscribe || !n.met {
			continue
		}
		if err := n.subscribe(ctx, slot, committees); err != nil {
			n.log.Warn("a node does not subscribe to subnets", "error", err)
		}
	}
}

// write writes a slot's blocks.
func (r *run) write(slot blockprint.Slot, mood string, offers []*offer, chosen *offer, published *block, asked, at time.Duration) error {
	for _, o := range offers {
		if o.err != nil {
			continue
		}
		name, when, encoded := o.from.Name, time.Duration(-1), o.SSZ
		joined := o == chosen && published != nil
		if joined {
			when, encoded = at, published.signed
		}
		if slot < o.from.unsure {
			r.drop(o.from, slot, errors.New("what its pool has is not certain for two epochs after it was away"))
			if !joined {
				continue
			}
			name += "?" // no node's name: it is in the chain, but nobody's
		}
		err := r.record.block(name, o.Block, encoded, asked, when)
		if err == nil && o.pool != nil && name == o.from.Name {
			err = r.record.pool(name, slot, o.ParentRoot, o.pool, o.read)
		}
		if blockprint.CodeOf(err) == blockprint.Invalid && !joined { // its votes do not fit the chain's committees
			r.drop(o.from, slot, err)
			continue
		}
		if err != nil {
			return err
		}
		if name == o.from.Name {
			r.report.Blocks[name]++
		}
	}
	if err := r.record.out.EndSlot(slot, mood, nil); err != nil {
		return err
	}
	return r.record.out.Flush()
}
