package stats_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"blockprint"
	"blockprint/gridcoin/stats"
)

// serve gives one answer after another, and repeats the last one.
func serve(answers ...http.HandlerFunc) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		answer := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		mu.Unlock()
		answer(w, r)
	})
}

// TestTransfers: the ranges that a server reports decide where bytes are written, the checksum proves that a file is complete,
// and a server that is busy, silent or confused is not asked forever.
func TestTransfers(t *testing.T) {
	file := zipped(t, []byte("<users>"+strings.Repeat(user("0.125"), 800)+"</users>"))
	half := len(file) / 2
	part := func(from, to int) http.HandlerFunc { // breaks off
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(file)-from))
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(file)-1, len(file)))
				w.WriteHeader(http.StatusPartialContent)
			}
			_, _ = w.Write(file[from:to])
		}
	}
	answer := func(status int, body []byte, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = w.Write(body)
		}
	}
	unfinished := func(header ...string) http.HandlerFunc { // the whole file, but the connection closes before the transfer ends
		return func(w http.ResponseWriter, r *http.Request) {
			answer(200, file, header...)(w, r)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	whole := answer(200, file, "ETag", `"1"`)
	silent := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(file)))
		_, _ = w.Write(file[:20])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	for name, c := range map[string]struct {
		handler http.Handler
		failure string // empty if the transfer succeeds
	}{
		"the rest":                   {serve(part(0, half), part(half, len(file)), answer(404, nil)), ""},
		"again from the beginning":   {serve(part(0, half), part(0, len(file)), answer(404, nil)), ""},
		"from before":                {serve(part(0, half), part(half-100, len(file)), answer(404, nil)), ""},
		"from behind":                {serve(part(0, half), part(half+1, len(file)), whole, answer(404, nil)), ""},
		"a range that is no range":   {serve(part(0, half), answer(206, file[half:]), whole, answer(404, nil)), ""},
		"a wrong claim":              {serve(part(0, half), answer(206, file[half-7:len(file)-7], "Content-Range", fmt.Sprintf("bytes %d-%d/%d", half, len(file)-1, len(file))), whole, answer(404, nil)), ""},
		"in small ranges":            {serve(part(0, half), part(half, half+10), part(half+10, half+20), part(half+20, len(file)), answer(404, nil)), ""},
		"416 at the end":             {serve(unfinished("ETag", `"1"`), answer(416, nil, "Content-Range", fmt.Sprintf("bytes */%d", len(file))), answer(404, nil)), ""},
		"416 of another length":      {serve(part(0, half), answer(416, nil, "Content-Range", fmt.Sprintf("bytes */%d", half-1)), whole, answer(404, nil)), ""},
		"never quite finished":       {serve(unfinished()), ""},
		"304 that nobody asked for":  {serve(answer(304, nil)), "status 304"},
		"nothing behind the first":   {serve(silent), "the server sent nothing for 100ms"},
		"nothing at all":             {serve(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), "the server sent nothing for 100ms"},
		"busy for a second":          {serve(answer(503, nil, "Retry-After", "1"), whole), ""},
		"too much asked":             {serve(answer(429, nil, "Retry-After", "Thu, 28 May 2026 20:26:41 GMT"), whole), ""},
		"busy for a day":             {serve(answer(503, nil, "Retry-After", "86400"), whole), "status 503: the server asks to be left alone for 24h0m0s"},
		"busy until tomorrow":        {serve(answer(429, nil, "Retry-After", "Fri, 29 May 2026 20:26:40 GMT"), whole), "status 429: the server asks to be left alone for 24h0m0s"},
		"the wrong file in the rest": {serve(part(0, half), answer(206, make([]byte, len(file)-half), "Content-Range", fmt.Sprintf("bytes %d-%d/%d", half, len(file)-1, len(file))), answer(404, nil)), "status 404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newFetch(t, map[string]http.Handler{"p": c.handler}, "p")
			r.f.Status, r.f.Silence = false, time.Hour
			if strings.Contains(c.failure, "sent nothing") {
				r.f.Silence = 100 * time.Millisecond
			}
			switch f := r.fetch()["p"]; {
			case c.failure == "" && (f.Error != "" || f.Users != 800 || *f.Total != 100):
				t.Errorf("%+v", f)
			case c.failure != "" && !strings.Contains(f.Error, c.failure):
				t.Errorf("%+v, want %q", f, c.failure)
			}
			if left, err := filepath.Glob(filepath.Join(r.f.Dir, "*.partial")); err != nil || len(left) > 0 {
				t.Errorf("%v was left (%v)", left, err)
			}
		})
	}
}

