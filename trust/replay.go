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

// Change is a change of a subject's status or of its reasons.
type Change struct {
	Date    string   `json:"date"`
	Subject string   `json:"subject"`
	Status  string   `json:"status"`
	Reasons []string `json:"reasons"`
}

// Summary is the end of a replay.
type Summary struct {
	Days       int `json:"days"`
	Published  int `json:"days_with_shares"`
	NotTrusted int `json:"days_not_to_be_trusted"`
	// ByLabel counts, for each label, the days on which it was published and not to be trusted.
	ByLabel map[blockprint.Client]int `json:"days_by_label"`
	Changes int                       `json:"changes"`
	Text    string                    `json:"summary"`
}

// Replay feeds a Keeper with a recorded gauge history, day after day. The keeper's log is in memory.
type Replay struct {
	settings Settings
	keeper   *Keeper
	nodes    map[nodeKey]*node
	names    map[string]blockprint.Client // the label with which a node's name came first
	reasons  map[string]string            // of each subject that is greylisted
	summary  Summary
	last     blockprint.Slot
}

type nodeKey struct {
	name  string
	label blockprint.Client
}

// node is what is known of a node's observations. The original's gauge has counts of the newest 100,800 only, so
// what came between two days is worked out from how they changed.
type node struct {
	latest blockprint.Slot
	head   blockprint.Slot // when it was seen last
	counts counts
	// owed are parts of blocks: estimates are fractions, and a keeper counts whole blocks.
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

// NewReplay returns a replay by the given settings. Histories were recorded on mainnet.
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

// memory is a log in memory, which only one keeper reads and writes.
type memory struct {
	Store  // nothing is asked of its observations
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

// observe works out what each node's record brings.
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

// name distinguishes nodes of one name that have had two labels.
func (r *Replay) name(k nodeKey) string {
	if first, ok := r.names[k.name]; !ok {
		r.names[k.name] = k.label
	} else if first != k.label {
		return k.name + "(" + string(k.label) + ")"
	}
	return k.name
}

// published lists the clients that the published shares name, of which no block needs to have been measured.
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
		// The newest push out the oldest, of which is known how they were labeled on average. No node gives more than
		// a block a slot, and none before it was seen last.
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

// compare notes how subjects stand after a day and returns what changed: their status, or the kinds of their reasons.
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
