package main_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"blockprint/nodetest"
)

// loadClients is how many clients send at once, slowClients how many are in the middle of a call that they do not finish.
const (
	loadClients = 64
	slowClients = 16
)

// BenchmarkEel runs the program `blockprint eel` behind a stand-in for an execution client that finds everything valid, lets 64
// clients send a newPayload call each at once, over loopback, and reports what they waited for (p50-ms, p99-ms) and the most
// memory that the program has taken (rss-MB). "known" is a payload of 2 MB that the controller has sent before, in six orders of
// its fields; "new" one of which nobody has heard, which is stored and hashed; "all differ" 64 of those at once.
// "controller" is what the controller waits for while other clients are slow, against the same without any: 200 kB each.
func BenchmarkEel(b *testing.B) {
	program := buildProgram(b)
	const size = 2 << 20
	b.Run("idle", func(b *testing.B) {
		m := startEel(b, program)
		for b.Loop() {
			m.call(b, "node", payloadCall("engine_getPayloadV3", 0, nil), "Unknown payload")
		}
		m.report(b, nil)
	})
	b.Run("known", func(b *testing.B) {
		m := startEel(b, program)
		var took times
		for b.Loop() {
			fields := randomPayload(size)
			m.call(b, "canonical", payloadCall("engine_newPayloadV2", 0, fields), "VALID")
			m.all(b, &took, func(i int) []byte { return payloadCall("engine_newPayloadV2", i%6, fields) }, "VALID")
		}
		m.report(b, &took)
	})
	b.Run("new", func(b *testing.B) {
		m := startEel(b, program)
		var took times
		for b.Loop() {
			fields := randomPayload(size)
			m.all(b, &took, func(i int) []byte { return payloadCall("engine_newPayloadV2", i%6, fields) }, "blockhash mismatch")
		}
		m.report(b, &took)
	})
	b.Run("all differ", func(b *testing.B) {
		m := startEel(b, program)
		var took times
		for b.Loop() {
			m.all(b, &took, func(i int) []byte { return payloadCall("engine_newPayloadV2", i%6, randomPayload(size)) }, "blockhash mismatch")
		}
		m.report(b, &took)
	})
	for _, slow := range []int{0, slowClients} {
		b.Run(fmt.Sprintf("controller with %d slow clients", slow), func(b *testing.B) {
			m := startEel(b, program)
			for range slow {
				m.stall(b)
			}
			var took times
			for b.Loop() {
				body := payloadCall("engine_newPayloadV2", 0, randomPayload(200<<10))
				began := time.Now()
				m.call(b, "canonical", body, "VALID")
				took.add(time.Since(began))
			}
			m.report(b, &took)
		})
	}
}

// multiplexer is the program.
type multiplexer struct {
	url    string
	pid    int
	client http.Client
	secret []byte // everybody's
}

// token makes one of now: old ones are refused.
func (m *multiplexer) token(b *testing.B) string {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iat": time.Now().Unix()}).SignedString(m.secret)
	if err != nil {
		b.Error(err)
	}
	return token
}

