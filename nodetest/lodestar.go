// Package nodetest starts real nodes for tests.
//
// It installs each program once, into .nodes/, and stops the node when the test ends. If a program cannot be installed,
// the test fails in CI and is skipped, with the reason, elsewhere.
package nodetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// LodestarOptions say what chain the node makes.
type LodestarOptions struct {
	Validators     int
	SecondsPerSlot int
	AltairEpoch    int           // phase 0 holds before it
	GenesisIn      time.Duration // from now
	// Genesis, if set, is the absolute time, such as another node's. A node without validators follows posted blocks.
	Genesis      time.Time
	NoValidators bool
	// Execution, if set, is the URL of an Engine API. The chain then starts in Capella, on the block ExecutionGenesis.
	Execution, JWTSecret, ExecutionGenesis string
}

// Lodestar starts a node on the minimal preset (8 slots an epoch) and returns its URL.
func Lodestar(t *testing.T, o LodestarOptions) string {
	t.Helper()
	dir := filepath.Join(projectRoot(t), ".nodes", "lodestar")
	oneAtATime(t, func() {
		install := exec.Command("bash", filepath.Join(projectRoot(t), "nodetest", "lodestar", "install.sh"), dir)
		if out, err := install.CombinedOutput(); err != nil {
			Missing(t, "Lodestar could not be installed: %v\n%s", err, tail(out))
		}
	})
	rest, p2p := freePort(t), freePort(t)
	data := t.TempDir()
	genesis := o.Genesis
	if genesis.IsZero() {
		genesis = time.Now().Add(o.GenesisIn)
	}
	cmd := exec.Command(filepath.Join(dir, "node_modules", ".bin", "lodestar"), "dev",
		"--dataDir", data, "--reset",
		"--genesisValidators", strconv.Itoa(o.Validators), "--genesisTime", strconv.FormatInt(genesis.Unix(), 10),
		"--rest.port", strconv.Itoa(rest), "--rest.namespace", "*",
		"--beaconNodes", fmt.Sprintf("http://127.0.0.1:%d", rest), "--port", strconv.Itoa(p2p),
		"--params.ALTAIR_FORK_EPOCH", strconv.Itoa(o.AltairEpoch), "--params.SECONDS_PER_SLOT", strconv.Itoa(o.SecondsPerSlot), "--eth1", "false")
	if !o.NoValidators {
		cmd.Args = append(cmd.Args, "--startValidators", fmt.Sprintf("0..%d", o.Validators-1))
	}
	if o.Execution != "" {
		secret := filepath.Join(data, "jwt.hex")
		if err := os.WriteFile(secret, []byte(o.JWTSecret), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd.Args = append(cmd.Args, "--params.BELLATRIX_FORK_EPOCH", "0", "--params.CAPELLA_FORK_EPOCH", "0", "--params.TERMINAL_TOTAL_DIFFICULTY", "0",
			"--execution.urls", o.Execution, "--jwt-secret", secret, "--genesisEth1Hash", o.ExecutionGenesis)
	}
	cmd.Dir = data
	cmd.Env = append(os.Environ(), "LODESTAR_PRESET=minimal", "NODE_OPTIONS=--require "+filepath.Join(dir, "polyfill.cjs"))
	keepRunning(t, cmd)
	url := fmt.Sprintf("http://127.0.0.1:%d", rest)
	waitFor(t, url+"/eth/v1/node/version", 2*time.Minute)
	return url
}

// keepRunning starts a node in a folder of its own, and kills it when the test ends.
func keepRunning(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	logFile, err := os.Create(filepath.Join(cmd.Dir, "lodestar.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		Missing(t, "Lodestar could not be started: %v", err)
	}
	t.Cleanup(func() {
		// It hangs on SIGTERM, so its whole process group is killed.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = logFile.Close()
		if t.Failed() {
			b, _ := os.ReadFile(logFile.Name())
			t.Logf("Lodestar's log ends:\n%s", tail(b))
		}
	})
}

// oneAtATime keeps other packages' tests, which are separate processes, from installing at the same time.
func oneAtATime(t *testing.T, install func()) {
	t.Helper()
	dir := filepath.Join(projectRoot(t), ".nodes")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }() // which unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	install()
}

// Missing fails the test in CI, which must have every component, and skips it elsewhere.
func Missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func waitFor(t *testing.T, url string, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not answer within %v", url, limit)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// projectRoot returns the folder that holds go.mod.
func projectRoot(t *testing.T) string {
	t.Helper()
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("cannot find the project's folder")
	}
	return filepath.Dir(filepath.Dir(here))
}

func tail(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
