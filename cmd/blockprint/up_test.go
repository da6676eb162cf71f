package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"blockprint"
	"blockprint/nodetest"
)

// running is a started program; its log is shown when the test fails.
func running(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	log := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // if it still runs
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%v said:\n%s", args, log)
		}
	})
	return cmd
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // somebody else is to have it
	return l.Addr().String()
}

// accuracy is what GET /accuracy says, as far as the test looks at it.
type accuracy struct {
	Nodes []struct {
		Name           string
		TruePositives  int            `json:"true_positives"`
		FalseNegatives map[string]int `json:"false_negatives"`
		LatestSlot     int            `json:"latest_slot"`
		Silent         bool
	}
}

func (a *accuracy) blocks() (n int) {
	for _, node := range a.Nodes {
		n += node.TruePositives
		for _, k := range node.FalseNegatives {
			n += k
		}
	}
	return n
}

func fetch(url string, into any) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read only
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", res.StatusCode, b)
	}
	return json.Unmarshal(b, into)
}

// headSlot returns the slot of a node's head.
func headSlot(t *testing.T, node string) blockprint.Slot {
	t.Helper()
	var reply struct {
		Data struct {
			Header struct {
				Message struct {
					Slot blockprint.Quoted
				}
			}
		}
	}
	if err := fetch("http://"+node+"/eth/v1/beacon/headers/head", &reply); err != nil {
		t.Fatal(err)
	}
	return blockprint.Slot(reply.Data.Header.Message.Slot)
}

// TestUp runs all services in one process on a simulated network with six nodes that dream, kills it in the middle and
// starts it again: history has no gap, and the gauge has forgotten nothing.
func TestUp(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for a quarter of a minute")
	}
	program := buildProgram(t)
	dir := t.TempDir()
	dreamConfig, db := filepath.Join(dir, "dream.toml"), filepath.Join(dir, "up.db")
	node, api := freeAddress(t), freeAddress(t)
	slotTime := strconv.FormatInt(nodetest.SlotTime(t, time.Second).Milliseconds(), 10)
	running(t, program, "sim", "--history", "80", "--slot-time", slotTime, "--validators", "2048", "--committees", "2", "--listen", node, "--dream-config", dreamConfig)
	nodetest.Await(t, "the simulated network to start", func() bool {
		_, err := os.Stat(dreamConfig)
		return err == nil
	})
	config := filepath.Join(dir, "up.toml")
	text := fmt.Sprintf("beacon = [\"http://%s\"]\ndb = %q\nmodel = \"simulated\"\nsince = \"genesis\"\nlisten = %q\ndream = %q\n", node, db, api, dreamConfig)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// measured waits until so many dreamt blocks are known.
	measured := func(blocks int) accuracy {
		t.Helper()
		var a accuracy
		var err error
		for deadline := time.Now().Add(nodetest.Patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			if err = fetch("http://"+api+"/accuracy", &a); err == nil && a.blocks() >= blocks {
				return a
			}
		}
		t.Fatalf("%d dreamt blocks are not reached: %+v (%v)", blocks, a, err)
		return a
	}
	up := running(t, program, "up", "--config", config)
	before := measured(18)
	if err := up.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	_ = up.Wait() // it was killed
	at := headSlot(t, node)
	for headSlot(t, node) < at+2 { // slots pass without it
		time.Sleep(100 * time.Millisecond)
	}
	up = running(t, program, "up", "--config", config)
	after := measured(before.blocks() + 12)
	if len(after.Nodes) != 6 {
		t.Errorf("nodes %+v", after.Nodes)
	}
	for _, n := range after.Nodes {
		if n.Silent || n.LatestSlot < 80 {
			t.Errorf("%+v", n)
		}
	}
	var status struct {
		Synced bool
		Newest int `json:"greatest_block_slot"`
	}
	for deadline := time.Now().Add(nodetest.Patience); !status.Synced; time.Sleep(100 * time.Millisecond) {
		if err := fetch("http://"+api+"/sync/status", &status); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in step: %+v", status)
		}
	}
	var opinions []struct{ Slot int }
	for deadline := time.Now().Add(nodetest.Patience); len(opinions) < 2; time.Sleep(100 * time.Millisecond) {
		if err := fetch("http://"+api+"/sync/status", &status); err != nil {
			t.Fatal(err)
		}
		if err := fetch(fmt.Sprintf("http://%s/distances/1/%d", api, status.Newest), &opinions); err != nil || time.Now().After(deadline) {
			t.Fatalf("%d opinions (%v)", len(opinions), err)
		}
	}
	if err := up.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := up.Wait(); err != nil {
		t.Errorf("after SIGINT it ended with %v", err)
	}
}
