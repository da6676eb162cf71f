package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
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
	// Progress, if not nil, is called after each slot.
	Progress func(done, total int)
}

// run is a run under way.
type run struct {
	config *Config
	chain  *Chain
	tree   *tree
	signer *signer
	votes  *votes
	nodes  []*node
	engine *eel.Alone // nil if the nodes have execution clients of their own
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
	Slots     int // whose votes and blocks are in the recording, those of an earlier run included
	Published int
	Empty     int            // slots without a block, wanted or not
	Missed    int            // slots for which this machine was too slow, left empty
	Blocks    map[string]int // recorded blocks by node
	// Dropped says how often a node's block was left out, by node and reason.
	Dropped map[string]map[string]int
	// Refused says how many votes a node refused, by node and the node's reason.
	Refused map[string]map[string]int
}

// Run runs a laboratory until its recording has the configured number of slots, or until the context ends. A recording that
// exists is continued.
func Run(ctx context.Context, c *Config, o Options) (_ *Report, err error) {
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
	r.votes = newVotes(r)
	if r.record, err = r.openRecorder(ctx, o.Tool); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.record.close()) }()
	err = r.loop(ctx, o.Progress)
	for _, n := range r.nodes {
		if len(n.reasons) > 0 {
			r.report.Refused[n.Name] = n.reasons
		}
	}
	return &r.report, err
}

// serveEngine is the nodes' execution client.
func (r *run) serveEngine(ctx context.Context, address string) (stop func(), err error) {
	r.engine, err = eel.NewAlone(eel.NetworkOf(&r.chain.Network), r.chain.Secret, time.Now, r.log)
	if err != nil {
		return nil, err
	}
	if hash := r.engine.Genesis(); hash != r.chain.execution {
		return nil, blockprint.Errorf(blockprint.Conflict, "the network builds on an execution client's own genesis block: set listen = \"none\", and give each node an execution client with that block")
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Unavailable, "listen for the nodes' Engine API calls: %w", err)
	}
	server := &http.Server{Handler: r.engine, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // ends with Close
	r.log.Info("serving the Engine API", "url", "http://"+l.Addr().String())
	return func() { _ = server.Close() }, nil
}

// openRecorder starts a recording when all nodes are up, or continues one.
func (r *run) openRecorder(ctx context.Context, tool string) (*recorder, error) {
	w, slots, err := continueRecorder(r.config.Output, r.tree)
	if err != nil {
		return nil, err
	}
	if w != nil {
		r.report.Slots = slots
		r.log.Info("continuing a recording", "slots", slots, "head", r.tree.tip().Slot)
		for _, b := range r.tree.tip().path() {
			if err := r.know(b); err != nil {
				return nil, errors.Join(err, w.close())
			}
		}
		for _, n := range r.nodes {
			if err := r.adopt(ctx, n, w); err != nil {
				return nil, errors.Join(fmt.Errorf("node %s: %w", n.Name, err), w.close())
			}
		}
		for _, n := range r.nodes { // what it heard since the recording's end is not known
			n.unsure = r.chain.StartOf(r.chain.EpochOf(r.slot()) + 2)
		}
	}
	if err := r.meetAll(ctx); err != nil {
		if w != nil {
			err = errors.Join(err, w.close())
		}
		return nil, err
	}
	if w != nil {
		return w, nil
	}
	return newRecorder(r.config.Output, r.meta(tool), r.tree)
}

// know tells our execution client a block of an earlier run.
func (r *run) know(b *block) error {
	if r.engine == nil {
		return nil
	}
	body := r.tree.schemas.Signed(b.Fork).View(b.signed).Field("message").Field("body")
	return r.engine.Know(payloadJSON(body.Field("execution_payload")))
}

// mostAdopted is how many blocks of an earlier run may be missing in its recording: it lacks the last one at most, unless it
// was cut.
const mostAdopted = 64

// adopt takes blocks over that a node has and a recording lacks, because it ends before them. They are in the chain, but
// nobody's.
func (r *run) adopt(ctx context.Context, n *node, w *recorder) error {
	asking, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	h, err := n.api.Header(asking, beacon.Head)
	if err != nil {
		return ctx.Err() // it is not up yet, or at genesis
	}
	var missing []*block
	for root := h.Root; r.tree.get(root) == nil; root = missing[len(missing)-1].ParentRoot {
		if len(missing) == mostAdopted {
			return blockprint.Errorf(blockprint.Conflict, "its head, slot %d, is not on the recording's chain: choose another output, or give the network a new start", h.Slot)
		}
		b, err := n.block(asking, root, r.tree.schemas)
		if err != nil {
			return err
		}
		missing = append(missing, b)
		if b.Slot <= w.last {
			return blockprint.Errorf(blockprint.Conflict, "it has a block of slot %d, which is not in the recording: choose another output, or give the network a new start", b.Slot)
		}
	}
	slices.Reverse(missing)
	for _, b := range missing {
		added, err := r.tree.add(b.Block, b.signed)
		if err == nil {
			err = r.know(added)
		}
		if err == nil {
			at := r.start(b.Slot)
			err = errors.Join(w.committees(added.parent, r.chain.EpochOf(b.Slot)), w.block(n.Name+"?", b.Block, b.signed, at, at), w.out.EndSlot(b.Slot, "adopted", nil))
		}
		if err != nil {
			return fmt.Errorf("adopt its block of slot %d: %w", b.Slot, err)
		}
		n.log.Info("adopting a block that the recording lacks", "slot", b.Slot)
	}
	return nil
}

