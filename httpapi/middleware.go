package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Auth holds the credentials of the private routes. Without any, those routes are served on loopback only.
type Auth struct {
	Users  map[string]string // password by name
	Tokens []string
}

// configured tells whether there are credentials.
func (a *Auth) configured() bool { return len(a.Users) > 0 || len(a.Tokens) > 0 }

// allows checks a request's credentials, in time that does not tell how near a guess is.
func (a *Auth) allows(r *http.Request) bool {
	same := func(x, y string) bool {
		hx, hy := sha256.Sum256([]byte(x)), sha256.Sum256([]byte(y))
		return subtle.ConstantTimeCompare(hx[:], hy[:]) == 1
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		found := false
		for _, t := range a.Tokens {
			found = same(token, t) || found
		}
		return found
	}
	name, password, ok := r.BasicAuth()
	if !ok {
		return false
	}
	found := false
	for n, p := range a.Users {
		found = same(name, n) && same(password, p) || found
	}
	return found
}

// private tells which paths tell about single validators or change the store.
func private(path string) bool {
	for _, prefix := range []string{"/validator/", "/blocks/", "/confusion/", "/classify", "/sync/store/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

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
		s.serve(rec, r)
		_, route := s.mux.Handler(r)
		s.requests.WithLabelValues(route, strconv.Itoa(rec.status)).Inc()
		s.duration.WithLabelValues(route).Observe(time.Since(began).Seconds())
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

// serve applies what holds for every route: CORS, limits, credentials.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Blockprint-As-Of-Slot, Blockprint-Model, Blockprint-Trust, Blockprint-Gaps")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodOptions {
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
	if private(r.URL.Path) {
		if err := s.authorize(r); err != nil {
			if err.Status == http.StatusUnauthorized {
				h.Set("WWW-Authenticate", `Basic realm="blockprint"`)
			}
			writeError(w, err)
			return
		}
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) authorize(r *http.Request) *statusError {
	switch {
	case !s.o.Auth.configured():
		if !fromLoopback(r) {
			return newStatusError(http.StatusForbidden, "this route is private: without configured credentials it is served to this machine only").(*statusError)
		}
	case !s.o.Auth.allows(r):
		return newStatusError(http.StatusUnauthorized, "credentials are missing or wrong").(*statusError)
	}
	return nil
}

// fromLoopback tells whether a request comes from this machine, and not through a proxy on it.
func fromLoopback(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	ip := net.ParseIP(hostOf(r))
	return ip != nil && ip.IsLoopback()
}

func hostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (s *Server) underLimit(r *http.Request) bool {
	if s.o.Rate <= 0 {
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

// recorder notes the status for the metrics.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Serve runs an HTTP server on an address until ctx ends, then lets requests finish for up to eight seconds.
func Serve(ctx context.Context, l net.Listener, h http.Handler, stopping func()) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute}
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
