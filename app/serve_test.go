package app_test

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"blockprint/app"
	"blockprint/store"
)

// logged hands on each line of a log.
type logged chan string

func (l logged) Write(b []byte) (int, error) {
	select {
	case l <- string(b):
	default:
	}
	return len(b), nil
}

// TestServeWaits: a server that is started beside the first follower waits for the database that the latter creates.
func TestServeWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new.db")
	lines, started, ended := make(logged, 16), make(chan string, 1), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		ended <- app.Serve{
			Process: app.Process{Logger: slog.New(slog.NewTextHandler(lines, nil)), Started: func(address string) { started <- address }},
			DB:      path, Listen: "127.0.0.1:0",
		}.Run(ctx)
	}()
	if line := <-lines; !strings.Contains(line, "waiting for the database") || !strings.Contains(line, "new.db does not exist") {
		t.Errorf("the log says %q", line)
	}
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	select {
	case address := <-started:
		res, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("status %d", res.StatusCode)
		}
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
