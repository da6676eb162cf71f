// Package dream asks nodes of known clients to build a block in every slot, and tells how far their blocks are from the
// chain's.
//
// A Dreamer asks all nodes of a Config at once (Ask), gives what they built to its sinks (a gauge, training data), and
// compares it with the slot's canonical block when that is there (Compare). Run does so slot after slot, from the
// start of each; a node that fails is left out of the slot and does not hold up the others.
package dream

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
	"blockprint/beacon"
	"blockprint/jsonhttp"
	"blockprint/reward"
)

// Block is a block that a node built when asked.
type Block struct {
	Name  string
	Label blockprint.Client
	*beacon.Produced
	// Reward is what the block would earn on top of the chain; nil if it could not be rated.
	Reward *blockprint.BlockReward
	Took   time.Duration
}

// Failure is a node that gave no block.
type Failure struct {
	Name string
	Err  error
}

// Round is what a slot brought.
type Round struct {
	Slot     blockprint.Slot
	Blocks   []Block // in the order of the configuration
	Failures []Failure
	packings map[string]Packing // by node's name
}

// Sink takes what nodes dreamt. It must not change it.
type Sink func(ctx context.Context, n *Round) error

// Options change how a Dreamer works.
type Options struct {
	Timeout time.Duration // of a node; 0 for 6 s
	// Labels are allowed besides those of the clients.
	Labels []string
	// Sinks get every slot's blocks, one after another, in order.
	Sinks []Sink
	// Opinions, if not nil, gets each canonical block's distances.
	Opinions func(ctx context.Context, v Opinion) error
	Logger   *slog.Logger
	Registry prometheus.Registerer // nil keeps the metrics to itself
	Now      func() time.Time
}

// Dreamer asks nodes for blocks.
type Dreamer struct {
	config    *Config
	o         Options
	log       *slog.Logger
	canonical *beacon.Client
	nodes     []*dreamer
	posts     []*endpoint

	mu     sync.Mutex
	rater  *reward.Rater
	rounds map[blockprint.Slot]*Round

	blocks *prometheus.CounterVec
	missed prometheus.Counter
}

// dreamer is a node with what is known of its state.
type dreamer struct {
	NodeConfig
	label  blockprint.Client
	client *beacon.Client
	known  bool // to be of the canonical node's network
	failed bool // at the last try, for logging a change once
}

// keepRounds is how many slots' blocks wait for the canonical one.
const keepRounds = 8

// New returns a dreamer of a configuration. No node is asked yet.
func New(c *Config, o Options) (*Dreamer, error) {
	if o.Timeout == 0 {
		o.Timeout = 6 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := c.CheckLabels(o.Labels); err != nil {
		return nil, err
	}
	d := &Dreamer{config: c, o: o, log: o.Logger, rounds: map[blockprint.Slot]*Round{}}
	quiet := slog.New(slog.DiscardHandler) // a node's state is told here, once, with its name
	var err error
	if d.canonical, err = beacon.New([]string{c.CanonicalBN}, beacon.Options{Timeout: o.Timeout, Tries: 2, Logger: o.Logger}); err != nil {
		return nil, err
	}
	for _, n := range c.Enabled() {
		client, err := beacon.New([]string{n.URL}, beacon.Options{Timeout: o.Timeout, Tries: 1, Logger: quiet})
		if err != nil {
			return nil, err
		}
		d.nodes = append(d.nodes, &dreamer{NodeConfig: n, label: blockprint.Client(n.Label), client: client})
	}
	for _, e := range c.PostEndpoints {
		post, err := newEndpoint(e, o.Logger)
		if err != nil {
			return nil, err
		}
		d.posts = append(d.posts, post)
	}
	const ns = "blockprint_dream"
	d.blocks = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "blocks_total", Help: "Answers of nodes by outcome: block or failure."}, []string{"node", "outcome"})
	d.missed = prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: "missed_slots_total", Help: "Slots in which no node was asked, because the one before took too long."})
	if o.Registry != nil {
		o.Registry.MustRegister(d.blocks, d.missed)
	}
	return d, nil
}

// Close frees connections.
func (d *Dreamer) Close() {
	d.canonical.Close()
	for _, n := range d.nodes {
		n.client.Close()
	}
}

