package beacon_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/sim"
	"blockprint/sim/habit"
)

// header changes headers of good answers.
func header(change func(http.Header)) habit.Habit {
	return habit.Answer(func(a *httptest.ResponseRecorder, _ *http.Request) { change(a.Header()) })
}

// accepts refuses requests whose Accept is not one of those given.
func accepts(status int, accept ...string) habit.Habit {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, a := range accept {
				if r.Header.Get("Accept") == a {
					h.ServeHTTP(w, r)
					return
				}
			}
			habit.Refuse(status)(h).ServeHTTP(w, r)
		})
	}
}

// TestEncodings: where one encoding fails, or is not what it says, the other one is read; what worked is asked for first.
func TestEncodings(t *testing.T) {
	w := world(t, 1, 30)
	const json, ssz = "application/json", "application/octet-stream"
	broken := func(kind string) habit.Habit {
		return habit.Answer(func(a *httptest.ResponseRecorder, _ *http.Request) {
			if strings.Contains(a.Header().Get("Content-Type"), kind) && a.Code == 200 {
				a.Body.Truncate(a.Body.Len() - 7)
			}
		})
	}
	for name, h := range map[string]habit.Habit{
		"JSON alone, else 400": accepts(400, json), "JSON alone, else 406": accepts(406, json), "JSON alone, else 415": accepts(415, json), "JSON alone, else 500": accepts(500, json),
		"SSZ alone, else 400": accepts(400, ssz), "SSZ alone, else 406": accepts(406, ssz), "SSZ alone, else 500": accepts(500, ssz),
		"SSZ that cannot be read": broken("octet-stream"), "JSON that cannot be read": broken("json"),
		"no type": header(func(h http.Header) { h["Content-Type"] = nil }),
		"no type, JSON": func(n http.Handler) http.Handler {
			return habit.Play(n, accepts(406, json), header(func(h http.Header) { h["Content-Type"] = nil }))
		},
		"application/ssz":     header(func(h http.Header) { h.Set("Content-Type", "application/ssz") }),
		"text/plain":          header(func(h http.Header) { h.Set("Content-Type", "text/plain") }),
		"JSON that is SSZ":    header(func(h http.Header) { h.Set("Content-Type", json) }),
		"no version":          header(func(h http.Header) { h.Del("Eth-Consensus-Version") }),
		"version in capitals": header(func(h http.Header) { h.Set("Eth-Consensus-Version", strings.ToUpper(h.Get("Eth-Consensus-Version"))) }),
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			c := client(t, node(t, w, habit.On(habit.Blocks, habit.Count(&asked)), habit.On(habit.Blocks, h)))
			for slot := blockprint.Slot(5); slot < 8; slot++ {
				if b, err := c.Block(t.Context(), beacon.AtSlot(slot)); err != nil || b.Slot != slot {
					t.Fatal(err)
				}
			}
			if n := asked.Load(); n > 5 {
				t.Errorf("%d requests for three blocks", n)
			}
			if _, err := c.Block(t.Context(), beacon.AtSlot(500)); err == nil || asked.Load() > 8 {
				t.Errorf("%d requests for three blocks and one that is not there", asked.Load())
			}
		})
	}
}

