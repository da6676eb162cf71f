package jsonhttp_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"blockprint/jsonhttp"
)

func TestNamesOfServersHideSecrets(t *testing.T) {
	for address, want := range map[string][2]string{
		"http://user:secret@127.0.0.1:5052/v3/secret?key=secret#secret": {"http://127.0.0.1:5052", "http://127.0.0.1:5052/v3/secret"},
		"https://[::1]:9/":              {"https://[::1]:9", "https://[::1]:9/"},
		"https://example.org":           {"https://example.org", "https://example.org"},
		"http://user:secret@bad host/":  {"(an unreadable address)", "(an unreadable address)"},
		"user:secret":                   {"(an unreadable address)", "(an unreadable address)"},
		"http://secret@example.org/%zz": {"(an unreadable address)", "(an unreadable address)"},
	} {
		if got := jsonhttp.ServerName(address); got != want[0] {
			t.Errorf("ServerName(%q) = %q, want %q", address, got, want[0])
		}
		if got := jsonhttp.DocumentName(address); got != want[1] {
			t.Errorf("DocumentName(%q) = %q, want %q", address, got, want[1])
		}
	}
	_, err := http.Get("http://user:secret@127.0.0.1:1/v3/secret") //nolint:bodyclose // it cannot be reached
	if err == nil || strings.Contains(jsonhttp.WithoutURL(err).Error(), "secret") {
		t.Errorf("WithoutURL(%v) = %v", err, jsonhttp.WithoutURL(err))
	}
	if err := errors.New("other"); !errors.Is(jsonhttp.WithoutURL(err), err) {
		t.Error("WithoutURL changes other errors")
	}
}
