package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/classify"
	"blockprint/feature"
	"blockprint/gauge"
	"blockprint/graffiti"
	"blockprint/httpapi"
	"blockprint/label"
	"blockprint/label/labeltest"
	"blockprint/names"
	"blockprint/service"
	"blockprint/store"
	_ "blockprint/store/sqlite"
	"blockprint/store/storetest"
	"blockprint/trust"
)

type api struct {
	t      testing.TB
	store  store.Store
	server http.Handler
	labels *httpapi.Labels // the same, if it is one
	header http.Header
	remote string
	names  *names.Names // for servers to come
}

func newAPI(t *testing.T, o service.Options) *api {
	t.Helper()
	return newAPIWith(t, nil, httpapi.LabelsOptions{Options: httpapi.Options{Options: o}})
}

func newAPIWith(t *testing.T, ready func() error, o httpapi.LabelsOptions) *api {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "api.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	a := &api{t: t, store: s, header: http.Header{}, remote: "127.0.0.1:1234"}
	a.serve(s, labeltest.AnyModel(t), ready, o)
	return a
}

// serve lets a database answer the calls, with a model that may be nil.
func (a *api) serve(s store.Store, m *classify.Model, ready func() error, o httpapi.LabelsOptions) {
	a.t.Helper()
	from := httpapi.Sources{Store: s, Names: a.names, Accuracy: gauge.NewReader(s, store.NetworkOf(s), o.Now), Ready: ready}
	from.Trust = trust.NewService(s, trust.DefaultSettings(), store.NetworkOf(s), trust.ServiceOptions{Now: o.Now, Logger: o.Logger}).Report
	var err error
	if m != nil {
		if from.Labeling, err = label.NewLocal(s, m, graffiti.Default(""), nil); err != nil {
			a.t.Fatal(err)
		}
	}
	if a.labels, err = httpapi.NewLabels(from, o); err != nil {
		a.t.Fatal(err)
	}
	a.server = a.labels
}

func (a *api) apply(b store.Batch) {
	a.t.Helper()
	if _, err := a.store.Apply(context.Background(), b); err != nil {
		a.t.Fatal(err)
	}
}

// call makes a request and decodes the answer into into, if it is not nil.
func (a *api) call(method, path, body string, into any) *httptest.ResponseRecorder {
	a.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1/", strings.NewReader(body))
	p, q, _ := strings.Cut(path, "?")
	r.URL.Path, r.URL.RawQuery = p, q
	r.RemoteAddr = a.remote
	for k, v := range a.header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	a.server.ServeHTTP(w, r)
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			a.t.Errorf("%s %s: status %d, %v in %q", method, path, w.Code, err, w.Body)
		}
	}
	return w
}

// fails expects an error with a status and a code, in the common shape of errors.
func (a *api) fails(method, path, body string, status int, code string) map[string]any {
	a.t.Helper()
	var e map[string]any
	w := a.call(method, path, body, &e)
	text, _ := e["error"].(string)
	if w.Code != status || e["code"] != code || text == "" || w.Header().Get("Content-Type") != "application/json" {
		a.t.Errorf("%s %s: status %d, %s; want %d and code %s", method, path, w.Code, w.Body, status, code)
	}
	return e
}

// chain fills slots first to last, every third slot empty.
func chain(first, last blockprint.Slot) store.Batch {
	var b store.Batch
	parent := first - 1
	for slot := first; slot <= last; slot++ {
		if slot%3 == 0 {
			continue
		}
		label := []blockprint.Client{blockprint.Teku, blockprint.Prysm}[slot%2]
		b.Blocks = append(b.Blocks, storetest.Block(slot, parent, 0, 0, label))
		parent = slot
	}
	if first > 1 {
		b.Covered = []blockprint.Interval{{Start: first - 1, End: first - 1}} // pretend that the parent is known
	}
	return b
}

