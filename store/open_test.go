package store_test

import (
	"context"
	"strings"
	"testing"

	"blockprint"
	"blockprint/store"
)

// TestOpen: the scheme chooses the backend, a path is SQLite's, and an unknown backend's error does not show the password.
func TestOpen(t *testing.T) {
	var got string
	store.Register("sqlite", func(_ context.Context, address string, _ store.Options) (store.Store, error) {
		got = address
		return nil, nil
	})
	for url, want := range map[string]string{
		"mainnet.db":              "mainnet.db",
		"/data/mainnet.db":        "/data/mainnet.db",
		"sqlite:mainnet.db":       "mainnet.db",
		"sqlite://mainnet.db":     "mainnet.db",
		"sqlite:///data/main.db":  "/data/main.db",
		"sqlite:/data/mainnet.db": "/data/mainnet.db",
		"a:b.db":                  "a:b.db",
	} {
		if _, err := store.Open(t.Context(), url, store.Options{}); err != nil || got != want {
			t.Errorf("%s opens %q (%v), want %q", url, got, err, want)
		}
	}
	_, err := store.Open(t.Context(), "postgres://me:secret@db.example/mainnet", store.Options{})
	if blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), "postgres://") || strings.Contains(err.Error(), "secret") {
		t.Errorf("postgres: %v", err)
	}
}
