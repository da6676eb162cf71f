package eel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestHangs: an execution client that hangs takes no more time of anybody than the Engine API gives. What does not change
// is answered from its last answer; once it is known to fail, at once.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		p, head := blockAt(1, hash32{1}, 0)
		b.status(controller, newPayload, p...)
		b.status(controller, setForkchoice, headAt(head), nil)
		capabilities, _ := b.call(client, "engine_exchangeCapabilities", []string{})
		if err := b.Learn(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.x.mode.Store("hang")
		for _, c := range []struct {
			method, want string
			params       []any
			most         time.Duration
		}{
			{"eth_getLogs", "-32000 execution client http://localhost:8551: no answer within 7.2s", nil, slowLimit},
			{"engine_getPayloadBodiesByRangeV1", "no answer within", nil, slowLimit},
			{"eth_chainId", `"0x539"`, nil, quickLimit}, // the first to notice
			{"eth_syncing", "false", nil, 0},
			{"engine_exchangeCapabilities", capabilities, []any{[]string{}}, 0},
			{"engine_getClientVersionV1", "no answer within", nil, quickLimit}, // it never knew that
			{"eth_blockNumber", "no answer within", nil, quickLimit},
			{"engine_getBlobsV2", "no answer within", nil, quickLimit},
			{newPayload, statusValid, p, 0},
			{setForkchoice, statusValid, []any{headAt(head), nil}, 0},
			// Without the network's blob schedule no payload can be built, but the head is VALID.
			{setForkchoice, `"latestValidHash":null,"validationError":null},"payloadId":null`, []any{headAt(head), attributesAt(2)}, quickLimit},
			{"engine_getPayloadV4", "-38001", []any{"0x0000000000000001"}, 0},
		} {
			text, took := b.call(client, c.method, c.params...)
			if !strings.Contains(text, c.want) || took > c.most {
				t.Errorf("%s: %s after %s", c.method, text, took)
			}
		}
		var batch []string
		for range 100 {
			batch = append(batch, `{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}`)
		}
		began := time.Now()
		b.post(client, []byte("["+strings.Join(batch, ",")+"]"))
		if took := time.Since(began); took > slowLimit {
			t.Errorf("a batch took %s", took)
		}
		before := b.x.count("engine_getClientVersionV1")
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { b.call(client, "engine_getClientVersionV1") })
		}
		wg.Wait()
		if n := b.x.count("engine_getClientVersionV1") - before; n != 1 {
			t.Errorf("for fifty that ask the same at once, the execution client is asked %d times", n)
		}
		b.x.mode.Store("")
		b.get("/readyz") // asks at most once a second
		time.Sleep(freshFor)
		if w := b.get("/readyz"); w.Code != http.StatusOK {
			t.Errorf("not ready after the execution client has come back: %s", w.Body)
		}
	})
}

// TestOldAnswers: what an execution client says of its syncing stands in for a restart only.
func TestOldAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.call(client, "eth_syncing")
		b.call(client, "eth_chainId")
		b.x.mode.Store("refused")
		time.Sleep(4 * time.Minute)
		if text, _ := b.call(client, "eth_syncing"); text != "false" {
			t.Errorf("while it is restarted: %s", text)
		}
		time.Sleep(2 * time.Minute)
		if text, _ := b.call(client, "eth_syncing"); !strings.Contains(text, "refused") {
			t.Errorf("after six minutes: %s", text)
		}
		if text, _ := b.call(client, "eth_chainId"); text != `"0x539"` {
			t.Errorf("the chain: %s", text)
		}
	})
}

