package beacon_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
	"blockprint/beacon"
	"blockprint/nodetest"
	"blockprint/sim"
	"blockprint/sim/habit"
)

// node serves a world with habits.
func node(t testing.TB, w *sim.World, habits ...habit.Habit) string {
	t.Helper()
	s := httptest.NewServer(habit.Play(w.Handler(), habits...))
	t.Cleanup(s.Close)
	return s.URL
}

// present is a world whose clock is right: its head's slot is the present one.
func present(t testing.TB, slots int) *sim.World { t.Helper(); return presentSlots(t, slots, 12) }

// presentSlots is present with slots of so many seconds.
func presentSlots(t testing.TB, slots int, seconds uint64) *sim.World {
	t.Helper()
	c := sim.DefaultConfig(1)
	c.Validators, c.Committees, c.SlotsPerEpoch, c.SecondsPerSlot = 256, 2, 8, seconds
	c.SkipRate, c.SideChainRate, c.LateRate = 0, 0, 0
	c.GenesisTime = time.Now().Add(-time.Duration(uint64(slots)*seconds) * time.Second).Truncate(time.Second)
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for range slots {
		w.Step()
	}
	return w
}

func stateOf(t testing.TB, c *beacon.Client, slot blockprint.Slot) beacon.ID {
	t.Helper()
	h, err := c.Header(t.Context(), beacon.AtSlot(slot))
	if err != nil {
		t.Fatal(err)
	}
	return beacon.StateOf(h.StateRoot, slot)
}

// TestStateRefused: a state that a live node refuses is NotFound, with whatever status it does that; where it is known
// by its slot it is found.
func TestStateRefused(t *testing.T) {
	w := world(t, 1, 40)
	for _, status := range []int{400, 404, 410, 500, 501, 503} {
		c := client(t, node(t, w, habit.On(habit.OldStates, habit.Refuse(status))))
		_, err := c.Validators(t.Context(), stateOf(t, c, 20))
		if code := blockprint.CodeOf(err); code != blockprint.NotFound && (status != 400 || code != blockprint.Invalid) {
			t.Errorf("status %d: %v (%s)", status, err, code)
		}
		if _, err := c.Validators(t.Context(), beacon.Head); err != nil {
			t.Errorf("status %d, the head: %v", status, err)
		}
		c = client(t, node(t, w, habit.On(habit.StateRoots, habit.Refuse(status))))
		if v, err := c.Validators(t.Context(), stateOf(t, c, 20)); err != nil || v.Len() != 256 {
			t.Errorf("status %d for roots: %v", status, err)
		}
		if _, err := c.Randao(t.Context(), stateOf(t, c, 20), 2); err != nil {
			t.Errorf("status %d for roots, mix: %v", status, err)
		}
	}
}

// TestStateRefusedRemembered: what a node refused twice it is not asked for in each epoch; other endpoints and the
// head's states are.
func TestStateRefusedRemembered(t *testing.T) {
	w := world(t, 1, 60)
	var asked atomic.Int64
	c := client(t, node(t, w, habit.On(habit.OldStates, habit.Count(&asked)), habit.On(habit.OldStates+".*"+habit.Registry, habit.Refuse(500))))
	for _, slot := range []blockprint.Slot{8, 16} {
		if _, err := c.Validators(t.Context(), stateOf(t, c, slot)); blockprint.CodeOf(err) != blockprint.NotFound {
			t.Fatalf("slot %d: %v", slot, err)
		}
	}
	before := asked.Load()
	if _, err := c.Validators(t.Context(), stateOf(t, c, 24)); blockprint.CodeOf(err) != blockprint.NotFound || asked.Load() != before {
		t.Errorf("%v after %d more requests", err, asked.Load()-before)
	}
	if _, err := c.Randao(t.Context(), stateOf(t, c, 24), 3); err != nil {
		t.Errorf("the mix: %v", err)
	}
}

// TestNodeDown: a node that answers nothing is Unavailable, whatever it is asked for.
func TestNodeDown(t *testing.T) {
	w := world(t, 1, 30)
	var down atomic.Bool
	c := client(t, node(t, w, habit.While(&down, habit.Refuse(503))))
	state := stateOf(t, c, 20)
	down.Store(true)
	if _, err := c.Validators(t.Context(), state); blockprint.CodeOf(err) != blockprint.Unavailable {
		t.Errorf("the registry: %v", err)
	}
	if _, err := c.Block(t.Context(), beacon.AtSlot(20)); blockprint.CodeOf(err) != blockprint.Unavailable {
		t.Errorf("a block: %v", err)
	}
}