// TestDone: a project's figure is passed on as soon as it is known, not when all are.
func TestDone(t *testing.T) {
	first := make(chan struct{})
	slow := newSite("7")
	waits := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-first:
		case <-r.Context().Done():
		}
		slow.ServeHTTP(w, r)
	})
	r := newFetch(t, map[string]http.Handler{"slow": waits, "quick": newSite("5")}, "slow", "quick")
	r.f.Status = false
	var order []string
	r.f.Done = func(f stats.Figure) {
		if order = append(order, f.Project); len(order) == 1 {
			close(first)
		}
	}
	if r.fetch(); !slices.Equal(order, []string{"quick", "slow"}) {
		t.Errorf("%q", order)
	}
}

// TestLogins: a project gets its login and the User-Agent, no other host gets the login, and no error shows a secret.
func TestLogins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logins")
	if err := os.WriteFile(path, []byte("# of the projects\n\np_home = ann:pass:word=1\nA b = x:\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := stats.ReadLogins(path); blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("%v", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	logins, err := stats.ReadLogins(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("p ann:sesame"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := stats.ReadLogins(path); err == nil || strings.Contains(err.Error(), "sesame") || !strings.Contains(err.Error(), "line 1: expected NAME = user:password") {
		t.Errorf("%v", err)
	}
	s := newSite("3")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); ok {
			t.Error("the login was sent to another host")
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(elsewhere.Close)
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, password, _ := r.BasicAuth(); name != "ann" || password != "pass:word=1" || r.Header.Get("User-Agent") != "blockprint 1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)+r.URL.Path, http.StatusFound)
	})
	r := newFetch(t, map[string]http.Handler{"p_home": guarded}, "p_home")
	r.list[0].Consent, r.f.Agent = true, "blockprint 1"
	if f := r.fetch()["p_home"]; !strings.Contains(f.Error, "status 401: the project exports only with its users' consent (gdpr_controls)") || !strings.Contains(f.StatusError, "status 401") {
		t.Errorf("%+v", f)
	}
	r.f.Logins = logins
	if f := r.fetch()["p_home"]; f.Error != "" || *f.Total != 3 {
		t.Errorf("%+v", f)
	}

	secret := "geheim123"
	base := strings.Replace(r.list[0].Base, "http://", "http://volunteer:"+secret+"@", 1)
	r.f.Logins = nil
	r.f.Adapter = []string{"sh", "-c", `test "$PROJECT_LOGIN" = volunteer:` + secret + ` && echo "cannot read $2 http://u:` + secret + `@x/ with $PROJECT_LOGIN $0" >&2; exit 1`, "--token=" + secret}
	for _, p := range []stats.Project{
		{Name: "status", Base: base},
		{Name: "refused", Base: "http://volunteer:" + secret + "@127.0.0.1:1/"},
		{Name: "no URL", Base: "http://volunteer:" + secret + "@127.0.0.1:x/"},
		{Name: "adapter", Base: base, Adapter: true},
	} {
		r.list = []stats.Project{p}
		f := r.fetch()[p.Name]
		if f.Error == "" || strings.Contains(f.Error+f.StatusError, secret) || p.Adapter && !strings.Contains(f.Error, "cannot read http://127.0.0.1") {
			t.Errorf("%+v", f)
		}
	}
	entries, err := os.ReadDir(r.f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if b, err := os.ReadFile(filepath.Join(r.f.Dir, e.Name())); err != nil || bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s: %s (%v)", e.Name(), b, err)
		}
	}
}
