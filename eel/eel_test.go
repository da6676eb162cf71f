package eel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"blockprint/eel"
)

// fake answers as an execution client that finds everything that it is sent to be what status says.
type fake struct {
	status atomic.Value
	asked  atomic.Int64
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	var c struct {
		Method string
		ID     json.RawMessage
	}
	body, _ := io.ReadAll(r.Body)
	if json.Unmarshal(body, &c) != nil {
		http.Error(w, "batch", http.StatusBadRequest)
		return
	}
	status := fmt.Sprintf(`{"status":%q,"latestValidHash":null,"validationError":null}`, f.status.Load())
	switch {
	case strings.HasPrefix(c.Method, "engine_forkchoiceUpdated"):
		status = `{"payloadStatus":` + status + `,"payloadId":null}`
	case c.Method == "eth_syncing":
		status = `{"currentBlock":"0x5"}`
	case !strings.HasPrefix(c.Method, "engine_newPayload"):
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"the method %s does not exist"}}`, c.ID, c.Method)
		return
	}
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, c.ID, status)
}

func multiplexer(t *testing.T, change func(*eel.Config)) (execution *fake, controller, client *caller) {
	t.Helper()
	execution = &fake{}
	execution.status.Store("VALID")
	node := httptest.NewServer(execution)
	t.Cleanup(node.Close)
	c := eel.DefaultConfig()
	c.Executions, c.Controller = one(node.URL), secretOf(2)
	c.Clients = map[string]eel.Secret{"node1": secretOf(3), "node2": secretOf(4)}
	c.PayloadWait, c.ForkchoiceWait = 0, 0
	c.Logger = slog.New(slog.DiscardHandler)
	if change != nil {
		change(&c)
	}
	e, err := eel.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e.Handler())
	t.Cleanup(server.Close)
	return execution, &caller{t: t, url: server.URL + "/canonical", secret: c.Controller}, &caller{t: t, url: server.URL, secret: secretOf(3)}
}

// one is one execution client.
func one(url string) []eel.Execution { return []eel.Execution{{URL: url, Secret: secretOf(1)}} }

func hashOf(n int) string { return fmt.Sprintf("0x%064x", n) }

func state(head, safe, finalized int) map[string]any {
	return map[string]any{"headBlockHash": hashOf(head), "safeBlockHash": hashOf(safe), "finalizedBlockHash": hashOf(finalized)}
}

// TestMatching: what of the controller's fork choices a client's must agree with.
func TestMatching(t *testing.T) {
	for _, c := range []struct {
		matching eel.Matching
		state    map[string]any
		want     string
	}{
		{eel.Exact, state(9, 5, 2), "VALID"},
		{eel.Exact, state(9, 5, 0), "SYNCING"},
		{eel.Exact, state(8, 5, 2), "VALID"}, // sent before
		{eel.Loose, state(9, 5, 0), "VALID"},
		{eel.Loose, state(9, 2, 2), "VALID"}, // lags
		{eel.Loose, state(8, 5, 2), "VALID"},
		{eel.Loose, state(9, 6, 2), "SYNCING"},
		{eel.Loose, state(9, 5, 3), "SYNCING"},
		{eel.Loose, state(7, 5, 2), "SYNCING"},
		{eel.HeadOnly, state(9, 6, 3), "VALID"},
		{eel.HeadOnly, state(7, 5, 2), "SYNCING"},
	} {
		_, controller, client := multiplexer(t, func(k *eel.Config) { k.Matching = c.matching })
		for _, s := range []map[string]any{state(8, 5, 2), state(9, 5, 2)} {
			controller.call("engine_forkchoiceUpdatedV3", s, nil)
		}
		if got := client.call("engine_forkchoiceUpdatedV3", c.state, nil).status(); got != c.want {
			t.Errorf("%s, %v: %s, want %s", c.matching, c.state, got, c.want)
		}
	}
}

// TestForgets: caches are bounded, and only definite answers are kept.
func TestForgets(t *testing.T) {
	execution, controller, client := multiplexer(t, func(k *eel.Config) { k.ForkchoiceCache = 2 })
	execution.status.Store("SYNCING")
	controller.call("engine_forkchoiceUpdatedV3", state(1, 0, 0))
	execution.status.Store("VALID")
	if s := client.call("engine_forkchoiceUpdatedV3", state(1, 0, 0)).status(); s != "SYNCING" {
		t.Errorf("what the execution client does not know yet is %s", s)
	}
	for head := 1; head <= 3; head++ {
		controller.call("engine_forkchoiceUpdatedV3", state(head, 0, 0))
	}
	for head, want := range map[int]string{1: "SYNCING", 2: "VALID", 3: "VALID"} {
		if s := client.call("engine_forkchoiceUpdatedV3", state(head, 0, 0)).status(); s != want {
			t.Errorf("head %d is %s, want %s", head, s, want)
		}
	}
	execution.status.Store("INVALID")
	controller.call("engine_forkchoiceUpdatedV3", state(4, 0, 0))
	if s := client.call("engine_forkchoiceUpdatedV3", state(4, 1, 1)).status(); s != "INVALID" {
		t.Errorf("an invalid head is %s", s)
	}
}

// TestWakes: a client that waits is answered when the controller is, not when its time is up.
func TestWakes(t *testing.T) {
	_, controller, client := multiplexer(t, func(k *eel.Config) { k.ForkchoiceWait = time.Hour })
	done := make(chan string)
	go func() { done <- client.call("engine_forkchoiceUpdatedV3", state(2, 0, 0)).status() }()
	controller.call("engine_forkchoiceUpdatedV3", state(1, 0, 0)) // another one
	controller.call("engine_forkchoiceUpdatedV3", state(2, 0, 0))
	if s := <-done; s != "VALID" {
		t.Errorf("%s", s)
	}
}

// TestRequests: batches, what cannot be read, what is too large, and what only the execution client knows.
func TestRequests(t *testing.T) {
	execution, _, client := multiplexer(t, func(k *eel.Config) { k.BodyLimit = 2000 })
	status, text := client.post([]byte(`[{"jsonrpc":"2.0","id":"a","method":"eth_syncing"},{"jsonrpc":"2.0","id":2,"method":"engine_exchangeCapabilities","params":[[]]},{"jsonrpc":"2.0","id":3,"method":"eth_getLogs","params":[{}]}]`))
	var batch []struct {
		ID     any
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	if err := json.Unmarshal(text, &batch); err != nil || status != 200 || len(batch) != 3 {
		t.Fatalf("status %d: %s", status, text)
	}
	if batch[0].ID != "a" || string(batch[0].Result) != `{"currentBlock":"0x5"}` {
		t.Errorf("the execution client's own state is not passed on: %s", text)
	}
	if s := string(batch[1].Result); !strings.Contains(s, `"engine_newPayloadV4"`) || strings.Contains(s, "exchangeCapabilities") || strings.Contains(s, "eth_") {
		t.Errorf("capabilities: %s", s)
	}
	if batch[2].Error == nil || batch[2].Error.Message != "the method eth_getLogs does not exist" {
		t.Errorf("the execution client's own error is not passed on: %s", text)
	}
	asked := execution.asked.Load()
	for body, code := range map[string]string{
		"{":  "-32700",
		"[]": "-32600",
		`{"id":1,"method":"engine_newPayloadV9"}`:                                               "-32601",
		`{"id":1,"method":"eth_sendRawTransaction","params":["0x"]}`:                            "-32601",
		`{"id":1,"method":"engine_forkchoiceUpdatedV3","params":[{"headBlockHash":"0x01"}]}`:    "-32602",
		`{"id":1,"method":"engine_forkchoiceUpdatedV3","params":[null]}`:                        "-32602",
		`{"id":1,"method":"engine_newPayloadV1","params":[{"parentHash":"` + hashOf(1) + `"}]}`: "-32602",
		`{"id":1,"method":"engine_newPayloadV1","params":[{"slotNumber":"0x1"}]}`:               "-32602",
		`{"id":1,"method":"engine_newPayloadV1","params":[{"blockNumber":"0x01"}]}`:             "-32602",
	} {
		if status, text := client.post([]byte(body)); status != 200 || !bytes.Contains(text, []byte(`"code":`+code)) {
			t.Errorf("%s: status %d: %s, want %s", body, status, text, code)
		}
	}
	if n := execution.asked.Load(); n != asked {
		t.Errorf("the execution client was asked %d times for what it has nothing to do with", n-asked)
	}
	if status, text := client.post(bytes.Repeat([]byte(" "), 2001)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: status %d: %s", status, text)
	}
}

// TestSlow: clients that do not finish their calls keep nobody waiting, and who announces too much is refused before sending it.
func TestSlow(t *testing.T) {
	_, controller, client := multiplexer(t, func(k *eel.Config) { k.BodyLimit = 4 << 20 })
	address := strings.TrimPrefix(client.url, "http://")
	secret := secretOf(3)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iat": time.Now().Unix()}).SignedString(secret[:])
	if err != nil {
		t.Fatal(err)
	}
	begin := func(announced int) net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n{\"method\":", token, announced); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for range 100 {
		begin(4 << 20)
	}
	if s := controller.call("engine_forkchoiceUpdatedV3", state(1, 0, 0)).status(); s != "VALID" {
		t.Errorf("the controller: %s", s)
	}
	large := `{"id":1,"method":"engine_newPayloadV1","params":["` + strings.Repeat("x", 3<<20) + `"]}`
	if status, text := client.post([]byte(large)); status != http.StatusOK || !bytes.Contains(text, []byte("-32602")) {
		t.Errorf("another client: status %d: %s", status, text)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(begin(4<<20+1), answer); err != nil || string(answer) != "HTTP/1.1 413" {
		t.Errorf("who announces too much gets %q (%v)", answer, err)
	}
}

// TestLearnChain: without a configured network the execution client's chain chooses one; another chain than the configured
// one is an error.
func TestLearnChain(t *testing.T) {
	chain := "0x1"
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":%q}`, chain)
	}))
	t.Cleanup(node.Close)
	hoodi, err := eel.NetworkNamed("hoodi")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		network *eel.Network
		chain   string
		wrong   bool
		want    string
	}{{nil, "0x1", false, "mainnet"}, {nil, "0xaa36a7", false, "sepolia"}, {nil, "0x539", false, "unknown"}, {hoodi, "0x88bb0", false, "hoodi"}, {hoodi, "0x1", true, "unknown"}} {
		chain = c.chain
		k := eel.DefaultConfig()
		k.Executions, k.Network, k.Logger = one(node.URL), c.network, slog.New(slog.DiscardHandler)
		e, err := eel.New(k)
		if err != nil {
			t.Fatal(err)
		}
		err = e.Learn(t.Context())
		if wrong, ok := errors.AsType[*eel.WrongChain](err); ok != c.wrong || err != nil && !ok {
			t.Errorf("chain %s: %v %v", c.chain, err, wrong)
		}
		w := httptest.NewRecorder()
		e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/health", nil))
		var health struct {
			Status, Network string
			Execution       string `json:"execution_client"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &health); err != nil || health.Network != c.want || health.Status != "ok" || health.Execution != "answers" {
			t.Errorf("chain %s: %s, want network %s", c.chain, w.Body, c.want)
		}
		w = httptest.NewRecorder()
		e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != http.StatusOK {
			t.Errorf("not ready: %d %s", w.Code, w.Body)
		}
	}
}

// TestControllerBatch: what a batch of the controller's teaches, answered in any order.
func TestControllerBatch(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `[{"jsonrpc":"2.0","id":"c","error":{"code":-32601,"message":"no"}},
			{"jsonrpc":"2.0","id":2,"result":{"payloadStatus":{"status":"INVALID","latestValidHash":null,"validationError":"bad"},"payloadId":null}},
			{"jsonrpc":"2.0","id":1,"result":{"payloadStatus":{"status":"VALID","latestValidHash":null,"validationError":null},"payloadId":null}}]`)
	}))
	t.Cleanup(node.Close)
	_, controller, client := multiplexer(t, func(k *eel.Config) { k.Executions = one(node.URL) })
	call := func(id string, head int) string {
		text, err := json.Marshal(state(head, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"engine_forkchoiceUpdatedV3","params":[%s,null]}`, id, text)
	}
	if status, text := controller.post([]byte("[" + call("1", 1) + "," + call("2", 2) + `,{"jsonrpc":"2.0","id":"c","method":"x_y"}]`)); status != http.StatusOK || !bytes.Contains(text, []byte(`"id":"c"`)) {
		t.Errorf("status %d: %s", status, text)
	}
	for head, want := range map[int]string{1: "VALID", 2: "INVALID", 3: "SYNCING"} {
		if s := client.call("engine_forkchoiceUpdatedV3", state(head, 0, 0)).status(); s != want {
			t.Errorf("head %d: %s, want %s", head, s, want)
		}
	}
}

