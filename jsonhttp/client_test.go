package jsonhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/jsonhttp"
)

// serve starts a server and returns its address with a name, a password and a secret path and query.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "://", "://me:pass-word@", 1) + "/key/secret/?token=hush"
}

// TestRequests: path, query, credentials and headers arrive, and the answer is read.
func TestRequests(t *testing.T) {
	var got string
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		body, _ := io.ReadAll(r.Body)
		got = fmt.Sprint(r.Method, " ", r.URL, " ", user, ":", password, " ", r.Header.Get("Authorization")[:6], " ", r.Header.Get("Content-Type"), " ", r.Header.Get("X-More"), " ", string(body))
		_, _ = io.WriteString(w, ` {"a": 1} `)
	})
	c, err := jsonhttp.New("service", address, "", jsonhttp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var into struct{ A int }
	if err := c.Post(t.Context(), "/below", []byte(`[]`), &into); err != nil || into.A != 1 {
		t.Errorf("%+v, %v", into, err)
	}
	if want := "POST /key/secret/below?token=hush me:pass-word Basic  application/json  []"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if c, err = jsonhttp.New("service", address, "", jsonhttp.Options{Token: "t"}); err != nil {
		t.Fatal(err)
	}
	var raw json.RawMessage
	if err := c.Do(t.Context(), http.MethodGet, "", http.Header{"X-More": {"more"}}, nil, &raw); err != nil || string(raw) != ` {"a": 1} ` {
		t.Errorf("%q, %v", raw, err)
	}
	if want := "GET /key/secret/?token=hush : Bearer  more "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestErrors: every error has a code and the service's name, and shows no secret even if the server repeats one.
func TestErrors(t *testing.T) {
	sentinel := errors.New("sentinel")
	answer := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	for name, k := range map[string]struct {
		handler http.HandlerFunc
		o       jsonhttp.Options
		code    blockprint.Code
		want    string
	}{
		"status": {answer(500, "no\n\x1b[1m /key/secret?token=hush me pass-word"), jsonhttp.Options{}, blockprint.Unavailable, "status 500: no [1m "},
		"own error": {answer(404, "/key/secret"), jsonhttp.Options{Refused: func(int, []byte) error {
			return blockprint.Errorf(blockprint.NotFound, "own /key/secret: %w", sentinel)
		}}, blockprint.NotFound, "own ...: sentinel"},
		"no own error": {answer(404, "text"), jsonhttp.Options{Refused: func(int, []byte) error { return nil }}, blockprint.Unavailable, "status 404: text"},
		"not JSON":     {answer(200, "<html>/key/secret"), jsonhttp.Options{}, blockprint.Unavailable, "not the expected JSON"},
		"other JSON":   {answer(200, `"a"`), jsonhttp.Options{Strange: blockprint.Invalid}, blockprint.Invalid, "not the expected JSON"},
		"too long":     {answer(200, `{"A": 1}`), jsonhttp.Options{Limit: 7}, blockprint.Unavailable, "longer than 7 bytes"},
		"just not":     {answer(200, `{"A": 1}`), jsonhttp.Options{Limit: 8}, "", ""},
		"breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "{")
		}, jsonhttp.Options{}, blockprint.Unavailable, "EOF"},
		"no connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, jsonhttp.Options{}, blockprint.Unavailable, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := jsonhttp.New("service", serve(t, k.handler), "", k.o)
			if err != nil {
				t.Fatal(err)
			}
			var into struct{ A int }
			err = c.Post(t.Context(), "", []byte("{}"), &into)
			if k.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || blockprint.CodeOf(err) != k.code || !strings.HasPrefix(err.Error(), "service http://127.0.0.1:") || !strings.Contains(err.Error(), k.want) {
				t.Errorf("%s: %v", blockprint.CodeOf(err), err)
			}
			for _, secret := range []string{"secret", "hush", "pass-word", "me:"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%v shows %q", err, secret)
				}
			}
			if name == "own error" && !errors.Is(err, sentinel) {
				t.Error("the cause is lost")
			}
		})
	}
	if _, err := jsonhttp.New("service", "ftp://me:secret@host/secret", "http://good", jsonhttp.Options{}); blockprint.CodeOf(err) != blockprint.Invalid ||
		err.Error() != "service ftp://host: expected a URL such as http://good" {
		t.Error(err)
	}
}

// TestTimeout: a request ends when the service does not finish its answer in time, and when its context is canceled.
func TestTimeout(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c, err := jsonhttp.New("service", address, "", jsonhttp.Options{Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var raw json.RawMessage
	if err := c.Get(t.Context(), "", &raw); blockprint.CodeOf(err) != blockprint.Unavailable {
		t.Errorf("after the time-out: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Get(ctx, "", &raw); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled request: %v", err)
	}
}