func startEel(b *testing.B, program string) *multiplexer {
	b.Helper()
	execution := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Error(err)
		}
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"status":"VALID","latestValidHash":null,"validationError":null}}`)
	}))
	b.Cleanup(execution.Close)
	dir := b.TempDir()
	secret := bytes.Repeat([]byte{7}, 32)
	text := hex.EncodeToString(secret)
	for name, content := range map[string]string{"jwt.hex": text, "clients.toml": "[secrets]\nnode = \"" + text + "\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	cmd := exec.Command(program, "eel", "--ee-url", execution.URL, "--listen-port", port, "--log-level", "error",
		"--ee-jwt-secret", "jwt.hex", "--controller-jwt-secret", "jwt.hex", "--client-jwt-secrets", "clients.toml")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	m := &multiplexer{url: "http://127.0.0.1:" + port, pid: cmd.Process.Pid, secret: secret}
	m.client.Transport = &http.Transport{MaxIdleConnsPerHost: loadClients}
	for until := time.Now().Add(nodetest.Patience); ; time.Sleep(20 * time.Millisecond) {
		res, err := m.client.Get(m.url + "/health")
		if err == nil {
			_ = res.Body.Close()
			return m
		}
		if time.Now().After(until) {
			b.Fatal(err)
		}
	}
}

// call sends a body, and fails if the answer does not hold what is wanted.
func (m *multiplexer) call(b *testing.B, who string, body []byte, want string) {
	path := strings.TrimSuffix("/"+who, "node")
	q, err := http.NewRequest(http.MethodPost, m.url+path, bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	q.Header.Set("Authorization", "Bearer "+m.token(b))
	res, err := m.client.Do(q)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Contains(text, []byte(want)) {
		b.Errorf("expected %s, not status %d: %.300s (%v)", want, res.StatusCode, text, err)
	}
}

// all lets all clients send at once.
func (m *multiplexer) all(b *testing.B, took *times, body func(i int) []byte, want string) {
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range loadClients {
		text := body(i)
		wg.Go(func() {
			<-start
			began := time.Now()
			m.call(b, "node", text, want)
			took.add(time.Since(began))
		})
	}
	close(start)
	wg.Wait()
}

// stall begins a call of 100 MB and sends no more than its beginning.
func (m *multiplexer) stall(b *testing.B) {
	b.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(m.url, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: 100000000\r\n\r\n%s", m.token(b), `{"method":`); err != nil {
		b.Fatal(err)
	}
}

func (m *multiplexer) report(b *testing.B, took *times) {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.pid))
	if err != nil {
		b.Skip("no /proc to read the memory from")
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		b.Fatalf("no VmHWM in %s", status)
	}
	kB, _ := strconv.Atoi(string(found[1]))
	b.ReportMetric(float64(kB)/1024, "rss-MB")
	if took != nil {
		slices.Sort(took.list)
		b.ReportMetric(float64(took.list[len(took.list)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took.list[len(took.list)*99/100].Microseconds())/1000, "p99-ms")
	}
}

// times collects times.
type times struct {
	mu   sync.Mutex
	list []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, d)
}

// randomPayload makes the fields of a payload of about that many bytes of JSON, whose hash is wrong.
func randomPayload(size int) [][2]string {
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rand.Uint32()) //nolint:gosec // no secret
		}
		return `"0x` + hex.EncodeToString(b) + `"`
	}
	var transactions []string
	for total := 0; total < size; total += 2*1000 + 5 {
		transactions = append(transactions, word(1000))
	}
	list, _ := json.Marshal([]struct{}{})
	return [][2]string{
		{"parentHash", word(32)},
		{"feeRecipient", word(20)},
		{"stateRoot", word(32)},
		{"receiptsRoot", word(32)},
		{"logsBloom", word(256)},
		{"prevRandao", word(32)},
		{"blockNumber", `"0x10"`},
		{"gasLimit", `"0x1"`},
		{"gasUsed", `"0x1"`},
		{"timestamp", `"0x1"`},
		{"extraData", `"0x"`},
		{"baseFeePerGas", `"0x7"`},
		{"blockHash", word(32)},
		{"transactions", "[" + strings.Join(transactions, ",") + "]"},
		{"withdrawals", string(list)},
	}
}

// payloadCall writes a call, its fields beginning with one or another.
func payloadCall(method string, first int, fields [][2]string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"jsonrpc":"2.0","id":1,"method":%q,"params":[`, method)
	if fields == nil {
		b.WriteString(`"0x0000000000000001"`)
	}
	for i := range fields {
		f := fields[(i+first)%len(fields)]
		separator := ","
		if i == 0 {
			separator = "{"
		}
		fmt.Fprintf(&b, "%s%q:%s", separator, f[0], f[1])
	}
	if fields != nil {
		b.WriteString("}")
	}
	b.WriteString("]}")
	return b.Bytes()
}
