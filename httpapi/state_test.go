package httpapi_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/httpapi"
	"blockprint/service"
	"blockprint/store"
)

// TestBehind: a database is in step only while its newest slot is near the clock's, and an empty one never is.
func TestBehind(t *testing.T) {
	genesis := time.Unix(1_600_000_000, 0)
	now := genesis.Add(210 * 12 * time.Second)
	a := newAPI(t, service.Options{Now: func() time.Time { return now }})
	type status struct {
		Synced bool
		Behind int `json:"slots_behind"`
	}
	get := func() (s status) {
		t.Helper()
		a.call("GET", "/sync/status", "", &s)
		return s
	}
	if s := get(); s.Synced {
		t.Error("an empty database is in step")
	}
	if err := a.store.Identify(t.Context(), store.Identity{ConfigName: "x", GenesisTime: genesis.Unix(), SlotSeconds: 12, SlotsPerEpoch: 32}); err != nil {
		t.Fatal(err)
	}
	a.apply(chain(1, 200))
	if err := a.store.SetFloor(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if s := get(); s != (status{true, 10}) {
		t.Errorf("10 slots behind: %+v", s)
	}
	now = now.Add(54 * 12 * time.Second)
	if s := get(); s != (status{true, 64}) {
		t.Errorf("64 slots behind: %+v", s)
	}
	now = now.Add(12 * time.Second)
	if s := get(); s != (status{false, 65}) {
		t.Errorf("65 slots behind: %+v", s)
	}
	if w := a.call("GET", "/metrics", "", nil); !strings.Contains(w.Body.String(), "blockprint_slots_behind 65") {
		t.Errorf("metrics: %s", w.Body)
	}
	if w := a.call("GET", "/readyz", "", nil); w.Code != 200 {
		t.Errorf("a server of old data is not ready: %d %s", w.Code, w.Body)
	}
}

// TestNothingThere: the answer for a range without any covered slot is not a row of zeros but says what is covered.
func TestNothingThere(t *testing.T) {
	genesis := time.Unix(1_600_000_000, 0)
	a := newAPI(t, service.Options{Now: func() time.Time { return genesis.Add(210 * 12 * time.Second) }})
	e := a.fails("GET", "/blocks_per_client/400000/400225", "", 404, "not_covered")
	if text := fmt.Sprint(e["error"]); !strings.Contains(text, "no blocks yet") {
		t.Error(text)
	}
	if err := a.store.Identify(t.Context(), store.Identity{ConfigName: "x", GenesisTime: genesis.Unix(), SlotSeconds: 12, SlotsPerEpoch: 32}); err != nil {
		t.Fatal(err)
	}
	a.apply(chain(97, 200))
	if err := a.store.SetFloor(t.Context(), 97); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/blocks_per_client/7", "/blocks_per_client/400000/400225", "/epochs/100/101", "/shares/100/101", "/graffiti/100/101", "/blocks_per_client/0/1", "/blocks/4000/5000", "/confusion/Teku/4000/5000"} {
		e := a.fails("GET", path, "", 404, "not_covered")
		if text := fmt.Sprint(e["error"]); e["gaps"] == nil || !strings.Contains(text, "slots 97 to 200 (epochs 3 to 6)") {
			t.Errorf("%s: %v", path, e)
		}
		if w := a.call("GET", path+"?partial=true", "", nil); w.Code != 200 || w.Header().Get("Blockprint-Gaps") == "" {
			t.Errorf("%s, partial: %d %v", path, w.Code, w.Header())
		}
	}
	if w := a.call("GET", "/blocks/300", "", nil); w.Code != 200 || strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("what is newer than the head: %d %s", w.Code, w.Body)
	}
}

// TestReady: a process that follows the chain is not ready while it cannot do so, and says why.
func TestReady(t *testing.T) {
	var reason error
	a := newAPIWith(t, func() error { return reason }, httpapi.LabelsOptions{})
	if w := a.call("GET", "/readyz", "", nil); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	reason = blockprint.Errorf(blockprint.Unavailable, "nothing can be stored: the disk is full")
	if e := a.fails("GET", "/readyz", "", 503, "unavailable"); !strings.Contains(fmt.Sprint(e["error"]), "the disk is full") {
		t.Errorf("%v", e)
	}
	if w := a.call("GET", "/healthz", "", nil); w.Code != 200 {
		t.Errorf("it lives: %d", w.Code)
	}
}

