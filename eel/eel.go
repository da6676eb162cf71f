// Package eel lets many consensus clients share one execution client: an Engine API multiplexer.
//
// One of them, the controller, drives the execution client: its calls are passed on as they are, and what the execution
// client answers is remembered. The others are answered from that memory. Facts are those of the Engine API
// (github.com/ethereum/execution-apis); paths and flags are those of sigp/eleel.
package eel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"

	"blockprint"
)

// Config says who shares what. DefaultConfig has the numbers.
type Config struct {
	Execution       string // URL of the execution client's Engine API
	ExecutionSecret Secret
	Controller      Secret
	Clients         map[string]Secret // by name

	PayloadCache, ForkchoiceCache, JustifiedCache, FinalizedCache int
	Matching                                                      Matching
	// PayloadWait and ForkchoiceWait are how long a client waits for what the controller has not asked yet.
	PayloadWait, ForkchoiceWait time.Duration
	Cutoff                      uint64 // blocks behind the newest for which nobody waits
	BodyLimit                   int64  // bytes of a request
	BuilderCache                int    // payloads that clients have asked for
	ExtraData                   string // of these

	Version  string
	Now      func() time.Time
	Logger   *slog.Logger
	Registry *prometheus.Registry
}

// DefaultConfig has the original's numbers.
func DefaultConfig() Config {
	return Config{
		Execution: "http://localhost:8551", PayloadCache: 64, ForkchoiceCache: 64, JustifiedCache: 4, FinalizedCache: 4, Matching: Loose,
		PayloadWait: 2 * time.Second, ForkchoiceWait: time.Second, Cutoff: 64, BodyLimit: 128 << 20,
		BuilderCache: 8, ExtraData: "Eleel",
	}
}

// Eel answers consensus clients.
type Eel struct {
	c        Config
	memory   *memory
	builder  *builder
	client   http.Client
	failures *lru.Cache[string, *rate.Limiter]
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refused  *prometheus.CounterVec
}

// New returns a multiplexer.
func New(c Config) (*Eel, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	u, err := url.Parse(c.Execution)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, blockprint.Errorf(blockprint.Invalid, "execution client: %q is no http URL", c.Execution)
	}
	switch c.Matching {
	case Exact, Loose, HeadOnly:
	default:
		return nil, blockprint.Errorf(blockprint.Invalid, "matching %q: expected exact, loose or head-only", c.Matching)
	}
	e := &Eel{c: c}
	if e.memory, err = newMemory(&c); err != nil {
		return nil, err
	}
	if e.builder, err = newBuilder(&c); err != nil {
		return nil, err
	}
	if e.failures, err = lru.New[string, *rate.Limiter](4096); err != nil {
		return nil, err
	}
	e.client.Transport = &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}
	e.calls = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "blockprint_eel", Name: "calls_total", Help: "Calls by method, client and outcome."}, []string{"method", "client", "outcome"})
	e.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "blockprint_eel", Name: "call_duration_seconds", Help: "Time to answer by method and client.", Buckets: prometheus.ExponentialBuckets(0.0002, 4, 9)}, []string{"method", "client"})
	e.refused = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "blockprint_eel", Name: "refused_total", Help: "Requests without valid credentials, by path."}, []string{"path"})
	for _, m := range []prometheus.Collector{e.calls, e.duration, e.refused} {
		if err := c.Registry.Register(m); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// controllerName is what the controller is called in logs and metrics.
const controllerName = "controller"

// Handler serves POST / for clients, POST /canonical for the controller, GET /health and GET /metrics.
func (e *Eel) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) { e.serve(w, r, e.c.Clients, e.serveClient) })
	mux.HandleFunc("POST /canonical", func(w http.ResponseWriter, r *http.Request) {
		e.serve(w, r, map[string]Secret{controllerName: e.c.Controller}, e.serveController)
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.Handle("GET /metrics", promhttp.HandlerFor(e.c.Registry, promhttp.HandlerOpts{}))
	return mux
}

// serve checks credentials and size, and hands on the body.
func (e *Eel) serve(w http.ResponseWriter, r *http.Request, keys map[string]Secret, next func(ctx context.Context, w http.ResponseWriter, who string, body []byte)) {
	who, err := check(r, keys, e.c.Now())
	if err != nil {
		e.refuse(w, r, err)
		return
	}
	if r.ContentLength > e.c.BodyLimit {
		w.Header().Set("Connection", "close") // the rest is not read
		http.Error(w, fmt.Sprintf("%d bytes, %d are allowed", r.ContentLength, e.c.BodyLimit), http.StatusRequestEntityTooLarge)
		return
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, e.c.BodyLimit)); err != nil {
		status := http.StatusBadRequest
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, err.Error(), status)
		return
	}
	next(r.Context(), w, who, buf.Bytes())
}

// Failures of one address that are answered and logged one by one; those beyond are turned away shortly.
const (
	failureRate  = 2 // a second
	failureBurst = 20
)

