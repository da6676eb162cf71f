// Package eel is an Engine API multiplexer: many consensus clients share one execution client, or several that look like one.
//
// One consensus client, the controller, drives the execution client. Its calls are passed on as they are, and the answers
// are remembered. All other consensus clients ("clients" in this package) are answered from that memory. The Engine API is
// specified in github.com/ethereum/execution-apis; paths and flags are those of sigp/eleel.
//
// A request takes one way, and the files are read in this order:
//
//	gate.go        whose is it?
//	client.go      a client's: recognized (tape.go, known.go) or parsed (request.go, payload.go), then answered
//	               from memory (memory.go), with a dummy payload (dummy.go), or by the execution client (ask.go)
//	controller.go  the controller's: passed on, and its answer remembered
//	execution.go   one execution client; executions.go, questions.go and standing.go: several
//
// Four rules hold everywhere:
//
//   - Only what the execution client has found valid teaches anything about the chain (memory).
//   - No question of our own waits longer than the Engine API allows. While an execution client hangs or restarts, its last
//     answer stands in for what it says about itself (asker).
//   - Only a JSON-RPC reply counts as an answer (isReply). Ready means that one came just now.
//   - A request's envelope is read once, element by element, and written anew for the execution client (parseCalls,
//     envelope), so that the two cannot read it differently.
package eel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"blockprint"
	"blockprint/service"
)

// Config says who shares what. DefaultConfig fills in the numbers.
type Config struct {
	Executions []Execution // the preferred one first
	Controller Secret
	Clients    map[string]Secret // by name

	PayloadCache, ForkchoiceCache, JustifiedCache, FinalizedCache int
	Matching                                                      Matching
	// PayloadWait and ForkchoiceWait are how long a client waits for a call that the controller has not made yet.
	PayloadWait, ForkchoiceWait time.Duration
	Cutoff                      uint64 // a block this far behind the newest is not waited for
	BodyLimit                   int64  // bytes per request
	BuilderCache                int    // dummy payloads to remember
	ExtraData                   string // of dummy payloads
	// Network says when forks begin. If it is nil, the execution client's chain decides (Run).
	Network *Network
	// Silence is how long the controller may be silent before the multiplexer counts as not ready, because clients learn
	// nothing new. 0 means forever.
	Silence time.Duration

	Now      func() time.Time
	Logger   *slog.Logger
	Registry *prometheus.Registry
}

// DefaultConfig returns the numbers of sigp/eleel.
func DefaultConfig() Config {
	return Config{
		PayloadCache: 64, ForkchoiceCache: 64, JustifiedCache: 4, FinalizedCache: 4, Matching: Loose,
		PayloadWait: 2 * time.Second, ForkchoiceWait: time.Second, Cutoff: 64, BodyLimit: 128 << 20,
		BuilderCache: 8, ExtraData: "Eleel", Silence: 2 * time.Minute,
	}
}

// knownBytes bounds the newPayload calls that are kept to recognize others: enough for several slots of large payloads.
const knownBytes = 64 << 20

// Eel answers consensus clients.
type Eel struct {
	c        Config
	http     *service.Service
	asker    *asker
	memory   *memory
	builder  *builder
	known    *known
	schedule *schedule
	failures *lru.Cache[string, *rate.Limiter]
	// stored bounds the bodies of clients that are in memory at once, in bytes; answering and batches bound their calls.
	stored, answering, batches *semaphore.Weighted
	// called is when the controller last called, validated when a block was last found valid: nanoseconds since 1970, 0 for
	// never.
	called, validated atomic.Int64
	began             time.Time
	calls             *prometheus.CounterVec
	duration          *prometheus.HistogramVec
	refused           *prometheus.CounterVec
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
	if err := apart(c.Controller, c.Clients); err != nil {
		return nil, err
	}
	switch c.Matching {
	case Exact, Loose, HeadOnly:
	default:
		return nil, blockprint.Errorf(blockprint.Invalid, "matching %q: expected exact, loose or head-only", c.Matching)
	}
	if c.BodyLimit < 1 {
		return nil, blockprint.Errorf(blockprint.Invalid, "the body limit is %d bytes; it must be at least 1", c.BodyLimit)
	}
	e := &Eel{
		c: c, known: &known{limit: knownBytes, count: 2 * c.PayloadCache}, schedule: newSchedule(c.Network, c.Logger), began: c.Now(),
		stored: semaphore.NewWeighted(2 * c.BodyLimit), answering: semaphore.NewWeighted(mostCalls), batches: semaphore.NewWeighted(mostBatches),
	}
	var err error
	if e.memory, err = newMemory(&c); err != nil {
		return nil, err
	}
	clients, err := e.newClients()
	if err != nil {
		return nil, err
	}
	e.asker = &asker{executionClients: clients, now: c.Now, identify: e.schedule.identify, last: map[string]lastAnswer{}}
	if e.builder, err = newBuilder(&c, e.schedule, e.asker); err != nil {
		return nil, err
	}
	if e.failures, err = lru.New[string, *rate.Limiter](4096); err != nil {
		return nil, err
	}
	return e, errors.Join(e.register(), e.routes())
}

