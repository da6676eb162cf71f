// Package httpapi serves the labels of a store over HTTP: the original's public and private routes with unchanged
// success shapes, ours beside them, and the routes by which a follower on another machine writes (Remote is its
// client).
//
// New builds a Server from a store and a model; its Handler is ready for net/http. Every error is
// {"error": text, "code": word} with the status that the code means.
//
// Three laws hold for every route. A route is private unless it was registered as public (access.go). What is cheap
// never waits for what is dear (gate.go). An answer that cannot be finished ends with the connection, never like a
// whole one (stream).
package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"

	"blockprint"
	"blockprint/classify"
	"blockprint/follow"
	"blockprint/gauge"
	"blockprint/graffiti"
	"blockprint/store"
	"blockprint/trust"
)

// Options change how a server behaves; the zero value serves private routes on loopback only, without limits on
// the rate of requests.
type Options struct {
	Auth Auth
	// Hosts are names, beside those of loopback, that requests for private routes may call this server by when there
	// are no credentials.
	Hosts []string
	// HeadTolerance is how many slots the newest covered one may be behind the clock before the difference counts
	// as a gap. 0 means DefaultHeadTolerance.
	HeadTolerance uint64
	// Rate is how many requests a second one client address may make on average; 0 means any number, less is an error.
	Rate float64
	// MaxBody limits a request's body in bytes. 0 means 64 MiB, less is an error.
	MaxBody  int64
	Version  string
	Now      func() time.Time
	Logger   *slog.Logger
	Registry *prometheus.Registry
	// Trust tells which labels are greylisted; nil reads it from the store.
	Trust func(context.Context) (*trust.Report, error)
	// Ready says, in a process that also follows the chain, why it cannot do so now, and nil if it can. Without it the
	// server is one of what there is, however old: ready when the database answers.
	Ready func() error
}

// Check refuses options that cannot be.
func (o *Options) Check() error {
	switch {
	case !(o.Rate >= 0) || math.IsInf(o.Rate, 0):
		return blockprint.Errorf(blockprint.Invalid, "%g requests a second: expected a number above 0, or 0 for any number", o.Rate)
	case o.MaxBody < 0:
		return blockprint.Errorf(blockprint.Invalid, "bodies of at most %d bytes: expected a number above 0, or 0 for 64 MiB", o.MaxBody)
	}
	return nil
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	if o.HeadTolerance == 0 {
		o.HeadTolerance = DefaultHeadTolerance
	}
	if o.MaxBody == 0 {
		o.MaxBody = 64 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	return o
}

// DefaultHeadTolerance is two epochs of mainnet.
const DefaultHeadTolerance = 64

// Server answers requests from a store.
type Server struct {
	store    store.Store
	model    *classify.Model // nil: labels are served, not made
	recorder *follow.Local
	labelers sync.Pool
	o        Options
	limiters *lru.Cache[string, *rate.Limiter]
	public   map[string]bool // patterns of routes that are open to all; all others are private
	dear     map[string]bool // patterns of public routes that cost much
	gates    *gates
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	closing  atomic.Bool
	mux      *http.ServeMux
	api      huma.API
}

// New returns a server. Without a model it cannot classify.
func New(s store.Store, m *classify.Model, rules *graffiti.Rules, o Options) (*Server, error) {
	srv, err := newServer(o, "Which consensus client built each block of Ethereum's beacon chain.")
	if err != nil {
		return nil, err
	}
	srv.store, srv.model = s, m
	srv.o.Registry.MustRegister(&storeMetrics{srv})
	if o.Trust == nil {
		service := trust.NewService(s, trust.DefaultSettings(), store.NetworkOf(s), trust.ServiceOptions{Now: srv.o.Now, Logger: srv.o.Logger})
		srv.o.Registry.MustRegister(service)
		srv.o.Trust = service.Report
	}
	if m != nil {
		if srv.recorder, err = follow.NewLocal(s, m, rules, nil); err != nil {
			return nil, err
		}
		srv.labelers.New = func() any {
			l, err := m.NewLabeler(rules)
			if err != nil {
				panic(err) // NewLocal has made one just like it
			}
			return l
		}
	}
	srv.routes()
	return srv, nil
}

// newServer returns a server without routes.
func newServer(o Options, description string) (*Server, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	srv := &Server{o: o.withDefaults(), mux: http.NewServeMux(), public: map[string]bool{}, dear: map[string]bool{}}
	var err error
	if srv.gates, err = newGates(); err != nil {
		return nil, err
	}
	if srv.limiters, err = lru.New[string, *rate.Limiter](4096); err != nil {
		return nil, err
	}
	srv.meter()
	srv.newAPI(description)
	return srv, nil
}

// keepHouse adds the routes that every service has. ready fails as long as it cannot answer.
func (s *Server) keepHouse(ready func(context.Context) error) {
	s.page("GET /{$}", http.HandlerFunc(s.serveHome))
	s.page("GET /docs", http.HandlerFunc(s.serveDocs))
	s.page("GET /metrics", promhttp.HandlerFor(s.o.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2}))
	s.page("GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") }))
	s.page("GET /readyz", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		err := ready(ctx)
		if s.closing.Load() {
			err = errors.New("the server is stopping")
		}
		if err != nil {
			writeError(w, newStatusError(http.StatusServiceUnavailable, "not ready: "+publicText(err)))
			return
		}
		_, _ = fmt.Fprintln(w, "ready")
	}))
	s.page("/", http.HandlerFunc(s.serveUnknown))
}

