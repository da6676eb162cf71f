package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/eel"
	"blockprint/recording"
)

// Options are what a run needs beside its file.
type Options struct {
	Tool   string // the program and its version
	Logger *slog.Logger
}

// run is a run under way.
type run struct {
	config *Config
	chain  *Chain
	tree   *tree
	signer *signer
	nodes  []*node
	rng    *rand.Rand
	log    *slog.Logger
	clock  clock
	record *recorder
	report Report

	duties      map[blockprint.Slot]uint64 // proposers of dutiesEpoch
	dutiesEpoch blockprint.Epoch
}

// Report counts what a run brought.
type Report struct {
	Slots, Published, Empty int
	Missed                  int            // slots for which this machine was too slow
	Blocks                  map[string]int // by node
	// Dropped says how often a node's block of a slot was left out, by node and reason.
	Dropped map[string]map[string]int
	// Refused says how many votes a node refused, by node and its reason.
	Refused map[string]map[string]int
}

// Run runs a laboratory for the configured number of slots, or until the context ends.
func Run(ctx context.Context, c *Config, o Options) (*Report, error) {
	chain, err := ReadChain(c.Network)
	if err != nil {
		return nil, err
	}
	r := &run{
		config: c, chain: chain, tree: newTree(chain), rng: rand.New(rand.NewPCG(c.Seed, 0x6c6162)), log: o.Logger, clock: clock{chain.GenesisTime},
		report: Report{Blocks: map[string]int{}, Dropped: map[string]map[string]int{}, Refused: map[string]map[string]int{}},
	}
	r.signer = newSigner(chain, r.tree.schemas)
	if c.Listen != "none" {
		stop, err := r.serveEngine(ctx, c.Listen)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	for _, n := range c.Nodes {
		x, err := newNode(n, chain, o.Logger)
		if err != nil {
			return nil, err
		}
		defer x.api.Close()
		r.nodes = append(r.nodes, x)
	}
	if err := r.meetAll(ctx); err != nil {
		return nil, err
	}
	if r.record, err = newRecorder(c.Output, r.meta(o.Tool), r.tree); err != nil {
		return nil, err
	}
	err = r.loop(ctx)
	return &r.report, errors.Join(err, r.record.out.Close(), r.record.file.Close())
}

// serveEngine is the nodes' execution client.
func (r *run) serveEngine(ctx context.Context, address string) (stop func(), err error) {
	x, err := eel.NewAlone(eel.NetworkOf(&r.chain.Network), r.chain.Secret, time.Now, r.log)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Unavailable, "listen for the nodes' Engine API calls: %w", err)
	}
	server := &http.Server{Handler: x, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // ends with Close
	r.log.Info("the Engine API is served", "url", "http://"+l.Addr().String())
	return func() { _ = server.Close() }, nil
}

