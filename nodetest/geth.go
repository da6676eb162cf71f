package nodetest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// gethVersion is the newest one whose command can be built of what the Go registry has.
const gethVersion = "v1.16.9"

// GethNode is a real execution client with a chain of its own, of which block 0 is after the merge.
type GethNode struct {
	URL string // of its Engine API

	t            *testing.T
	binary, data string
	port         int
	cmd          *exec.Cmd
	log          *os.File
}

// Geth starts a node. genesis is a file of nodetest/geth, secret its JWT secret in hexadecimal.
func Geth(t *testing.T, genesis, secret string) *GethNode {
	t.Helper()
	bin := filepath.Join(projectRoot(t), ".nodes", "bin")
	g := &GethNode{t: t, binary: filepath.Join(bin, "geth-"+gethVersion), data: t.TempDir(), port: freePort(t)}
	oneAtATime(t, func() {
		if _, err := os.Stat(g.binary); err == nil {
			return
		}
		install := exec.Command("go", "install", "github.com/ethereum/go-ethereum/cmd/geth@"+gethVersion)
		install.Dir = t.TempDir() // outside of our module
		install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=-modcacherw", "CGO_ENABLED=0")
		if out, err := install.CombinedOutput(); err != nil {
			Missing(t, "geth could not be installed: %v\n%s", err, tail(out))
		}
		if err := os.Rename(filepath.Join(bin, "geth"), g.binary); err != nil {
			t.Fatal(err)
		}
	})
	if err := os.WriteFile(filepath.Join(g.data, "jwt.hex"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	initialise := exec.Command(g.binary, "--datadir", g.data, "init", filepath.Join(projectRoot(t), "nodetest", "geth", genesis))
	if out, err := initialise.CombinedOutput(); err != nil {
		t.Fatalf("geth init: %v\n%s", err, tail(out))
	}
	g.URL = fmt.Sprintf("http://127.0.0.1:%d", g.port)
	var err error
	if g.log, err = os.Create(filepath.Join(g.data, "geth.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Stop()
		_ = g.log.Close()
		if t.Failed() {
			b, _ := os.ReadFile(g.log.Name())
			t.Logf("geth's log ends:\n%s", tail(b))
		}
	})
	g.Start()
	return g
}

// Start starts the node, with the chain that it had.
func (g *GethNode) Start() {
	g.t.Helper()
	g.cmd = exec.Command(g.binary, "--datadir", g.data, "--nodiscover", "--maxpeers", "0", "--port", "0", "--ipcdisable", "--syncmode", "full",
		"--authrpc.addr", "127.0.0.1", "--authrpc.port", strconv.Itoa(g.port), "--authrpc.jwtsecret", filepath.Join(g.data, "jwt.hex"))
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		g.t.Fatalf("geth: %v", err)
	}
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.port)); err == nil {
			_ = c.Close()
			return
		}
	}
	g.t.Fatal("geth does not listen within a minute")
}

// Stop ends the node in order, so that it keeps its chain.
func (g *GethNode) Stop() {
	if g.cmd == nil {
		return
	}
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	stopped := make(chan struct{})
	go func() {
		_ = g.cmd.Wait() // killed by us
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(30 * time.Second):
		_ = g.cmd.Process.Kill()
		<-stopped
	}
	g.cmd = nil
}
