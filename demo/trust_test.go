package demo_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blockprint"
	"blockprint/classify"
	"blockprint/classify/algorithm"
	"blockprint/classify/builtin"
	"blockprint/dataset"
	"blockprint/dream"
	"blockprint/feature"
	"blockprint/gauge"
	"blockprint/graffiti"
	"blockprint/httpapi"
	"blockprint/service"
	"blockprint/sim"
	"blockprint/store"
	_ "blockprint/store/sqlite"
	"blockprint/train"
	"blockprint/trust"
)

// TestElectra is what killed the original: a network forks to Electra under a model of Deneb. The labels that fail must be
// greylisted within one window, with the reason, count as Uncertain for those who ask for that, and be cleared after
// retraining on what the nodes dreamt since; a node that falls silent is named; an administrator's word counts.
func TestElectra(t *testing.T) {
	if testing.Short() {
		t.Skip("dreams for thousands of blocks")
	}
	const forkEpoch, window = 5, 4
	c := sim.DefaultConfig(8)
	c.ElectraEpoch, c.Committees = forkEpoch, 8
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	deneb, err := builtin.Model()
	if err == nil {
		err = deneb.Only(blockprint.Deneb) // as a model that does not know its forks
	}
	if err != nil {
		t.Fatal(err)
	}
	r := newTrustRig(t, w, deneb, window)
	for w.Now() < (forkEpoch+window)*32 {
		r.slot()
		if w.Now() == forkEpoch*32-1 {
			if list := r.report().Greylisted(); len(list) > 1 {
				t.Errorf("before the fork: %v", list)
			}
		}
	}
	failed := r.report().Greylisted()
	t.Logf("a window after the fork: %v", failed)
	for _, c := range r.changes {
		t.Logf("%s %s %s %v", c.Date, c.Subject, c.Status, c.Reasons)
	}
	if len(failed) < 3 {
		t.Errorf("only %v is greylisted under a model of another time", failed)
	}
	for _, s := range r.report().Subjects {
		if s.Status.Greylisted() && len(s.Reasons) == 0 {
			t.Errorf("%s is greylisted without a reason", s.Subject)
		}
	}
	r.checkAPI(failed)

	for w.Now() < (forkEpoch+2*window)*32 {
		r.slot()
	}
	r.use(r.retrained(forkEpoch * 32))
	for w.Now() < (forkEpoch+3*window+2)*32 {
		r.slot()
	}
	cleared := r.report().Greylisted()
	t.Logf("after retraining: %v", cleared)
	if len(cleared) > 2 || len(cleared)+2 >= len(failed) {
		t.Errorf("after a window of the new model %v are still greylisted, before %v", cleared, failed)
	}
	// A node falls silent, and another is greylisted by hand.
	r.silent["teku/v1-plain"] = true
	if err := r.trust.Set(t.Context(), "label:Prysm", 3); err != nil { // Manual
		t.Fatal(err)
	}
	for range 3 * 32 {
		r.slot()
	}
	for subject, why := range map[string]string{"node:teku/v1-plain": trust.Silent, "label:Teku": trust.Silent, "label:Prysm": "manual"} {
		if s := r.subject(subject); !s.Status.Greylisted() || !strings.Contains(fmt.Sprint(s.Reasons), why) {
			t.Errorf("%+v, want a reason with %q", s, why)
		}
	}
	if err := r.trust.Set(t.Context(), "label:Nobody", 3); blockprint.CodeOf(err) != blockprint.NotFound {
		t.Errorf("a label that there is not: %v", err)
	}
	// What was found is on the disk.
	again := trust.NewService(r.store, r.settings, r.network, trust.ServiceOptions{Now: w.Clock})
	if got, err := again.Report(t.Context()); err != nil || !slices.EqualFunc(got.Subjects, r.report().Subjects, func(a, b trust.Subject) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("opened again: %+v (%v)", got, err)
	}
}

// trustRig is a network whose nodes dream, a gauge and what judges by it.
type trustRig struct {
	t        *testing.T
	w        *sim.World
	store    store.Store
	settings trust.Settings
	network  func(context.Context) (*blockprint.Network, error)
	dreamer  *dream.Dreamer
	config   *dream.Config
	gauge    *gauge.Gauge
	trust    *trust.Service
	silent   map[string]bool
	changes  []trust.Change
	rounds   []*dream.Round
}

