package nodetest

import (
	"crypto/sha256"
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

// gethVersion is the newest version whose command can be built from what the Go registry has.
const gethVersion = "v1.16.9"

// GethNode is a real execution client with its own chain, whose block 0 is after the merge.
type GethNode struct {
	URL string // of its Engine API

	t                    *testing.T
	binary, data, secret string // paths
	arguments            []string
	port                 int
	cmd                  *exec.Cmd
	log                  *os.File
}

// Geth starts a node. genesis is a file in nodetest/geth, secret the JWT secret in hexadecimal.
func Geth(t *testing.T, genesis, secret string) *GethNode {
	t.Helper()
	bin := filepath.Join(projectRoot(t), ".nodes", "bin")
	g := newGeth(t, filepath.Join(bin, "geth-"+gethVersion), secret)
	g.build(func() *exec.Cmd {
		install := exec.Command("go", "install", "github.com/ethereum/go-ethereum/cmd/geth@"+gethVersion)
		install.Dir = t.TempDir() // outside of our module
		install.Env = append(os.Environ(), "GOBIN="+bin)
		return install
	}, filepath.Join(bin, "geth"))
	initialise := exec.Command(g.binary, "--datadir", g.data, "init", genesisFile(t, genesis))
	if out, err := initialise.CombinedOutput(); err != nil {
		t.Fatalf("geth init: %v\n%s", err, tail(out))
	}
	g.arguments = []string{
		"--datadir", g.data, "--nodiscover", "--maxpeers", "0", "--port", "0", "--ipcdisable", "--syncmode", "full",
		"--authrpc.addr", "127.0.0.1", "--authrpc.port", strconv.Itoa(g.port), "--authrpc.jwtsecret", g.secret,
	}
	g.Start()
	return g
}

// GethDev starts a node whose version knows Amsterdam: go-ethereum's own code in a command of ours.
func GethDev(t *testing.T, genesis, secret string) *GethNode {
	t.Helper()
	root := projectRoot(t)
	var source []byte
	for _, name := range []string{"main.go", "go.mod"} { // each source has its own binary
		b, err := os.ReadFile(filepath.Join(root, "nodetest", "gethdev", name))
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, b...)
	}
	g := newGeth(t, filepath.Join(root, ".nodes", "bin", fmt.Sprintf("gethdev-%.8x", sha256.Sum256(source))), secret)
	built := g.binary + ".new"
	g.build(func() *exec.Cmd {
		build := exec.Command("go", "build", "-o", built, ".")
		build.Dir = filepath.Join(root, "nodetest", "gethdev")
		build.Env = os.Environ()
		return build
	}, built)
	g.arguments = []string{"--datadir", g.data, "--genesis", genesisFile(t, genesis), "--port", strconv.Itoa(g.port), "--jwtsecret", g.secret}
	g.Start()
	return g
}

func genesisFile(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(projectRoot(t), "nodetest", "geth", name)
}

func newGeth(t *testing.T, binary, secret string) *GethNode {
	t.Helper()
	g := &GethNode{t: t, binary: binary, data: t.TempDir(), port: freePort(t)}
	g.secret = filepath.Join(g.data, "jwt.hex")
	if err := os.WriteFile(g.secret, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
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
	return g
}

// build builds the binary unless it exists. The command writes it to the path built first, so it is never incomplete.
func (g *GethNode) build(command func() *exec.Cmd, built string) {
	g.t.Helper()
	oneAtATime(g.t, func() {
		if _, err := os.Stat(g.binary); err == nil {
			return
		}
		c := command()
		c.Env = append(c.Env, "GOFLAGS=-modcacherw", "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			Missing(g.t, "%s could not be built: %v\n%s", filepath.Base(g.binary), err, tail(out))
		}
		if err := os.Rename(built, g.binary); err != nil {
			g.t.Fatal(err)
		}
	})
}

// Start starts the node, or starts it again with the chain that it had.
func (g *GethNode) Start() {
	g.t.Helper()
	g.cmd = exec.Command(g.binary, g.arguments...)
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

// Stop shuts the node down properly, so that it keeps its chain.
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