func TestBlocksPerClient(t *testing.T) {
	a := newAPI(t, service.Options{})
	a.apply(chain(1, 100))
	var counts map[string]int64
	w := a.call("GET", "/blocks_per_client/0/3", "", &counts)
	if w.Code != 200 || counts["Teku"] != 32 || counts["Prysm"] != 32 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, c := range blockprint.OriginalKeys() {
		if _, ok := counts[string(c)]; !ok {
			t.Errorf("key %s is missing", c)
		}
	}
	if got := w.Header().Get("Blockprint-As-Of-Slot"); got != "100" {
		t.Errorf("as of slot %s", got)
	}
	if w.Header().Get("Blockprint-Model") == "" || w.Header().Get("Blockprint-Trust") == "" {
		t.Errorf("headers %v", w.Header())
	}
	a.call("GET", "//blocks_per_client/1?unknown=key", "", &counts)
	if counts["Teku"]+counts["Prysm"] != 21 {
		t.Errorf("one epoch, with a doubled slash: %v", counts)
	}
	a.fails("GET", "/blocks_per_client/5/4", "", 400, "invalid")
	a.fails("GET", "/blocks_per_client/x", "", 400, "invalid")
	a.fails("GET", "/blocks_per_client/-1", "", 400, "invalid")
	a.fails("GET", "/blocks_per_client/1/99999999999999999", "", 400, "invalid")
	a.fails("GET", "/nothing/here", "", 404, "not_found")
	if w := a.call("GET", "/blocks_per_client/2/2", "", &counts); w.Code != 200 {
		t.Errorf("an empty range: %d", w.Code)
	}
}

func TestGaps(t *testing.T) {
	genesis := time.Unix(1_600_000_000, 0)
	now := genesis
	a := newAPI(t, service.Options{Now: func() time.Time { return now }})
	if err := a.store.Identify(t.Context(), store.Identity{ConfigName: "x", GenesisTime: genesis.Unix(), SlotSeconds: 12, SlotsPerEpoch: 32}); err != nil {
		t.Fatal(err)
	}
	a.apply(chain(1, 100))
	a.apply(chain(140, 200))
	now = genesis.Add(210 * 12 * time.Second)

	e := a.fails("GET", "/blocks_per_client/0/4", "", 404, "not_covered")
	if got := fmt.Sprint(e["gaps"]); got != "[map[end:127 start:101]]" {
		t.Errorf("gaps %s", got)
	}
	w := a.call("GET", "/blocks_per_client/0/4?partial=true", "", nil)
	if w.Code != 200 || w.Header().Get("Blockprint-Gaps") != "101-127" {
		t.Errorf("partial: %d, gaps %q", w.Code, w.Header().Get("Blockprint-Gaps"))
	}
	for _, path := range []string{"/blocks/90/150", "/blocks/90", "/epochs/3/5", "/confusion/Teku/0/110"} {
		a.fails("GET", path, "", 404, "not_covered")
		if w := a.call("GET", path+"?partial=true", "", nil); w.Code != 200 || w.Header().Get("Blockprint-Gaps") == "" {
			t.Errorf("%s, partial: %d %v", path, w.Code, w.Header())
		}
	}
	// The head: that slots 201 to 210 are not covered yet is no gap, nor is the future.
	if w := a.call("GET", "/blocks_per_client/5/1000", "", nil); w.Code != 200 {
		t.Errorf("up to the head and beyond: %d %s", w.Code, w.Body)
	}
	now = genesis.Add(264 * 12 * time.Second)
	if w := a.call("GET", "/blocks_per_client/5/9", "", nil); w.Code != 200 {
		t.Errorf("64 slots behind: %d %s", w.Code, w.Body)
	}
	now = now.Add(12 * time.Second)
	e = a.fails("GET", "/blocks_per_client/5/1000", "", 404, "not_covered")
	if got := fmt.Sprint(e["gaps"]); got != "[map[end:265 start:201]]" {
		t.Errorf("65 slots behind: gaps %s", got)
	}
	if w := a.call("GET", "/blocks_per_client/5/6", "", nil); w.Code != 200 {
		t.Errorf("behind, but the range is covered: %d %s", w.Code, w.Body)
	}

	var gaps []blockprint.Interval
	a.call("GET", "/sync/gaps", "", &gaps)
	if want := []blockprint.Interval{{Start: 101, End: 138}}; !slices.Equal(gaps, want) {
		t.Errorf("gaps %v, want %v", gaps, want)
	}
	var status map[string]any
	a.call("GET", "//sync/status", "", &status)
	if status["synced"] != false || status["greatest_block_slot"] != 200.0 || status["missing_slots"] != 38.0 {
		t.Errorf("status %v", status)
	}
}

