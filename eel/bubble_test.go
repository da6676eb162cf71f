package eel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// execution is an execution client without a network, so that time can be ours: what it answers is as mode says.
type execution struct {
	mode  atomic.Value             // "hang": no answer; "page", "unable", "redirect", "empty": not its own; "refused": no connection; else it answers
	took  atomic.Int64             // nanoseconds of a newPayload call
	says  atomic.Value             // the status of payloads
	chain atomic.Value             // the chain's id
	large map[string]string        // results by method
	seen  func(body []byte)        // is given each request, if not nil
	other func(method string) bool // methods that hang, if not nil
	tells func(c *call) string     // a result for a call, if not nil and not empty

	mu    sync.Mutex
	asked map[string]int // by method
}

func newExecution() *execution {
	x := &execution{asked: map[string]int{}, large: map[string]string{}}
	x.mode.Store("")
	x.says.Store(statusValid)
	x.chain.Store("0x539")
	return x
}

func (x *execution) count(method string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.asked[method]
}

// RoundTrip implements http.RoundTripper.
func (x *execution) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	if x.seen != nil {
		x.seen(body)
	}
	var c call
	_ = json.Unmarshal(body, &c) // a batch has no method
	x.mu.Lock()
	x.asked[c.Method]++
	x.mu.Unlock()
	mode, _ := x.mode.Load().(string)
	if x.other != nil && x.other(c.Method) {
		mode = "hang"
	}
	status, text := http.StatusOK, ""
	switch mode {
	case "hang":
		<-q.Context().Done()
		return nil, q.Context().Err()
	case "refused":
		return nil, errors.New("connection refused")
	case "page":
		status, text = http.StatusBadGateway, "<html>502 Bad Gateway</html>"
	case "unable":
		status, text = http.StatusServiceUnavailable, `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no upstream"}}`
	case "redirect":
		status = http.StatusTemporaryRedirect
	case "empty":
	default:
		if took := x.took.Load(); took > 0 && strings.HasPrefix(c.Method, "engine_newPayload") {
			select {
			case <-time.After(time.Duration(took)):
			case <-q.Context().Done():
				return nil, q.Context().Err()
			}
		}
		text = x.answer(&c)
	}
	return &http.Response{StatusCode: status, Header: http.Header{"Location": {"http://localhost/elsewhere"}}, Body: io.NopCloser(strings.NewReader(text)), Request: q}, nil
}

func (x *execution) answer(c *call) string {
	status := fmt.Sprintf(`{"status":%q,"latestValidHash":null,"validationError":null}`, x.says.Load())
	result, ok := x.large[c.Method]
	if x.tells != nil {
		if told := x.tells(c); told != "" {
			result, ok = told, true
		}
	}
	switch {
	case ok:
	case strings.HasPrefix(c.Method, "engine_newPayload"):
		result = status
	case strings.HasPrefix(c.Method, "engine_forkchoiceUpdated"):
		result = `{"payloadStatus":` + status + `,"payloadId":null}`
	case c.Method == "engine_exchangeCapabilities":
		result = `["engine_newPayloadV4"]`
	case c.Method == "eth_chainId":
		result = fmt.Sprintf("%q", x.chain.Load())
	case c.Method == "eth_syncing":
		result = "false"
	default:
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"the method %s does not exist"}}`, c.ID, c.Method)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, c.ID, result)
}

// bubble is a multiplexer in front of it, or in front of several.
type bubble struct {
	*Eel
	t *testing.T
	x *execution
}

var controllerSecret, clientSecret = Secret{2}, Secret{3}

func newBubble(t *testing.T, change func(*Config)) *bubble {
	t.Helper()
	c := DefaultConfig()
	c.Executions = []Execution{{URL: "http://localhost:8551"}}
	c.Controller, c.Clients, c.Logger = controllerSecret, map[string]Secret{"node1": clientSecret}, slog.New(slog.DiscardHandler)
	if change != nil {
		change(&c)
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b := &bubble{e, t, newExecution()}
	b.only().http.Transport = b.x
	return b
}

// only returns the one execution client.
func (b *bubble) only() *executionClient { return b.asker.list[0] }

// post sends a body as a client, or as the controller.
func (b *bubble) post(path string, body []byte) *httptest.ResponseRecorder {
	b.t.Helper()
	secret := clientSecret
	if path == "/canonical" {
		secret = controllerSecret
	}
	token, err := secret.sign(time.Now())
	if err != nil {
		b.t.Error(err)
	}
	q := httptest.NewRequestWithContext(b.t.Context(), http.MethodPost, path, bytes.NewReader(body))
	q.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, q)
	return w
}

func (b *bubble) get(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, path, nil))
	return w
}

// call asks, and returns the answer's result or error, and how long it took.
func (b *bubble) call(path, method string, params ...any) (string, time.Duration) {
	b.t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": append([]any{}, params...)})
	if err != nil {
		b.t.Error(err)
	}
	began := time.Now()
	w := b.post(path, body)
	var r reply
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || string(r.ID) != "1" {
		b.t.Errorf("%s: status %d: %s", method, w.Code, w.Body)
	}
	if r.Error != nil {
		return fmt.Sprintf("%d %s", r.Error.Code, r.Error.Message), time.Since(began)
	}
	return string(r.Result), time.Since(began)
}

// status asks for a payload or a fork choice, and returns its status.
func (b *bubble) status(path, method string, params ...any) string {
	b.t.Helper()
	text, _ := b.call(path, method, params...)
	var s struct {
		Status        string
		PayloadStatus payloadStatus
	}
	if json.Unmarshal([]byte(text), &s) != nil {
		return text
	}
	return s.Status + s.PayloadStatus.Status
}

const (
	client, controller        = "/", "/canonical"
	newPayload, setForkchoice = "engine_newPayloadV4", "engine_forkchoiceUpdatedV3"
)

// blockAt makes the parameters of a call of newPayload that hashes to what it says.
func blockAt(number uint64, parent hash32, salt byte) (params []any, block hash32) {
	n, used, limit, at, blobs := quantity(number), quantity(0), quantity(30_000_000), quantity(1_800_000_000+12*(number%1000)), quantity(0)
	fee, extra, root := large{7}, data{salt}, hash32{9}
	p := &payload{
		ParentHash: &parent, FeeRecipient: &address{}, StateRoot: &hash32{1}, ReceiptsRoot: &hash32{}, LogsBloom: &bloom{}, PrevRandao: &hash32{},
		Number: &n, GasLimit: &limit, GasUsed: &used, Timestamp: &at, ExtraData: &extra, BaseFee: &fee,
		Transactions: &[]data{}, Withdrawals: &[]withdrawal{}, BlobGasUsed: &blobs, ExcessBlobGas: &blobs,
	}
	h := p.hash(&root, &[]data{})
	p.BlockHash = &h
	return []any{p, []string{}, root, []string{}}, h
}

func headAt(block hash32) forkchoice { return forkchoice{Head: block} }

// attributesAt are those of a payload on top of blockAt's.
func attributesAt(number uint64) map[string]any {
	return map[string]any{
		"timestamp": fmt.Sprintf("0x%x", 1_800_000_000+12*(number%1000)), "prevRandao": hash32{}, "suggestedFeeRecipient": address{}, "withdrawals": []string{}, "parentBeaconBlockRoot": hash32{},
	}
}