// TestTheFuture: blocks of the future are rejected, whether they are to be stored or not.
func TestTheFuture(t *testing.T) {
	genesis := time.Unix(1_600_000_000, 0)
	a := newAPI(t, service.Options{Now: func() time.Time { return genesis.Add(210 * 12 * time.Second) }})
	if err := a.store.Identify(t.Context(), store.Identity{ConfigName: "x", GenesisTime: genesis.Unix(), SlotSeconds: 12, SlotsPerEpoch: 32}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/classify", "/classify/no_store"} {
		if w := a.call("POST", path, rewardJSON(211, 210, "a"), nil); w.Code != 200 {
			t.Errorf("%s of a clock that is a slot ahead: %d %s", path, w.Code, w.Body)
		}
		a.fails("POST", path, "["+rewardJSON(5, 4, "5")+","+rewardJSON(212, 4, "b")+"]", 400, "invalid")
		a.fails("POST", path, rewardJSON(99999999999, 1, "c"), 400, "invalid")
	}
	a.fails("POST", "/sync/store/record", `{"rewards":[`+rewardJSON(99999999999, 1, "d")+`]}`, 400, "invalid")
	a.fails("POST", "/sync/store/record", `{"rewards":[],"covered":[{"start":0,"end":99999999999}]}`, 400, "invalid")
	a.fails("POST", "/sync/store/record", `{"rewards":[],"finalized":99999999999}`, 400, "invalid")
	a.fails("POST", "/sync/store/floor", "99999999999", 400, "invalid")
	a.fails("POST", "/sync/store/identify", `{"ConfigName":"x","GenesisTime":1600000000,"GenesisValidatorsRoot":"`+padRoot("0")+`","SlotSeconds":12,"SlotsPerEpoch":0}`, 400, "invalid")
}

// TestHome: the root says what this service is.
func TestHome(t *testing.T) {
	for name, h := range servers(t, service.Options{}) {
		w := ask(h, http.MethodGet, "/", func(*http.Request) {})
		if w.Code != 200 || !strings.Contains(w.Body.String(), "blockprint v9: ") || !strings.Contains(w.Body.String(), "/docs") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		want := map[string]string{"api": "/clients", "gauge": "/accuracy", "greylist": "/greylist"}[name]
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

// TestOptions: negative limits are rejected.
func TestOptions(t *testing.T) {
	for _, o := range []service.Options{{Rate: -1}, {Rate: math.NaN()}, {Rate: math.Inf(1)}, {MaxBody: -1}} {
		if _, err := httpapi.NewGreylist(httpapi.GreylistSource{}, httpapi.Options{Options: o}); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestLabelMetrics: the metrics have what a graph of labels over time needs.
func TestLabelMetrics(t *testing.T) {
	a := newAPI(t, service.Options{})
	a.apply(chain(1, 9000)) // more than a day
	text := a.call("GET", "/metrics", "", nil).Body.String()
	for _, want := range []string{`blockprint_labelled_blocks{client="Prysm"} 3000`, `blockprint_label_share{client="Teku"} 0.5`, "blockprint_missing_slots 0", "blockprint_slots_behind 0"} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
}

// TestDays: the longest range is a number of days of the database's own network.
func TestDays(t *testing.T) {
	for _, c := range []struct {
		seconds       float64
		slotsPerEpoch uint64
		most          int // epochs of four weeks
	}{{0, 0, 6300}, {12, 32, 6300}, {5, 16, 30240}} {
		a := newAPI(t, service.Options{})
		if c.seconds > 0 {
			if err := a.store.Identify(t.Context(), store.Identity{ConfigName: "x", SlotSeconds: c.seconds, SlotsPerEpoch: c.slotsPerEpoch}); err != nil {
				t.Fatal(err)
			}
		}
		if w := a.call("GET", fmt.Sprintf("/epochs/0/%d?partial=true", c.most), "", nil); w.Code != 200 {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
		if e := a.fails("GET", fmt.Sprintf("/epochs/0/%d?partial=true", c.most+1), "", 400, "invalid"); !strings.Contains(fmt.Sprint(e["error"]), fmt.Sprint("at most ", c.most)) {
			t.Errorf("%+v: %v", c, e)
		}
	}
}