// slot is the present slot; 0 before genesis.
func (r *run) slot() blockprint.Slot {
	return blockprint.Slot(max(0, r.clock.now()/r.chain.SlotDuration))
}

// meetTime bounds asking a node who it is.
const meetTime = 5 * time.Second

// meet makes sure that a node is of the chain and has its blocks.
func (r *run) meet(ctx context.Context, n *node) error {
	asking, cancel := context.WithTimeout(ctx, meetTime)
	defer cancel()
	if err := n.meet(asking, r.chain); err != nil {
		return err
	}
	if err := r.bringUp(ctx, n); err != nil {
		return fmt.Errorf("bring it to the chain's head: %w", err)
	}
	return nil
}

// rejoin looks for a node that is away. Bringing it up may take longer than a slot.
func (r *run) rejoin(ctx context.Context, n *node, slot blockprint.Slot) {
	if n.joined == nil {
		joined := make(chan error, 1)
		n.joined = joined
		go func() { joined <- r.meet(ctx, n) }()
	}
	select {
	case err := <-n.joined:
		n.joined = nil
		if err == nil { // some blocks have come meanwhile
			err = r.meet(ctx, n)
		}
		if err != nil {
			n.trouble = err.Error()
			return
		}
		n.met = true
		n.log.Info("a node joins", "slot", slot)
	default:
		n.trouble = "it is not up, or does not have the chain's blocks yet"
	}
}

// meetAll waits for the nodes: until the network starts for all of them, then for one. Those that come later join later.
func (r *run) meetAll(ctx context.Context) error {
	for said := false; ; {
		up := 0
		var problems []error
		for _, n := range r.nodes {
			if !n.met {
				err := r.meet(ctx, n)
				n.met = err == nil
				if blockprint.CodeOf(err) == blockprint.Conflict {
					return fmt.Errorf("node %s: %w", n.Name, err)
				}
				if err != nil {
					problems = append(problems, fmt.Errorf("node %s: %w", n.Name, err))
				}
			}
			if n.met {
				up++
			}
		}
		started := r.clock.now() > -time.Second
		switch {
		case len(problems) == 0:
			return nil
		case started && up > 0:
			r.log.Warn("starting without a node", "error", errors.Join(problems...))
			return nil
		case started && !said:
			said = true
			r.log.Warn("the network has started, but no node is up: its first slots stay empty", "error", errors.Join(problems...))
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
		api := n.Votes == "api"
		m.Nodes = append(m.Nodes, recording.Node{Name: n.Name, Client: n.client, Version: n.version, Variant: n.Variant, FedAll: api, Posted: api})
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

// loop runs slot after slot. What takes longer than a slot makes the next ones empty.
func (r *run) loop(ctx context.Context, progress func(done, total int)) error {
	slot := r.slot() + 1
	if err := r.sleep(ctx, r.start(slot)); err != nil {
		return err
	}
	for r.report.Slots < int(r.config.Slots) {
		if err := r.step(ctx, slot); err != nil {
			return err
		}
		r.report.Slots++
		if progress != nil {
			progress(r.report.Slots, int(r.config.Slots))
		}
		slot++
		if err := r.settle(ctx, slot); err != nil {
			return err
		}
		if late := r.clock.now() - r.start(slot); late > r.chain.SlotDuration/2 {
			r.log.Warn("this machine was too slow: slots stay empty", "from", slot, "to", r.slot())
			r.report.Missed += int(r.slot()-slot) + 1
			slot = r.slot() + 1
			if err := r.sleep(ctx, r.start(slot)); err != nil {
				return err
			}
		}
	}
	return nil
}

// feed starts to feed all nodes until the end of a slot.
func (r *run) feed(ctx context.Context, slot blockprint.Slot) {
	from, until := r.clock.now(), r.start(slot+1)
	for _, n := range r.nodes {
		if n.fed != nil {
			continue // it has not ended with the slot before
		}
		done := make(chan error, 1)
		n.fed = done
		go func() { done <- n.feed(ctx, r.clock, from, until) }()
	}
}

// settle waits for the nodes that are fed until the start of a slot, and looks for those that were away.
func (r *run) settle(ctx context.Context, slot blockprint.Slot) error {
	if err := r.sleep(ctx, r.start(slot)); err != nil {
		return err
	}
	limit := r.clock.after(r.start(slot) + r.chain.SlotDuration/4)
	slow := false
	for _, n := range r.nodes {
		n.trouble = ""
		if slow {
			limit = time.After(0)
		}
		select {
		case err := <-n.fed:
			n.fed = nil
			if err != nil && ctx.Err() == nil {
				n.trouble = "it did not take votes: " + err.Error()
				r.away(n, slot)
			}
		case <-limit:
			n.trouble, slow = "too slow: it has not taken all votes when the next slot begins", true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, n := range r.nodes {
		if !n.met && n.fed == nil {
			r.rejoin(ctx, n, slot)
		}
	}
	return ctx.Err()
}

// away notes that nobody knows what became of a request to a node: what its pool has is not certain until all votes of
// before are too old.
func (r *run) away(n *node, slot blockprint.Slot) {
	n.met = false
	n.unsure = r.chain.StartOf(r.chain.EpochOf(slot) + 2)
	n.mu.Lock()
	n.queue = nil
	n.mu.Unlock()
}