// refuse answers a request without valid credentials. Who fails often is told to wait; valid requests of the same
// address are still answered.
func (e *Eel) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e.refused.WithLabelValues(r.URL.Path).Inc()
	host := r.RemoteAddr
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	limiter, ok := e.failures.Get(host)
	if !ok {
		limiter = rate.NewLimiter(failureRate, failureBurst)
		e.failures.Add(host, limiter)
	}
	if !limiter.Allow() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many failures", http.StatusTooManyRequests)
		return
	}
	e.c.Logger.Warn("credentials refused", "path", r.URL.Path, "address", r.RemoteAddr, "error", err)
	w.Header().Set("WWW-Authenticate", "Bearer")
	http.Error(w, err.Error(), http.StatusUnauthorized)
}

// send asks the execution client.
func (e *Eel) send(ctx context.Context, body []byte) (status int, answer []byte, err error) {
	token, err := e.c.ExecutionSecret.sign(e.c.Now())
	if err != nil {
		return 0, nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, e.c.Execution, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+token)
	res, err := e.client.Do(q)
	if err != nil {
		return 0, nil, fmt.Errorf("execution client: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // read only
	answer, err = io.ReadAll(res.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("execution client: %w", err)
	}
	if res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden {
		return 0, nil, fmt.Errorf("the execution client refuses our JWT secret: %s", strings.TrimSpace(string(answer)))
	}
	return res.StatusCode, answer, nil
}

// serveController passes a request on as it is, and learns from the answer.
func (e *Eel) serveController(ctx context.Context, w http.ResponseWriter, who string, body []byte) {
	began := time.Now()
	parsed := make(chan []call, 1)
	go func() { // while the execution client is at work
		calls, _, _ := parseCalls(body) // what cannot be read is for the execution client to refuse
		parsed <- calls
	}()
	status, text, err := e.send(ctx, body)
	calls := <-parsed
	if err != nil {
		e.c.Logger.Error("the controller's call failed", "error", err)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadGateway)
		_ = json.NewEncoder(w).Encode(answer(&call{ID: firstID(calls)}, nil, err)) // the controller is gone
		e.count(calls, who, "unreachable", began)
		return
	}
	e.learn(calls, text, who, began)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the controller is gone
}

func firstID(calls []call) json.RawMessage {
	if len(calls) == 1 {
		return calls[0].ID
	}
	return nil
}

func (e *Eel) count(calls []call, who, outcome string, began time.Time) {
	for i := range calls {
		e.note(&calls[i], who, outcome, began)
	}
}

// note counts an answer. Methods that nobody knows are counted as one: their names are the caller's.
func (e *Eel) note(c *call, who, outcome string, began time.Time) {
	method := c.Method
	if !slices.Contains(served, method) && !slices.Contains(proxied, method) {
		method = "other"
	}
	e.calls.WithLabelValues(method, who, outcome).Inc()
	e.duration.WithLabelValues(method, who).Observe(time.Since(began).Seconds())
}

// learn remembers what the execution client answered to the controller's calls.
func (e *Eel) learn(calls []call, text []byte, who string, began time.Time) {
	var replies []reply
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("[")) {
		_ = json.Unmarshal(text, &replies) // what cannot be read teaches nothing
	} else {
		var one reply
		_ = json.Unmarshal(text, &one)
		replies = []reply{one}
	}
	for i := range calls {
		c := &calls[i]
		k := slices.IndexFunc(replies, func(r reply) bool { return bytes.Equal(r.ID, c.ID) }) // a batch is answered in any order
		if k < 0 || replies[k].Error != nil || replies[k].Result == nil {
			e.note(c, who, "error", began)
			continue
		}
		e.note(c, who, e.learnOne(c, replies[k].Result), began)
	}
}

// learnOne remembers one answer, and returns what kind it was.
func (e *Eel) learnOne(c *call, result json.RawMessage) (outcome string) {
	if len(c.Params) == 0 {
		return "ok"
	}
	switch name, _ := versioned(c.Method); name {
	case "engine_newPayload":
		var p struct {
			BlockHash hash32 `json:"blockHash"`
			header
		}
		var s payloadStatus
		if json.Unmarshal(c.Params[0], &p) != nil || json.Unmarshal(result, &s) != nil {
			return "unreadable"
		}
		if s.Status == statusValid {
			e.builder.learn(p.BlockHash, p.header)
		}
		e.memory.learnPayload(p.BlockHash, uint64(p.Number), s)
		e.c.Logger.Debug("payload", "client", controllerName, "method", c.Method, "block", p.BlockHash, "number", p.Number, "status", s.Status)
		return s.Status
	case "engine_forkchoiceUpdated":
		var f forkchoice
		var r struct {
			Status payloadStatus `json:"payloadStatus"`
		}
		if json.Unmarshal(c.Params[0], &f) != nil || json.Unmarshal(result, &r) != nil {
			return "unreadable"
		}
		e.memory.learnForkchoice(f, r.Status)
		e.c.Logger.Debug("fork choice", "client", controllerName, "method", c.Method, "block", f.Head, "status", r.Status.Status)
		return r.Status.Status
	}
	return "ok"
}
