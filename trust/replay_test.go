package trust_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/estimate"
	"blockprint/greylist"
	"blockprint/trust"
)

const day = 7200 // slots

// Statuses of subjects.
var active, greylisted = greylist.Active.String(), greylist.AutoGreylist.String()

// history makes days of a gauge like the original's, whose figures are the newest 100,800 observations of each node.
type history struct {
	t       *testing.T
	r       *trust.Replay
	date    time.Time
	head    blockprint.Slot
	nodes   map[string]*dreamer
	changes []trust.Change
	shares  map[blockprint.Client]float64
}

type dreamer struct {
	label  blockprint.Client
	guess  map[blockprint.Client]int // of a day's blocks; nil while it is silent
	seen   []blockprint.Client       // its newest observations, oldest first
	latest blockprint.Slot
}

func newHistory(t *testing.T) *history {
	t.Helper()
	r, err := trust.NewReplay(trust.DefaultSettings())
	if err != nil {
		t.Fatal(err)
	}
	return &history{
		t: t, r: r, date: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), head: 8_000_000,
		nodes: map[string]*dreamer{}, shares: map[blockprint.Client]float64{"Teku": 10, "Uncertain": 1},
	}
}

// run passes days.
func (h *history) run(days int) {
	h.t.Helper()
	for range days {
		h.head += day
		h.date = h.date.AddDate(0, 0, 1)
		d := estimate.GaugeDay{Date: h.date.Format(time.DateOnly), HeadSlot: h.head, BlocksPerClient: h.shares}
		for _, name := range slices.Sorted(keys(h.nodes)) {
			n := h.nodes[name]
			for _, c := range slices.Sorted(keys(n.guess)) {
				n.seen = append(n.seen, slices.Repeat([]blockprint.Client{c}, n.guess[c])...)
				n.latest = h.head
			}
			n.seen = n.seen[max(0, len(n.seen)-100_800):]
			g := estimate.GaugeNode{Name: name, Label: n.label, FalseNegatives: map[blockprint.Client]int64{}, LatestSlot: n.latest}
			for _, c := range n.seen {
				if c == n.label {
					g.TruePositives++
				} else {
					g.FalseNegatives[c]++
				}
			}
			d.Nodes = append(d.Nodes, g)
		}
		changes, err := h.r.Day(&d)
		if err != nil {
			h.t.Fatal(err)
		}
		h.changes = append(h.changes, changes...)
	}
}

func keys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// last returns the newest change of a subject.
func (h *history) last(subject string) trust.Change {
	for _, c := range slices.Backward(h.changes) {
		if c.Subject == subject {
			return c
		}
	}
	return trust.Change{}
}

// on returns how many days ago a subject last changed.
func (h *history) on(c trust.Change) int {
	at, err := time.Parse(time.DateOnly, c.Date)
	if err != nil {
		h.t.Fatalf("%+v: %v", c, err)
	}
	return int(h.date.Sub(at).Hours() / 24)
}

func (h *history) want(subject, status, reason string) trust.Change {
	h.t.Helper()
	c := h.last(subject)
	if c.Status != status || !strings.Contains(fmt.Sprint(c.Reasons), reason) {
		h.t.Errorf("%s is %+v, want %s for %q", subject, c, status, reason)
	}
	return c
}

// TestSilence: a node and a label that fall silent are named within three days of their last block, and cleared soon
// after they are back.
func TestSilence(t *testing.T) {
	h := newHistory(t)
	h.nodes["t"] = &dreamer{label: "Teku", guess: map[blockprint.Client]int{"Teku": 7000, "Prysm": 100}}
	h.nodes["p1"] = &dreamer{label: "Prysm", guess: map[blockprint.Client]int{"Prysm": 7000}}
	h.nodes["p2"] = &dreamer{label: "Prysm", guess: map[blockprint.Client]int{"Prysm": 7000}}
	h.run(20)
	if len(h.changes) != 0 {
		t.Errorf("of healthy nodes: %+v", h.changes)
	}
	teku, prysm := h.nodes["t"].guess, h.nodes["p1"].guess
	h.nodes["t"].guess, h.nodes["p1"].guess = nil, nil
	h.run(3)
	h.want("node:t", greylisted, "silent")
	h.want("label:Teku", greylisted, "silent")
	h.want("node:p1", greylisted, "silent")
	if c := h.last("label:Prysm"); c.Status != "" {
		t.Errorf("a label with a node that dreams: %+v", c)
	}
	h.run(30)
	h.nodes["t"].guess, h.nodes["p1"].guess = teku, prysm
	h.run(3)
	h.want("node:t", active, "recovered")
	h.want("node:p1", active, "recovered")
	h.want("label:Teku", active, "recovered")
	s := h.r.Summary()
	if s.Days != 56 || s.Published != 56 || s.NotTrusted != s.ByLabel["Teku"] || s.NotTrusted < 30 || s.NotTrusted > 36 {
		t.Errorf("%+v", s)
	}
	if !strings.HasPrefix(s.Text, "Of 56 days on which shares were published, on 3") {
		t.Error(s.Text)
	}
}

