package gauge_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"blockprint"
	"blockprint/dream"
	"blockprint/gauge"
	"blockprint/store"
	_ "blockprint/store/sqlite"
)

// classifier labels every block by a table.
type classifier struct {
	guess map[string]blockprint.Client // by graffiti
	model string
	err   error
}

func (c *classifier) Guess(_ context.Context, rewards []*blockprint.BlockReward) ([]blockprint.Client, string, error) {
	var out []blockprint.Client
	for _, r := range rewards {
		out = append(out, c.guess[r.Meta.Graffiti])
	}
	return out, c.model, c.err
}

// rewarder rates blocks that look like {"slot": n, "name": s}, except those that are named "bad".
type rewarder struct{}

func (rewarder) Rewards(_ context.Context, blocks []json.RawMessage) ([]*blockprint.BlockReward, []error, error) {
	rewards, errs := make([]*blockprint.BlockReward, len(blocks)), make([]error, len(blocks))
	for i, raw := range blocks {
		var b struct {
			Slot blockprint.Slot
			Name string
		}
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, nil, err
		}
		if b.Name == "bad" {
			errs[i] = errors.New("its parent is not known")
			continue
		}
		rewards[i] = &blockprint.BlockReward{Meta: blockprint.BlockMeta{Slot: b.Slot, Graffiti: b.Name}}
	}
	return rewards, errs, nil
}

type rig struct {
	path string
	now  time.Time
	c    *classifier
	*gauge.Gauge
	store store.Store
}

func (r *rig) open(t *testing.T, labels ...string) {
	t.Helper()
	s, err := store.Open(t.Context(), r.path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the test may have closed it
	network := &blockprint.Network{Spec: blockprint.MainnetSpec(), GenesisTime: time.Unix(1_700_000_000, 0)}
	r.store = s
	r.Gauge = gauge.New(s, r.c, func(context.Context) (*blockprint.Network, error) { return network, nil }, gauge.Options{Rewarder: rewarder{}, Labels: labels, Now: func() time.Time { return r.now }})
}

// at sets the clock to a slot.
func (r *rig) at(slot blockprint.Slot) {
	r.now = time.Unix(1_700_000_000, 0).Add(time.Duration(slot) * 12 * time.Second)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{path: filepath.Join(t.TempDir(), "gauge.db"), c: &classifier{model: "m1", guess: map[string]blockprint.Client{
		"t1": "Teku", "t2": "Lodestar", "p1": "Prysm", "l1": "Teku",
	}}}
	r.at(1000)
	r.open(t)
	return r
}

func (r *rig) classify(t *testing.T, slot blockprint.Slot, names, labels string) error {
	t.Helper()
	var blocks []json.RawMessage
	for _, n := range strings.Split(names, ",") {
		b, err := json.Marshal(map[string]any{"slot": slot, "name": n})
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, b)
	}
	_, _, err := r.Classify(t.Context(), &dream.Request{Names: strings.Split(names, ","), Labels: strings.Split(labels, ","), Blocks: blocks})
	return err
}

