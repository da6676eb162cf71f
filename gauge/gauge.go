// Package gauge measures the classifier: nodes of known clients dream blocks, the blocks are rated and labelled, and
// what they were labelled is compared with what built them.
//
// A Gauge takes blocks (Classify), or blocks that are rated already (Observe), and keeps each observation in its store,
// so that a restart forgets nothing. Summarise gives the accuracy of a window of time in the shape of the original's
// GET /accuracy, with intervals and silent nodes; Days gives it day by day and model by model.
package gauge

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"blockprint"
	"blockprint/estimate"
	"blockprint/store"
)

// Rewarder says what blocks (JSON, as tools give them) would earn. An entry is nil, with its error, if its block cannot be
// rated; err is set if none can.
type Rewarder interface {
	Rewards(ctx context.Context, blocks []json.RawMessage) (rewards []*blockprint.BlockReward, errs []error, err error)
}

// Classifier labels rated blocks. model names what labelled them.
type Classifier interface {
	Guess(ctx context.Context, rewards []*blockprint.BlockReward) (guesses []blockprint.Client, model string, err error)
}

// Store is what keeps observations.
type Store interface {
	store.Gauge
	Ping(ctx context.Context) error
}

// Options change how a Gauge works.
type Options struct {
	// Labels are allowed besides those of the clients.
	Labels []string
	Window time.Duration // 0 for two weeks
	// SilentAfter is how long a node may be without a block before it is called silent; 0 for half an hour.
	SilentAfter time.Duration
	Now         func() time.Time
}

// Gauge measures accuracy. It is safe for concurrent use.
type Gauge struct {
	store      Store
	rewarder   Rewarder
	classifier Classifier
	network    func(context.Context) (*blockprint.Network, error)
	o          Options
	forgotten  atomic.Uint64 // part before which observations were last forgotten
}

// DefaultWindow is how long observations count.
const DefaultWindow = 14 * 24 * time.Hour

