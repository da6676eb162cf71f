package beacon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/sim"
)

// world is a small simulated network that has run for some slots.
func world(t testing.TB, seed uint64, slots int) *sim.World {
	t.Helper()
	c := sim.DefaultConfig(seed)
	c.Validators, c.Committees, c.SlotsPerEpoch = 256, 2, 8
	c.SkipRate, c.SideChainRate, c.LateRate = 0, 0, 0
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for range slots {
		w.Step()
	}
	return w
}

// fault answers like the world's node, but for what change does.
func fault(t testing.TB, w *sim.World, change func(rw http.ResponseWriter, r *http.Request) bool) *httptest.Server {
	t.Helper()
	h := w.Handler()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if change == nil || !change(rw, r) {
			h.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func client(t testing.TB, urls ...string) *beacon.Client {
	t.Helper()
	c, err := beacon.New(urls, beacon.Options{Tries: 3, Pause: time.Millisecond, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// patient returns a client whose answers end by their size, also where it takes long to read so much.
func patient(t testing.TB, url string) *beacon.Client {
	t.Helper()
	c, err := beacon.New([]string{url}, beacon.Options{Tries: 1, Timeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRetriesWhatMayPass(t *testing.T) {
	for _, status := range []int{429, 500, 503} {
		var calls atomic.Int32
		s := fault(t, world(t, 1, 10), func(rw http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/blocks/") && calls.Add(1) < 3 {
				rw.WriteHeader(status)
				return true
			}
			return false
		})
		b, err := client(t, s.URL).Block(t.Context(), beacon.AtSlot(5))
		if err != nil || b.Slot != 5 || calls.Load() != 3 {
			t.Errorf("status %d twice: %v, %v after %d calls", status, b, err, calls.Load())
		}
	}
}

func TestFailover(t *testing.T) {
	w := world(t, 1, 10)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	broken := fault(t, w, func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(http.StatusBadGateway); return true })
	good := fault(t, w, nil)
	c := client(t, dead.URL, broken.URL, good.URL)
	for slot := blockprint.Slot(1); slot < 10; slot++ {
		if b, err := c.Block(t.Context(), beacon.AtSlot(slot)); err != nil || b.Slot != slot {
			t.Fatalf("slot %d: %v, %v", slot, b, err)
		}
	}
}

// TestOtherNetworkAmongNodes: a node of another network is never believed, wherever it stands in the list.
func TestOtherNetworkAmongNodes(t *testing.T) {
	mine, other := fault(t, world(t, 1, 10), nil), fault(t, world(t, 2, 10), nil)
	c := client(t, mine.URL, other.URL)
	if _, err := c.Network(t.Context()); err != nil {
		t.Fatal(err)
	}
	mine.Close()
	_, err := c.Block(t.Context(), beacon.AtSlot(5))
	if err == nil || !strings.Contains(err.Error(), "another network") && blockprint.CodeOf(err) != blockprint.Unavailable {
		t.Errorf("the other network's block was taken: %v", err)
	}
}

// TestLyingNode: every wrong answer is an error that names the node and the path, with a code that says whether it
// is worth another try.
func TestLyingNode(t *testing.T) {
	w := world(t, 1, 12)
	good := fault(t, w, nil)
	honest := client(t, good.URL)
	other, err := honest.Header(t.Context(), beacon.AtSlot(7))
	if err != nil {
		t.Fatal(err)
	}
	write := func(body string) func(http.ResponseWriter, *http.Request) {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(rw, body)
		}
	}
	ssz := func(version string, body []byte) func(http.ResponseWriter, *http.Request) {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/octet-stream")
			rw.Header().Set("Eth-Consensus-Version", version)
			_, _ = rw.Write(body)
		}
	}
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		code   blockprint.Code
		want   string
	}{
		{"not JSON", write("<html>hello</html>"), blockprint.Invalid, "not the JSON"},
		{"empty", write(""), blockprint.Unavailable, "/eth/v2/beacon/blocks/5"},
		{"truncated JSON", write(`{"version":"deneb","data":{"message":{"slot":"5",`), blockprint.Unavailable, "JSON"},
		{"no data", write(`{"version":"deneb"}`), blockprint.Invalid, `"data" is missing`},
		{"field missing", write(`{"version":"deneb","data":{"message":{"slot":"5"},"signature":"0x"}}`), blockprint.Invalid, "message"},
		{"unknown fork", write(`{"version":"verkle","data":{}}`), blockprint.Invalid, `unknown fork "verkle"`},
		{"unknown fork, SSZ", ssz("verkle", nil), blockprint.Invalid, `unknown fork "verkle"`},
		{"short SSZ", ssz("deneb", make([]byte, 50)), blockprint.Invalid, "signed deneb block"},
		{"zero SSZ", ssz("deneb", make([]byte, 5000)), blockprint.Invalid, "signed deneb block"},
		{"another slot's block", func(rw http.ResponseWriter, r *http.Request) {
			r.URL.Path = "/eth/v2/beacon/blocks/" + other.Root.String()
			w.Handler().ServeHTTP(rw, r)
		}, blockprint.Invalid, "at slot 7"},
		{"refused", func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(rw, `{"code":400,"message":"no such thing"}`)
		}, blockprint.Invalid, "no such thing"},
		{"forbidden", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) }, blockprint.Unauthorized, "403"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fault(t, w, func(rw http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "/blocks/") {
					c.answer(rw, r)
					return true
				}
				return false
			})
			_, err := client(t, s.URL).Block(t.Context(), beacon.AtSlot(5))
			if err == nil || blockprint.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), s.URL) {
				t.Errorf("got %q (%s), want code %s and %q", err, blockprint.CodeOf(err), c.code, c.want)
			}
			if strings.Contains(fmt.Sprint(err), "\n") {
				t.Errorf("the error has more than a line: %q", err)
			}
		})
	}
}