func TestEmptyDatabase(t *testing.T) {
	a := newAPI(t, service.Options{})
	a.fails("GET", "/blocks_per_client/0", "", 404, "not_covered")
	var gaps []any
	if a.call("GET", "/sync/gaps", "", &gaps); len(gaps) != 0 {
		t.Errorf("gaps %v", gaps)
	}
	for _, path := range []string{"/validator/blocks/latest", "/blocks/5", "/validator/3/blocks"} {
		var list []any
		if w := a.call("GET", path, "", &list); w.Code != 200 || list == nil || len(list) != 0 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestValidators(t *testing.T) {
	a := newAPI(t, service.Options{})
	a.apply(chain(1, 100))
	var blocks []map[string]any
	a.call("GET", "/validator/3/blocks", "", &blocks)
	if len(blocks) == 0 || blocks[0]["slot"].(float64) >= blocks[len(blocks)-1]["slot"].(float64) {
		t.Errorf("blocks of a validator: %v", blocks)
	}
	for _, key := range []string{"slot", "best_guess_single", "best_guess_multi", "probability_map"} {
		if _, ok := blocks[0][key]; !ok {
			t.Errorf("%s is missing in %v", key, blocks[0])
		}
	}
	for _, c := range []string{"Grandine", "Lighthouse", "Lodestar", "Nimbus", "Prysm", "Teku"} {
		if _, ok := blocks[0]["probability_map"].(map[string]any)[c]; !ok {
			t.Errorf("%s is missing in the probabilities", c)
		}
	}
	var since []map[string]any
	a.call("GET", "/validator/3/blocks/50", "", &since)
	if len(since) == 0 || len(since) >= len(blocks) {
		t.Errorf("%d blocks since slot 50 of %d", len(since), len(blocks))
	}
	var many map[string][]map[string]any
	a.call("POST", "/validator/blocks", "[3, 4, 1000000, 18446744073709551615]", &many)
	if len(many) != 4 || len(many["3"]) != len(blocks) || many["1000000"] == nil || len(many["1000000"]) != 0 {
		t.Errorf("many validators: %v", many)
	}
	a.call("POST", "/validator/blocks/50", "[3]", &many)
	if len(many["3"]) != len(since) {
		t.Errorf("many validators since slot 50: %v", many)
	}
	for _, bad := range []string{"", "{}", `["a"]`, "[1.5]", "[-1]", "null", "[1"} {
		a.fails("POST", "/validator/blocks", bad, 400, "invalid")
	}
	var latest []map[string]any
	a.call("GET", "/validator/blocks/latest", "", &latest)
	if len(latest) != 7 || latest[6]["slot"] == nil || latest[6]["best_guess_single"] == nil || latest[6]["proposer_index"] != 6.0 {
		t.Errorf("latest %v", latest)
	}
}

func TestBlocks(t *testing.T) {
	a := newAPI(t, service.Options{})
	a.apply(chain(1, 100))
	orphan := storetest.Block(5, 4, 1, 0, blockprint.Nimbus)
	a.apply(store.Batch{Blocks: []store.Block{orphan}, Chains: []store.Chain{{Slots: blockprint.Interval{Start: 5, End: 5}, Blocks: []store.BlockID{{Slot: 5, Root: storetest.Block(5, 4, 0, 0, "x").Root}}}}})
	for path, want := range map[string]int{"/blocks/1/7": 4, "/blocks/1/7?orphaned=true": 5, "/blocks/7/7": 0, "/blocks/1": 67, "/blocks/98/100": 1} {
		var list []map[string]any
		if a.call("GET", path, "", &list); len(list) != want {
			t.Errorf("%s: %d blocks, want %d", path, len(list), want)
		}
	}
	a.fails("GET", "/blocks/7/6", "", 400, "invalid")
	a.fails("GET", "/blocks/x", "", 400, "invalid")
	var epochs []struct {
		Epoch  int            `json:"epoch"`
		Blocks map[string]int `json:"blocks"`
	}
	a.call("GET", "/epochs/0/3", "", &epochs)
	if len(epochs) != 3 || epochs[1].Epoch != 1 || epochs[1].Blocks["Teku"]+epochs[1].Blocks["Prysm"] != 21 {
		t.Errorf("epochs %v", epochs)
	}
	a.fails("GET", "/epochs/0/100000", "", 400, "invalid")
	var clients []map[string]any
	a.call("GET", "/clients", "", &clients)
	if len(clients) != len(blockprint.Clients())+1 { // and Uncertain
		t.Errorf("clients %v", clients)
	}
}

// padRoot makes a root that begins with the given digits.
func padRoot(digits string) string { return "0x" + digits + strings.Repeat("0", 64-len(digits)) }

func rewardJSON(slot, parent uint64, root string) string {
	return fmt.Sprintf(`{"total":5,"block_root":"%s","meta":{"slot":"%d","parent_slot":"%d","proposer_index":7,"graffiti":"teku/v24.1.0"},"attestation_rewards":{"total":5,"per_attestation_rewards":[{"5":3},{"6":2},{}]},"sync_committee_rewards":0}`, padRoot(root), slot, parent)
}

func TestClassify(t *testing.T) {
	a := newAPI(t, service.Options{MaxBody: 20000})
	var one map[string]any
	if w := a.call("POST", "/classify", rewardJSON(3, 2, "a"), &one); w.Code != 200 || one["best_guess_single"] == nil || one["graffiti_guess"] != "Teku" {
		t.Errorf("one block: %d %s", w.Code, w.Body)
	}
	var list []map[string]any
	body := "[" + rewardJSON(1, 0, "1") + "," + rewardJSON(2, 1, "2") + "," + rewardJSON(3, 2, "a") + "]" // the last one is known
	if a.call("POST", "/classify", body, &list); len(list) != 3 {
		t.Errorf("a list: %v", list)
	}
	var counts map[string]int
	a.call("GET", "/blocks_per_client/0?partial=true", "", &counts)
	if counts["Lighthouse"]+counts["Prysm"] != 3 {
		t.Errorf("counts %v", counts)
	}
	a.call("POST", "/classify/no_store", "["+rewardJSON(9, 8, "9")+"]", &list)
	var status map[string]any
	if a.call("GET", "/sync/status", "", &status); status["greatest_block_slot"] != 3.0 || status["synced"] != true {
		t.Errorf("no_store stored, or there are gaps: %v", status)
	}
	var explained struct {
		Features   map[string]*float64 `json:"features"`
		Neighbours []struct {
			Client   string  `json:"client"`
			Distance float64 `json:"distance"`
		} `json:"neighbours"`
		Graffiti map[string]any `json:"graffiti"`
	}
	a.call("GET", "/blocks/3/"+padRoot("a")+"/explain", "", &explained)
	if len(explained.Features) != len(feature.Names()) || len(explained.Neighbours) != 3 || explained.Graffiti["version"] != "v24.1.0" {
		t.Errorf("explained: %+v", explained)
	}
	a.fails("GET", "/blocks/3/"+padRoot("b")+"/explain", "", 404, "not_found")
	a.fails("GET", "/blocks/3/abc/explain", "", 400, "invalid")
	for _, bad := range []string{"", "{", `{"a":1}`, "[" + rewardJSON(1, 0, "1"), rewardJSON(3, 3, "c")} {
		a.fails("POST", "/classify", bad, 400, "invalid")
	}
	a.fails("POST", "/classify", "["+rewardJSON(5, 4, "5")+","+strings.Replace(rewardJSON(3, 2, "a"), `"proposer_index":7`, `"proposer_index":8`, 1)+"]", 409, "conflict")
	if a.call("GET", "/sync/status", "", &status); status["greatest_block_slot"] != 3.0 {
		t.Errorf("a refused batch was half stored: %v", status)
	}
	a.fails("POST", "/classify", strings.Repeat(" ", 30000), 413, "too_large")
	a.fails("GET", "/classify", "", 405, "method_not_allowed")
}

func TestAccess(t *testing.T) {
	a := newAPI(t, service.Options{})
	a.apply(chain(1, 40))
	privateRoutes := [][2]string{{"GET", "/validator/3/blocks"}, {"POST", "/validator/blocks"}, {"GET", "/blocks/1"}, {"GET", "/confusion/Teku/1/2"}, {"POST", "/classify"}, {"POST", "/classify/no_store"}, {"GET", "/sync/store/status"}}
	a.remote = "203.0.113.5:99"
	for _, r := range append(privateRoutes, [2]string{"GET", "//validator/3/blocks"}) {
		a.fails(r[0], r[1], "", 403, "forbidden")
	}
	a.call("GET", "/sync/status", "", &map[string]any{})
	a.remote = "127.0.0.1:99"
	a.header.Set("X-Forwarded-For", "203.0.113.5")
	a.fails("GET", "/blocks/1", "", 403, "forbidden")

	a = newAPI(t, service.Options{Auth: service.Auth{Users: map[string]string{"alice": "secret"}, Tokens: []string{"token"}}})
	a.apply(chain(1, 40))
	for _, r := range privateRoutes {
		a.fails(r[0], r[1], "", 401, "unauthorized")
	}
	for value, want := range map[string]int{"Bearer token": 200, "Bearer wrong": 401, "Basic YWxpY2U6c2VjcmV0": 200, "Basic YWxpY2U6d3Jvbmc=": 401, "Basic !": 401, "bearer token": 200, "BEARER  token": 200, "bearer": 401} {
		a.header.Set("Authorization", value)
		w := a.call("GET", "/blocks/1", "", nil)
		if w.Code != want || want == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: status %d, want %d", value, w.Code, want)
		}
	}
}

func TestRateLimit(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	a := newAPI(t, service.Options{Rate: 2, Now: func() time.Time { return now }})
	codes := map[int]int{}
	for range 10 {
		codes[a.call("GET", "/sync/status", "", nil).Code]++
	}
	if codes[200] != 4 || codes[429] != 6 {
		t.Errorf("statuses %v", codes)
	}
	a.remote = "127.0.0.2:5"
	if w := a.call("GET", "/sync/status", "", nil); w.Code != 200 {
		t.Errorf("another address: %d", w.Code)
	}
	a.remote = "127.0.0.1:1234"
	now = now.Add(time.Second)
	if w := a.call("GET", "/sync/status", "", nil); w.Code != 200 {
		t.Errorf("a second later: %d", w.Code)
	}
}

func TestService(t *testing.T) {
	a := newAPIWith(t, nil, httpapi.LabelsOptions{Options: httpapi.Options{Version: "v9"}})
	if w := a.call("OPTIONS", "/blocks_per_client/5", "", nil); w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("CORS pre-flight: %d %v", w.Code, w.Header())
	}
	var doc struct {
		Info  map[string]any            `json:"info"`
		Paths map[string]map[string]any `json:"paths"`
	}
	a.call("GET", "/openapi.json", "", &doc)
	for _, p := range []string{"/blocks_per_client/{start_epoch}/{end_epoch}", "/sync/status", "/sync/gaps", "/classify", "/classify/no_store", "/validator/{index}/blocks", "/validator/blocks/latest", "/blocks/{start_slot}", "/confusion/{client}/{start_slot}/{end_slot}", "/clients", "/epochs/{start_epoch}/{end_epoch}", "/blocks/{slot}/{root}/explain"} {
		if doc.Paths[p] == nil {
			t.Errorf("OpenAPI lacks %s", p)
		}
	}
	if doc.Info["version"] != "v9" {
		t.Errorf("info %v", doc.Info)
	}
	for path, want := range map[string]string{"/docs": "/blocks_per_client/", "/healthz": "ok", "/readyz": "ready", "/metrics": "blockprint_http_requests_total"} {
		if w := a.call("GET", path, "", nil); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
