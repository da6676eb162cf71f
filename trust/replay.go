package trust

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"blockprint"
	"blockprint/estimate"
	"blockprint/greylist"
)

// secondsPerSlot is mainnet's, on which histories were recorded.
const (
	secondsPerSlot = 12
	slotsPerDay    = 86400 / secondsPerSlot
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

// Replay runs the rules over a recorded gauge history, day after day.
type Replay struct {
	limits   Limits
	rules    greylist.Rules
	nodes    map[nodeKey]*node
	order    []nodeKey
	credits  map[string][]greylist.Figure // of each subject, oldest first
	statuses map[string]verdict
	summary  Summary
	last     blockprint.Slot
}

type nodeKey struct {
	name  string
	label blockprint.Client
}

// node is what is known of a node's observations. The original's gauge tells counts of the newest 100,800 only, so
// what came between two days is worked out from how they changed.
type node struct {
	latest  blockprint.Slot
	head    blockprint.Slot // when it was seen last
	counts  counts
	chunks  []chunk
	credit  float64 // rightly labelled blocks, summed up
	present bool    // in the present day's record
}

// counts are observations by what they were labelled.
type counts map[blockprint.Client]float64

func (c counts) total() (sum float64) {
	for _, n := range c {
		sum += n
	}
	return sum
}

// chunk is observations that came between two records.
type chunk struct {
	newest blockprint.Slot
	counts counts
}

// verdict is a subject's status.
type verdict struct {
	greylisted bool
	reasons    []reason
}

// reason is why a subject is greylisted.
type reason struct {
	word string // the kind
	text string
}

// Statuses, as everywhere in this program.
const (
	Active     = "ACTIVE"
	Greylisted = "AUTO_GREYLISTED"
)

// NewReplay returns a replay by the given limits.
func NewReplay(l Limits) *Replay {
	return &Replay{
		limits: l, rules: l.Rules(), nodes: map[nodeKey]*node{}, credits: map[string][]greylist.Figure{}, statuses: map[string]verdict{},
		summary: Summary{ByLabel: map[blockprint.Client]int{}},
	}
}

// Day adds a day and returns what changed. Days must come in order.
func (r *Replay) Day(d *estimate.GaugeDay) ([]Change, error) {
	if _, err := time.Parse(time.DateOnly, d.Date); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "record %d is no day of a gauge history: its date is %q, not YYYY-MM-DD", r.summary.Days+1, d.Date)
	}
	if d.HeadSlot+slotsPerDay < r.last { // a record of the same day may be a little earlier
		return nil, blockprint.Errorf(blockprint.Invalid, "day %s: its head slot %d is before that of the day before, %d", d.Date, d.HeadSlot, r.last)
	}
	r.last = max(r.last, d.HeadSlot)
	r.observe(d)
	found := map[string]verdict{}
	for _, k := range r.order {
		if n := r.nodes[k]; n.present {
			found["node:"+k.name+labelSuffix(r.order, k)] = r.judgeNode(k, n, d.HeadSlot)
		}
	}
	labels := r.labels(d)
	for _, label := range labels {
		found["label:"+string(label)] = r.judgeLabel(label, d.HeadSlot)
	}
	changes := r.compare(d.Date, found)
	r.summary.Days++
	r.summary.Changes += len(changes)
	r.count(d, found)
	return changes, nil
}

// labelSuffix tells nodes of one name apart that have had two labels.
func labelSuffix(all []nodeKey, k nodeKey) string {
	for _, o := range all {
		if o.name == k.name && o.label != k.label {
			return "(" + string(k.label) + ")"
		}
	}
	return ""
}

// observe works out what each node's record brings.
func (r *Replay) observe(d *estimate.GaugeDay) {
	for _, n := range r.nodes {
		n.present = false
	}
	for i := range d.Nodes {
		g := &d.Nodes[i]
		k := nodeKey{g.Name, g.Label}
		n := r.nodes[k]
		now := counts{g.Label: float64(g.TruePositives)}
		for c, m := range g.FalseNegatives {
			now[c] += float64(m)
		}
		if n == nil {
			n = &node{}
			r.nodes[k] = n
			r.order = append(r.order, k)
			n.chunks = append(n.chunks, chunk{g.LatestSlot, now})
			n.credit = now[g.Label]
		} else if c := n.since(now, g.LatestSlot, d.HeadSlot); c.total() > 0 {
			n.chunks = append(n.chunks, chunk{g.LatestSlot, c})
			n.credit += c[g.Label]
		}
		n.latest, n.head, n.counts, n.present = g.LatestSlot, d.HeadSlot, now, true
		n.chunks = slices.DeleteFunc(n.chunks, func(c chunk) bool { return c.newest+r.limits.window() <= d.HeadSlot })
	}
	slices.SortStableFunc(r.order, func(a, b nodeKey) int { return cmp.Or(cmp.Compare(a.label, b.label), cmp.Compare(a.name, b.name)) })
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
		// The newest push out the oldest, of which is known how they were labelled on average. No node gives more than
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

// labels lists the labels that are judged: those of nodes, and those in the published shares that are clients.
func (r *Replay) labels(d *estimate.GaugeDay) []blockprint.Client {
	seen := map[blockprint.Client]bool{}
	for _, k := range r.order {
		seen[k.label] = true
	}
	for c, blocks := range d.BlocksPerClient {
		if blocks > 0 && c != blockprint.Uncertain && c != blockprint.Other {
			seen[c] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// compare notes the statuses of a day and returns the changes.
func (r *Replay) compare(date string, found map[string]verdict) []Change {
	var out []Change
	for _, subject := range slices.Sorted(maps.Keys(found)) {
		v, before := found[subject], r.statuses[subject]
		r.statuses[subject] = v
		if v.greylisted == before.greylisted && slices.EqualFunc(v.reasons, before.reasons, func(a, b reason) bool { return a.word == b.word }) {
			continue
		}
		c := Change{Date: date, Subject: subject, Status: Active, Reasons: []string{"recovered"}}
		if v.greylisted {
			c.Status, c.Reasons = Greylisted, nil
			for _, x := range v.reasons {
				c.Reasons = append(c.Reasons, x.text)
			}
		}
		out = append(out, c)
	}
	return out
}

// count adds a day to the summary.
func (r *Replay) count(d *estimate.GaugeDay, found map[string]verdict) {
	published, doubtful := false, false
	for c, blocks := range d.BlocksPerClient {
		if blocks <= 0 {
			continue
		}
		published = true
		if found["label:"+string(c)].greylisted {
			doubtful = true
			r.summary.ByLabel[c]++
		}
	}
	if published {
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
