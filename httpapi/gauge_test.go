package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"blockprint"
	"blockprint/beacon"
	"blockprint/dream"
	"blockprint/gauge"
	"blockprint/httpapi"
	"blockprint/service"
	"blockprint/sim"
	"blockprint/store"
	_ "blockprint/store/sqlite"
)

// TestGauge runs the original's chain of services, each over HTTP: nodes dream, the dreamer posts to the gauge, the gauge
// asks a rewards service and a blockprint, and serves the accuracy in the shape that dashboards read.
func TestGauge(t *testing.T) {
	c := sim.DefaultConfig(5)
	c.Validators, c.Committees, c.Nodes = 1024, 2, 1
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 70 {
		w.Step()
	}
	serve := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	canonical := serve(w.Handler())
	node, err := beacon.New([]string{canonical}, beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	labels := newAPI(t, service.Options{Now: w.Network().TimeOf(70).Local})
	rewarder, err := gauge.NewRemoteRewards(serve(rewards(t, node)))
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := gauge.NewRemoteClassifier(serve(labels.server))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "gauge.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	clock := w.Network().TimeOf(72).Local
	g := gauge.New(s, classifier, func(context.Context) (*blockprint.Network, error) { return w.Network(), nil }, gauge.Options{Rewarder: rewarder, Now: clock})
	server, err := httpapi.NewGauge(g, noTrust, httpapi.Options{Options: service.Options{Logger: quiet, Auth: service.Auth{Users: map[string]string{"dreamer": "secret"}}}})
	if err != nil {
		t.Fatal(err)
	}
	url := serve(server)
	config := &dream.Config{CanonicalBN: canonical}
	for i, n := range w.Nodes() {
		config.Nodes = append(config.Nodes, dream.NodeConfig{Name: fmt.Sprintf("node-%d", i), Label: string(n.Client), URL: serve(w.NodeHandler(i)), V3: true})
	}
	results := t.TempDir()
	config.PostEndpoints = []dream.EndpointConfig{
		{Name: "refused", URL: url + "/classify"},
		{Name: "gauge", URL: strings.Replace(url, "http://", "http://dreamer:secret@", 1) + "/classify", ResultsDir: results, CompareRewards: true},
	}
	var log strings.Builder
	d, err := dream.New(config, dream.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for range 2 {
		d.Hand(t.Context(), d.Ask(t.Context(), w.Now()+1))
		w.Step()
	}
	if strings.Count(log.String(), "endpoint=refused") != 1 || strings.Contains(log.String(), "endpoint=gauge") || !strings.Contains(log.String(), "status 401") {
		t.Errorf("the dreamer's log:\n%s", log.String())
	}
	for _, path := range []string{"/accuracy", "//confusion/"} {
		res, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Clients map[string]struct {
				TruePositives  *int           `json:"true_positives"`
				TrueNegatives  *int           `json:"true_negatives"`
				FalsePositives *int           `json:"false_positives"`
				FalseNegatives *int           `json:"false_negatives"`
				Detail         map[string]int `json:"false_negatives_detail"`
			}
			Nodes []struct {
				Name, Label    string
				TruePositives  int            `json:"true_positives"`
				FalseNegatives map[string]int `json:"false_negatives"`
				LatestSlot     int            `json:"latest_slot"`
			}
			Models map[string]struct{ Blocks int }
		}
		err = json.NewDecoder(res.Body).Decode(&got)
		if closeErr := res.Body.Close(); err != nil || closeErr != nil {
			t.Fatal(err, closeErr)
		}
		total := 0
		for _, n := range got.Nodes {
			total += n.TruePositives
			for _, k := range n.FalseNegatives {
				total += k
			}
			if n.LatestSlot != 72 {
				t.Errorf("%s: %+v", path, n)
			}
		}
		for name, c := range got.Clients {
			if c.TruePositives == nil || c.TrueNegatives == nil || c.FalsePositives == nil || c.FalseNegatives == nil || c.Detail == nil ||
				*c.TruePositives+*c.TrueNegatives+*c.FalsePositives+*c.FalseNegatives != 12 {
				t.Errorf("%s: %s %+v", path, name, c)
			}
		}
		if total != 12 || len(got.Nodes) != 6 || got.Models["unsaved"].Blocks != 12 {
			t.Errorf("%s: %d blocks, %+v", path, total, got)
		}
	}
	// What came back is training data.
	if files, err := filepath.Glob(filepath.Join(results, "*", "node-*_71.json")); err != nil || len(files) != 6 {
		t.Errorf("kept %v (%v)", files, err)
	}
}

// TestGaugeRefuses: bad requests say what is wrong with them.
func TestGaugeRefuses(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "gauge.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	network := &blockprint.Network{Spec: blockprint.MainnetSpec()}
	g := gauge.New(s, nil, func(context.Context) (*blockprint.Network, error) { return network, nil }, gauge.Options{})
	server, err := httpapi.NewGauge(g, noTrust, httpapi.Options{Options: service.Options{MaxBody: 500}})
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, store: s, server: server, header: http.Header{}, remote: "127.0.0.1:1234"}
	for body, want := range map[string]string{
		`[`:                           "names",
		`{"names":["a"],"labels":[]}`: "a list is missing",
		`{"names":["a"],"labels":["Teku"],"blocks":[]}`:                     "1 names, 1 labels and 0 blocks",
		`{"names":["a"],"labels":["Nethermind"],"blocks":[null]}`:           "Nethermind",
		`{"names":[""],"labels":["Teku"],"blocks":[null]}`:                  "empty",
		`{"names":["a","a"],"labels":["Teku","Teku"],"blocks":[null,null]}`: "twice",
	} {
		if got := a.fails("POST", "/classify", body, http.StatusBadRequest, "invalid"); !strings.Contains(fmt.Sprint(got["error"]), want) {
			t.Errorf("%s: %v", body, got)
		}
	}
	a.fails("POST", "/classify", `{"names":["`+strings.Repeat("x", 600)+`"]}`, http.StatusRequestEntityTooLarge, "too_large")
	a.fails("GET", "/accuracy/days/2024-01-01/soon", "", http.StatusBadRequest, "invalid")
	a.fails("GET", "/blocks_per_client/1", "", http.StatusNotFound, "not_found")
	a.remote = "192.0.2.1:1"
	a.fails("POST", "/classify", `{}`, http.StatusForbidden, "forbidden")
	a.call("GET", "/accuracy", "", nil)
	var days []gauge.Day
	if a.call("GET", "/accuracy/days/2024-01-01/2024-01-02", "", &days); days == nil || len(days) != 0 {
		t.Errorf("%v", days)
	}
}

