// Package httpapi serves the labels of a store over HTTP: the original's public and private routes with unchanged
// success shapes, ours beside them, and the routes by which a follower on another machine writes (Remote is its
// client).
//
// New builds a Server from a store and a model; its Handler is ready for net/http. Every error is
// {"error": text, "code": word} with the status that the code means.
package httpapi

import (
	"context"
	"fmt"
	"log/slog"
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
	"blockprint/store"
	"blockprint/trust"
)

// Options change how a server behaves; the zero value serves private routes on loopback only, without limits on
// the rate of requests.
type Options struct {
	Auth Auth
	// HeadTolerance is how many slots the newest covered one may be behind the clock before the difference counts
	// as a gap. 0 means DefaultHeadTolerance.
	HeadTolerance uint64
	// Rate is how many requests a second one client address may make on average; 0 means any number.
	Rate float64
	// MaxBody limits a request's body in bytes. 0 means 64 MiB.
	MaxBody  int64
	Version  string
	Now      func() time.Time
	Logger   *slog.Logger
	Registry *prometheus.Registry
	// Trust tells which labels are greylisted; nil reads it from the store.
	Trust func(context.Context) (*trust.Report, error)
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
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	closing  atomic.Bool
	mux      *http.ServeMux
	api      huma.API
}

// New returns a server. Without a model it cannot classify.
func New(s store.Store, m *classify.Model, rules *blockprint.GraffitiRules, o Options) (*Server, error) {
	srv, err := newServer(o, "Which consensus client built each block of Ethereum's beacon chain.")
	if err != nil {
		return nil, err
	}
	srv.store, srv.model = s, m
	if o.Trust == nil {
		srv.o.Trust = trust.NewService(s, trust.DefaultSettings(), store.NetworkOf(s), trust.ServiceOptions{Now: srv.o.Now, Logger: srv.o.Logger}).Report
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
	srv := &Server{o: o.withDefaults(), mux: http.NewServeMux()}
	var err error
	if srv.limiters, err = lru.New[string, *rate.Limiter](4096); err != nil {
		return nil, err
	}
	srv.meter()
	srv.newAPI(description)
	return srv, nil
}

// keepHouse adds the routes that every service has. ready fails as long as it cannot answer.
func (s *Server) keepHouse(ready func(context.Context) error) {
	s.mux.HandleFunc("GET /docs", s.serveDocs)
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(s.o.Registry, promhttp.HandlerOpts{}))
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := ready(ctx); err != nil || s.closing.Load() {
			writeError(w, newStatusError(http.StatusServiceUnavailable, "not ready"))
			return
		}
		_, _ = fmt.Fprintln(w, "ready")
	})
	s.mux.HandleFunc("/", s.serveUnknown)
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
}

// routes registers everything.
func (s *Server) routes() {
	s.publicRoutes()
	s.accuracyRoutes(gauge.New(s.store, nil, nil, store.NetworkOf(s.store), gauge.Options{Now: s.o.Now}))
	s.opinionRoutes()
	s.trustRoutes()
	s.shareRoutes()
	s.privateRoutes()
	s.syncRoutes()
	s.keepHouse(s.store.Ping)
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

// register adds an operation under our conventions.
func register[I, O any](s *Server, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
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
