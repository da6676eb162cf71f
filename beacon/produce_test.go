package beacon_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/sim"
)

// producingNode is a simulated node that builds blocks, behind what a test puts before it.
func producingNode(t *testing.T, electra blockprint.Epoch, before func(http.Handler) http.Handler) (*sim.World, *beacon.Client) {
	t.Helper()
	c := sim.DefaultConfig(3)
	c.Validators, c.Committees, c.ElectraEpoch, c.SkipRate, c.SideChainRate = 1024, 2, electra, 0, 0
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		w.Step()
	}
	h := w.NodeHandler(0)
	if before != nil {
		h = before(h)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	client, err := beacon.New([]string{server.URL}, beacon.Options{Timeout: 5 * time.Second, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	return w, client
}

// TestProduce: blocks of both forms and both endpoints are the same, and their blinded JSON has the same root.
func TestProduce(t *testing.T) {
	for _, electra := range []blockprint.Epoch{0, blockprint.FarFuture} {
		w, c := producingNode(t, electra, nil)
		slot := w.Now() + 1
		var first *beacon.Produced
		for _, o := range []beacon.ProduceOptions{{V3: true, SSZ: true}, {V3: true}, {SSZ: true}, {SkipRandao: true}} {
			p, err := c.Produce(t.Context(), slot, o)
			if err != nil {
				t.Fatalf("%+v: %v", o, err)
			}
			if first == nil {
				first = p
			}
			if p.Root != first.Root || p.Slot != slot || len(p.Attestations) == 0 {
				t.Errorf("%+v: block %s of slot %d with %d attestations", o, p.Root.Short(), p.Slot, len(p.Attestations))
			}
			again, err := c.ParseBlock(t.Context(), p.JSON)
			if err != nil || again.Root != p.Root {
				t.Errorf("%+v: the blinded block has another root: %+v (%v)", o, again, err)
			}
			var shape struct {
				Body map[string]json.RawMessage `json:"body"`
			}
			if err := json.Unmarshal(p.JSON, &shape); err != nil || shape.Body["execution_payload"] != nil || shape.Body["execution_payload_header"] == nil {
				t.Errorf("%+v: the JSON is not blinded: %v", o, err)
			}
		}
		w.Step()
		p, err := c.Produce(t.Context(), slot, beacon.ProduceOptions{V3: true})
		if err != nil || p.Root != first.Root && p.ParentRoot != first.ParentRoot {
			t.Errorf("after the slot began: %+v, %v", p, err)
		}
		if _, err := c.Produce(t.Context(), slot+5, beacon.ProduceOptions{V3: true}); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("a far slot: %v", err)
		}
	}
}

// TestProduceOldAndBad: nodes without the third version, that fail when SSZ is asked for, or that answer nonsense.
func TestProduceOldAndBad(t *testing.T) {
	asked := 0
	old := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/v3/") {
				asked++
				http.Error(rw, `{"message":"Route not found"}`, http.StatusNotFound)
				return
			}
			if strings.Contains(r.URL.Path, "/validator/blocks/") && strings.HasPrefix(r.Header.Get("Accept"), "application/octet-stream") {
				http.Error(rw, "no SSZ here", http.StatusInternalServerError)
				return
			}
			h.ServeHTTP(rw, r)
		})
	}
	w, c := producingNode(t, blockprint.FarFuture, old)
	for range 2 {
		p, err := c.Produce(t.Context(), w.Now()+1, beacon.ProduceOptions{V3: true, SSZ: true})
		if err != nil || p.Endpoint != 2 {
			t.Fatalf("%+v: %v", p, err)
		}
	}
	if asked != 1 {
		t.Errorf("a node without the third version was asked for it %d times", asked)
	}
	for name, body := range map[string]string{
		"no JSON": "<html>", "no data": `{"version":"deneb"}`, "another fork": `{"version":"glamsterdam","data":{}}`, "not a block": `{"version":"deneb","data":{"block":{"slot":"1"}}}`,
	} {
		_, c := producingNode(t, blockprint.FarFuture, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/validator/blocks/") {
					rw.Header().Set("Content-Type", "application/json")
					_, _ = rw.Write([]byte(body))
					return
				}
				h.ServeHTTP(rw, r)
			})
		})
		if p, err := c.Produce(t.Context(), 41, beacon.ProduceOptions{V3: true}); err == nil || !strings.Contains(err.Error(), "/eth/v3/validator/blocks/41") {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	slow := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/validator/blocks/") {
				<-r.Context().Done()
				return
			}
			h.ServeHTTP(rw, r)
		})
	}
	_, c = producingNode(t, blockprint.FarFuture, slow)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Produce(ctx, 41, beacon.ProduceOptions{V3: true}); err == nil {
		t.Error("a node that never answers gave a block")
	}
}
