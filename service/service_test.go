package service

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"blockprint"
	"blockprint/nodetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newTest returns a service with a route of each kind of access.
func newTest(t *testing.T, o Options) *Service {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			s.Fail(w, blockprint.Errorf(blockprint.TooLarge, "body: %w", err))
			return
		}
		_, _ = w.Write(body) // the test is gone
	})
	s.Handle(Private, "POST /private", echo)
	s.Handle(Guarded, "POST /guarded", echo)
	s.Handle(Public, "POST /public", echo)
	return s
}

// post sends a request from this machine after change has altered it.
func post(h http.Handler, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8000"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1234"
	r.Header.Set("Content-Type", "application/json")
	change(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// TestAccess: each kind of route refuses what it must, and nothing else.
func TestAccess(t *testing.T) {
	open, locked := newTest(t, Options{}), newTest(t, Options{Auth: Auth{Users: map[string]string{"alice": "secret"}, Tokens: []string{"token"}}})
	for _, c := range []struct {
		name                     string
		change                   func(*http.Request)
		private, guarded, public int // without configured credentials
		credentials              int // private, with configured ones
	}{
		{"this machine", func(*http.Request) {}, 200, 200, 200, 401},
		{"a page", header("Origin", "https://evil.example"), 403, 403, 200, 403},
		{"a sandboxed page", header("Origin", "null"), 403, 403, 200, 403},
		{"cross-site", header("Sec-Fetch-Site", "cross-site"), 403, 403, 200, 403},
		{"our own page", header("Origin", "http://127.0.0.1:8000"), 200, 200, 200, 401},
		{"another name", func(r *http.Request) { r.Host = "evil.example" }, 403, 200, 200, 401},
		{"typed by the user", header("Sec-Fetch-Site", "none"), 200, 200, 200, 401},
		{"another machine", func(r *http.Request) { r.RemoteAddr = "203.0.113.5:99" }, 403, 200, 200, 401},
		{"a proxy", header("X-Forwarded-For", "203.0.113.5"), 403, 200, 200, 401},
		{"text", header("Content-Type", "text/plain"), 415, 415, 200, 401},
		{"a user", func(r *http.Request) { r.SetBasicAuth("alice", "secret") }, 200, 200, 200, 200},
		{"a wrong password", func(r *http.Request) { r.SetBasicAuth("alice", "secre") }, 200, 200, 200, 401},
		{"a token", header("Authorization", "bearer token"), 200, 200, 200, 200},
		{"a wrong token", header("Authorization", "Bearer tokens"), 200, 200, 200, 401},
	} {
		for path, want := range map[string]int{"/private": c.private, "/guarded": c.guarded, "/public": c.public} {
			w := post(open, path, "{}", c.change)
			if cors := w.Header().Get("Access-Control-Allow-Origin") != ""; w.Code != want || cors != (path == "/public") {
				t.Errorf("%s to %s: status %d, want %d; CORS: %v", c.name, path, w.Code, want, cors)
			}
		}
		if w := post(locked, "/private", "{}", c.change); w.Code != c.credentials {
			t.Errorf("%s with configured credentials: status %d, want %d", c.name, w.Code, c.credentials)
		}
	}
	if w := post(newTest(t, Options{AnyBody: true}), "/guarded", "{}", header("Content-Type", "text/plain")); w.Code != 200 {
		t.Errorf("any body: %d", w.Code)
	}
}

// TestOwnNames: programs on this machine may use its own names, and those that the service was given.
func TestOwnNames(t *testing.T) {
	s := newTest(t, Options{Hosts: []string{"labels.lan", "192.0.2.7"}})
	for name, want := range map[string]int{
		"127.0.0.1:8000": 200, "[::1]:8000": 200, "LOCALHOST:8000": 200, "localhost": 200, "labels.lan:8000": 200, "192.0.2.7": 200,
		"evil.example:8000": 403, "127.0.0.1.evil.example": 403, "192.0.2.1:8000": 403,
	} {
		if w := post(s, "/private", "{}", func(r *http.Request) { r.Host = name }); w.Code != want {
			t.Errorf("%s: status %d, want %d", name, w.Code, want)
		}
	}
	behindTLS := func(r *http.Request) {
		r.Host = "labels.lan"
		r.Header.Set("Origin", "https://labels.lan")
	}
	if w := post(s, "/private", "{}", behindTLS); w.Code != 200 {
		t.Errorf("its own page behind TLS: %d", w.Code)
	}
}

// TestBodiesAreJSON: a page may send text and forms without asking, so those are rejected; programs may omit the type.
func TestBodiesAreJSON(t *testing.T) {
	s := newTest(t, Options{})
	for kind, want := range map[string]int{
		"application/json": 200, "Application/JSON; charset=UTF-8": 200, "": 200,
		"text/plain": 415, "application/x-www-form-urlencoded": 415, "multipart/form-data; boundary=x": 415, "application/json, text/plain": 415, ";": 415,
	} {
		w := post(s, "/private", "{}", func(r *http.Request) {
			r.Header.Del("Content-Type")
			if kind != "" {
				r.Header.Set("Content-Type", kind)
			}
		})
		if w.Code != want || want == 415 && !strings.Contains(w.Body.String(), `"code":"unsupported_media_type"`) {
			t.Errorf("%q: %d %s, want %d", kind, w.Code, w.Body, want)
		}
	}
	browser := func(r *http.Request) {
		r.Header.Del("Content-Type")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if w := post(s, "/private", "{}", browser); w.Code != 415 {
		t.Errorf("a browser without a type: %d", w.Code)
	}
}

// TestLimits: bodies and rates have limits, and errors have one shape.
func TestLimits(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := newTest(t, Options{MaxBody: 4, Rate: 2, Now: func() time.Time { return now }})
	announced := post(s, "/public", "12345", func(*http.Request) {})
	hidden := post(s, "/public", "12345", func(r *http.Request) { r.ContentLength = -1 })
	for _, w := range []*httptest.ResponseRecorder{announced, hidden} {
		var e StatusError
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 413 || e.Code != string(blockprint.TooLarge) {
			t.Errorf("status %d, %+v, %v", w.Code, e, err)
		}
	}
	if w := post(s, "/public", "1234", func(*http.Request) {}); w.Code != 200 || w.Body.String() != "1234" {
		t.Errorf("a body at the limit: %d %s", w.Code, w.Body)
	}
	var w *httptest.ResponseRecorder
	for range 3 {
		w = post(s, "/public", "", func(*http.Request) {})
	}
	if w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("too many requests: %d %v", w.Code, w.Header())
	}
	if w := post(s, "/public", "", func(r *http.Request) { r.RemoteAddr = "127.0.0.2:1" }); w.Code != 200 {
		t.Errorf("another address: %d", w.Code)
	}
	for _, o := range []Options{{Rate: -1}, {MaxBody: -1}} {
		if _, err := New(o); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestHealth: a service is alive from the beginning, ready while it can work, and no longer ready once it stops, though
// it still finishes requests.
func TestHealth(t *testing.T) {
	s := newTest(t, Options{})
	var reason error
	s.Health(Public, func(context.Context) error { return reason })
	entered, leave := make(chan struct{}), make(chan struct{})
	s.Handle(Public, "GET /slow", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	}))
	status := func(path string) int {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}
	if status("/healthz") != 200 || status("/readyz") != 200 || status("/metrics") != 200 {
		t.Error("not healthy")
	}
	if reason = errors.New("the disk is full"); status("/healthz") != 200 || status("/readyz") != 503 {
		t.Error("ready although it is not")
	}
	reason = nil
	listeners, err := Listen(t.Context(), "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, listeners...) }()
	answered := make(chan error, 1)
	go func() {
		res, err := http.Get("http://" + listeners[1].Addr().String() + "/slow")
		if err == nil {
			err = res.Body.Close()
		}
		answered <- err
	}()
	<-entered
	cancel()
	nodetest.Await(t, "Serve to notice", func() bool { return status("/readyz") == 503 })
	close(leave)
	if err := errors.Join(<-answered, <-served); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestListen: either all addresses are open or none.
func TestListen(t *testing.T) {
	first, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := first[0].Addr().String()
	if _, err := Listen(t.Context(), "127.0.0.1:0", taken); blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), taken) {
		t.Errorf("%v", err)
	}
	_ = first[0].Close()
	if err := Serve(t.Context(), http.NotFoundHandler(), first...); err == nil {
		t.Error("a closed listener is no error")
	}
}

// TestCutOff: a client that does not read is cut off.
func TestCutOff(t *testing.T) {
	done := make(chan error, 1)
	s := httptest.NewServer(cutOff(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush() // events still can
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				done <- err
				return
			}
		}
	}), 20*time.Millisecond))
	defer s.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }() // it is cut off already
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("no error")
	}
}
