package eel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestDisagree: INVALID outweighs VALID, whoever says so and whenever, and is not hidden.
func TestDisagree(t *testing.T) {
	for name, c := range map[string]struct {
		refuser int
		late    time.Duration // after the other's answer
		first   string        // what newPayload is
	}{
		"preferred":    {0, 0, statusInvalid},
		"other":        {1, 0, statusInvalid},
		"within grace": {1, grace / 2, statusInvalid},
		"late":         {1, 2 * grace, statusValid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := newSeveral(t, 2, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				s.started()
				s.xs[c.refuser].tells = func(k *call) string {
					status := `{"status":"INVALID","latestValidHash":"` + hash32{1}.String() + `","validationError":"bad root"}`
					if strings.HasPrefix(k.Method, newPayload) {
						return status
					}
					return ""
				}
				s.xs[c.refuser].took.Store(int64(c.late))
				p, block := blockAt(1, hash32{1}, 0)
				began := time.Now()
				if got := s.status(controller, newPayload, p...); got != c.first || time.Since(began) > grace {
					t.Errorf("newPayload: %s after %s", got, time.Since(began))
				}
				time.Sleep(3 * time.Second)
				if got := s.status(controller, setForkchoice, headAt(block), nil); got != statusInvalid {
					t.Errorf("the fork choice: %s", got)
				}
				for _, k := range []struct {
					method string
					params []any
				}{{newPayload, p}, {setForkchoice, []any{headAt(block), nil}}} {
					if got := s.status(client, k.method, k.params...); got != statusInvalid {
						t.Errorf("a client's %s: %s", k.method, got)
					}
				}
				s.xs[c.refuser].tells = nil
				s.xs[c.refuser].says.Store(statusSyncing) // it does not say again what it said about the parent
				child, head := blockAt(2, block, 0)
				if got := s.status(controller, newPayload, child...); got != statusInvalid {
					t.Errorf("the child: %s", got)
				}
				for path, want := range map[string]string{
					"/readyz": "the execution clients disagree about block " + head.String(), "/metrics": "blockprint_eel_execution_clients_disputed_blocks 2",
				} {
					if w := s.get(path); !strings.Contains(w.Body.String(), want) {
						t.Errorf("%s: %s", path, w.Body)
					}
				}
				if n := strings.Count(log.String(), "the execution clients disagree"); n != 2 {
					t.Errorf("%d times in the log:\n%s", n, &log)
				}
				time.Sleep(3 * time.Second)
				s.xs[c.refuser].says.Store(statusValid) // it was wrong, and has been mended
				s.xs[c.refuser].took.Store(0)
				s.status(controller, newPayload, p...) // one that was late is not waited for until it is in time again
				synctest.Wait()
				for _, params := range [][]any{p, child} {
					if got := s.status(controller, newPayload, params...); got != statusValid {
						t.Errorf("when both say so: %s", got)
					}
				}
				if w := s.get("/health"); !strings.Contains(w.Body.String(), `"execution_clients_agreed":2`) || !strings.Contains(w.Body.String(), `"status":"ok"`) {
					t.Errorf("/health: %s", w.Body)
				}
			})
		})
	}
}

// TestIssuer: a payload comes from the execution client that issued its id.
func TestIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, 2, nil)
		s.started()
		for i, x := range s.xs {
			x.tells = func(c *call) string {
				switch name, _ := versioned(c.Method); {
				case name == "engine_getPayload":
					return fmt.Sprintf(`{"blockValue":"0x%d"}`, i)
				case name == "engine_forkchoiceUpdated" && len(c.Params) > 1 && !isNull(c.Params[1]):
					return fmt.Sprintf(`{"payloadStatus":{"status":"VALID","latestValidHash":null,"validationError":null},"payloadId":"0x000000000000000%d"}`, i)
				}
				return ""
			}
		}
		issue := func() string {
			text, _ := s.call(controller, setForkchoice, headAt(hash32{1}), attributesAt(2))
			var r forkchoiceResponse
			if err := decode([]byte(text), &r); err != nil || r.PayloadID == nil {
				t.Fatalf("%s: %v", text, err)
			}
			return *r.PayloadID
		}
		id := issue()
		if id != "0x0000000000000000" {
			t.Errorf("it was not the preferred one that built: %s", id)
		}
		s.xs[0].mode.Store("refused")
		other := issue()
		s.xs[0].mode.Store("")
		s.reach("ok, ok")
		for id, want := range map[string]string{id: "0x0", other: "0x1"} {
			if text, _ := s.call(controller, "engine_getPayloadV4", id); !strings.Contains(text, want) {
				t.Errorf("%s: %s", id, text)
			}
		}
	})
}