// ready tells whether the server of a store can do its work.
func (s *Server) ready(ctx context.Context) error {
	if err := s.store.Ping(ctx); err != nil || s.o.Ready == nil {
		return err
	}
	return s.o.Ready()
}

// meter makes the metrics of all routes.
func (s *Server) meter() {
	s.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "blockprint_http", Name: "requests_total", Help: "Requests by route and status."}, []string{"route", "status"})
	s.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "blockprint_http", Name: "request_duration_seconds", Help: "Time to answer by route.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9)}, []string{"route"})
	s.o.Registry.MustRegister(s.requests, s.duration)
}

// Shutdown makes /readyz say no, so that a load balancer stops sending.
func (s *Server) Shutdown() { s.closing.Store(true) }

// newAPI makes the OpenAPI document that operations are registered with.
func (s *Server) newAPI(description string) {
	huma.NewError = newStatusError // the library's only way to shape its errors
	config := huma.DefaultConfig("blockprint", s.o.Version)
	config.CreateHooks = nil // no $schema field in answers
	config.DocsPath, config.OpenAPIPath, config.SchemasPath = "", "/openapi", ""
	config.Info.Description = description
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"basic":  {Type: "http", Scheme: "basic"},
		"bearer": {Type: "http", Scheme: "bearer"},
	}
	s.api = humago.New(s.mux, config)
	for _, pattern := range openPages {
		s.public[pattern] = true
	}
}

// routes registers everything.
func (s *Server) routes() {
	s.publicRoutes()
	s.accuracyRoutes(gauge.NewReader(s.store, store.NetworkOf(s.store), s.o.Now))
	s.opinionRoutes()
	s.trustRoutes()
	s.shareRoutes()
	s.privateRoutes()
	s.syncRoutes()
	s.keepHouse(s.ready)
}

// serveUnknown tells a wrong method from a wrong path.
func (s *Server) serveUnknown(w http.ResponseWriter, r *http.Request) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "/" {
			w.Header().Set("Allow", method)
			writeError(w, newStatusError(http.StatusMethodNotAllowed, r.URL.Path+" wants "+method))
			return
		}
	}
	writeError(w, newStatusError(http.StatusNotFound, "no such route: "+r.Method+" "+r.URL.Path+"; see /docs"))
}

// register adds an operation under our conventions. It is private if it has Security, and public otherwise.
func register[I, O any](s *Server, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	if len(op.Security) == 0 {
		s.public[patternOf(&op)] = true
	}
	op.OperationID = op.Method + op.Path
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = s.o.MaxBody
	}
	op.BodyReadTimeout = time.Minute
	op.SkipValidateBody = true // bodies are read by our own, stricter readers
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, s.toStatus(err)
		}
		return out, nil
	})
}

// registerDear is register for a public GET that costs more than a few rows.
func registerDear[I, O any](s *Server, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	s.dear[patternOf(&op)] = true
	register(s, op, handler)
}
