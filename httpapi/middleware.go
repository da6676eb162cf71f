package httpapi

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Handler returns the whole API.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		path := cleanPath(r.URL.Path)
		if path != r.URL.Path { // //sync/status occurs in the wild; the mux would redirect it
			r2 := r.Clone(r.Context())
			r2.URL.Path, r2.URL.RawPath = path, ""
			r = r2
		}
		route := s.route(r)
		defer func() { // an answer that breaks off counts, too
			s.requests.WithLabelValues(route, strconv.Itoa(rec.status)).Inc()
			s.duration.WithLabelValues(route).Observe(time.Since(began).Seconds())
		}()
		s.serve(rec, r, route)
	})
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

// serve applies what holds for every route: limits, CORS, credentials.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, route string) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	public := s.public[route]
	if public {
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "Blockprint-As-Of-Slot, Blockprint-Model, Blockprint-Trust, Blockprint-Gaps")
	}
	if r.Method == http.MethodOptions {
		if !public {
			writeError(w, newStatusError(http.StatusForbidden, "this route is private: it is not served to pages of other sites"))
			return
		}
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !s.underLimit(r) {
		h.Set("Retry-After", "1")
		writeError(w, newStatusError(http.StatusTooManyRequests, "too many requests from this address"))
		return
	}
	if !public {
		if err := s.authorize(r); err != nil {
			if err.Status == http.StatusUnauthorized {
				h.Set("WWW-Authenticate", `Basic realm="blockprint"`)
			}
			writeError(w, err)
			return
		}
	}
	if s.dear[route] && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		s.serveDear(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func hostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (s *Server) underLimit(r *http.Request) bool {
	if s.o.Rate == 0 {
		return true
	}
	host := hostOf(r)
	l, ok := s.limiters.Get(host)
	if !ok {
		l = rate.NewLimiter(rate.Limit(s.o.Rate), max(1, int(2*s.o.Rate)))
		s.limiters.Add(host, l)
	}
	return l.AllowN(s.o.Now(), 1)
}

// recorder notes the status for the metrics, and lets the first status stand.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (r *recorder) WriteHeader(status int) {
	if r.wrote {
		return
	}
	r.status, r.wrote = status, true
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// writeTime is how long a client may take to accept a piece of an answer.
const writeTime = 30 * time.Second

// Serve runs an HTTP server on an address until ctx ends, then lets requests finish for up to eight seconds. Clients
// that do not read are cut off after half a minute, however long the whole answer takes.
func Serve(ctx context.Context, l net.Listener, h http.Handler, stopping func()) error {
	srv := &http.Server{Handler: cutOff(h, writeTime), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stopping()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil {
		return srv.Close()
	}
	return nil
}

// cutOff gives each write of a handler a deadline.
func cutOff(h http.Handler, after time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &punctual{w, http.NewResponseController(w), after}
		p.extend()
		h.ServeHTTP(p, r)
	})
}

// punctual is a ResponseWriter whose writes have deadlines.
type punctual struct {
	http.ResponseWriter
	conn  *http.ResponseController
	after time.Duration
}

func (p *punctual) extend() { _ = p.conn.SetWriteDeadline(time.Now().Add(p.after)) } // a writer without a connection has none

func (p *punctual) Write(b []byte) (int, error) {
	p.extend()
	return p.ResponseWriter.Write(b)
}

// Flush implements http.Flusher, for streams of events.
func (p *punctual) Flush() {
	p.extend()
	_ = p.conn.Flush() // the client is gone
}

// Unwrap lets http.ResponseController reach the connection.
func (p *punctual) Unwrap() http.ResponseWriter { return p.ResponseWriter }
