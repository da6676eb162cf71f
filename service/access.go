package service

import (
	"crypto/sha256"
	"crypto/subtle"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Access says who may ask for a route. It is decided once, where the route is registered.
//
// Without configured credentials, private routes are served to this machine. But a browser on this machine is not its
// user: any page can make it send requests. So private and guarded routes have no CORS headers, and they refuse
// whatever a page of another origin sends (Origin, Sec-Fetch-Site) and bodies of the types that a page may send without
// asking. Private routes also refuse requests that use a name for this server that is not its own (Host: a page's own
// name may have been made to lead here).
type Access int

const (
	// Private routes need credentials. If none are configured, they are served to this machine only.
	Private Access = iota
	// Guarded routes need no credentials or check their own, but pages of other sites may not use them.
	Guarded
	// Public routes are open to everybody, pages of other sites included.
	Public
)

// Auth holds the credentials for private routes. If there are none, these routes are served on loopback only.
type Auth struct {
	Users  map[string]string // password by name
	Tokens []string
}

func (a *Auth) configured() bool { return len(a.Users) > 0 || len(a.Tokens) > 0 }

// allows checks a request's credentials, in a time that does not reveal how close a guess is.
func (a *Auth) allows(r *http.Request) bool {
	same := func(x, y string) bool {
		hx, hy := sha256.Sum256([]byte(x)), sha256.Sum256([]byte(y))
		return subtle.ConstantTimeCompare(hx[:], hy[:]) == 1
	}
	found := false
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		for _, t := range a.Tokens {
			found = same(strings.TrimSpace(token), t) || found
		}
		return found
	}
	name, password, ok := r.BasicAuth()
	if !ok {
		return false
	}
	for n, p := range a.Users {
		found = same(name, n) && same(password, p) || found
	}
	return found
}

// route returns the pattern that a request belongs to. A request with a method that its path does not have belongs to
// the path's other method, so that asking wrongly reveals nothing about a private route.
func (s *Service) route(r *http.Request) string {
	if asked := r.Header.Get("Access-Control-Request-Method"); r.Method == http.MethodOptions && asked != "" {
		if pattern := s.pattern(r, asked); pattern != unknown {
			return pattern
		}
	}
	for _, method := range []string{r.Method, http.MethodGet, http.MethodPost} {
		if pattern := s.pattern(r, method); pattern != unknown {
			return pattern
		}
	}
	return unknown
}

// unknown is the pattern of requests that belong to no route.
const unknown = "/"

// pattern returns the pattern that a request would belong to if it had a method.
func (s *Service) pattern(r *http.Request, method string) string {
	if method != r.Method {
		r = r.WithContext(r.Context()) // a shallow copy
		r.Method = method
	}
	_, pattern := s.mux.Handler(r)
	return pattern
}

const notForPages = "this route is not served to pages of other sites"

// refusal returns why a request may not have a route, or nil if it may.
func (s *Service) refusal(r *http.Request, access Access) *StatusError {
	switch {
	case access == Public:
		return nil
	case fromAnotherSite(r):
		return NewStatusError(http.StatusForbidden, notForPages)
	case access == Guarded: // needs no credentials of ours
	case s.Auth.configured():
		if !s.Auth.allows(r) {
			return NewStatusError(http.StatusUnauthorized, "credentials are missing or wrong")
		}
	case !fromLoopback(r):
		return NewStatusError(http.StatusForbidden, "this route is private: without configured credentials it is served to this machine only")
	case !s.ownName(hostname(r.Host)):
		return NewStatusError(http.StatusForbidden, "this route is private, and without configured credentials it is served under this machine's own names only: allow another one with --host")
	}
	if !s.AnyBody && !declaresJSON(r) {
		return NewStatusError(http.StatusUnsupportedMediaType, "the body must be JSON: send it with Content-Type: application/json")
	}
	return nil
}

// fromAnotherSite reports whether a browser says that a page of another origin sends the request.
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

// plainHost drops the ports that browsers drop. (A proxy may speak TLS where this server does not.)
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

// ownName reports whether a name or address is one that this server is known by.
func (s *Service) ownName(name string) bool {
	if ip := net.ParseIP(name); ip != nil && ip.IsLoopback() || strings.EqualFold(name, "localhost") {
		return true
	}
	return slices.ContainsFunc(s.Hosts, func(own string) bool { return own != "" && strings.EqualFold(own, name) })
}

// clientAddress is where a request comes from, without the port.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// fromLoopback reports whether a request comes from this machine, and not through a proxy on it.
func fromLoopback(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	ip := net.ParseIP(clientAddress(r))
	return ip != nil && ip.IsLoopback()
}

// declaresJSON reports whether a request has no body, or one of JSON. A program may omit the type; a browser never
// does so unless a page makes it.
func declaresJSON(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	if r.Header.Get("Content-Type") == "" {
		return r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Sec-Fetch-Mode") == ""
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}