// TestSeveralReads: versions are concatenated, batches are taken apart, notifications are passed on, and a question that takes
// long goes to the next one as well.
func TestSeveralReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, 2, nil)
		s.started()
		for i, x := range s.xs {
			x.large["engine_getClientVersionV1"] = fmt.Sprintf(`[{"code":"E%d"}]`, i)
			x.large["eth_blockNumber"] = fmt.Sprintf(`"0x%d"`, i)
		}
		for _, path := range []string{client, controller} {
			if text, _ := s.call(path, "engine_getClientVersionV1"); text != `[{"code":"E0"},{"code":"E1"}]` {
				t.Errorf("%s: versions: %s", path, text)
			}
		}
		p, block := blockAt(1, hash32{1}, 0)
		list, err := json.Marshal([]any{
			map[string]any{"jsonrpc": "2.0", "id": "a", "method": newPayload, "params": p},
			map[string]any{"jsonrpc": "2.0", "method": "eth_blockNumber"},
			map[string]any{"jsonrpc": "2.0", "id": 2, "method": "eth_blockNumber"},
			map[string]any{"jsonrpc": "2.0", "id": 3, "method": setForkchoice, "params": []any{headAt(block)}},
			7,
		})
		if err != nil {
			t.Fatal(err)
		}
		w := s.post(controller, list)
		var replies []reply
		if err := json.Unmarshal(w.Body.Bytes(), &replies); err != nil || len(replies) != 4 || string(replies[0].ID) != `"a"` || string(replies[1].Result) != `"0x0"` || string(replies[2].ID) != "3" || replies[3].Error == nil {
			t.Errorf("a batch: %s", w.Body)
		}
		if s.xs[1].count(newPayload) != 1 || s.status(client, newPayload, p...) != statusValid {
			t.Error("a batch's payload was not passed on to both, or not learned")
		}
		if w := s.post(controller, []byte(`{"jsonrpc":"2.0","method":"eth_blockNumber"}`)); w.Code != 200 {
			t.Errorf("a notification: %d %s", w.Code, w.Body)
		}
		if w := s.post(controller, []byte(`{`)); w.Code != 200 && w.Code != 400 && w.Code != 502 {
			t.Errorf("no JSON: %d %s", w.Code, w.Body)
		}
		synctest.Wait()
		s.xs[0].other = func(method string) bool { return method == "eth_blockNumber" || method == "eth_getLogs" }
		if text, took := s.call(client, "eth_blockNumber"); text != `"0x1"` || took != quickLimit/3 {
			t.Errorf("%s after %s", text, took)
		}
		if text, took := s.call(client, "eth_getLogs"); !strings.Contains(text, "does not exist") || took != slowLimit/3 {
			t.Errorf("%s after %s", text, took)
		}
		synctest.Wait()
		if s.states() != "ok, ok" { // it was at work on something else
			t.Error(s.states())
		}
	})
}

// TestSeveralSecrets: execution clients are named by scheme, host and port only.
func TestSeveralSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newSeveral(t, 2, func(c *Config) {
			c.Executions = append(c.Executions, Execution{URL: "http://user:password@el1/path-key-2"})
			c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		s.started()
		s.xs[0].mode.Store("page")
		s.xs[1].chain.Store("0x1")
		text, _ := s.call(controller, "eth_blockNumber")
		for _, path := range []string{"/health", "/readyz", "/metrics"} {
			text += s.get(path).Body.String()
		}
		text += log.String() + strings.Join(s.Servers(), " ")
		for _, secret := range []string{"user", "password", "path-key"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is shown:\n%s", secret, text)
			}
		}
		for _, want := range []string{`"server":"http://el0"`, `"server":"http://el1 (3)"`, `blockprint_eel_execution_client_state{server="http://el1",state="ok"} 1`} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in:\n%s", want, text)
			}
		}
	})
	c := DefaultConfig()
	c.Executions = []Execution{{URL: "http://a"}, {URL: "http://a"}}
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "http://a is listed twice") {
		t.Error(err)
	}
}

// TestPauses: an execution client that is away is asked again without end, at growing pauses with a cap.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, 2, nil)
		s.started()
		s.xs[1].mode.Store("refused")
		s.call(client, "eth_blockNumber")
		before := s.xs[1].count("eth_chainId")
		time.Sleep(2 * time.Hour)
		if n := s.xs[1].count("eth_chainId") - before; n < int(2*time.Hour/mostPause)-2 || n > int(2*time.Hour/mostPause)+10 {
			t.Errorf("%d questions in two hours", n)
		}
		s.xs[1].mode.Store("")
		s.reach("ok, ok")
	})
}