// TestReadiness: ready means that the execution client answers with JSON-RPC and that the controller calls; /health says why not.
func TestReadiness(t *testing.T) {
	expect := func(b *bubble, code int, execution, reason string) {
		b.t.Helper()
		w := b.get("/readyz")
		if w.Code != code || !strings.Contains(w.Body.String(), reason) {
			b.t.Errorf("/readyz: %d %s, want %d %s", w.Code, w.Body, code, reason)
		}
		var health struct {
			Status, Reason string
			Execution      string `json:"execution_client"`
		}
		w = b.get("/health")
		err := json.Unmarshal(w.Body.Bytes(), &health)
		if err != nil || w.Code != http.StatusOK || (health.Status == "ok") != (code == http.StatusOK) || health.Execution != execution || !strings.Contains(health.Reason, reason) {
			b.t.Errorf("/health: %d %s (%v), want %s", w.Code, w.Body, err, execution)
		}
	}
	for mode, reason := range map[string]string{
		"hang": "no answer within 900ms", "page": "status 502 and no JSON-RPC", "empty": "status 200 and no JSON-RPC", "refused": "connection refused", "redirect": "status 307", "unable": "status 503",
	} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, nil)
				expect(b, http.StatusOK, "answers", "") // it is asked
				b.x.mode.Store(mode)
				time.Sleep(freshFor)
				expect(b, http.StatusServiceUnavailable, "unreachable", reason)
				b.x.mode.Store("")
				time.Sleep(freshFor)
				expect(b, http.StatusOK, "answers", "")
				p, _ := blockAt(1, hash32{1}, 0)
				b.x.mode.Store("hang")
				go b.post(controller, payloadBody(t, p)) // which waits, and nobody else asks
				synctest.Wait()
				expect(b, http.StatusServiceUnavailable, "unreachable", "no answer within 900ms")
				b.x.mode.Store("refused")
				time.Sleep(time.Minute)
			})
		})
	}
	t.Run("controller", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t, nil)
			time.Sleep(time.Minute)
			expect(b, http.StatusOK, "answers", "")
			b.call(controller, "eth_chainId")
			time.Sleep(119 * time.Second)
			expect(b, http.StatusOK, "answers", "")
			time.Sleep(3 * time.Second)
			expect(b, http.StatusServiceUnavailable, "answers", "the controller has not called for 2m2s")
			b.call(controller, "eth_chainId")
			expect(b, http.StatusOK, "answers", "")
			metrics := b.get("/metrics").Body.String()
			for _, want := range []string{"blockprint_eel_execution_client_up 1", "blockprint_eel_controller_call_timestamp_seconds 9.46", "blockprint_eel_block_validated_timestamp_seconds 0", "blockprint_eel_newest_block 0"} {
				if !strings.Contains(metrics, want) {
					t.Errorf("no %q in the metrics", want)
				}
			}
		})
	})
}

func payloadBody(t *testing.T, params []any) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": newPayload, "params": params})
	if err != nil {
		t.Error(err)
	}
	return body
}

// TestNoReply: what is no JSON-RPC becomes an error with each caller's id.
func TestNoReply(t *testing.T) {
	for _, mode := range []string{"page", "redirect", "empty", "refused"} {
		b := newBubble(t, nil)
		b.x.mode.Store(mode)
		for path, code := range map[string]int{client: http.StatusOK, controller: http.StatusBadGateway} {
			for body, ids := range map[string][]string{
				`{"jsonrpc":"2.0","id":"x","method":"eth_blockNumber"}`: {`"x"`},
				`[{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"},{"jsonrpc":"2.0","id":2,"method":"eth_getLogs"},{"jsonrpc":"2.0","method":"eth_getLogs"}]`: {"1", "2"},
			} {
				w := b.post(path, []byte(body))
				var replies []reply
				if text := w.Body.Bytes(); text[0] == '[' {
					_ = json.Unmarshal(text, &replies)
				} else {
					replies = make([]reply, 1)
					_ = json.Unmarshal(text, &replies[0])
				}
				if body[0] == '[' && path == client {
					code = http.StatusOK
				}
				if w.Code != code || w.Header().Get("Content-Type") != "application/json" || len(replies) != len(ids) {
					t.Errorf("%s, %s %s: %d %s", mode, path, body, w.Code, w.Body)
					continue
				}
				for i, id := range ids {
					if string(replies[i].ID) != id || replies[i].Error == nil || !strings.Contains(replies[i].Error.Message, "execution client") {
						t.Errorf("%s, %s %s: %s", mode, path, body, w.Body)
					}
				}
			}
		}
		if w := b.post(controller, []byte(`{"jsonrpc":"2.0","method":"eth_blockNumber"}`)); mode == "empty" && (w.Code != http.StatusOK || w.Body.Len() > 0) {
			t.Errorf("nothing is the answer to a notification: %d %s", w.Code, w.Body)
		}
	}
}

