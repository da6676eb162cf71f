// Package dream asks nodes of known clients to build a block in every slot, and tells how far their blocks are from the
// chain's.
//
// A Dreamer asks all nodes of a Config at once (Ask), gives what they built to its sinks (a gauge, training data), and
// compares it with the slot's canonical block when that is there (Compare). Run does so slot after slot, from the
// start of each; a node that fails is left out of the slot and does not hold up the others.
package dream

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
	"blockprint/beacon"
	"blockprint/jsonhttp"
	"blockprint/reward"
)

// Sink takes what nodes dreamt. It must not change it.
type Sink func(ctx context.Context, r *Round) error

// Options change how a Dreamer works.
type Options struct {
	Timeout time.Duration // of a node; 0 for 6 s
	// Labels are allowed besides those of the clients.
	Labels []string
	// Sinks get every slot's blocks, one after another, in order.
	Sinks []Sink
	// Opinions, if not nil, gets each canonical block's distances.
	Opinions func(ctx context.Context, o Opinion) error
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
	nodes     []*node
	posts     []*endpoint
	rater     *reward.Rater

	mu     sync.Mutex
	rounds map[blockprint.Slot]*Round

	blocks *prometheus.CounterVec
	missed prometheus.Counter
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
	d.rater = reward.NewRater(d.canonical, o.Logger)
	for _, n := range c.Enabled() {
		client, err := beacon.New([]string{n.URL}, beacon.Options{Timeout: o.Timeout, Tries: 1, Logger: quiet})
		if err != nil {
			return nil, err
		}
		d.nodes = append(d.nodes, &node{NodeConfig: n, label: blockprint.Client(n.Label), client: client})
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

// Run dreams in every slot until ctx ends. What was dreamt by then is handed on.
func (d *Dreamer) Run(ctx context.Context) error {
	network, err := d.waitForNetwork(ctx)
	if err != nil {
		return err
	}
	rounds := make(chan *Round, keepRounds)
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		for r := range rounds {
			d.Hand(context.WithoutCancel(ctx), r)
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
		if r := d.Ask(ctx, slot); len(r.Blocks) > 0 {
			rounds <- r
		}
		if slot > 0 {
			if err := d.Compare(ctx, slot-1); err != nil && ctx.Err() == nil {
				d.log.Warn("the canonical block cannot be compared", "slot", slot-1, "error", err)
			}
		}
	}
}

// waitForNetwork asks until the canonical node answers.
func (d *Dreamer) waitForNetwork(ctx context.Context) (*blockprint.Network, error) {
	pause := &backoff.ExponentialBackOff{InitialInterval: time.Second, Multiplier: 2, MaxInterval: 30 * time.Second}
	return backoff.Retry(ctx, func() (*blockprint.Network, error) {
		network, err := d.Network(ctx)
		if err != nil && blockprint.CodeOf(err) != blockprint.Unavailable {
			return nil, backoff.Permanent(err)
		}
		return network, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, next time.Duration) {
		d.log.Warn("the canonical node does not answer yet", "error", err, "again_in", next)
	}))
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

// Hand gives a slot's blocks to the sinks and endpoints. Their errors are logged: what one cannot take, the others
// still get.
func (d *Dreamer) Hand(ctx context.Context, r *Round) {
	for _, sink := range d.o.Sinks {
		if err := sink(ctx, r); err != nil {
			d.log.Error("dreamt blocks cannot be handed on", "slot", r.Slot, "error", err)
		}
	}
	var wg sync.WaitGroup
	for _, e := range d.posts {
		wg.Go(func() { e.note(e.post(ctx, r, len(d.nodes))) })
	}
	wg.Wait()
}
