package eel_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"blockprint/eel"
)

// TestTokens: which tokens are refused, and that a flood of bad ones does not lock out a good one.
func TestTokens(t *testing.T) {
	_, _, client := multiplexer(t, nil)
	now := time.Now().Unix()
	for what, c := range map[string]jwt.MapClaims{
		"":            {},
		"known id":    {"id": "node1"},
		"unknown id":  {"id": "lighthouse"},
		"key":         {"key": "node1"},
		"59 s old":    {"iat": now - 59},
		"61 s old":    {"iat": now - 62},
		"61 s ahead":  {"iat": now + 63},
		"other's id":  {"id": "node2"},
		"expired":     {"exp": now - 100},
		"iat no time": {"iat": "now"},
		"iat null":    {"iat": nil},
		"exp no time": {"exp": "then"},
		"not yet":     {"nbf": now + 100},
		// Claims that the Engine API does not know are ignored, whatever they are, and an id that is no text names nobody.
		"id a number":      {"id": 7, "key": []int{1}},
		"others of a kind": {"sub": 7, "jti": 8, "aud": map[string]int{"a": 1}, "iss": []int{1}, "clv": false},
		"others null":      {"exp": nil, "nbf": nil, "clv": nil, "id": nil},
		"id and no text":   {"id": 7, "key": "node1"},
		"large letters":    {"EXP": now - 100, "ID": "node2"},
	} {
		want := 401
		switch what {
		case "", "known id", "unknown id", "key", "59 s old", "id a number", "others of a kind", "others null", "id and no text", "large letters":
			want = 200
		}
		client.claims = c
		if status, text := client.post([]byte(`{"id":1,"method":"engine_exchangeCapabilities","params":[[]]}`)); status != want {
			t.Errorf("%q: status %d: %s", what, status, text)
		}
	}
	client.claims = jwt.MapClaims{"iat": time.Now().UnixMilli()}
	if status, text := client.post([]byte(`{}`)); status != 401 || !bytes.Contains(text, []byte("milliseconds")) {
		t.Errorf("an iat in milliseconds: %d %s", status, text)
	}
	none := func(token string) int {
		q, err := http.NewRequest(http.MethodPost, client.url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", token)
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iat": now}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	valid, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iat": now}).SignedString(client.secret[:])
	if err != nil {
		t.Fatal(err)
	}
	if s := none("bearer " + valid); s != 200 { // schemes have no case
		t.Errorf("a scheme in small letters: status %d", s)
	}
	for _, token := range []string{"", "Bearer", "Bearer x.y.z", "Basic YTpi", "Bearer " + unsigned} {
		if s := none(token); s != 401 {
			t.Errorf("%q: status %d", token, s)
		}
	}
	limited := 0
	for range 50 {
		if none("") == http.StatusTooManyRequests {
			limited++
		}
	}
	client.claims = nil
	if status, _ := client.post([]byte(`{"id":1,"method":"engine_exchangeCapabilities","params":[[]]}`)); limited < 20 || status != 200 {
		t.Errorf("%d of 50 bad tokens limited, then a good one is %d", limited, status)
	}
	res, err := http.Get(client.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	for _, want := range []string{`blockprint_eel_refused_total{path="/"} 6`, `blockprint_eel_calls_total{client="node1",method="engine_exchangeCapabilities",outcome="ok"} 11`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %q in the metrics:\n%s", want, text)
		}
	}
}

// TestSecretsApart: nobody may have another one's secret, and least of all a client the controller's.
func TestSecretsApart(t *testing.T) {
	for name, c := range map[string]struct {
		clients map[string]eel.Secret
		want    string
	}{
		"apart":            {map[string]eel.Secret{"a": secretOf(3), "b": secretOf(4)}, ""},
		"the controller's": {map[string]eel.Secret{"a": secretOf(3), "b": secretOf(2)}, "client b and the controller have the same secret"},
		"two of one":       {map[string]eel.Secret{"a": secretOf(3), "b": secretOf(3)}, "client b and client a have the same secret"},
	} {
		k := eel.DefaultConfig()
		k.Executions, k.Controller, k.Clients = one("http://localhost:8551"), secretOf(2), c.clients
		if _, err := eel.New(k); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