// TestIsReply: replies of execution clients are known by their beginning.
func TestIsReply(t *testing.T) {
	long := strings.Repeat("a", 2*beginning)
	for text, want := range map[string]bool{
		`{"jsonrpc":"2.0","id":1,"result":"` + long:                   true,
		` {"id":"x","jsonrpc":"2.0"`:                                  true,
		`{"result":"` + long:                                          true,
		`{"id":1,"error":{"code":1,"message":"x"},"jsonrpc":"2.0"}`:   true,
		`[{"jsonrpc":"2.0","id":1,"result":[`:                         true,
		`{"error":"Bad Gateway"}`:                                     false,
		`{"error":{"code":502,"message":"Bad Gateway"},"status":502}`: false,
		`{"data":{"jsonrpc":"2.0"}}`:                                  false,
		`<html>"jsonrpc":"2.0"</html>`:                                false,
		``:                                                            false, `[]`: false, `"jsonrpc"`: false, `null`: false,
	} {
		if got := isReply([]byte(text)[:min(len(text), beginning)], http.StatusOK); got != want {
			t.Errorf("%.80s: %v", text, got)
		}
	}
	if isReply([]byte(`{"result":"bad gateway"}`), http.StatusBadGateway) {
		t.Error("a result without a version is taken from a proxy")
	}
}

// TestLogsFailureOnce: that the execution client fails is said once, and once that it answers again.
func TestLogsFailureOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := newBubble(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		for range 2 {
			b.x.mode.Store("page")
			for range 3 {
				b.call(controller, "eth_syncing")
			}
			b.x.mode.Store("")
			b.call(controller, "eth_syncing")
			synctest.Wait() // it is asked for its chain
		}
		for message, want := range map[string]int{"the execution client fails": 2, "the execution client answers again": 2} {
			if n := strings.Count(log.String(), message); n != want {
				t.Errorf("%q %d times, want %d:\n%s", message, n, want, &log)
			}
		}
	})
}

// TestChainAgain: an execution client that comes back is asked for its chain again.
func TestChainAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.x.chain.Store("0x1")
		if err := b.Learn(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.x.mode.Store("refused")
		b.call(controller, "eth_blockNumber")
		b.x.mode.Store("")
		b.x.chain.Store("0x88bb0")
		b.call(controller, "eth_blockNumber")
		synctest.Wait()
		if n := b.schedule.get(); n == nil || n.Name != "hoodi" {
			t.Errorf("%+v, want hoodi", n)
		}
	})
}

// TestOneReading: the execution client gets a call as we have read it, and not what else a client has written, which it might
// read in another way.
func TestOneReading(t *testing.T) {
	b := newBubble(t, nil)
	var got []string
	b.x.seen = func(body []byte) { got = append(got, string(body)) }
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":7,"method":"eth_blockNumber","METHOD":"engine_forkchoiceUpdatedV3","Params":[1],"params":[ 2 ]}`,
		`{"jsonrpc":"2.0","id":7,"method":"engine_forkchoiceUpdatedV3","method":"eth_blockNumber","params":[1],"params":[2]}`,
		`[{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","Method":"engine_forkchoiceUpdatedV3","params":[2]}]`,
	} {
		b.post(client, []byte(body))
	}
	for _, body := range got {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &fields); err != nil || len(fields) != 4 || string(fields["method"]) != `"eth_blockNumber"` || string(fields["params"]) != "[2]" {
			t.Errorf("the execution client gets %s", body)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d calls", len(got))
	}
}