// TestOneNodeLacks: what one node does not have is asked of the others; NotFound is what all of those say that answer.
func TestOneNodeLacks(t *testing.T) {
	w := world(t, 1, 40)
	young, old := node(t, w, habit.SinceSlot(30), habit.On(habit.OldStates, habit.Refuse(404))), node(t, w)
	dead := node(t, w, habit.Refuse(502))
	c := client(t, young, old)
	if b, err := c.Block(t.Context(), beacon.AtSlot(5)); err != nil || b.Slot != 5 {
		t.Errorf("block: %v", err)
	}
	if h, err := c.Header(t.Context(), beacon.AtSlot(6)); err != nil || h.Slot != 6 {
		t.Errorf("header: %v", err)
	}
	if _, err := c.Validators(t.Context(), stateOf(t, c, 7)); err != nil {
		t.Errorf("registry: %v", err)
	}
	c = client(t, young, dead)
	for range 3 {
		if _, err := c.Block(t.Context(), beacon.AtSlot(5)); blockprint.CodeOf(err) != blockprint.NotFound {
			t.Errorf("a block that nobody has: %v", err)
		}
	}
}

// TestStandingNode: a node whose head stands still, or whose head its execution client has not verified, is given up
// for one that follows the chain.
func TestStandingNode(t *testing.T) {
	w := present(t, 100)
	for name, bad := range map[string]habit.Habit{
		"still":      habit.On(habit.Headers+"head$", habit.Ask(func(r *http.Request) { r.URL.Path = "/eth/v1/beacon/headers/60" })),
		"optimistic": habit.On("/node/syncing$", habit.Rewrite(`"is_optimistic":false`, `"is_optimistic":true`)),
		"no EL":      habit.On("/node/syncing$", habit.Rewrite(`"el_offline":false`, `"el_offline":true`)),
	} {
		var asked atomic.Int64
		c := client(t, node(t, w, bad), node(t, w, habit.On(habit.Blocks, habit.Count(&asked)), habit.On("/node/syncing$", habit.Rewrite(`"el_offline":false,|"is_optimistic":false,`, ``))))
		for deadline := time.Now().Add(nodetest.Patience); ; time.Sleep(time.Millisecond) {
			before := asked.Load()
			if b, err := c.Block(t.Context(), beacon.AtSlot(50)); err != nil || b.Slot != 50 {
				t.Fatal(name, err)
			}
			if asked.Load() > before {
				break // the second node is asked first
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the first node is still preferred", name)
			}
		}
		if h, err := c.Header(t.Context(), beacon.Head); err != nil || h.Slot != 100 {
			t.Errorf("%s: the head is of slot %d (%v)", name, h.Slot, err)
		}
		c.Close()
	}
}

// TestNoSecrets: what stands in a node's URL besides scheme and host goes to the node and nowhere else.
func TestNoSecrets(t *testing.T) {
	w := world(t, 1, 20)
	var failing atomic.Bool
	h := habit.Play(w.Handler(), habit.While(&failing, habit.Refuse(500)))
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		path, ok := strings.CutPrefix(r.URL.Path, "/v3/APIKEY")
		if !ok || user != "operator" || password != "s3cr3t" || r.URL.Query().Get("key") != "QUERYKEY" {
			http.Error(rw, "not you: "+r.URL.String(), http.StatusForbidden)
			return
		}
		if failing.Load() && strings.Contains(path, "/blocks/") {
			http.Error(rw, "cannot serve "+r.URL.String()+"\n\x1b[31m s3cr3t", http.StatusInternalServerError)
			return
		}
		r.URL.Path = path
		h.ServeHTTP(rw, r)
	}))
	defer s.Close()
	address := "http://operator:s3cr3t@" + strings.TrimPrefix(s.URL, "http://") + "/v3/APIKEY?key=QUERYKEY"
	var log bytes.Buffer
	c, err := beacon.New([]string{address}, beacon.Options{Tries: 2, Pause: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := c.Block(t.Context(), beacon.AtSlot(5)); err != nil || b.Slot != 5 {
		t.Fatalf("the node was not asked as its URL says: %v", err)
	}
	texts := []string{}
	note := func(_ any, err error) {
		if err == nil {
			t.Error("no error")
		}
		texts = append(texts, fmt.Sprint(err))
		if strings.ContainsAny(fmt.Sprint(err), "\n\x1b") {
			t.Errorf("control characters of a node: %q", err)
		}
		if public := c.WithoutNames(err).Error(); strings.Contains(public, "127.0.0.1") || blockprint.CodeOf(c.WithoutNames(err)) != blockprint.CodeOf(err) {
			t.Errorf("an error for strangers: %s", public)
		}
	}
	failing.Store(true)
	note(c.Block(t.Context(), beacon.AtSlot(6)))
	s.Close()
	note(c.Block(t.Context(), beacon.AtSlot(7)))
	_, err = beacon.New([]string{"ftp://operator:s3cr3t@host/APIKEY"}, beacon.Options{})
	note(nil, err)
	for _, text := range append(texts, log.String()) {
		for _, secret := range []string{"s3cr3t", "APIKEY", "QUERYKEY", "operator"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q shows %s", text, secret)
			}
		}
	}
	if !strings.Contains(log.String(), "127.0.0.1") {
		t.Errorf("the log does not name the node: %s", &log)
	}
}