// TestNeverRecognised: a label of which no block is recognized is named on the first day; one block of it does not make
// it another reason's.
func TestNeverRecognised(t *testing.T) {
	h := newHistory(t)
	h.nodes["l"] = &dreamer{label: "Lodestar", guess: map[blockprint.Client]int{"Prysm": 7000}}
	h.nodes["p"] = &dreamer{label: "Prysm", guess: map[blockprint.Client]int{"Prysm": 7000}}
	h.run(1)
	h.want("label:Lodestar", greylisted, "never recognised: 0 of 7000")
	h.want("label:Prysm", greylisted, "precision: 50.0 %")
	if c := h.last("node:p"); c.Status != "" {
		t.Errorf("%+v", c)
	}
	h.nodes["l"].guess = map[blockprint.Client]int{"Lodestar": 7000}
	h.run(20)
	h.want("label:Lodestar", active, "recovered")
	h.want("label:Prysm", active, "recovered")
}

// TestCollapse: when a fork makes a full gauge's labels wrong, the label is named within the window, long before the
// gauge's own figures show it, and a label that swallows others is named for its precision.
func TestCollapse(t *testing.T) {
	h := newHistory(t)
	h.nodes["p"] = &dreamer{label: "Prysm", guess: map[blockprint.Client]int{"Prysm": 7200}}
	h.nodes["t"] = &dreamer{label: "Teku", guess: map[blockprint.Client]int{"Teku": 7200}}
	h.run(30)
	h.nodes["p"].guess = map[blockprint.Client]int{"Teku": 7200}
	h.run(3)
	h.want("label:Prysm", greylisted, "zcd: no block recognised at")
	h.run(4)
	h.want("label:Prysm", greylisted, "true-positive rate")
	c := h.want("label:Teku", greylisted, "precision")
	if h.on(c) > 4 {
		t.Errorf("%+v was said late", c)
	}
	h.run(14)
	h.want("label:Prysm", greylisted, "never recognised")
}

// TestOldFigures: after a long silence a full gauge's old figures do not count for a node that is back; what is new does.
func TestOldFigures(t *testing.T) {
	h := newHistory(t)
	h.nodes["t"] = &dreamer{label: "Teku", guess: map[blockprint.Client]int{"Teku": 7200}}
	h.run(20)
	h.nodes["t"].guess = nil
	h.run(40)
	h.nodes["t"].guess = map[blockprint.Client]int{"Prysm": 7200}
	h.run(1)
	// The gauge still shows 93 % of its 100,800 blocks as Teku's.
	h.want("label:Teku", greylisted, "of 72")
	if c := h.last("label:Teku"); !strings.Contains(fmt.Sprint(c.Reasons), "recognised") || strings.Contains(fmt.Sprint(c.Reasons), "silent") {
		t.Errorf("%+v", c)
	}
}

// TestFew: few blocks do not convict, and a label that nobody measures is said to be so.
func TestFew(t *testing.T) {
	h := newHistory(t)
	h.shares["Nimbus"] = 3
	h.nodes["t"] = &dreamer{label: "Teku", guess: map[blockprint.Client]int{"Teku": 2, "Prysm": 1}}
	h.nodes["x"] = &dreamer{label: "teku", guess: map[blockprint.Client]int{"Teku": 1}}
	h.run(1)
	if c := h.last("label:Teku"); c.Status != "" {
		t.Errorf("two of three: %+v", c)
	}
	h.want("label:Nimbus", greylisted, "never measured")
	h.want("label:teku", greylisted, "the name of no client")
	if _, err := h.r.Day(&estimate.GaugeDay{Date: "2023-01-01", HeadSlot: 5}); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("a day out of order: %v", err)
	}
}

func TestSettings(t *testing.T) {
	for name, change := range map[string]func(*trust.Settings){
		"never silent": func(s *trust.Settings) { s.Silent = 0 },
		"no window":    func(s *trust.Settings) { s.Window = -1 },
		"rate":         func(s *trust.Settings) { s.Rate = 1.1 },
		"precision":    func(s *trust.Settings) { s.Precise = -0.1 },
		"dry window":   func(s *trust.Settings) { s.DryWindow = -1 },
	} {
		s := trust.DefaultSettings()
		if change(&s); s.Check() == nil {
			t.Errorf("%s: %+v was taken", name, s)
		}
	}
}