// TestProduceEncodings: the same for blocks that a node builds.
func TestProduceEncodings(t *testing.T) {
	for name, h := range map[string]habit.Habit{
		"JSON alone": accepts(406, "application/json"), "SSZ alone": accepts(400, "application/octet-stream"),
		"no type": header(func(h http.Header) { h["Content-Type"] = nil }), "no version": header(func(h http.Header) { h.Del("Eth-Consensus-Version") }),
	} {
		w, c := producingNode(t, 0, func(n http.Handler) http.Handler { return habit.Play(n, habit.On("/validator/blocks/", h)) })
		if p, err := c.Produce(t.Context(), w.Now()+1, beacon.ProduceOptions{V3: true, SSZ: true}); err != nil || p.Slot != w.Now()+1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReadsWhatClientsWrite: numbers without quotes, nulls for lists, forks in capitals, Caplin's names.
func TestReadsWhatClientsWrite(t *testing.T) {
	w := world(t, 1, 30)
	honest := client(t, node(t, w))
	want, err := honest.Block(t.Context(), beacon.AtSlot(9))
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]habit.Habit{
		"numbers":  habit.Rewrite(`":\s*"(\d+)"`, `":$1`),
		"nulls":    habit.Rewrite(`\[\]`, `null`),
		"capitals": habit.Rewrite(`"version":"deneb"`, `"version":"DENEB"`),
		"no 0x":    habit.On(habit.Blocks, habit.Rewrite(`"signature":"0x`, `"signature":"`)),
		"slashed":  habit.Rewrite(`"slashed":false`, `"slashed":"false"`),
	} {
		c := client(t, node(t, w, habit.On(habit.Blocks, accepts(406, "application/json")), h))
		b, err := c.Block(t.Context(), beacon.AtSlot(9))
		if err != nil || b.Root != want.Root {
			t.Errorf("%s: block: %v", name, err)
		}
		if v, err := c.Validators(t.Context(), beacon.Head); err != nil || v.Len() != 256 {
			t.Errorf("%s: registry: %v", name, err)
		}
		if list, err := c.Committees(t.Context(), beacon.Head, 3); err != nil || len(list) != 16 {
			t.Errorf("%s: %d committees: %v", name, len(list), err)
		}
		if _, err := c.Finality(t.Context()); err != nil {
			t.Errorf("%s: finality: %v", name, err)
		}
	}
}

// TestWrongHeaders: a header must be whole, hash to its root, and be the one that was asked for.
func TestWrongHeaders(t *testing.T) {
	w := world(t, 1, 30)
	for name, h := range map[string]struct {
		habit habit.Habit
		code  blockprint.Code
	}{
		"no proposer":   {habit.Rewrite(`"proposer_index"`, `"proposer"`), blockprint.Invalid},
		"another slot":  {habit.Rewrite(`"slot":"20"`, `"slot":"21"`), blockprint.Invalid},
		"another root":  {habit.Rewrite(`"root":"0x..`, `"root":"0xff`), blockprint.Invalid},
		"null":          {habit.Rewrite(`"message":\{[^}]*\}`, `"message":null`), blockprint.Invalid},
		"a later block": {habit.Ask(func(r *http.Request) { r.URL.Path = "/eth/v1/beacon/headers/25" }), blockprint.Invalid},
		"one before":    {habit.Ask(func(r *http.Request) { r.URL.Path = "/eth/v1/beacon/headers/15" }), blockprint.NotFound},
	} {
		c := client(t, node(t, w, habit.On(habit.Headers+`20$`, h.habit)))
		if got, err := c.Header(t.Context(), beacon.AtSlot(20)); blockprint.CodeOf(err) != h.code {
			t.Errorf("%s: %+v, %v (%s)", name, got, err, blockprint.CodeOf(err))
		}
	}
	for _, path := range []string{"genesis", "head"} {
		if _, err := client(t, node(t, w)).Header(t.Context(), beacon.ID(path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestFinalityThatCannotBe: the finalized epoch is not after the justified one, nor that after the head's.
func TestFinalityThatCannotBe(t *testing.T) {
	w := world(t, 1, 60)
	for _, epoch := range []string{"1000000", "18446744073709551615", "8"} {
		for _, which := range []string{"finalized", "current_justified"} {
			h := habit.On("finality_checkpoints$", habit.Rewrite(`"`+which+`":\{"epoch":"\d+"`, `"`+which+`":{"epoch":"`+epoch+`"`))
			if f, err := client(t, node(t, w, h)).Finality(t.Context()); blockprint.CodeOf(err) != blockprint.Invalid {
				t.Errorf("%s %s at slot 60: %+v, %v", which, epoch, f, err)
			}
		}
	}
}

// TestAnswersWithoutEnd: a list, an entry or a stream that does not end is refused before it fills the memory.
func TestAnswersWithoutEnd(t *testing.T) {
	w := world(t, 1, 30)
	endless := func(begin string, piece func(i int) string) habit.Habit {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				_, err := io.WriteString(rw, begin)
				for i := 0; err == nil && r.Context().Err() == nil; i++ {
					_, err = io.WriteString(rw, piece(i))
				}
			})
		}
	}
	text := strings.Repeat("1", 1<<14)
	for name, h := range map[string]habit.Habit{
		"index":      endless(`{"data":[{"index":"`, func(int) string { return text }),
		"name":       endless(`{"data":[{"`, func(int) string { return text }),
		"skipped":    endless(`{"data":[{"index":"0","validator":{"pubkey":"`, func(int) string { return text }),
		"key":        endless(`{"`, func(int) string { return text }),
		"committee":  endless(`{"data":[{"slot":"0","validators":["`, func(int) string { return text }),
		"committees": endless(`{"data":[{}`, func(int) string { return strings.Repeat(",{}", 1000) }),
	} {
		c := patient(t, node(t, w, habit.On("/(validators|committees)$", h)))
		if name == "committee" || name == "committees" {
			if _, err := c.Committees(t.Context(), beacon.Head, 3); blockprint.CodeOf(err) != blockprint.TooLarge {
				t.Errorf("%s: %v", name, err)
			}
		} else if _, err := c.Validators(t.Context(), beacon.Head); blockprint.CodeOf(err) != blockprint.TooLarge {
			t.Errorf("%s: %v", name, err)
		}
	}
	one := func(i int) string {
		return fmt.Sprintf(`{"index":"%d","validator":{"effective_balance":"1"}},`, i)
	}
	var lying atomic.Bool
	c := patient(t, node(t, w, habit.While(&lying, habit.On(habit.Registry, endless(`{"data":[`, one)))))
	if _, err := c.Validators(t.Context(), beacon.Head); err != nil {
		t.Fatal(err)
	}
	lying.Store(true)
	if _, err := c.Validators(t.Context(), beacon.Head); blockprint.CodeOf(err) != blockprint.TooLarge {
		t.Errorf("validators without end: %v", err)
	}
}

// TestEventsWithoutEnd: a line that does not end ends the stream.
func TestEventsWithoutEnd(t *testing.T) {
	var streams atomic.Int64
	h := habit.On("/events$", func(http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			streams.Add(1)
			rw.Header().Set("Content-Type", "text/event-stream")
			for err := error(nil); err == nil && r.Context().Err() == nil; {
				_, err = io.WriteString(rw, strings.Repeat("x", 1<<14))
			}
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client(t, node(t, world(t, 1, 3), h)).Subscribe(ctx, []string{"head"}, time.Minute, func(beacon.Event) {
		if streams.Load() > 2 {
			cancel()
		}
	})
}

// TestSlowRegistry: a registry may be longer in coming than small answers, and what takes too long names the flag.
func TestSlowRegistry(t *testing.T) {
	w := world(t, 1, 20)
	const timeout = 300 * time.Millisecond
	slow := func(n http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(3 * timeout / 2):
			case <-r.Context().Done():
			}
			n.ServeHTTP(rw, r)
		})
	}
	c, err := beacon.New([]string{node(t, w, habit.On(habit.Registry+`|/version$`, slow))}, beacon.Options{Timeout: timeout, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Validators(t.Context(), beacon.Head); err != nil || v.Len() != 256 {
		t.Errorf("registry: %v", err)
	}
	if _, err := c.Version(t.Context()); blockprint.CodeOf(err) != blockprint.Unavailable || !strings.Contains(err.Error(), "--timeout") {
		t.Errorf("a small answer: %v", err)
	}
}

// TestClock: of two lengths of a slot the one counts that fits the head; without evidence the one that is not mainnet's.
func TestClock(t *testing.T) {
	spec := func(key, value string) habit.Habit {
		return habit.On("/spec$", habit.Rewrite(`"`+key+`":"\d+"`, value))
	}
	twelve := present(t, 400) // slots of 12 s
	six := presentSlots(t, 400, 6)
	old := world(t, 1, 20) // its genesis is long ago
	for name, c := range map[string]struct {
		w    *sim.World
		h    habit.Habit
		want time.Duration
	}{
		"both, 2 s is wrong":       {twelve, spec("SECONDS_PER_SLOT", `"SECONDS_PER_SLOT":"12","SLOT_DURATION_MS":"2000"`), 12 * time.Second},
		"both, 60 s is wrong":      {twelve, spec("SECONDS_PER_SLOT", `"SECONDS_PER_SLOT":"60","SLOT_DURATION_MS":"12000"`), 12 * time.Second},
		"both, no evidence":        {old, spec("SECONDS_PER_SLOT", `"SECONDS_PER_SLOT":"5","SLOT_DURATION_MS":"12000"`), 5 * time.Second},
		"both, no evidence, newer": {old, spec("SECONDS_PER_SLOT", `"SECONDS_PER_SLOT":"12","SLOT_DURATION_MS":"6000"`), 6 * time.Second},
		"one, the head is beyond":  {twelve, spec("SECONDS_PER_SLOT", `"SECONDS_PER_SLOT":"20"`), 20 * time.Second}, // our own clock may be wrong
		"none, not mainnet's":      {six, spec("SECONDS_PER_SLOT", `"SECONDS_PER_SLOT":null`), 6 * time.Second},
		"none":                     {twelve, spec("SECONDS_PER_SLOT", `"SECONDS_PER_SLOT":null`), 12 * time.Second},
		"a head without sense":     {twelve, habit.On(habit.Headers, habit.Rewrite(`"slot":"\d+"`, `"slot":"9223372036854775808"`)), 12 * time.Second},
	} {
		if n, err := client(t, node(t, c.w, c.h)).Network(t.Context()); err != nil || n.SlotDuration != c.want {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
}

// TestDrip: an answer that comes byte by byte is not waited for without end.
func TestDrip(t *testing.T) {
	drip := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			for err := error(nil); err == nil && r.Context().Err() == nil; time.Sleep(time.Millisecond) {
				_, err = io.WriteString(rw, " ")
				_ = http.NewResponseController(rw).Flush()
			}
		})
	}
	c, err := beacon.New([]string{node(t, world(t, 1, 20), habit.On(habit.Registry+`|/version$`, drip))}, beacon.Options{Timeout: 100 * time.Millisecond, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(t.Context()); blockprint.CodeOf(err) != blockprint.Unavailable || !strings.Contains(err.Error(), "--timeout") {
		t.Errorf("a small answer: %v", err)
	}
	if _, err := c.Validators(t.Context(), beacon.Head); err == nil {
		t.Error("a registry without end was read")
	}
}

// TestMixOfState: a node without the randao endpoint is asked for its state, in SSZ or in JSON.
func TestMixOfState(t *testing.T) {
	const epoch, historical, fixed = 3, 8192, 176 + 96 // bytes before the mixes, but for the historical roots
	w := world(t, 1, 30)
	network, err := client(t, node(t, w)).Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := blockprint.Root{1, 2, 3}
	ssz := make([]byte, fixed+2*32*historical+32*16)
	copy(ssz[8:], network.GenesisValidatorsRoot[:])
	copy(ssz[fixed+2*32*historical+32*epoch:], want[:])
	none := blockprint.ZeroRoot.String()
	json := fmt.Sprintf(`{"version":"deneb","data":{"genesis_time":"1","block_roots":[%q],"randao_mixes":[%q,%q,%q,%q,%q]}}`, none, none, none, none, want, none)
	for name, body := range map[string]string{"SSZ": string(ssz), "JSON": json} {
		state := habit.On("/debug/beacon/states/", func(http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, body) })
		})
		c := client(t, node(t, w, habit.On("/randao$", habit.Refuse(404)), state))
		if mix, err := c.Randao(t.Context(), beacon.Head, epoch); err != nil || mix != want {
			t.Errorf("%s: mix %s, %v", name, mix, err)
		}
	}
}
