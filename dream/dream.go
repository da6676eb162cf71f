// Package dream asks nodes whose client is known to build a block in every slot, and measures how far their blocks are from
// the chain's.
//
// A Dreamer asks all nodes of a Config at once (Ask), gives their blocks to its sinks, such as a gauge or training data
// (Hand), and compares them with the slot's canonical block once that exists (Compare). Run does all of this slot after slot.
// A node that fails is left out of the slot and does not hold up the others.
package dream

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"blockprint"
	"blockprint/beacon"
	"blockprint/jsonhttp"
	"blockprint/reward"
)

// Sink takes a round, which it must not change.
type Sink func(ctx context.Context, r *Round) error

// Options change how a Dreamer works.
type Options struct {
	Timeout time.Duration // for each node; 0 means 6 s
	// Labels are allowed in addition to the clients' names.
	Labels []string
	// Sinks get every round, one after another, in order.
	Sinks []Sink
	// Opinions, if not nil, gets the opinion about each canonical block.
	Opinions func(ctx context.Context, o Opinion) error
	Logger   *slog.Logger
	Registry prometheus.Registerer // nil if nobody collects the metrics
	Now      func() time.Time
}

// Dreamer asks nodes for blocks. It is not safe for concurrent use, except that Hand may run beside Ask and Compare.
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

// keepRounds is for how many slots a round waits for the canonical block.
const keepRounds = 8

// New returns a dreamer for a configuration. It does not contact any node yet.
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
	quiet := slog.New(slog.DiscardHandler) // a Dreamer logs the state of its nodes itself, by name
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
	with := promauto.With(o.Registry)
	d.blocks = with.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "blocks_total", Help: "Answers of nodes, by outcome: block or failure."}, []string{"node", "outcome"})
	d.missed = with.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: "missed_slots_total", Help: "Slots in which no node was asked because the slot before took too long."})
	return d, nil
}

// Close closes all connections.
func (d *Dreamer) Close() {
	d.canonical.Close()
	for _, n := range d.nodes {
		n.client.Close()
	}
}

// Network returns the canonical node's network and makes sure that it is the configured one.
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

// Run dreams in every slot until ctx ends. It hands on all rounds before it returns.
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
	defer func() {
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
			d.log.Warn("no node was asked in some slots because the slot before took too long", "slots", skipped, "now", slot)
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

// waitForNetwork asks the canonical node until it answers.
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

// Hand gives a round to the sinks and endpoints. Errors are logged: what one of them cannot take, the others still get.
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