// Network returns the canonical node's network, and makes sure that it is the configured one.
func (d *Dreamer) Network(ctx context.Context) (*blockprint.Network, error) {
	n, err := d.canonical.Network(ctx)
	if err != nil {
		return nil, err
	}
	if d.config.Network != "" && n.ConfigName != "" && !strings.EqualFold(d.config.Network, n.ConfigName) {
		return nil, blockprint.Errorf(blockprint.Conflict, "the configuration is for network %q, but canonical_bn %s is of %q", d.config.Network, jsonhttp.ServerName(d.config.CanonicalBN), n.ConfigName)
	}
	return n, nil
}

// Run dreams in every slot until ctx ends. What was dreamt before is handed on.
func (d *Dreamer) Run(ctx context.Context) error {
	var network *blockprint.Network
	for {
		var err error
		if network, err = d.Network(ctx); err == nil {
			break
		}
		if blockprint.CodeOf(err) != blockprint.Unavailable || ctx.Err() != nil {
			return err
		}
		d.log.Warn("the canonical node does not answer yet", "error", err)
		if !sleep(ctx, 5*time.Second) {
			return ctx.Err()
		}
	}
	rounds := make(chan *Round, keepRounds)
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		for n := range rounds {
			d.Hand(context.WithoutCancel(ctx), n)
		}
	}()
	defer func() { // drain, then stop
		close(rounds)
		<-handed
	}()
	last := network.SlotAt(d.o.Now())
	for {
		slot := max(network.SlotAt(d.o.Now()), last) + 1
		if !sleep(ctx, network.TimeOf(slot).Sub(d.o.Now())) {
			return ctx.Err()
		}
		if skipped := slot - last - 1; skipped > 0 {
			d.missed.Add(float64(skipped))
			d.log.Warn("slots passed without dreaming: the one before took too long", "slots", skipped, "now", slot)
		}
		last = slot
		n := d.Ask(ctx, slot)
		if len(n.Blocks) > 0 {
			rounds <- n
		}
		if slot > 0 {
			if err := d.Compare(ctx, slot-1); err != nil && ctx.Err() == nil {
				d.log.Warn("the canonical block cannot be compared", "slot", slot-1, "error", err)
			}
		}
	}
}

func sleep(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Ask asks all nodes for a block of a slot, at once, and waits for them, or for their time-out.
func (d *Dreamer) Ask(ctx context.Context, slot blockprint.Slot) *Round {
	blocks, errs := make([]*Block, len(d.nodes)), make([]error, len(d.nodes))
	var wg sync.WaitGroup
	for i, n := range d.nodes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, d.o.Timeout)
			defer cancel()
			began := time.Now()
			var p *beacon.Produced
			if p, errs[i] = d.ask(ctx, n, slot); errs[i] == nil {
				blocks[i] = &Block{Name: n.Name, Label: n.label, Produced: p, Took: time.Since(began)}
			}
		})
	}
	wg.Wait()
	round := &Round{Slot: slot, packings: map[string]Packing{}}
	for i, n := range d.nodes {
		if errs[i] != nil && ctx.Err() != nil {
			continue // we are stopping: not the node's fault
		}
		d.note(n, slot, errs[i])
		if errs[i] != nil {
			round.Failures = append(round.Failures, Failure{n.Name, errs[i]})
			continue
		}
		round.Blocks = append(round.Blocks, *blocks[i])
	}
	d.rate(ctx, round)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rounds[slot] = round
	for s := range d.rounds {
		if s+keepRounds < slot {
			delete(d.rounds, s)
		}
	}
	return round
}

