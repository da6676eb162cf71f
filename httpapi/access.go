package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Who may ask for what is decided where a route is registered, and nowhere else: register makes an operation public
// that has no Security, page does the same for what is not an operation, and everything else is private. So a route
// that somebody forgets is refused, not served.
//
// Without credentials, private routes are served to this machine. A browser on this machine is not its user: any page
// can make it send requests. Therefore private routes have no CORS headers, and refuse what a page of another origin
// sends (Origin, Sec-Fetch-Site), what calls this server by a name that is not its own (Host: a page whose name now
// leads here), and bodies in the types that a page may send without asking.

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
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		found := false
		for _, t := range a.Tokens {
			found = same(strings.TrimSpace(token), t) || found
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

// openPages are the routes that the OpenAPI library adds itself.
var openPages = []string{"GET /openapi.json", "GET /openapi.yaml", "GET /openapi-3.0.json", "GET /openapi-3.0.yaml"}

// page adds a public route that is no operation.
func (s *Server) page(pattern string, h http.Handler) {
	s.public[pattern] = true
	s.mux.Handle(pattern, h)
}

// patternOf returns the mux's name for an operation's route.
func patternOf(op *huma.Operation) string { return op.Method + " " + op.Path }

// route returns the pattern that a request belongs to. One with a method that its path does not have belongs to the
// path's other method, so that asking wrongly tells nothing of a private route.
func (s *Server) route(r *http.Request) string {
	methods := []string{r.Method, http.MethodGet, http.MethodPost}
	if asked := r.Header.Get("Access-Control-Request-Method"); r.Method == http.MethodOptions && asked != "" {
		methods = append([]string{asked}, methods...)
	}
	for _, m := range methods {
		other := r.Clone(r.Context())
		other.Method = m
		if _, pattern := s.mux.Handler(other); pattern != "/" {
			return pattern
		}
	}
	return "/"
}

// authorize refuses a request for a private route that may not have it.
func (s *Server) authorize(r *http.Request) *statusError {
	refuse := func(text string) *statusError {
		return newStatusError(http.StatusForbidden, text).(*statusError)
	}
	if fromAnotherSite(r) {
		return refuse("this route is private: it is not served to pages of other sites")
	}
	switch {
	case s.o.Auth.configured():
		if !s.o.Auth.allows(r) {
			return newStatusError(http.StatusUnauthorized, "credentials are missing or wrong").(*statusError)
		}
	case !fromLoopback(r):
		return refuse("this route is private: without configured credentials it is served to this machine only")
	case !s.ownName(hostname(r.Host)):
		return refuse("this route is private, and without configured credentials it is served under this machine's own names only: allow another one with --host")
	}
	if !acceptsBody(r) {
		return newStatusError(http.StatusUnsupportedMediaType, "the body must be JSON: send it with Content-Type: application/json").(*statusError)
	}
	return nil
}

// fromAnotherSite tells whether a browser says that a page of another origin sends the request.
func fromAnotherSite(r *http.Request) bool {
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "" && site != "same-origin" && site != "none" {
			return true
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(plainHost(u.Host), plainHost(r.Host)) {
			return true
		}
	}
	return false
}

// plainHost leaves out the ports that browsers leave out. (A proxy may speak TLS where this server does not.)
func plainHost(host string) string {
	return strings.TrimSuffix(strings.TrimSuffix(host, ":80"), ":443")
}

// hostname returns a host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// ownName tells whether a name or address is one that this server is known by.
func (s *Server) ownName(name string) bool {
	if ip := net.ParseIP(name); ip != nil && ip.IsLoopback() || strings.EqualFold(name, "localhost") {
		return true
	}
	return slices.ContainsFunc(s.o.Hosts, func(own string) bool { return own != "" && strings.EqualFold(own, name) })
}

// fromLoopback tells whether a request comes from this machine, and not through a proxy on it.
func fromLoopback(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	ip := net.ParseIP(hostOf(r))
	return ip != nil && ip.IsLoopback()
}

// acceptsBody tells whether a request has no body, or one of JSON. A program may leave out the type; a browser never
// does so unless a page makes it.
func acceptsBody(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	if r.Header.Get("Content-Type") == "" {
		return r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Sec-Fetch-Mode") == ""
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// NotForPages serves a handler that has no private routes, yet is not meant for pages of other sites: what makes a node
// work, for instance.
func NotForPages(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case fromAnotherSite(r):
			writeError(w, newStatusError(http.StatusForbidden, "this is not served to pages of other sites"))
		case !acceptsBody(r):
			writeError(w, newStatusError(http.StatusUnsupportedMediaType, "the body must be JSON: send it with Content-Type: application/json"))
		default:
			h.ServeHTTP(w, r)
		}
	})
}
