package gauge

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"blockprint"
	"blockprint/estimate"
	"blockprint/store"
)

// silentAfter is how long a node may return no block before it counts as silent.
const silentAfter = 30 * time.Minute

// Reader computes the accuracy from stored observations, whichever process made them. It is safe for concurrent use.
type Reader struct {
	store   store.Gauge
	network func(context.Context) (*blockprint.Network, error)
	now     func() time.Time
}

// NewReader returns a reader. network returns the chain's clock; now may be nil, which means time.Now.
func NewReader(s store.Gauge, network func(context.Context) (*blockprint.Network, error), now func() time.Time) *Reader {
	if now == nil {
		now = time.Now
	}
	return &Reader{s, network, now}
}

func slots(n *blockprint.Network, t time.Duration) blockprint.Slot {
	return blockprint.Slot(t / n.SlotDuration)
}

// ClientAccuracy says how the blocks of a client are labeled.
type ClientAccuracy struct {
	estimate.GaugeLabel
	// TruePositiveRate is the share of the client's blocks that have its label, Precision the share of the blocks with its
	// label that it built. Both are nil if there are no such blocks.
	TruePositiveRate *estimate.Rate `json:"true_positive_rate,omitempty"`
	Precision        *estimate.Rate `json:"precision,omitempty"`
}

// NodeAccuracy says how the blocks of a node are labeled.
type NodeAccuracy struct {
	estimate.GaugeNode
	// Silent means that the node has returned no block for half an hour. SilentSlots counts the slots since its last one.
	Silent      bool            `json:"silent"`
	SilentSlots blockprint.Slot `json:"silent_slots"`
}

// Summary is the accuracy over a window, in the original's shape with additions.
type Summary struct {
	Clients map[blockprint.Client]*ClientAccuracy `json:"clients"`
	Nodes   []NodeAccuracy                        `json:"nodes"`
	// BalancedAccuracy is the mean true-positive rate over the clients that have nodes.
	BalancedAccuracy *float64                `json:"balanced_accuracy,omitempty"`
	Window           blockprint.Interval     `json:"window"` // slots
	Models           map[string]*ModelCounts `json:"models"`
}

// ModelCounts is how many blocks a model labeled, and how many of these labels are right.
type ModelCounts struct {
	Blocks int64 `json:"blocks"`
	Right  int64 `json:"right"`
}

// Summarize returns the accuracy over the window that ends now.
func (r *Reader) Summarize(ctx context.Context) (*Summary, error) {
	network, err := r.network(ctx)
	if err != nil {
		return nil, err
	}
	now := network.SlotAt(r.now())
	window := slots(network, estimate.Window)
	counts, err := r.store.Observed(ctx, now-min(now, window))
	if err != nil {
		return nil, err
	}
	s := summarize(counts)
	s.Window = blockprint.Interval{Start: now - min(now, window), End: now}
	limit := max(slots(network, silentAfter), 1)
	for i := range s.Nodes {
		n := &s.Nodes[i]
		n.SilentSlots = now - min(now, n.LatestSlot)
		n.Silent = n.SilentSlots > limit
	}
	return s, nil
}

func summarize(counts []store.NodeCount) *Summary {
	s := &Summary{Clients: map[blockprint.Client]*ClientAccuracy{}, Nodes: []NodeAccuracy{}, Models: map[string]*ModelCounts{}}
	blocks := map[blockprint.Client]map[blockprint.Client]float64{} // by client and label
	nodes := map[[2]string]int{}
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
		if blocks[c.Label] == nil {
			blocks[c.Label] = map[blockprint.Client]float64{}
		}
		blocks[c.Label][c.Guess] += float64(c.Blocks)
		if c.Guess == c.Label {
			n.TruePositives += c.Blocks
			m.Right += c.Blocks
		} else {
			n.FalseNegatives[c.Guess] += c.Blocks
		}
	}
	confusion := estimate.NewConfusion(blocks)
	for _, c := range slices.Concat(confusion.Clients, confusion.Labels) {
		s.Clients[c] = newClientAccuracy(confusion.Hits(c), blocks[c], c)
	}
	if mean, ok := confusion.BalancedAccuracy(); ok {
		s.BalancedAccuracy = &mean
	}
	return s
}

// newClientAccuracy adds up a client's hits. blocks are its blocks by label.
func newClientAccuracy(h estimate.Hits, blocks map[blockprint.Client]float64, c blockprint.Client) *ClientAccuracy {
	out := &ClientAccuracy{
		GaugeLabel: estimate.GaugeLabel{
			TruePositives: h.TruePos, TrueNegatives: h.TrueNeg, FalsePositives: h.FalsePos, FalseNegatives: h.FalseNeg, Detail: map[blockprint.Client]int64{},
		},
		TruePositiveRate: h.TruePositiveRate(), Precision: h.Precision(),
	}
	for label, n := range blocks {
		if label != c {
			out.Detail[label] = int64(n)
		}
	}
	return out
}

// Day is the accuracy of one model on one day (UTC).
type Day struct {
	Day     string                                `json:"day"`
	Model   string                                `json:"model"`
	Blocks  int64                                 `json:"blocks"`
	Clients map[blockprint.Client]*ClientAccuracy `json:"clients"`
	Nodes   []NodeDay                             `json:"nodes"`
	// BalancedAccuracy is the mean true-positive rate over the clients that have nodes.
	BalancedAccuracy *float64 `json:"balanced_accuracy,omitempty"`
}

// NodeDay says how a node's blocks of one day were labeled.
type NodeDay struct {
	Name           string                      `json:"name"`
	Label          blockprint.Client           `json:"label"`
	TruePositives  int64                       `json:"true_positives"`
	FalseNegatives map[blockprint.Client]int64 `json:"false_negatives"`
}

// Days returns the accuracy for each day from first to last (YYYY-MM-DD, both included) and for each model, oldest first.
func (r *Reader) Days(ctx context.Context, first, last string) ([]Day, error) {
	counts, err := r.store.ObservedDays(ctx, first, last)
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
		s := summarize(groups[k])
		d := Day{Day: k.day, Model: k.model, Blocks: s.Models[k.model].Blocks, Clients: s.Clients, BalancedAccuracy: s.BalancedAccuracy}
		for _, n := range s.Nodes {
			d.Nodes = append(d.Nodes, NodeDay{n.Name, n.Label, n.TruePositives, n.FalseNegatives})
		}
		out = append(out, d)
	}
	return out, nil
}
