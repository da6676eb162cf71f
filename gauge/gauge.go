// Package gauge measures the classifier: nodes whose client is known build blocks, the blocks are rated and labeled, and the
// labels are compared with the clients that built the blocks.
//
// A Gauge takes blocks that it rates itself (Classify), or the rounds of a dreamer, whose blocks are rated already (Take). It
// stores every observation, so a restart loses nothing. A Reader computes the accuracy from them: Summarize over the last two
// weeks, in the shape of the original's GET /accuracy with intervals and silent nodes added, and Days by day and model.
package gauge

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"blockprint"
	"blockprint/dream"
	"blockprint/store"
)

// Rewarder computes what blocks would earn. The blocks are JSON as tools write it. A block that cannot be rated has an error
// in place of a reward; err is set if no block can be rated.
type Rewarder interface {
	Rewards(ctx context.Context, blocks []json.RawMessage) (rewards []*blockprint.BlockReward, errs []error, err error)
}

// Classifier labels rated blocks. model is the name of the model that labels them.
type Classifier interface {
	Guess(ctx context.Context, rewards []*blockprint.BlockReward) (guesses []blockprint.Client, model string, err error)
}

// Store keeps observations.
type Store interface {
	store.Gauge
	Ping(ctx context.Context) error
}

// Options change how a Gauge works.
type Options struct {
	// Labels are allowed in addition to the clients' names.
	Labels []string
	// Rewarder rates the blocks for Classify. A gauge that only takes rounds needs none.
	Rewarder Rewarder
	Now      func() time.Time // nil means time.Now
}

// Gauge measures the accuracy, and reads it. It is safe for concurrent use.
type Gauge struct {
	*Reader
	store      Store
	classifier Classifier
	o          Options
}

// New returns a gauge. network returns the chain's clock.
func New(s Store, c Classifier, network func(context.Context) (*blockprint.Network, error), o Options) *Gauge {
	return &Gauge{Reader: NewReader(s, network, o.Now), store: s, classifier: c, o: o}
}

// Take is a dream.Sink: it labels the rated blocks of a round and stores whether the labels are right.
func (g *Gauge) Take(ctx context.Context, r *dream.Round) error { return g.observe(ctx, r.Blocks) }

// observe uses the name, the label and the reward of each block; it skips blocks without a reward.
func (g *Gauge) observe(ctx context.Context, blocks []dream.Block) error {
	network, err := g.network(ctx)
	if err != nil {
		return err
	}
	newest := network.SlotAt(g.now())
	var rewards []*blockprint.BlockReward
	var list []store.Observation
	for _, b := range blocks {
		if b.Reward == nil {
			continue
		}
		label, err := blockprint.ParseLabel(string(b.Label), g.o.Labels)
		if err != nil {
			return blockprint.Errorf(blockprint.Invalid, "node %q: %w", b.Name, err)
		}
		slot := b.Reward.Meta.Slot
		if slot > newest+1 { // a slot in the future would hold the window forever
			return blockprint.Errorf(blockprint.Invalid, "node %q: its block is for slot %d, but the current slot is %d", b.Name, slot, newest)
		}
		rewards = append(rewards, b.Reward)
		list = append(list, store.Observation{Slot: slot, Node: b.Name, Label: label, Day: network.TimeOf(slot).UTC().Format(time.DateOnly)})
	}
	if len(list) == 0 {
		return nil
	}
	guesses, model, err := g.classifier.Guess(ctx, rewards)
	if err != nil {
		return err
	}
	if len(guesses) != len(list) {
		return blockprint.Errorf(blockprint.Internal, "the classifier returned %d labels for %d blocks", len(guesses), len(list))
	}
	for i := range list {
		list[i].Guess, list[i].Model = guesses[i], model
	}
	_, err = g.store.Observe(ctx, list)
	return err
}

// Ready returns an error while nothing can be measured: the chain's clock is unknown, or the store does not answer.
func (g *Gauge) Ready(ctx context.Context) error {
	if _, err := g.network(ctx); err != nil {
		return err
	}
	return g.store.Ping(ctx)
}

// Limits for a request. The names of nodes are stored forever.
const (
	maxNodes = 1000
	maxName  = 200 // bytes
)

// Classify rates and labels the blocks of a request, stores whether the labels are right, and returns the rewards. A reward
// is nil if the block is null or cannot be rated; errs says why it cannot.
func (g *Gauge) Classify(ctx context.Context, q *dream.Request) (rewards []*blockprint.BlockReward, errs []error, err error) {
	if err := g.check(q); err != nil {
		return nil, nil, err
	}
	var asked []json.RawMessage
	var places []int
	for i, b := range q.Blocks {
		if len(b) > 0 && string(b) != "null" { // null stands for a node that returned no block
			asked, places = append(asked, b), append(places, i)
		}
	}
	rewards, errs = make([]*blockprint.BlockReward, len(q.Blocks)), make([]error, len(q.Blocks))
	if len(asked) == 0 {
		return rewards, errs, nil
	}
	rated, failures, err := g.o.Rewarder.Rewards(ctx, asked)
	if err != nil {
		return nil, nil, err
	}
	blocks := make([]dream.Block, len(places))
	for k, i := range places {
		rewards[i], errs[i] = rated[k], failures[k]
		blocks[k] = dream.Block{Name: q.Names[i], Label: blockprint.Client(q.Labels[i]), Reward: rated[k]}
	}
	return rewards, errs, g.observe(ctx, blocks)
}

// check refuses a request whose lists have different lengths, or whose names or labels are not acceptable.
func (g *Gauge) check(q *dream.Request) error {
	bad := func(format string, args ...any) error { return blockprint.Errorf(blockprint.Invalid, format, args...) }
	if len(q.Names) != len(q.Blocks) || len(q.Labels) != len(q.Blocks) {
		return bad("%d names, %d labels and %d blocks: expected the same number of each", len(q.Names), len(q.Labels), len(q.Blocks))
	}
	if len(q.Names) > maxNodes {
		return blockprint.Errorf(blockprint.TooLarge, "%d blocks at once: at most %d", len(q.Names), maxNodes)
	}
	for i, name := range q.Names {
		if name == "" || len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
			return bad("name %d of the list is empty, longer than %d bytes, or has control characters", i, maxName)
		}
		if slices.Contains(q.Names[:i], name) {
			return bad("the list has the name %q twice", name)
		}
		if _, err := blockprint.ParseLabel(q.Labels[i], g.o.Labels); err != nil {
			return bad("node %q: %w", name, err)
		}
	}
	return nil
}

// KeepOpinions returns a function that stores a dreamer's opinions.
func KeepOpinions(s store.Gauge) func(context.Context, dream.Opinion) error {
	return func(ctx context.Context, o dream.Opinion) error {
		details, err := json.Marshal(struct {
			Distances []dream.NodeDistance `json:"distances"`
			Between   []dream.PairDistance `json:"between"`
		}{o.Nearest, o.Between})
		if err != nil {
			return err
		}
		return s.AddOpinion(ctx, store.Opinion{BlockID: store.BlockID{Slot: o.Slot, Root: o.Root}, Likely: o.Likely, Details: details})
	}
}