// retrained is a model of the blocks that were dreamt from a slot on.
func (r *trustRig) retrained(from blockprint.Slot) *classify.Model {
	r.t.Helper()
	e, err := feature.NewExtractor(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	set := dataset.NewSet(e.Names())
	var row []float64
	for _, n := range r.rounds {
		for _, b := range n.Blocks {
			if b.Reward != nil && n.Slot >= from {
				row = e.Extract(row[:0], b.Reward)
				set.Add(b.Label, n.Slot, b.Root, b.ProposerIndex, row)
			}
		}
	}
	o := train.DefaultOptions("gbt")
	o.Features, o.Settings, o.Folds = e.Names(), algorithm.Settings{"rounds": {60}}, 3
	m, _, err := train.Fit(r.t.Context(), set, o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("retrained on %d dreamt blocks, %.1f %% balanced", set.Len(), 100*m.Parts[0].Training.BalancedAccuracy)
	return m
}

func newTrustRig(t *testing.T, w *sim.World, model *classify.Model, window int) *trustRig {
	t.Helper()
	serve := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	r := &trustRig{t: t, w: w, silent: map[string]bool{}, config: &dream.Config{CanonicalBN: serve(w.Handler())}}
	r.network = func(context.Context) (*blockprint.Network, error) { return w.Network(), nil }
	seen := map[string]bool{}
	for i, n := range w.Nodes() {
		if seen[n.Variant] {
			continue
		}
		seen[n.Variant] = true
		inner := w.NodeHandler(i)
		url := serve(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
			if r.silent[n.Variant] {
				http.Error(rw, "down", http.StatusServiceUnavailable)
				return
			}
			inner.ServeHTTP(rw, q)
		}))
		r.config.Nodes = append(r.config.Nodes, dream.NodeConfig{Name: n.Variant, Label: string(n.Client), URL: url, V3: true})
	}
	var err error
	if r.store, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "trust.db"), store.Options{Now: w.Clock}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.store.Close() })
	if err := r.store.Identify(t.Context(), store.NewIdentity(w.Network())); err != nil {
		t.Fatal(err)
	}
	r.settings = trust.DefaultSettings()
	r.settings.Period, r.settings.Window = 32, window
	r.use(model)
	return r
}

// use labels by a model from now on, as a program that was started anew with it.
func (r *trustRig) use(model *classify.Model) {
	r.t.Helper()
	classifier, err := gauge.NewLocalClassifier(model, graffiti.Default(""))
	if err != nil {
		r.t.Fatal(err)
	}
	if r.dreamer != nil {
		r.dreamer.Close()
	}
	if r.dreamer, err = dream.New(r.config, dream.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		r.t.Fatal(err)
	}
	r.gauge = gauge.New(r.store, classifier, r.network, gauge.Options{Now: r.w.Clock})
	r.trust = trust.NewService(r.store, r.settings, r.network, trust.ServiceOptions{Now: r.w.Clock, Logger: slog.New(slog.DiscardHandler)})
}

// slot passes a slot.
func (r *trustRig) slot() {
	r.t.Helper()
	round := r.dreamer.Ask(r.t.Context(), r.w.Now()+1)
	r.w.Step()
	r.rounds = append(r.rounds, round)
	if err := r.gauge.Take(r.t.Context(), round); err != nil {
		r.t.Fatal(err)
	}
	changes, err := r.trust.Advance(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	r.changes = append(r.changes, changes...)
}

func (r *trustRig) report() *trust.Report {
	r.t.Helper()
	report, err := r.trust.Report(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

func (r *trustRig) subject(name string) trust.Subject {
	r.t.Helper()
	for _, s := range r.report().Subjects {
		if s.Subject == name {
			return s
		}
	}
	r.t.Fatalf("no subject %s", name)
	return trust.Subject{}
}

// checkAPI: the API names the labels, and counts them as Uncertain for who asks for that.
func (r *trustRig) checkAPI(failed []blockprint.Client) {
	r.t.Helper()
	slots := blockprint.Interval{Start: 32, End: 63}
	var blocks []store.Block
	for i, c := range append(slices.Clone(failed), blockprint.Lighthouse) {
		blocks = append(blocks, store.Block{Slot: slots.Start + blockprint.Slot(i), Root: blockprint.Root{byte(i + 1)}, Classification: blockprint.Classification{Single: c, Multi: string(c)}, Model: "m"})
	}
	if _, err := r.store.Apply(r.t.Context(), store.Batch{Blocks: blocks, Covered: []blockprint.Interval{{Start: 0, End: slots.End}}}); err != nil {
		r.t.Fatal(err)
	}
	api, err := httpapi.NewLabels(httpapi.Sources{Store: r.store, Trust: r.trust.Report, Accuracy: gauge.NewReader(r.store, store.NetworkOf(r.store), r.w.Clock)},
		httpapi.LabelsOptions{Options: httpapi.Options{Options: service.Options{Now: r.w.Clock}}})
	if err != nil {
		r.t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		api.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if rec.Code != http.StatusOK {
			r.t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
		return rec
	}
	plain, strict := get("/blocks_per_client/1/2"), get("/blocks_per_client/1/2?trust=strict")
	if h := plain.Header().Get("Blockprint-Trust"); !strings.HasPrefix(h, "greylisted: ") || !strings.Contains(h, string(failed[0])) {
		r.t.Errorf("header %q", h)
	}
	if !strings.Contains(plain.Body.String(), `"Uncertain":0`) {
		r.t.Errorf("%s", plain.Body)
	}
	uncertain := len(failed)
	if slices.Contains(failed, blockprint.Lighthouse) {
		uncertain++
	}
	if !strings.Contains(strict.Body.String(), fmt.Sprintf(`"Uncertain":%d`, uncertain)) || !strings.Contains(strict.Body.String(), fmt.Sprintf(`"%s":0`, failed[0])) {
		r.t.Errorf("strict: %s, want %d uncertain", strict.Body, uncertain)
	}
	if body := get("/trust").Body.String(); !strings.Contains(body, `"label:`+string(failed[0])+`"`) || !strings.Contains(body, "AUTO_GREYLISTED") {
		r.t.Errorf("%s", body)
	}
}