// TestBlockOfAnotherRoot: a block asked for by root must have it.
func TestBlockOfAnotherRoot(t *testing.T) {
	w := world(t, 1, 12)
	s := fault(t, w, func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blocks/0x") {
			r.URL.Path = "/eth/v2/beacon/blocks/3"
		}
		return false
	})
	c := client(t, s.URL)
	h, err := c.Header(t.Context(), beacon.AtSlot(7))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Block(t.Context(), beacon.AtRoot(h.Root)); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("another block was taken for %s: %v", h.Root.Short(), err)
	}
}

func TestHugeAnswer(t *testing.T) {
	w := world(t, 1, 3)
	s := fault(t, w, func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/genesis") {
			return false
		}
		_, _ = fmt.Fprint(rw, `{"data":"`)
		chunk := strings.Repeat("x", 1<<20)
		for range 64 {
			if _, err := fmt.Fprint(rw, chunk); err != nil {
				return true
			}
		}
		return true
	})
	c := patient(t, s.URL)
	if _, err := c.Network(t.Context()); blockprint.CodeOf(err) != blockprint.TooLarge {
		t.Errorf("64 MB of genesis gave %v", err)
	}
}

func TestSpec(t *testing.T) {
	w := world(t, 1, 1)
	change := func(key string, value any) *httptest.Server {
		return fault(t, w, func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/spec") {
				return false
			}
			rec := httptest.NewRecorder()
			w.Handler().ServeHTTP(rec, r)
			var m struct {
				Data map[string]any `json:"data"`
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &m); err != nil {
				t.Error(err)
			}
			m.Data[key] = value
			_ = json.NewEncoder(rw).Encode(m)
			return true
		})
	}
	for _, bad := range []struct {
		key   string
		value any
	}{
		{"SLOTS_PER_EPOCH", "0"}, {"SLOTS_PER_EPOCH", nil}, {"MAX_COMMITTEES_PER_SLOT", "99999999999"}, {"SYNC_COMMITTEE_SIZE", "many"},
	} {
		_, err := client(t, change(bad.key, bad.value).URL).Network(t.Context())
		if blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), bad.key) || !strings.Contains(err.Error(), "--beacon") {
			t.Errorf("%s = %v gave %v", bad.key, bad.value, err)
		}
	}
	for _, odd := range []struct {
		key   string
		value any
	}{
		{"SECONDS_PER_SLOT", "twelve"},
		{"SECONDS_PER_SLOT", nil},
		{"ELECTRA_FORK_EPOCH", "soon"},
		{"FULU_FORK_EPOCH", nil},
		{"HEZE_FORK_EPOCH", nil},
		{"MAX_DEPOSIT_REQUESTS_PER_PAYLOAD", "-1"},
		{"MAX_BLOB_COMMITMENTS_PER_BLOCK", 1e30},
		{"BLOB_SCHEDULE", []any{}},
	} {
		n, err := client(t, change(odd.key, odd.value).URL).Network(t.Context())
		if err != nil || n.SlotDuration != 12*time.Second || n.SlotsPerEpoch != 8 || len(n.UnknownForks) > 0 || n.ForkEpochs[blockprint.Electra] != blockprint.FarFuture {
			t.Errorf("%s = %v: %+v, %v", odd.key, odd.value, n, err)
		}
	}
	if n, err := client(t, change("PRESET_BASE", "minimal").URL).Network(t.Context()); err != nil || n.SlotsPerEpoch != 8 || n.MaxWithdrawalsPerPayload != 4 {
		t.Errorf("the minimal preset: %+v, %v", n, err)
	}
	n, err := client(t, change("GLOAS_FORK_EPOCH", "7").URL).Network(t.Context())
	if err != nil || n.UnknownForkAt(6) != "" || n.UnknownForkAt(7) != "gloas" {
		t.Errorf("an unknown scheduled fork: %v", err)
	}
	n, err = client(t, change("SLOT_DURATION_MS", "6000").URL).Network(t.Context())
	if err != nil || n.SlotDuration != 6*time.Second {
		t.Errorf("SLOT_DURATION_MS: %v", err)
	}
}

