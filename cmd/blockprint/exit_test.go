package main_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestInterrupted: a batch command that a signal ends says so, says how to go on, and exits with the signal's status,
// wherever it is in its work; a service was meant to be stopped and exits with 0.
func TestInterrupted(t *testing.T) {
	program := buildProgram(t)
	asked := make(chan struct{}, 100)
	node := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done() // a node that never answers
	}))
	defer node.Close()
	input := filepath.Join(t.TempDir(), "rewards.json")
	if err := syscall.Mkfifo(input, 0o600); err != nil {
		t.Fatal(err)
	}
	reading := func() { // the program reads from a pipe that stays silent
		f, err := os.OpenFile(input, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
	}
	asks := func() { <-asked }
	for _, c := range []struct {
		args   string
		signal syscall.Signal
		ready  func()
		status int
		says   string
	}{
		{"load 0 100 OUT --beacon NODE --timeout 1h", os.Interrupt.(syscall.Signal), asks, 130, "interrupted (interrupt): finished files are complete; run the same command again"},
		{"load 0 100 OUT --beacon NODE --timeout 1h", syscall.SIGTERM, asks, 143, "interrupted (terminated)"},
		{"prepare INPUT -o OUT.features", syscall.SIGTERM, reading, 143, "run the same command again"},
		{"train INPUT -o OUT.model", syscall.SIGTERM, reading, 143, "no model was written"},
		{"follow --db OUT.db --model simulated --beacon NODE --timeout 1h", syscall.SIGTERM, asks, 0, ""},
	} {
		t.Run(strings.Fields(c.args)[0]+" "+c.signal.String(), func(t *testing.T) {
			var stderr bytes.Buffer
			args := strings.NewReplacer("OUT", filepath.Join(t.TempDir(), "out"), "NODE", node.URL, "INPUT", input).Replace(c.args)
			cmd := exec.Command(program, strings.Fields(args)...)
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			c.ready()
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			err := cmd.Wait()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.status || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("exit status %d, want %d and %q: %s", got, c.status, c.says, stderr.String())
			}
		})
	}
}