// meetAll waits for the nodes, until the network starts at most. Those that come later join later.
func (r *run) meetAll(ctx context.Context) error {
	for {
		var problems []error
		for _, n := range r.nodes {
			err := n.meet(ctx, r.chain)
			if blockprint.CodeOf(err) == blockprint.Conflict {
				return fmt.Errorf("node %s: %w", n.Name, err)
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("node %s: %w", n.Name, err))
			}
		}
		switch {
		case len(problems) == 0:
			return nil
		case r.clock.now() > -time.Second:
			if len(problems) < len(r.nodes) {
				r.log.Warn("starting without a node", "error", errors.Join(problems...))
				return nil
			}
			return blockprint.Errorf(blockprint.Unavailable, "no node is up when the network starts: %w (give it a new start with `blockprint lab genesis --again`)", errors.Join(problems...))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (r *run) meta(tool string) recording.Meta {
	m := recording.Meta{
		By: tool, Preset: r.chain.PresetBase, SlotsPerEpoch: r.chain.SlotsPerEpoch, SlotDuration: r.chain.SlotDuration, Genesis: r.chain.GenesisTime,
		Forks: r.chain.ForkEpochs, Seed: r.config.Seed, Invented: "votes, their lateness, and who hears them",
	}
	for _, n := range r.nodes {
		if n.client != "" {
			m.Nodes = append(m.Nodes, recording.Node{Name: n.Name, Client: n.client, Version: n.version, Variant: n.Variant, FedAll: n.Votes == "api", Posted: n.Votes == "api"})
		}
	}
	return m
}

func (r *run) start(slot blockprint.Slot) time.Duration {
	return time.Duration(slot) * r.chain.SlotDuration
}

// sleep waits for a time since genesis.
func (r *run) sleep(ctx context.Context, until time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.clock.after(until):
		return nil
	}
}

// loop runs slot after slot.
func (r *run) loop(ctx context.Context) error {
	slot := blockprint.Slot(max(0, r.clock.now()/r.chain.SlotDuration)) + 1
	if err := r.sleep(ctx, r.start(slot)); err != nil {
		return err
	}
	for r.report.Slots < int(r.config.Slots) {
		fed, err := r.step(ctx, slot)
		if err != nil {
			return err
		}
		r.report.Slots++
		slot++
		if err := r.settle(ctx, fed, slot); err != nil {
			return err
		}
		if present := blockprint.Slot(r.clock.now() / r.chain.SlotDuration); present > slot {
			r.log.Warn("this machine was too slow: slots stay empty", "from", slot, "to", present-1)
			r.report.Missed += int(present - slot)
			slot = present + 1
			if err := r.sleep(ctx, r.start(slot)); err != nil {
				return err
			}
		}
	}
	return nil
}

// feed starts to feed all nodes until the end of a slot.
func (r *run) feed(ctx context.Context, until time.Duration) map[*node]chan error {
	fed := map[*node]chan error{}
	for _, n := range r.nodes {
		fed[n] = make(chan error, 1)
		go func() { fed[n] <- n.feed(ctx, r.clock, until) }()
	}
	return fed
}

// settle waits for the nodes that are fed until the start of a slot.
func (r *run) settle(ctx context.Context, fed map[*node]chan error, slot blockprint.Slot) error {
	limit := r.clock.after(r.start(slot) + r.chain.SlotDuration/4)
	for _, n := range r.nodes {
		n.trouble = ""
		select {
		case err := <-fed[n]:
			if err != nil {
				n.trouble = err.Error()
			}
		case <-limit:
			n.trouble = "too slow: it has not taken all votes when the next slot begins"
			limit = time.After(0)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// offer is a block that a node has built.
type offer struct {
	*beacon.Produced
	from *node
	err  error
}

// step runs a slot until its votes are cast, and returns the nodes that are fed until its end.
func (r *run) step(ctx context.Context, slot blockprint.Slot) (map[*node]chan error, error) {
	parent, asked := r.tree.tip(), r.clock.now()
	epoch := r.chain.EpochOf(slot)
	if err := r.record.committees(parent, epoch); err != nil {
		return nil, err
	}
	if err := r.record.votes(r.nodes); err != nil {
		return nil, err
	}
	offers := r.ask(ctx, slot)
	fed := r.feed(ctx, r.start(slot+1))
	third := r.start(slot) + r.chain.SlotDuration/3
	before := r.vote(ctx, slot, parent.Root, third)
	mood, arrival, inTime := "good", asked, 1.0
	switch x := r.rng.Float64(); {
	case x < r.config.Mess.Empty:
		mood = "empty"
	case x < r.config.Mess.Empty+r.config.Mess.Late:
		mood, inTime = "late", r.rng.Float64()
		arrival = third + time.Duration(r.rng.Float64()*float64(r.chain.SlotDuration)/6)
	}
	chosen := r.choose(offers, parent)
	if chosen == nil && mood != "empty" {
		mood = "no block"
	}
	var published *block
	if mood == "empty" || chosen == nil {
		inTime = 0
		r.report.Empty++
	} else {
		if err := r.sleep(ctx, arrival); err != nil {
			return nil, err
		}
		var err error
		if published, err = r.publish(ctx, chosen.Block, r.signer.block(chosen.Block, chosen.SSZ)); err != nil {
			r.log.Warn("the block was not published", "slot", slot, "from", chosen.from.Name, "error", err)
			mood, inTime = "no block", 0
		} else {
			r.report.Published++
		}
	}
	if err := r.write(slot, mood, offers, chosen, published, asked, r.clock.now()); err != nil {
		return nil, err
	}
	if err := r.sleep(ctx, third); err != nil {
		return nil, err
	}
	var now *voteData
	if published != nil {
		now = r.vote(ctx, slot, published.Root, r.start(slot)+r.chain.SlotDuration/2)
	}
	r.cast(slot, now, before, inTime)
	return fed, nil
}

// ask asks all nodes for a block at once.
func (r *run) ask(ctx context.Context, slot blockprint.Slot) []*offer {
	var offers []*offer
	var proposer uint64
	known := false
	for _, n := range r.nodes {
		if known = n.trouble == "" && r.proposer(ctx, n, slot, &proposer) == nil; known {
			break
		}
	}
	if !known {
		r.log.Warn("no node says who proposes", "slot", slot)
		return nil
	}
	reveal := r.signer.reveal(proposer, r.chain.EpochOf(slot))
	ctx, cancel := context.WithTimeout(ctx, r.start(slot)+r.chain.SlotDuration/3-r.clock.now())
	defer cancel()
	var wg sync.WaitGroup
	for _, n := range r.nodes {
		if n.client == "" {
			continue
		}
		o := &offer{from: n}
		offers = append(offers, o)
		if n.trouble != "" {
			o.err = errors.New(n.trouble)
			continue
		}
		wg.Go(func() {
			if o.err = n.able(ctx); o.err != nil {
				return
			}
			if o.Produced, o.err = n.produce(ctx, slot, reveal); o.err == nil {
				o.err = r.fits(o.Block, slot, proposer, reveal)
			}
		})
	}
	wg.Wait()
	for _, o := range offers {
		if o.err != nil {
			r.drop(o.from, slot, o.err)
		}
	}
	return offers
}

// fits makes sure that a block is what was asked for.
func (r *run) fits(b *beacon.Block, slot blockprint.Slot, proposer uint64, reveal Signature) error {
	parent := r.tree.get(b.ParentRoot)
	switch {
	case b.Slot != slot || b.ProposerIndex != proposer || !bytes.Equal(b.RandaoReveal[:], reveal[:]):
		return blockprint.Errorf(blockprint.Invalid, "its block is not the one that was asked for: slot %d, proposer %d", b.Slot, b.ProposerIndex)
	case parent == nil:
		return blockprint.Errorf(blockprint.Conflict, "its block builds on %s, which is not of this chain", b.ParentRoot.Short())
	case parent.Slot >= slot:
		return blockprint.Errorf(blockprint.Invalid, "its block builds on one of slot %d", parent.Slot)
	}
	return nil
}

// drop counts and says why a node's block is left out.
func (r *run) drop(n *node, slot blockprint.Slot, err error) {
	why := err.Error()
	n.log.Warn("no block of this node", "slot", slot, "error", why)
	if r.report.Dropped[n.Name] == nil {
		r.report.Dropped[n.Name] = map[string]int{}
	}
	r.report.Dropped[n.Name][fmt.Sprintf("%.60s", why)]++
}

// proposer finds out who proposes in a slot.
func (r *run) proposer(ctx context.Context, n *node, slot blockprint.Slot, into *uint64) error {
	epoch := r.chain.EpochOf(slot)
	if r.duties == nil || r.dutiesEpoch != epoch {
		duties, err := n.proposers(ctx, epoch, len(r.chain.Balances))
		if err != nil {
			n.trouble = err.Error()
			return err
		}
		r.duties, r.dutiesEpoch = duties, epoch
	}
	v, ok := r.duties[slot]
	if !ok {
		return blockprint.Errorf(blockprint.NotFound, "it does not say who proposes in slot %d", slot)
	}
	*into = v
	return nil
}

// choose picks the block that joins the chain: one on its head, by the nodes' weights.
func (r *run) choose(offers []*offer, head *block) *offer {
	total := 0.0
	for _, o := range offers {
		if o.err == nil && o.ParentRoot == head.Root {
			total += o.from.weight()
		}
	}
	x := r.rng.Float64() * total
	for _, o := range offers {
		if o.err == nil && o.ParentRoot == head.Root && o.from.weight() > 0 {
			if x -= o.from.weight(); x < 0 {
				return o
			}
		}
	}
	return nil
}

// publish gives a signed block to all nodes. One that takes it is enough.
func (r *run) publish(ctx context.Context, b *beacon.Block, signed []byte) (*block, error) {
	text := append([]byte(`{"signed_block":`), r.tree.schemas.Signed(b.Fork).AppendJSON(nil, signed)...)
	text = append(text, `,"kzg_proofs":[],"blobs":[]}`...)
	problems := make([]error, len(r.nodes))
	var wg sync.WaitGroup
	for i, n := range r.nodes {
		wg.Go(func() {
			if problems[i] = n.publish(ctx, b, text); problems[i] != nil {
				n.log.Warn("a block was not taken", "slot", b.Slot, "error", problems[i])
			}
		})
	}
	wg.Wait()
	for _, err := range problems {
		if err == nil {
			return r.tree.add(b, signed)
		}
	}
	return nil, errors.Join(problems...)
}

// vote returns what a vote for a head says, as soon as a node says it; nil if none does by a time.
func (r *run) vote(ctx context.Context, slot blockprint.Slot, head blockprint.Root, limit time.Duration) *voteData {
	for {
		for _, n := range r.nodes {
			if n.trouble != "" {
				continue
			}
			if d, err := n.data(ctx, slot); err == nil && d.BeaconBlockRoot == head {
				return r.signer.vote(d)
			}
		}
		if r.clock.now() > limit || r.sleep(ctx, r.clock.now()+r.chain.SlotDuration/50) != nil {
			r.log.Warn("no node has the expected head", "slot", slot, "head", head.Short())
			return nil
		}
	}
}

// write writes a slot's blocks.
func (r *run) write(slot blockprint.Slot, mood string, offers []*offer, chosen *offer, published *block, asked, at time.Duration) error {
	for _, o := range offers {
		if o.err != nil {
			continue
		}
		when, encoded := time.Duration(-1), o.SSZ
		if o == chosen && published != nil {
			when, encoded = at, published.signed
		}
		if err := r.record.block(o.from.Name, o.Block, encoded, asked, when); err != nil {
			r.drop(o.from, slot, err)
			continue
		}
		r.report.Blocks[o.from.Name]++
	}
	if err := r.record.out.EndSlot(slot, mood, nil); err != nil {
		return err
	}
	return r.record.out.Flush()
}
