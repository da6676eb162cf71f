package trust

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"blockprint"
	"blockprint/estimate"
	"blockprint/greylist"
	"blockprint/store"
)

// gaugeLimit is how many observations of a node the original's gauge kept.
const gaugeLimit = 100_800

// Change is a change of a subject's status, or of its reasons.
type Change struct {
	Date    string   `json:"date"`
	Subject string   `json:"subject"`
	Status  string   `json:"status"`
	Reasons []string `json:"reasons"`
}

// Summary sums up a replay.
type Summary struct {
	Days       int `json:"days"`
	Published  int `json:"days_with_shares"`
	NotTrusted int `json:"days_not_to_be_trusted"`
	// ByLabel counts the days on which each label was published but not to be trusted.
	ByLabel map[blockprint.Client]int `json:"days_by_label"`
	Changes int                       `json:"changes"`
	Text    string                    `json:"summary"`
}

// Replay feeds a recorded gauge history to a Keeper, day after day. The keeper's log is in memory.
type Replay struct {
	settings Settings
	keeper   *Keeper
	nodes    map[nodeKey]*node
	names    map[string]blockprint.Client // the first label of each node's name
	reasons  map[string]string            // of each subject that is greylisted
	summary  Summary
	last     blockprint.Slot
}

type nodeKey struct {
	name  string
	label blockprint.Client
}

// node is what is known about a node's observations. The original's gauge counts only the newest 100,800, so what came between two
// days is estimated from how the counts changed.
type node struct {
	latest blockprint.Slot
	head   blockprint.Slot // when it was seen last
	counts counts
	// owed has parts of blocks: estimates are fractions, but a keeper counts whole blocks.
	owed counts
}

// counts are observations by what they were labeled.
type counts map[blockprint.Client]float64

func (c counts) total() (sum float64) {
	for _, n := range c {
		sum += n
	}
	return sum
}

// NewReplay returns a replay with the given settings. Histories were recorded on mainnet.
func NewReplay(s Settings) (*Replay, error) {
	s = s.On(nil)
	k, err := Open(context.Background(), &memory{}, s)
	if err != nil {
		return nil, err
	}
	return &Replay{
		settings: s, keeper: k, nodes: map[nodeKey]*node{}, names: map[string]blockprint.Client{}, reasons: map[string]string{},
		summary: Summary{ByLabel: map[blockprint.Client]int{}},
	}, nil
}

// memory is a log in memory that only one keeper reads and writes.
type memory struct {
	Store  // nil: nobody asks for observations
	events [][]byte
}

func (m *memory) ChangeEvents(_ context.Context, _ string, _, keep int, events, _ [][]byte) error {
	m.events = append(m.events[:keep], events...)
	return nil
}

func (m *memory) Events(context.Context, string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, e := range m.events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Day adds a day and returns what changed. Days must come in order.
func (r *Replay) Day(d *estimate.GaugeDay) ([]Change, error) {
	at, err := time.Parse(time.DateOnly, d.Date)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "record %d is no day of a gauge history: its date is %q, not YYYY-MM-DD", r.summary.Days+1, d.Date)
	}
	if d.HeadSlot+r.settings.Period < r.last { // a record of the same day may be a little earlier
		return nil, blockprint.Errorf(blockprint.Invalid, "day %s: its head slot %d is before that of the day before, %d", d.Date, d.HeadSlot, r.last)
	}
	r.last = max(r.last, d.HeadSlot)
	if _, err := r.keeper.close(context.Background(), at, r.last, append(r.observe(d), published(d)...)); err != nil {
		return nil, err
	}
	report := r.keeper.Report()
	changes := r.compare(d.Date, report)
	r.summary.Days++
	r.summary.Changes += len(changes)
	r.count(d, report.Greylisted())
	return changes, nil
}

