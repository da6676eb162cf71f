package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"blockprint"
	"blockprint/gauge"
	"blockprint/greylist"
	"blockprint/httpapi"
	"blockprint/service"
	"blockprint/trust"
)

// operation is a route in the OpenAPI document.
type operation struct {
	method, path string
	private      bool
}

var parameter = regexp.MustCompile(`\{[a-z_]+\}`)

// operations lists the routes that a server documents.
func operations(t *testing.T, h http.Handler) (list []operation) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	var doc struct {
		Paths map[string]map[string]struct {
			Security   []any `json:"security"`
			Parameters []struct{ Name, In, Description string }
		} `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s %s does not describe its parameter %s", method, path, p.Name)
				}
			}
			list = append(list, operation{strings.ToUpper(method), parameter.ReplaceAllString(path, "1"), len(op.Security) > 0})
		}
	}
	if len(list) == 0 {
		t.Fatal("no operations")
	}
	return list
}

// ask sends a request from this machine after change has altered it.
func ask(h http.Handler, method, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("[]")
	}
	r := httptest.NewRequest(method, "http://127.0.0.1:8000"+path, body)
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

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

// servers returns one of each service that OpenAPI describes.
func servers(t *testing.T, so service.Options) map[string]http.Handler {
	t.Helper()
	o := httpapi.Options{Options: so, Version: "v9"}
	a := newAPIWith(t, nil, httpapi.LabelsOptions{Options: o})
	a.apply(chain(1, 70))
	network := func(context.Context) (*blockprint.Network, error) { return mainnet(), nil }
	g, err := httpapi.NewGauge(gauge.New(a.store, nil, network, gauge.Options{}), noTrust, o)
	if err != nil {
		t.Fatal(err)
	}
	list, err := httpapi.NewGreylist(httpapi.GreylistSource{
		Snapshot: func(context.Context) (*greylist.Snapshot, error) { return &greylist.Snapshot{}, nil },
		Feed:     func(context.Context, string, io.Writer) error { return nil },
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]http.Handler{"api": a.server, "gauge": g, "greylist": list}
}

// noTrust reports that nothing has been measured.
func noTrust(context.Context) (*trust.Report, error) { return &trust.Report{}, nil }

func mainnet() *blockprint.Network { return &blockprint.Network{Spec: blockprint.MainnetSpec()} }

// TestPrivateIsPrivate: exactly the routes that the documentation calls private are refused to everybody without permission,
// with any method; pages of other sites get neither an answer nor the permission to ask.
func TestPrivateIsPrivate(t *testing.T) {
	hostile := map[string]func(*http.Request){
		"another machine": func(r *http.Request) { r.RemoteAddr = "203.0.113.5:99" },
		"a proxy":         header("X-Forwarded-For", "203.0.113.5"),
		"a page":          header("Origin", "https://evil.example"),
		"a sandbox":       header("Origin", "null"),
		"another port":    header("Origin", "http://127.0.0.1:9090"),
		"cross-site":      header("Sec-Fetch-Site", "cross-site"),
		"same-site":       header("Sec-Fetch-Site", "same-site"),
		"rebinding":       host("evil.example:8000"),
		"rebinding with an origin of its own": func(r *http.Request) {
			r.Host = "evil.example:8000"
			r.Header.Set("Origin", "http://evil.example:8000")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		},
		"a host that looks like loopback": host("127.0.0.1.evil.example"),
		"another address":                 host("192.0.2.1:8000"),
	}
	for name, h := range servers(t, service.Options{}) {
		private := 0
		for _, op := range operations(t, h) {
			if op.private {
				private++
			}
			for who, change := range hostile {
				w := ask(h, op.method, op.path, change)
				if refused := w.Code == http.StatusForbidden; refused != op.private {
					t.Errorf("%s: %s %s by %s: status %d, private: %v", name, op.method, op.path, who, w.Code, op.private)
				}
				if allowed := w.Header().Get("Access-Control-Allow-Origin") != ""; allowed == op.private {
					t.Errorf("%s: %s %s by %s: CORS %v", name, op.method, op.path, who, w.Header())
				}
				for _, method := range []string{http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch} {
					if w := ask(h, method, op.path, change); op.private && w.Code != http.StatusForbidden {
						t.Errorf("%s: %s %s by %s: status %d", name, method, op.path, who, w.Code)
					}
				}
			}
			w := ask(h, http.MethodOptions, op.path, func(r *http.Request) {
				r.Header.Set("Origin", "https://evil.example")
				r.Header.Set("Access-Control-Request-Method", op.method)
				r.Header.Set("Access-Control-Request-Private-Network", "true")
			})
			if allowed := w.Header().Get("Access-Control-Allow-Origin") != ""; allowed == op.private || (w.Code == http.StatusNoContent) == op.private {
				t.Errorf("%s: pre-flight of %s %s: %d %v", name, op.method, op.path, w.Code, w.Header())
			}
		}
		if want := map[string]bool{"api": true, "gauge": true}[name]; want != (private > 0) {
			t.Errorf("%s has %d private routes", name, private)
		}
	}
}

// TestCredentials: with credentials a server may be called by any name, but not by a page that makes a browser send them.
func TestCredentials(t *testing.T) {
	for name, h := range servers(t, service.Options{Auth: service.Auth{Users: map[string]string{"alice": "secret"}}}) {
		for _, op := range operations(t, h) {
			w := ask(h, op.method, op.path, host("labels.example"))
			if refused := w.Code == http.StatusUnauthorized; refused != op.private {
				t.Errorf("%s: %s %s without credentials: %d, private: %v", name, op.method, op.path, w.Code, op.private)
			}
			known := func(r *http.Request) { r.SetBasicAuth("alice", "secret"); r.Host = "labels.example" }
			if w := ask(h, op.method, op.path, known); slices.Contains([]int{401, 403, 415}, w.Code) {
				t.Errorf("%s: %s %s with credentials: %d %s", name, op.method, op.path, w.Code, w.Body)
			}
			byPage := func(r *http.Request) { known(r); r.Header.Set("Origin", "https://evil.example") }
			if w := ask(h, op.method, op.path, byPage); op.private && w.Code != http.StatusForbidden {
				t.Errorf("%s: %s %s with credentials by a page: %d", name, op.method, op.path, w.Code)
			}
		}
	}
}