// TestLogs: what is refused is logged with the client, the method and the block.
func TestLogs(t *testing.T) {
	var log bytes.Buffer
	_, controller, client := multiplexer(t, func(k *eel.Config) {
		k.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	controller.call("engine_forkchoiceUpdatedV3", state(1, 0, 0))
	client.call("engine_forkchoiceUpdatedV3", state(1, 0, 0))
	client.call("engine_newPayloadV1", map[string]string{"parentHash": "0x1"})
	for _, want := range []string{
		"client=controller method=engine_forkchoiceUpdatedV3 outcome=VALID block=" + hashOf(1),
		"client=node1 method=engine_forkchoiceUpdatedV3 outcome=VALID block=" + hashOf(1),
		"level=WARN msg=answered client=node1 method=engine_newPayloadV1 outcome=error",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, &log)
		}
	}
}

// TestReady: without an execution client the multiplexer is healthy, but not ready.
func TestReady(t *testing.T) {
	k := eel.DefaultConfig()
	k.Executions, k.Logger = one("http://127.0.0.1:1"), slog.New(slog.DiscardHandler)
	e, err := eel.New(k)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // before it was asked, and after it has not answered
		for path, want := range map[string]int{"/healthz": http.StatusOK, "/health": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
			w := httptest.NewRecorder()
			e.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != want {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		if err := e.Learn(t.Context()); err == nil {
			t.Error("learned from nobody")
		}
	}
}