// observe estimates the new observations in each node's record.
func (r *Replay) observe(d *estimate.GaugeDay) []store.NodeCount {
	var out []store.NodeCount
	for i := range d.Nodes {
		g := &d.Nodes[i]
		k := nodeKey{g.Name, g.Label}
		now := counts{g.Label: float64(g.TruePositives)}
		for c, m := range g.FalseNegatives {
			now[c] += float64(m)
		}
		n, came := r.nodes[k], now
		if n == nil {
			n = &node{owed: counts{}}
			r.nodes[k] = n
		} else {
			came = n.since(now, g.LatestSlot, d.HeadSlot)
		}
		n.latest, n.head, n.counts = g.LatestSlot, d.HeadSlot, now
		for _, c := range slices.Sorted(maps.Keys(came)) {
			n.owed[c] += came[c]
			whole := math.Floor(n.owed[c])
			n.owed[c] -= whole
			out = append(out, store.NodeCount{Node: r.name(k), Label: k.label, Guess: c, Blocks: int64(whole), Latest: g.LatestSlot})
		}
	}
	return out
}

// name distinguishes the two nodes if a name has had two labels.
func (r *Replay) name(k nodeKey) string {
	if first, ok := r.names[k.name]; !ok {
		r.names[k.name] = k.label
	} else if first != k.label {
		return k.name + "(" + string(k.label) + ")"
	}
	return k.name
}

// published lists the clients in the published shares, even those of which no block was measured.
func published(d *estimate.GaugeDay) []store.NodeCount {
	var out []store.NodeCount
	for _, c := range slices.Sorted(maps.Keys(d.BlocksPerClient)) {
		if d.BlocksPerClient[c] > 0 && c != blockprint.Uncertain && c != blockprint.Other {
			out = append(out, store.NodeCount{Label: c})
		}
	}
	return out
}

// since estimates the observations that came since a node was seen last.
func (n *node) since(now counts, latest, head blockprint.Slot) counts {
	before, after := n.counts.total(), now.total()
	if latest <= n.latest && after <= before {
		return nil // nothing new, whatever was rearranged
	}
	if after < before { // the gauge was started anew
		return maps.Clone(now)
	}
	added := after - before
	dropped := 0.0
	if after >= gaugeLimit && before > 0 {
		// The newest observations push out the oldest, which count as labeled like the average. A node gives at most one block a
		// slot, and the new ones are from after it was last seen.
		added = max(added, min(float64(latest-n.latest), float64(head-min(head, n.head))+1, gaugeLimit))
		dropped = added - (after - before)
	}
	out := counts{}
	for c, m := range now {
		out[c] = max(m-n.counts[c]+dropped*n.counts[c]/max(before, 1), 0)
	}
	if sum := out.total(); sum > 0 {
		for c := range out {
			out[c] *= added / sum
		}
	}
	return out
}

// compare notes how subjects stand after a day, and returns those whose status or kinds of reasons changed.
func (r *Replay) compare(date string, report *Report) []Change {
	var out []Change
	for _, s := range report.Subjects {
		var words []string
		for _, text := range s.Reasons {
			word, _, _ := strings.Cut(text, ":")
			words = append(words, word)
		}
		kinds := strings.Join(words, ";")
		if kinds == r.reasons[s.Subject] {
			continue
		}
		r.reasons[s.Subject] = kinds
		if len(s.Reasons) == 0 {
			s.Reasons = []string{greylist.Recovered}
		}
		out = append(out, Change{Date: date, Subject: s.Subject, Status: s.Status.String(), Reasons: s.Reasons})
	}
	return out
}

// count adds a day to the summary.
func (r *Replay) count(d *estimate.GaugeDay, greylisted []blockprint.Client) {
	some, doubtful := false, false
	for c, blocks := range d.BlocksPerClient {
		if blocks <= 0 {
			continue
		}
		some = true
		if slices.Contains(greylisted, c) {
			doubtful = true
			r.summary.ByLabel[c]++
		}
	}
	if some {
		r.summary.Published++
	}
	if doubtful {
		r.summary.NotTrusted++
	}
}

// Summary sums up all days.
func (r *Replay) Summary() Summary {
	s := r.summary
	s.Text = fmt.Sprintf("Of %d days on which shares were published, on %d at least one label in them was not to be trusted.", s.Published, s.NotTrusted)
	return s
}
