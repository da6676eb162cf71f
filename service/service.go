// Package service is what every HTTP service of this program shares: who may ask for which route, limits, health
// checks, metrics, one shape of errors, and a server that stops gracefully.
//
//	s, err := service.New(service.Options{Auth: auth})
//	s.Handle(service.Private, "POST /things", handler)
//	s.Health(service.Public, ready)
//	l, err := service.Listen(ctx, "127.0.0.1:8000")
//	err = s.Serve(ctx, l)
//
// A route is private unless it is registered as something else, so a route that somebody forgets is refused, not
// served (access.go).
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/time/rate"

	"blockprint"
)

// Options change how a service behaves. The zero value serves private routes on loopback only and does not limit the
// rate of requests.
type Options struct {
	Auth Auth
	// Hosts are names, besides those of loopback, that requests for private routes may use for this server when no
	// credentials are configured.
	Hosts []string
	// Rate is how many requests per second one client address may make on average. 0 means no limit; a negative rate is
	// an error.
	Rate float64
	// MaxBody limits the body of a request, in bytes. 0 means DefaultMaxBody; a negative limit is an error.
	MaxBody int64
	// AnyBody accepts bodies that are not declared as JSON, which clients of JSON-RPC send.
	AnyBody  bool
	Now      func() time.Time
	Logger   *slog.Logger
	Registry *prometheus.Registry // served at /metrics
}

// DefaultMaxBody is 64 MiB.
const DefaultMaxBody = 64 << 20

// Check rejects impossible options.
func (o *Options) Check() error {
	switch {
	case !(o.Rate >= 0) || math.IsInf(o.Rate, 0):
		return blockprint.Errorf(blockprint.Invalid, "%g requests per second: expected a number above 0, or 0 for no limit", o.Rate)
	case o.MaxBody < 0:
		return blockprint.Errorf(blockprint.Invalid, "bodies of at most %d bytes: expected a number above 0, or 0 for 64 MiB", o.MaxBody)
	}
	return nil
}

// Service is a set of routes under common rules. It is an http.Handler.
type Service struct {
	Options  // with defaults filled in
	mux      *http.ServeMux
	access   map[string]Access // by pattern
	limiters *lru.Cache[string, *rate.Limiter]
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	stopping atomic.Bool
}

// limitedAddresses is how many client addresses have a rate at once.
const limitedAddresses = 4096

// New returns a service without routes. Its metrics are registered with the registry, so each service has its own.
func New(o Options) (*Service, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o.MaxBody, o.Logger, o.Registry = cmp.Or(o.MaxBody, DefaultMaxBody), cmp.Or(o.Logger, slog.Default()), cmp.Or(o.Registry, prometheus.NewRegistry())
	if o.Now == nil {
		o.Now = time.Now
	}
	limiters, err := lru.New[string, *rate.Limiter](limitedAddresses)
	if err != nil {
		return nil, err
	}
	s := &Service{
		Options: o, mux: http.NewServeMux(), access: map[string]Access{}, limiters: limiters,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "blockprint_http", Name: "requests_total", Help: "Requests by route and status."}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "blockprint_http", Name: "request_duration_seconds", Help: "Time to answer by route.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}, []string{"route"}),
	}
	for _, c := range []prometheus.Collector{s.requests, s.duration} {
		if err := o.Registry.Register(c); err != nil {
			return nil, err
		}
	}
	s.Handle(Public, unknown, http.HandlerFunc(s.serveUnknown))
	return s, nil
}

// Handle adds a route. The pattern is that of http.ServeMux, with a method.
func (s *Service) Handle(access Access, pattern string, h http.Handler) {
	s.access[pattern] = access
	s.mux.Handle(pattern, h)
}

// readyTime bounds the check behind /readyz.
const readyTime = 2 * time.Second

// Health adds /healthz, /readyz and /metrics. ready returns why the service cannot do its work now, or nil.
func (s *Service) Health(access Access, ready func(context.Context) error) {
	s.Handle(access, "GET /metrics", promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2}))
	s.Handle(access, "GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") }))
	s.Handle(access, "GET /readyz", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTime)
		defer cancel()
		err := ready(ctx)
		if s.stopping.Load() {
			err = errors.New("the server is stopping")
		}
		if err != nil {
			WriteError(w, NewStatusError(http.StatusServiceUnavailable, "not ready: "+publicText(err)))
			return
		}
		_, _ = fmt.Fprintln(w, "ready")
	}))
}

// ServeHTTP answers a request under the rules of its route.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	out := &answer{ResponseWriter: w, status: http.StatusOK}
	if path := cleanPath(r.URL.Path); path != r.URL.Path { // //sync/status occurs in the wild; the mux would redirect it
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = path, ""
	}
	route := s.route(r)
	defer func() { // also when an answer breaks off
		s.requests.WithLabelValues(route, strconv.Itoa(out.status)).Inc()
		s.duration.WithLabelValues(route).Observe(time.Since(began).Seconds())
	}()
	s.serve(out, r, s.access[route])
}

func cleanPath(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	if len(p) > 1 {
		p = strings.TrimSuffix(p, "/")
	}
	return p
}

// serve checks what holds for every route before the route answers.
func (s *Service) serve(w http.ResponseWriter, r *http.Request, access Access) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	if access == Public {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	if r.Method == http.MethodOptions {
		s.preflight(w, access)
		return
	}
	if !s.underLimit(r) {
		h.Set("Retry-After", "1")
		WriteError(w, NewStatusError(http.StatusTooManyRequests, "too many requests from this address"))
		return
	}
	if err := s.refusal(r, access); err != nil {
		if err.Status == http.StatusUnauthorized {
			h.Set("WWW-Authenticate", `Basic realm="blockprint"`)
		}
		WriteError(w, err)
		return
	}
	if r.ContentLength > s.MaxBody {
		h.Set("Connection", "close") // the body is not read
		WriteError(w, NewStatusError(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has %d bytes: at most %d are accepted", r.ContentLength, s.MaxBody)))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, s.MaxBody)
	s.mux.ServeHTTP(w, r)
}

// preflight answers a browser that asks whether a page may send a request.
func (s *Service) preflight(w http.ResponseWriter, access Access) {
	if access != Public {
		WriteError(w, NewStatusError(http.StatusForbidden, notForPages))
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

// underLimit reports whether the client's address may make one more request now.
func (s *Service) underLimit(r *http.Request) bool {
	if s.Rate == 0 {
		return true
	}
	address := clientAddress(r)
	l, ok := s.limiters.Get(address)
	if !ok {
		l = rate.NewLimiter(rate.Limit(s.Rate), max(1, int(2*s.Rate)))
		s.limiters.Add(address, l)
	}
	return l.AllowN(s.Now(), 1)
}

// serveUnknown distinguishes a wrong method from a wrong path.
func (s *Service) serveUnknown(w http.ResponseWriter, r *http.Request) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if s.pattern(r, method) != unknown {
			w.Header().Set("Allow", method)
			WriteError(w, NewStatusError(http.StatusMethodNotAllowed, r.URL.Path+" wants "+method))
			return
		}
	}
	text := "no such route: " + r.Method + " " + r.URL.Path
	if _, ok := s.access["GET /docs"]; ok {
		text += "; see /docs"
	}
	WriteError(w, NewStatusError(http.StatusNotFound, text))
}

// answer notes the status for the metrics. The first status stands.
type answer struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (a *answer) WriteHeader(status int) {
	if a.wrote {
		return
	}
	a.status, a.wrote = status, true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.wrote = true
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