// TestAccuracy: the counts of the original, with rates, over a window, across a restart.
func TestAccuracy(t *testing.T) {
	r := newRig(t)
	for slot := blockprint.Slot(900); slot < 904; slot++ {
		if err := r.classify(t, slot, "t1,t2,p1,l1", "Teku,Teku,Prysm,Lodestar"); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.classify(t, 903, "t1", "Teku"); err != nil { // a repetition does not count
		t.Fatal(err)
	}
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	s, err := r.Summarize(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	teku, prysm, lodestar := s.Clients["Teku"], s.Clients["Prysm"], s.Clients["Lodestar"]
	if teku.TruePositives != 4 || teku.FalseNegatives != 4 || teku.FalsePositives != 4 || teku.TrueNegatives != 4 || teku.Detail["Lodestar"] != 4 {
		t.Errorf("Teku %+v", teku)
	}
	if prysm.TruePositives != 4 || prysm.TrueNegatives != 12 || prysm.FalsePositives != 0 || prysm.TruePositiveRate.Share != 1 || prysm.TruePositiveRate.Low > 0.52 {
		t.Errorf("Prysm %+v %+v", prysm, prysm.TruePositiveRate)
	}
	if lodestar.TruePositives != 0 || lodestar.FalsePositives != 4 || lodestar.TruePositiveRate.Share != 0 || lodestar.Precision.Share != 0 {
		t.Errorf("Lodestar %+v", lodestar)
	}
	if *s.BalancedAccuracy != 0.5 || len(s.Nodes) != 4 || s.Models["m1"].Blocks != 16 || s.Models["m1"].Right != 8 {
		t.Errorf("balanced %v, %d nodes, models %+v", *s.BalancedAccuracy, len(s.Nodes), s.Models["m1"])
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"true_positives":4`, `"false_negatives_detail":{"Lodestar":4}`, `"latest_slot":903`, `"false_negatives":{"Lodestar":4}`} {
		if !strings.Contains(string(text), key) {
			t.Errorf("no %s in %s", key, text)
		}
	}
}

// TestTime: a silent node is reported as silent, and observations from before the window do not count.
func TestTime(t *testing.T) {
	r := newRig(t)
	if err := r.classify(t, 990, "t1,p1", "Teku,Prysm"); err != nil {
		t.Fatal(err)
	}
	r.at(1200)
	if err := r.classify(t, 1199, "p1", "Prysm"); err != nil {
		t.Fatal(err)
	}
	s, err := r.Summarize(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.Nodes {
		if n.Silent != (n.Name == "t1") || n.Name == "t1" && n.SilentSlots != 210 {
			t.Errorf("%+v", n)
		}
	}
	r.at(1200 + 14*7200)
	if s, err = r.Summarize(t.Context()); err != nil || s.Clients["Teku"] != nil || s.Clients["Prysm"].TruePositives != 1 {
		t.Errorf("two weeks later: %+v (%v)", s.Clients, err)
	}
	r.at(2000 + 14*7200)
	if s, err = r.Summarize(t.Context()); err != nil || len(s.Clients) != 0 || s.BalancedAccuracy != nil {
		t.Errorf("later still: %+v (%v)", s, err)
	}
}

// TestDays: accuracy by day and model.
func TestDays(t *testing.T) {
	r := newRig(t)
	if err := r.classify(t, 900, "t1,t2", "Teku,Teku"); err != nil {
		t.Fatal(err)
	}
	r.c.model, r.c.guess["t2"] = "m2", "Teku"
	if err := r.classify(t, 901, "t1,t2", "Teku,Teku"); err != nil {
		t.Fatal(err)
	}
	days, err := r.Days(t.Context(), "2023-11-01", "2023-11-30")
	if err != nil || len(days) != 2 {
		t.Fatalf("%+v (%v)", days, err)
	}
	if d := days[0]; d.Day != "2023-11-15" || d.Model != "m1" || d.Blocks != 2 || *d.BalancedAccuracy != 0.5 || d.Nodes[1].FalseNegatives["Lodestar"] != 1 {
		t.Errorf("%+v", d)
	}
	if d := days[1]; d.Model != "m2" || *d.BalancedAccuracy != 1 {
		t.Errorf("%+v", d)
	}
}

// TestRefuses: requests with lists of different lengths, unknown labels or blocks from the future are refused and not stored.
func TestRefuses(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		slot          blockprint.Slot
		names, labels string
		want          string
	}{
		"labels missing":   {900, "t1,p1", "Teku", "2 names, 1 labels and 2 blocks"},
		"no client":        {900, "t1", "tekoo", `"tekoo"`},
		"twice the same":   {900, "t1,t1", "Teku,Teku", "twice"},
		"of the future":    {5000, "t1", "Teku", "slot 5000"},
		"of a far future":  {1 << 63, "t1", "Teku", "slot 9223372036854775808"},
		"good and too new": {1002, "t1,p1", "Teku,Prysm", "slot 1002"},
	} {
		if err := r.classify(t, c.slot, c.names, c.labels); blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.c.err = errors.New("no model")
	if err := r.classify(t, 900, "t1", "Teku"); err == nil {
		t.Error("a failing classifier was not noticed")
	}
	r.c.err = nil
	if s, err := r.Summarize(t.Context()); err != nil || len(s.Nodes) != 0 {
		t.Errorf("something was stored: %+v (%v)", s, err)
	}
	r.open(t, "teku-fork")
	if err := r.classify(t, 900, "t1", "teku-fork"); err != nil {
		t.Errorf("a label that is allowed: %v", err)
	}
}

// TestUnrated: the other blocks of a request count although some are null or cannot be rated.
func TestUnrated(t *testing.T) {
	r := newRig(t)
	block := func(name string) json.RawMessage { return json.RawMessage(`{"slot":900,"name":"` + name + `"}`) }
	rewards, errs, err := r.Classify(t.Context(), &dream.Request{
		Names: []string{"t1", "bad", "p1"}, Labels: []string{"Teku", "Teku", "Prysm"}, Blocks: []json.RawMessage{block("t1"), block("bad"), json.RawMessage("null")},
	})
	if err != nil || rewards[0] == nil || rewards[1] != nil || rewards[2] != nil || errs[1] == nil || errs[0] != nil || errs[2] != nil {
		t.Errorf("%v, %v, %v", rewards, errs, err)
	}
	if s, err := r.Summarize(t.Context()); err != nil || len(s.Nodes) != 1 || s.Nodes[0].Name != "t1" {
		t.Errorf("%+v (%v)", s, err)
	}
	if _, _, err := r.Classify(t.Context(), &dream.Request{}); err != nil {
		t.Errorf("nothing at all: %v", err)
	}
}

// TestMetrics: what Prometheus collects.
func TestMetrics(t *testing.T) {
	r := newRig(t)
	if err := r.classify(t, 990, "t1,t2,p1", "Teku,Teku,Prysm"); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP blockprint_gauge_precision Share of the dreamt blocks with a client's label that the client built.
# TYPE blockprint_gauge_precision gauge
blockprint_gauge_precision{client="Lodestar"} 0
blockprint_gauge_precision{client="Prysm"} 1
blockprint_gauge_precision{client="Teku"} 1
# HELP blockprint_gauge_true_positive_rate Share of a client's dreamt blocks in the window that have the right label.
# TYPE blockprint_gauge_true_positive_rate gauge
blockprint_gauge_true_positive_rate{client="Prysm"} 1
blockprint_gauge_true_positive_rate{client="Teku"} 0.5
`
	if err := testutil.CollectAndCompare(gauge.NewCollector(r.Reader), strings.NewReader(want), "blockprint_gauge_precision", "blockprint_gauge_true_positive_rate"); err != nil {
		t.Error(err)
	}
}

// TestBounds: the number and the length of names are limited.
func TestBounds(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{strings.Repeat("x", 201), "t1\nnode:p1", "\x1b[2Jt1"} {
		if err := r.classify(t, 900, name, "Teku"); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("the name %.20q: %v", name, err)
		}
	}
	if err := r.classify(t, 900, strings.Repeat("x,", 1000)+"y", strings.Repeat("Teku,", 1000)+"Teku"); blockprint.CodeOf(err) != blockprint.TooLarge {
		t.Errorf("many names: %v", err)
	}
}

// TestReady: a gauge is ready when it knows the chain's clock and its store answers.
func TestReady(t *testing.T) {
	r := newRig(t)
	if err := r.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Ready(t.Context()); err == nil {
		t.Error("ready without a store")
	}
	away := gauge.New(r.store, r.c, func(context.Context) (*blockprint.Network, error) { return nil, errors.New("the node is away") }, gauge.Options{})
	if err := away.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "away") {
		t.Errorf("ready without a clock: %v", err)
	}
}

// TestNoSecrets: errors of services behind the gauge show neither their password nor their path.
func TestNoSecrets(t *testing.T) {
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/key/list"):
			_, _ = io.WriteString(w, `[{}]`)
		case strings.HasPrefix(r.URL.Path, "/key/nonsense"):
			_, _ = io.WriteString(w, `{`)
		default:
			http.Error(w, "no", http.StatusForbidden)
		}
	}))
	gone := answers.Listener.Addr().String()
	reward := []*blockprint.BlockReward{{}}
	check := func(what string, err error) {
		t.Helper()
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "key") || !strings.Contains(err.Error(), gone) {
			t.Errorf("%s: %v", what, err)
		}
	}
	classifiers := map[string]*gauge.RemoteClassifier{}
	for _, path := range []string{"list", "nonsense", "refused"} {
		c, err := gauge.NewRemoteClassifier("http://user:secret@" + gone + "/key/" + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = c.Guess(t.Context(), reward)
		check(path, err)
		classifiers[path] = c
	}
	answers.Close()
	_, _, err := classifiers["list"].Guess(t.Context(), reward)
	check("no connection", err)
	if _, err := gauge.NewRemoteRewards("ftp://user:secret@host/key"); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "key") {
		t.Errorf("a wrong URL: %v", err)
	}
}