func TestEvents(t *testing.T) {
	w := world(t, 1, 1)
	var streams atomic.Int32
	s := fault(t, w, func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/events") && r.URL.Query().Get("topics") == "head" && streams.Add(1) == 1 {
			rw.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprint(rw, ": comment\n\nevent: head\ndata: {\"slot\":\"nonsense\"}\n\nevent: head\ndata: not JSON\n\n")
			return true // the first stream breaks off
		}
		return false
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := make(chan beacon.Event, 100)
	done := make(chan struct{})
	go func() {
		client(t, s.URL).Subscribe(ctx, beacon.Topics, time.Minute, func(e beacon.Event) { events <- e })
		close(done)
	}()
	connected := 0
	for connected < 5 { // head twice, block, chain_reorg, finalized_checkpoint; head_v2 is refused
		if e := <-events; e.Topic == beacon.Connected {
			connected++
		}
	}
	w.Step()
	seen := map[string]bool{}
	for !seen["head"] || !seen["block"] {
		select {
		case e := <-events:
			if e.Topic == "head" || e.Topic == "block" {
				seen[e.Topic] = true
			}
		case <-time.After(time.Minute):
			t.Fatalf("no events of the new head; seen %v", seen)
		}
	}
	cancel()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("Subscribe does not end with its context")
	}
}

// TestSilentStream: a stream that says nothing is given up and made anew.
func TestSilentStream(t *testing.T) {
	var streams atomic.Int32
	s := fault(t, world(t, 1, 1), func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/events") {
			streams.Add(1)
		}
		return false
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	client(t, s.URL).Subscribe(ctx, []string{"head"}, 20*time.Millisecond, func(beacon.Event) {
		if streams.Load() > 2 {
			cancel()
		}
	})
	if streams.Load() <= 2 {
		t.Errorf("%d streams were made", streams.Load())
	}
}

func TestBadURL(t *testing.T) {
	for _, u := range []string{"", "localhost:5052", "ftp://x", "http://"} {
		if _, err := beacon.New([]string{u}, beacon.Options{}); err == nil {
			t.Errorf("%q was taken for a URL", u)
		}
	}
}

// FuzzDecodeSigned: no bytes make the decoders panic.
func FuzzDecodeSigned(f *testing.F) {
	spec := blockprint.MainnetSpec()
	spec.SyncCommitteeSize = 32
	schemas := beacon.NewSchemas(&spec)
	for fork := blockprint.Phase0; fork < blockprint.NumForks; fork++ {
		t := schemas.Signed(fork)
		f.Add(uint8(fork), t.Zero())
		f.Add(uint8(fork), t.AppendJSON(nil, t.Zero()))
	}
	f.Fuzz(func(_ *testing.T, fork uint8, raw []byte) {
		at := blockprint.Fork(fork % uint8(blockprint.NumForks))
		_, _ = schemas.Decode(beacon.Signed, at, raw)
		_, _ = schemas.DecodeJSON(beacon.Signed, at, raw)
	})
}