// TestOpinions: the API of a database serves the accuracy and the distances.
func TestOpinions(t *testing.T) {
	a := newAPI(t, service.Options{})
	a.fails("GET", "/accuracy", "", http.StatusNotFound, "not_found")
	if err := a.store.Identify(t.Context(), store.Identity{ConfigName: "mainnet", GenesisTime: 1606824023, SlotSeconds: 12, SlotsPerEpoch: 32}); err != nil {
		t.Fatal(err)
	}
	if err := a.store.AddOpinion(t.Context(), store.Opinion{BlockID: store.BlockID{Slot: 7, Root: blockprint.Root{1}}, Likely: blockprint.Teku, Details: []byte(`{"distances":[]}`)}); err != nil {
		t.Fatal(err)
	}
	if err := a.store.AddOpinion(t.Context(), store.Opinion{BlockID: store.BlockID{Slot: 8, Root: blockprint.Root{2}}, Details: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	var got []struct {
		Slot    int
		Likely  *string
		Details map[string]any
	}
	a.call("GET", "/distances/1/8", "", &got)
	if len(got) != 2 || *got[0].Likely != "Teku" || got[1].Likely != nil || got[0].Details["distances"] == nil {
		t.Errorf("%+v", got)
	}
	a.fails("GET", "/distances/8/1", "", http.StatusBadRequest, "invalid")
	a.fails("GET", "/distances/1/99999", "", http.StatusBadRequest, "invalid")
	var s struct{ Nodes []any }
	a.call("GET", "/confusion", "", &s)
	if s.Nodes == nil {
		t.Errorf("%+v", s)
	}
}