// newClients makes the execution clients.
func (e *Eel) newClients() (*executionClients, error) {
	if len(e.c.Executions) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "no execution client is configured: name at least one")
	}
	var list []*executionClient
	for i, x := range e.c.Executions {
		client, err := newExecutionClient(x, e.c.Now, e.c.Logger)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(o *executionClient) bool { return o.URL == x.URL }) {
			return nil, blockprint.Errorf(blockprint.Invalid, "execution client %s is listed twice", client.name)
		}
		if slices.ContainsFunc(list, func(o *executionClient) bool { return o.name == client.name }) { // behind one server
			client.name = fmt.Sprintf("%s (%d)", client.name, i+1)
		}
		client.returned = func() { e.asker.fly(context.Background(), "eth_chainId", []byte(probe)) }
		list = append(list, client)
		for name, secret := range e.c.Clients {
			if secret == x.Secret {
				e.c.Logger.Warn("a client has the execution client's own secret, so it can drive the execution client if it can reach its port", "client", name, "server", client.name)
			}
		}
	}
	out := newExecutionClients(list, e.c.Network, e.c.Logger)
	out.missed = e.known.above
	out.overrule = func(block hash32, s payloadStatus) { e.memory.learn(block, nil, nil, s) }
	return out, nil
}

// Servers names the execution clients by scheme, host and port.
func (e *Eel) Servers() (names []string) {
	for _, c := range e.asker.list {
		names = append(names, c.name)
	}
	return names
}

// Learn asks the execution client for its chain. If no network is configured, the built-in one of that chain is used. If
// another network is configured, it is no longer used, and the error is a *WrongChain. Both are logged. Learn also asks
// the questions whose last answer stands in for one that does not come.
func (e *Eel) Learn(ctx context.Context) error {
	e.asker.meet(ctx)
	var id json.RawMessage
	if err := e.asker.ask(ctx, "eth_chainId", &id); err != nil {
		return err
	}
	for method, params := range map[string][]any{
		"engine_exchangeCapabilities": {engineMethods()},
		"engine_getClientVersionV1":   {map[string]string{"code": "BP", "name": "blockprint", "version": "1", "commit": "0x00000000"}},
		"eth_config":                  nil,
		"eth_syncing":                 nil,
	} {
		_ = e.asker.ask(ctx, method, new(json.RawMessage), params...) // it may not know the method
	}
	return e.schedule.identify(id)
}

// learnAgain is the pause before Learn is tried again.
const learnAgain = 5 * time.Second

// Run asks for the chain until it is known. Until the context ends, it also takes back those of several execution clients
// that were away.
func (e *Eel) Run(ctx context.Context) {
	defer e.asker.run(ctx)
	for {
		err := e.Learn(ctx)
		if _, wrong := errors.AsType[*WrongChain](err); err == nil || wrong {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(learnAgain):
		}
	}
}

// Handler serves POST / for clients, POST /canonical for the controller, GET /health, /healthz, /readyz and /metrics.
func (e *Eel) Handler() *service.Service { return e.http }

// routes makes the service. Both POST routes check tokens themselves.
func (e *Eel) routes() (err error) {
	e.http, err = service.New(service.Options{MaxBody: e.c.BodyLimit, AnyBody: true, Now: e.c.Now, Logger: e.c.Logger, Registry: e.c.Registry})
	if err != nil {
		return err
	}
	handle := func(pattern string, f http.HandlerFunc) { e.http.Handle(service.Guarded, pattern, f) }
	handle("POST /{$}", e.serve(e.c.Clients, e.serveClient))
	handle("POST /canonical", e.serve(map[string]Secret{controllerName: e.c.Controller}, e.serveController))
	handle("GET /health", func(w http.ResponseWriter, r *http.Request) { write(w, http.StatusOK, e.status(r.Context())) })
	e.http.Health(service.Guarded, e.notReady)
	return nil
}