// TestBeforeGenesis: a chain that the node does not know yet may come.
func TestBeforeGenesis(t *testing.T) {
	w := world(t, 1, 20)
	for _, path := range []string{"/genesis$", "/spec$"} {
		for _, status := range []int{404, 500} {
			var waiting atomic.Bool
			waiting.Store(true)
			c := client(t, node(t, w, habit.While(&waiting, habit.On(path, habit.Refuse(status)))))
			if _, err := c.Network(t.Context()); blockprint.CodeOf(err) != blockprint.Unavailable {
				t.Errorf("%s, status %d: %v", path, status, err)
			}
			waiting.Store(false)
			if _, err := c.Network(t.Context()); err != nil {
				t.Errorf("%s, status %d, later: %v", path, status, err)
			}
		}
	}
	c := client(t, node(t, w, habit.On(habit.Headers+"head$", habit.Refuse(404))))
	if _, err := c.Header(t.Context(), beacon.Head); blockprint.CodeOf(err) != blockprint.Unavailable {
		t.Errorf("a node without a head: %v", err)
	}
}

// TestOtherNetworkLater: a node that becomes one of another network is not believed from then on until it is back.
func TestOtherNetworkLater(t *testing.T) {
	var switched atomic.Bool
	var log bytes.Buffer
	url := node(t, world(t, 1, 30), habit.While(&switched, habit.Instead(world(t, 2, 30).Handler())))
	c, err := beacon.New([]string{url}, beacon.Options{Tries: 2, Pause: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Block(t.Context(), beacon.AtSlot(5)); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	switched.Store(true)
	if err := c.Verify(t.Context()); blockprint.CodeOf(err) != blockprint.Conflict {
		t.Errorf("over the same connection: %v", err)
	}
	for range 3 {
		if _, err := c.Block(t.Context(), beacon.AtSlot(6)); blockprint.CodeOf(err) != blockprint.Conflict {
			t.Errorf("a block of another network: %v", err)
		}
	}
	if n := strings.Count(log.String(), "on another network"); n != 2 { // the message, and the error in the same line
		t.Errorf("logged %d times: %s", n, &log)
	}
	switched.Store(false)
	if b, err := c.Block(t.Context(), beacon.AtSlot(6)); err != nil || b.Slot != 6 {
		t.Errorf("back again: %v", err)
	}
	// A new connection may lead elsewhere.
	if err := c.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	switched.Store(true)
	if _, err := c.Block(t.Context(), beacon.AtSlot(7)); blockprint.CodeOf(err) != blockprint.Conflict {
		t.Errorf("over a new connection: %v", err)
	}
}

// TestMetrics: each node has figures, under its name without secrets.
func TestMetrics(t *testing.T) {
	w := present(t, 30)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	registry := prometheus.NewRegistry()
	urls := []string{strings.Replace(dead.URL, "http://", "http://operator:s3cr3t@", 1), node(t, w)}
	c, err := beacon.New(urls, beacon.Options{Tries: 2, Pause: time.Millisecond, Metrics: registry, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Block(t.Context(), beacon.AtSlot(5)); err != nil {
		t.Fatal(err)
	}
	figures := map[string]float64{}
	want := map[string]float64{"up " + dead.URL: 0, "up " + urls[1]: 1, "head_slot " + urls[1]: 30, "preferred " + dead.URL: 0, "preferred " + urls[1]: 1}
	for deadline := time.Now().Add(nodetest.Patience); !maps.Equal(figures, want); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("figures %v, want %v", figures, want)
		}
		_, _ = c.Header(t.Context(), beacon.Head)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				figures[strings.TrimPrefix(f.GetName(), "blockprint_beacon_node_")+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
}