// New returns a gauge. network tells the chain's clock.
func New(s Store, r Rewarder, c Classifier, network func(context.Context) (*blockprint.Network, error), o Options) *Gauge {
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.SilentAfter == 0 {
		o.SilentAfter = 30 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Gauge{store: s, rewarder: r, classifier: c, network: network, o: o}
}

// Dreamt is a rated block of a node whose client is known.
type Dreamt struct {
	Node   string
	Label  string
	Reward *blockprint.BlockReward
}

// Observe labels dreamt blocks and keeps how well that went.
func (g *Gauge) Observe(ctx context.Context, blocks []Dreamt) error {
	if len(blocks) == 0 {
		return nil
	}
	network, err := g.network(ctx)
	if err != nil {
		return err
	}
	newest := network.SlotAt(g.o.Now())
	var rewards []*blockprint.BlockReward
	var list []store.Observation
	for _, b := range blocks {
		label, err := blockprint.ParseLabel(b.Label, g.o.Labels)
		if err != nil {
			return blockprint.Errorf(blockprint.Invalid, "node %q: %w", b.Node, err)
		}
		slot := b.Reward.Meta.Slot
		if slot > newest+1 { // a slot of the future would hold the window for ever
			return blockprint.Errorf(blockprint.Invalid, "node %q: its block is of slot %d, but the present one is %d", b.Node, slot, newest)
		}
		rewards = append(rewards, b.Reward)
		list = append(list, store.Observation{Slot: slot, Node: b.Node, Label: label, Day: network.TimeOf(slot).UTC().Format(time.DateOnly)})
	}
	guesses, model, err := g.classifier.Guess(ctx, rewards)
	if err != nil {
		return err
	}
	if len(guesses) != len(list) {
		return blockprint.Errorf(blockprint.Internal, "%d blocks were to be labelled, %d labels came back", len(list), len(guesses))
	}
	for i := range list {
		list[i].Guess, list[i].Model = guesses[i], model
	}
	if _, err := g.store.Observe(ctx, list); err != nil {
		return err
	}
	return g.forget(ctx, newest, g.slots(network, g.o.Window))
}

// forget drops single observations when another part of the window has passed. They are kept for two windows, so that a
// repeat is known as one.
func (g *Gauge) forget(ctx context.Context, newest, window blockprint.Slot) error {
	if newest <= 2*window {
		return nil
	}
	before := newest - 2*window
	part := uint64(before / store.GaugePart)
	if g.forgotten.Swap(part) == part {
		return nil
	}
	return g.store.ForgetObservations(ctx, before)
}

// Ready fails as long as nothing can be measured: the chain's clock is not known, or the store does not answer.
func (g *Gauge) Ready(ctx context.Context) error {
	if _, err := g.network(ctx); err != nil {
		return err
	}
	return g.store.Ping(ctx)
}

func (g *Gauge) slots(n *blockprint.Network, t time.Duration) blockprint.Slot {
	return blockprint.Slot(t / n.SlotDuration)
}

// A request may have the blocks of so many nodes, whose names are kept for ever.
const (
	maxNodes = 1000
	maxName  = 200
)

// Classify rates and labels blocks, keeps how well that went, and returns the rewards: nil where a block is null or
// cannot be rated, whose errors are in errs. The three lists must be of the same length.
func (g *Gauge) Classify(ctx context.Context, names, labels []string, blocks []json.RawMessage) (rewards []*blockprint.BlockReward, errs []error, err error) {
	if len(names) != len(blocks) || len(labels) != len(blocks) {
		return nil, nil, blockprint.Errorf(blockprint.Invalid, "%d names, %d labels and %d blocks: expected as many of each", len(names), len(labels), len(blocks))
	}
	if len(names) > maxNodes {
		return nil, nil, blockprint.Errorf(blockprint.TooLarge, "%d blocks at once: at most %d", len(names), maxNodes)
	}
	for i := range names {
		if names[i] == "" || len(names[i]) > maxName || strings.ContainsFunc(names[i], unicode.IsControl) {
			return nil, nil, blockprint.Errorf(blockprint.Invalid, "name %d of the list is empty, longer than %d bytes, or has control characters", i, maxName)
		}
		if slices.Contains(names[:i], names[i]) {
			return nil, nil, blockprint.Errorf(blockprint.Invalid, "the name %q is there twice", names[i])
		}
		if _, err := blockprint.ParseLabel(labels[i], g.o.Labels); err != nil {
			return nil, nil, blockprint.Errorf(blockprint.Invalid, "node %q: %w", names[i], err)
		}
	}
	var asked []json.RawMessage
	var places []int
	for i, b := range blocks {
		if len(b) > 0 && string(b) != "null" { // a node that gave no block
			asked, places = append(asked, b), append(places, i)
		}
	}
	rewards, errs = make([]*blockprint.BlockReward, len(blocks)), make([]error, len(blocks))
	if len(asked) == 0 {
		return rewards, errs, nil
	}
	rated, failures, err := g.rewarder.Rewards(ctx, asked)
	if err != nil {
		return nil, nil, err
	}
	var dreamt []Dreamt
	for k, i := range places {
		if rewards[i], errs[i] = rated[k], failures[k]; rated[k] != nil {
			dreamt = append(dreamt, Dreamt{names[i], labels[i], rated[k]})
		}
	}
	return rewards, errs, g.Observe(ctx, dreamt)
}

// Rate is a share with its 95 % interval (Wilson).
type Rate struct {
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

func newRate(right, all int64) *Rate {
	if all == 0 {
		return nil
	}
	low, high := estimate.Wilson(right, all)
	return &Rate{float64(right) / float64(all), low, high}
}

// ClientAccuracy is how blocks of a client are labelled.
type ClientAccuracy struct {
	estimate.GaugeLabel
	// TruePositiveRate is the share of the client's blocks that are recognised, Precision the share of the blocks
	// with its label that are its own; nil without blocks.
	TruePositiveRate *Rate `json:"true_positive_rate,omitempty"`
	Precision        *Rate `json:"precision,omitempty"`
}

// NodeAccuracy is how blocks of a node are labelled.
type NodeAccuracy struct {
	estimate.GaugeNode
	// Silent tells that the node has given no block for some time, SilentSlots for how many.
	Silent      bool            `json:"silent"`
	SilentSlots blockprint.Slot `json:"silent_slots"`
}

// Summary is the accuracy of a window, in the original's shape with additions.
type Summary struct {
	Clients map[blockprint.Client]*ClientAccuracy `json:"clients"`
	Nodes   []NodeAccuracy                        `json:"nodes"`
	// BalancedAccuracy is the mean true-positive rate of the clients that have nodes.
	BalancedAccuracy *float64                `json:"balanced_accuracy,omitempty"`
	Window           blockprint.Interval     `json:"window"` // slots
	Models           map[string]*ModelCounts `json:"models"`
}

// ModelCounts is how many blocks a model labelled, and how many of them rightly.
type ModelCounts struct {
	Blocks int64 `json:"blocks"`
	Right  int64 `json:"right"`
}

// Summarise sums up the window that ends now.
func (g *Gauge) Summarise(ctx context.Context) (*Summary, error) {
	network, err := g.network(ctx)
	if err != nil {
		return nil, err
	}
	now := network.SlotAt(g.o.Now())
	window := g.slots(network, g.o.Window)
	counts, err := g.store.Observed(ctx, now-min(now, window))
	if err != nil {
		return nil, err
	}
	s := summarise(counts)
	s.Window = blockprint.Interval{Start: now - min(now, window), End: now}
	limit := max(g.slots(network, g.o.SilentAfter), 1)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.SilentSlots = now - min(now, n.LatestSlot)
		n.Silent = n.SilentSlots > limit
	}
	return s, nil
}

func summarise(counts []store.NodeCount) *Summary {
	s := &Summary{Clients: map[blockprint.Client]*ClientAccuracy{}, Nodes: []NodeAccuracy{}, Models: map[string]*ModelCounts{}}
	client := func(c blockprint.Client) *ClientAccuracy {
		if s.Clients[c] == nil {
			s.Clients[c] = &ClientAccuracy{GaugeLabel: estimate.GaugeLabel{Detail: map[blockprint.Client]int64{}}}
		}
		return s.Clients[c]
	}
	nodes := map[[2]string]int{}
	var all int64
	for _, c := range counts {
		key := [2]string{c.Node, string(c.Label)}
		at, ok := nodes[key]
		if !ok {
			at = len(s.Nodes)
			nodes[key] = at
			s.Nodes = append(s.Nodes, NodeAccuracy{GaugeNode: estimate.GaugeNode{Name: c.Node, Label: c.Label, FalseNegatives: map[blockprint.Client]int64{}}})
		}
		n := &s.Nodes[at]
		n.LatestSlot = max(n.LatestSlot, c.Latest)
		m := s.Models[c.Model]
		if m == nil {
			m = &ModelCounts{}
			s.Models[c.Model] = m
		}
		m.Blocks += c.Blocks
		all += c.Blocks
		own := client(c.Label)
		if c.Guess == c.Label {
			n.TruePositives += c.Blocks
			own.TruePositives += c.Blocks
			m.Right += c.Blocks
			continue
		}
		n.FalseNegatives[c.Guess] += c.Blocks
		own.FalseNegatives += c.Blocks
		own.Detail[c.Guess] += c.Blocks
		client(c.Guess).FalsePositives += c.Blocks
	}
	sum, present := 0.0, 0
	for _, c := range s.Clients {
		blocks := c.TruePositives + c.FalseNegatives
		c.TrueNegatives = all - blocks - c.FalsePositives
		c.TruePositiveRate = newRate(c.TruePositives, blocks)
		c.Precision = newRate(c.TruePositives, c.TruePositives+c.FalsePositives)
		if blocks > 0 {
			sum += c.TruePositiveRate.Share
			present++
		}
	}
	if present > 0 {
		balanced := sum / float64(present)
		s.BalancedAccuracy = &balanced
	}
	return s
}

// Day is the accuracy of a day by one model.
type Day struct {
	Day     string                                `json:"day"`
	Model   string                                `json:"model"`
	Blocks  int64                                 `json:"blocks"`
	Clients map[blockprint.Client]*ClientAccuracy `json:"clients"`
	Nodes   []NodeDay                             `json:"nodes"`
	// BalancedAccuracy is the mean true-positive rate of the clients that have nodes.
	BalancedAccuracy *float64 `json:"balanced_accuracy,omitempty"`
}

// NodeDay is how a node's blocks of a day were labelled.
type NodeDay struct {
	Name           string                      `json:"name"`
	Label          blockprint.Client           `json:"label"`
	TruePositives  int64                       `json:"true_positives"`
	FalseNegatives map[blockprint.Client]int64 `json:"false_negatives"`
}

// Days gives the accuracy of each of the days first to last, both included, and of each model, oldest first.
func (g *Gauge) Days(ctx context.Context, first, last string) ([]Day, error) {
	counts, err := g.store.ObservedDays(ctx, first, last)
	if err != nil {
		return nil, err
	}
	type key struct{ day, model string }
	groups := map[key][]store.NodeCount{}
	for _, c := range counts {
		k := key{c.Day, c.Model}
		groups[k] = append(groups[k], store.NodeCount{Node: c.Node, Label: c.Label, Guess: c.Guess, Model: c.Model, Blocks: c.Blocks})
	}
	out := []Day{}
	for _, k := range slices.SortedFunc(maps.Keys(groups), func(a, b key) int { return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.model, b.model)) }) {
		s := summarise(groups[k])
		d := Day{Day: k.day, Model: k.model, Blocks: s.Models[k.model].Blocks, Clients: s.Clients, BalancedAccuracy: s.BalancedAccuracy}
		for _, n := range s.Nodes {
			d.Nodes = append(d.Nodes, NodeDay{n.Name, n.Label, n.TruePositives, n.FalseNegatives})
		}
		out = append(out, d)
	}
	return out, nil
}