func (d *Dreamer) ask(ctx context.Context, n *dreamer, slot blockprint.Slot) (*beacon.Produced, error) {
	if !n.known {
		ours, err := d.canonical.Network(ctx)
		if err != nil {
			return nil, err
		}
		theirs, err := n.client.Network(ctx)
		if err != nil {
			return nil, err
		}
		if theirs.GenesisValidatorsRoot != ours.GenesisValidatorsRoot {
			return nil, blockprint.Errorf(blockprint.Conflict, "it is of another network: its genesis validators root is %s, that of canonical_bn %s",
				theirs.GenesisValidatorsRoot.Short(), ours.GenesisValidatorsRoot.Short())
		}
		n.known = true
	}
	p, err := n.client.Produce(ctx, slot, beacon.ProduceOptions{
		SkipRandao: n.SkipRandao, SSZ: n.SSZ == nil || *n.SSZ, V3: n.V3, BuilderBoost: n.BuilderBoostFactor,
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, blockprint.Errorf(blockprint.Unavailable, "no block within %s", d.o.Timeout)
	}
	return p, err
}

// note counts a node's answer and logs a change of its state once.
func (d *Dreamer) note(n *dreamer, slot blockprint.Slot, err error) {
	outcome := "block"
	if err != nil {
		outcome = "failure"
	}
	d.blocks.WithLabelValues(n.Name, outcome).Inc()
	switch failed := err != nil; {
	case failed && !n.failed:
		d.log.Warn("node builds no block", "node", n.Name, "slot", slot, "error", err)
	case !failed && n.failed:
		d.log.Info("node builds blocks again", "node", n.Name, "slot", slot)
	}
	n.failed = err != nil
}

// rate says of each block what it would earn, and takes its attestations apart. A block that the canonical node does
// not know the parent of stays unrated.
func (d *Dreamer) rate(ctx context.Context, n *Round) {
	for i := range n.Blocks {
		b := &n.Blocks[i]
		r, err := d.Rate(ctx, b.Block)
		if err == nil {
			b.Reward = r
			n.packings[b.Name], err = NewPacking(b.Block, r)
		}
		if err != nil && ctx.Err() == nil {
			d.log.Debug("dreamt block cannot be rated", "node", b.Name, "slot", n.Slot, "error", err)
		}
	}
}

// Rate says what a block would earn on top of the canonical node's chain.
func (d *Dreamer) Rate(ctx context.Context, b *beacon.Block) (*blockprint.BlockReward, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rater == nil {
		rater, err := reward.NewRater(ctx, d.canonical, d.log)
		if err != nil {
			return nil, err
		}
		d.rater = rater
	}
	return d.rater.Rate(ctx, b)
}

// Hand gives a slot's blocks to the sinks and endpoints. Their errors are logged: what one cannot take, the others
// still get.
func (d *Dreamer) Hand(ctx context.Context, n *Round) {
	for _, sink := range d.o.Sinks {
		if err := sink(ctx, n); err != nil {
			d.log.Error("dreamt blocks cannot be handed on", "slot", n.Slot, "error", err)
		}
	}
	var wg sync.WaitGroup
	for _, e := range d.posts {
		wg.Go(func() { e.note(e.post(ctx, n, len(d.nodes))) })
	}
	wg.Wait()
}

// Compare tells how far the canonical block of a slot is from those that were dreamt, if it has one and some were.
func (d *Dreamer) Compare(ctx context.Context, slot blockprint.Slot) error {
	d.mu.Lock()
	round := d.rounds[slot]
	delete(d.rounds, slot)
	d.mu.Unlock()
	if round == nil || len(round.packings) == 0 {
		return nil
	}
	b, err := d.canonical.Block(ctx, beacon.AtSlot(slot))
	if blockprint.CodeOf(err) == blockprint.NotFound {
		return nil // the slot is empty
	}
	if err != nil {
		return err
	}
	r, err := d.Rate(ctx, b)
	if err != nil {
		return err
	}
	canonical, err := NewPacking(b, r)
	if err != nil {
		return err
	}
	v := Opinion{Slot: slot, Root: b.Root}
	for i, x := range round.Blocks {
		p, ok := round.packings[x.Name]
		if !ok {
			continue
		}
		v.Nearest = append(v.Nearest, NodeDistance{x.Name, x.Label, Distance(canonical, p)})
		for _, y := range round.Blocks[i+1:] {
			if q, ok := round.packings[y.Name]; ok {
				v.Between = append(v.Between, PairDistance{x.Name, y.Name, Distance(p, q)})
			}
		}
	}
	slices.SortStableFunc(v.Nearest, func(a, b NodeDistance) int { return a.Distance - b.Distance })
	v.Likely = judge(v.Nearest)
	d.log.Debug("canonical block compared with dreamt ones", "slot", slot, "likely", v.Likely, "nearest", v.Nearest[0].Name, "distance", v.Nearest[0].Distance)
	if d.o.Opinions != nil {
		return d.o.Opinions(ctx, v)
	}
	return nil
}