// TestBounded: how much is answered at once is bounded, and an answer that breaks off is no answer.
func TestBounded(t *testing.T) {
	b := newBubble(t, nil)
	if !b.answering.TryAcquire(mostCalls) {
		t.Fatal("calls are being answered")
	}
	if w := b.post(client, []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}`)); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("too many calls at once: %d %s", w.Code, w.Body)
	}
	if text, _ := b.call(controller, "eth_chainId"); text != `"0x539"` {
		t.Errorf("the controller among too many calls of clients: %s", text)
	}
	b.answering.Release(mostCalls)
	b.x.large["eth_getLogs"] = `"` + strings.Repeat("a", largestAnswer/2) + `"`
	one := `{"jsonrpc":"2.0","id":%,"method":"eth_getLogs"}`
	w := b.post(client, []byte("["+strings.ReplaceAll(one, "%", "1")+","+strings.ReplaceAll(one, "%", "2")+`,{"jsonrpc":"2.0","id":3,"method":"eth_chainId"}]`))
	var replies []reply
	if err := json.Unmarshal(w.Body.Bytes(), &replies); err != nil || len(replies) != 3 || replies[0].Error != nil || replies[1].Error == nil || replies[1].Error.Code != codeTooLarge {
		t.Errorf("a batch of large answers: %v, %d bytes", err, w.Body.Len())
	}
	b.x.large["eth_getLogs"] = `"` + strings.Repeat("a", largestAnswer) + `"`
	if text := b.post(client, []byte("["+one+"]")).Body.String(); !strings.Contains(strings.ReplaceAll(text, "%", "1"), "-32700") {
		t.Errorf("no JSON: %.200s", text)
	}
	if text := b.post(client, []byte("["+strings.ReplaceAll(one, "%", "1")+"]")).Body.String(); !strings.Contains(text, "more than 33554432 bytes") {
		t.Errorf("an answer that is too large to be kept: %.200s", text)
	}
	if w := b.post(client, []byte(strings.ReplaceAll(one, "%", "1"))); w.Body.Len() < largestAnswer {
		t.Errorf("a large answer is passed on while it comes in: %d bytes", w.Body.Len())
	}
}

// TestBrokenOff: an answer that breaks off in the middle does not look whole to who asked.
func TestBrokenOff(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"`+strings.Repeat("a", 2*beginning))
	}))
	t.Cleanup(node.Close)
	b := newBubble(t, func(c *Config) { c.Executions = []Execution{{URL: node.URL}} })
	b.only().http.Transport = nil
	server := httptest.NewServer(b.Handler())
	t.Cleanup(server.Close)
	for path, secret := range map[string]Secret{client: clientSecret, controller: controllerSecret} {
		token, err := secret.sign(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		q, err := http.NewRequest(http.MethodPost, server.URL+path, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			continue // as good
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err == nil {
			t.Errorf("%s: %d bytes look whole", path, len(text))
		}
	}
}

// pipes is a listener without a network.
type pipes struct{ accepted chan net.Conn }

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.accepted
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p *pipes) Close() error   { close(p.accepted); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestUnread: a client that does not read its answer does not hold its share of the calls for ever.
func TestUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		b.x.large["eth_getLogs"] = `"` + strings.Repeat("a", 1<<20) + `"`
		listener := &pipes{make(chan net.Conn)}
		server := &http.Server{Handler: b.Handler()}
		go func() { _ = server.Serve(listener) }()
		ours, theirs := net.Pipe()
		listener.accepted <- theirs
		token, err := clientSecret.sign(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		const body = `{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[]}`
		if _, err := fmt.Fprintf(ours, "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", token, len(body), body); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if b.answering.TryAcquire(mostCalls) {
			t.Fatal("the call is over before its answer was read")
		}
		time.Sleep(slowLimit + bodyTimeout + time.Second)
		if !b.answering.TryAcquire(mostCalls) {
			t.Error("the call holds its share")
		}
		_ = ours.Close()
		_ = server.Close()
	})
}

// TestHidesSecrets: whatever goes wrong, the execution client is named by its scheme, host and port only.
func TestHidesSecrets(t *testing.T) {
	for _, mode := range []string{"page", "refused", "hang", "redirect"} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			b := newBubble(t, func(c *Config) {
				c.Executions = []Execution{{URL: "http://name:password@127.0.0.1:1/path-key?query=key"}}
				c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			b.x.mode.Store(mode)
			var said strings.Builder
			for _, path := range []string{client, controller} {
				if mode == "hang" && path == controller {
					continue // which has no limit
				}
				for _, method := range []string{"eth_chainId", "eth_blockNumber", "engine_exchangeCapabilities", "eth_getLogs"} {
					text, _ := b.call(path, method)
					said.WriteString(text)
				}
			}
			for _, path := range []string{"/health", "/readyz", "/metrics"} {
				said.WriteString(b.get(path).Body.String())
			}
			_, err := New(Config{
				Executions: []Execution{{URL: "ftp://name:password@127.0.0.1:1/path-key?query=key"}}, Matching: Loose, BodyLimit: 1,
				PayloadCache: 1, ForkchoiceCache: 1, JustifiedCache: 1, FinalizedCache: 1,
			})
			said.WriteString(err.Error() + log.String())
			for _, secret := range []string{"name:", "password", "path-key", "query", "%2F"} {
				if strings.Contains(said.String(), secret) {
					t.Errorf("%s: %q is shown:\n%s", mode, secret, said.String())
				}
			}
		})
	}
}
