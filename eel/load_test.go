package eel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// loadClients is how many clients send at once.
const loadClients = 64

// BenchmarkLoad is what the multiplexer adds to the mere reading of newPayload calls that 64 clients send at once, over
// loopback, of a payload that the controller has already sent. Each iteration is such a moment, with another payload than the last
// ten, once for a server that only reads and once for the multiplexer, so that both see the same machine. Clients write the
// fields in six orders, of which one is the controller's. "new" is the worst: a payload that nobody has sent yet, so that
// it is stored and hashed.
//
// added-p99-ms is the difference between the 99th percentiles of what clients wait; after-p99-ms the time from the last byte of
// a request to its answer, in the multiplexer.
func BenchmarkLoad(b *testing.B) {
	for _, size := range []int{200 << 10, 800 << 10, 2 << 20} {
		b.Run(fmt.Sprintf("%d kB/known", size>>10), func(b *testing.B) { benchmarkLoad(b, size, true) })
		b.Run(fmt.Sprintf("%d kB/new", size>>10), func(b *testing.B) { benchmarkLoad(b, size, false) })
	}
}

func benchmarkLoad(b *testing.B, size int, known bool) {
	b.ReportAllocs()
	payloads := make([]*loadPayload, 10)
	for i := range payloads {
		payloads[i] = newLoadPayload(b, size, i)
	}
	c := DefaultConfig()
	c.Executions = []Execution{{URL: "http://localhost:8551"}}
	c.Clients = map[string]Secret{"node": {1}}
	c.Logger = slog.New(slog.DiscardHandler)
	e, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	token, err := Secret{1}.sign(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	var reading, eel, after durations
	reader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, chunkSize)
		for err := error(nil); err == nil; {
			_, err = r.Body.Read(chunk)
		}
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	defer reader.Close()
	handler := e.Handler()
	multiplexer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &lastRead{ReadCloser: r.Body}
		r.Body = body
		handler.ServeHTTP(w, r)
		after.add(time.Since(body.at))
	}))
	defer multiplexer.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadClients}}
	all := func(url string, p *loadPayload, took *durations) {
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range loadClients {
			wg.Go(func() {
				<-start
				began := time.Now()
				if err := post(context.Background(), client, url, token, p.bodies[i%len(p.bodies)]); err != nil {
					b.Error(err)
				}
				took.add(time.Since(began))
			})
		}
		close(start)
		wg.Wait()
	}
	i := 0
	for b.Loop() {
		p := payloads[i%len(payloads)]
		i++
		e.known.forgetAll() // as if it had never been seen
		if known {
			e.known.learn(taken(b, p.version, p.params))
		}
		e.memory.learn(*p.BlockHash, &claim{payload: p.payload}, nil, payloadStatus{Status: statusValid, LatestValidHash: p.BlockHash})
		if i%2 == 0 { // who comes first finds other caches
			all(reader.URL, p, &reading)
			all(multiplexer.URL, p, &eel)
		} else {
			all(multiplexer.URL, p, &eel)
			all(reader.URL, p, &reading)
		}
	}
	b.ReportMetric(eel.percentile(50)-reading.percentile(50), "added-p50-ms")
	b.ReportMetric(eel.percentile(99)-reading.percentile(99), "added-p99-ms")
	b.ReportMetric(reading.percentile(99), "reading-p99-ms")
	b.ReportMetric(after.percentile(99), "after-p99-ms")
}

// loadPayload is a payload and calls that carry it.
type loadPayload struct {
	*payload
	version int
	params  []json.RawMessage // as the controller writes them
	bodies  [][]byte          // one for each spelling, that of the controller first
}

// newLoadPayload makes a payload of a size in bytes of JSON from the transactions of the largest real block, blobs and all.
func newLoadPayload(b *testing.B, size, number int) *loadPayload {
	b.Helper()
	version, params, _ := largestCall(b)
	p := payloadOf(b, params)
	all, total := *p.Transactions, 0
	p.Transactions = &[]data{}
	for i := number; total < size; i++ { // another order, another block
		tx := all[i%len(all)]
		*p.Transactions = append(*p.Transactions, tx)
		total += 2*len(tx) + 5
	}
	hashes, err := p.versionedHashes()
	if err != nil {
		b.Fatal(err)
	}
	out := &loadPayload{payload: p, version: version}
	var root *hash32
	var requests *[]data
	if version >= 3 {
		if params[1], err = json.Marshal(append([]hash32{}, hashes...)); err != nil {
			b.Fatal(err)
		}
		if err := required(params[2], &root); err != nil {
			b.Fatal(err)
		}
	}
	if version >= 4 {
		if err := required(params[3], &requests); err != nil {
			b.Fatal(err)
		}
	}
	*p.BlockHash = p.hash(root, requests)
	fields, err := json.Marshal(p)
	if err != nil {
		b.Fatal(err)
	}
	var byName map[string]json.RawMessage
	if err := json.Unmarshal(fields, &byName); err != nil {
		b.Fatal(err)
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range byName {
			if !yield(name) {
				return
			}
		}
	})
	for i := range 6 { // clients write the fields in other orders
		var text strings.Builder
		for j := range names {
			name := names[(j+i)%len(names)]
			fmt.Fprintf(&text, "%s%q:%s", map[bool]string{true: "{", false: ","}[j == 0], name, byName[name])
		}
		params[0] = json.RawMessage(text.String() + "}")
		array, err := json.Marshal(params)
		if err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			out.params = slices.Clone(params)
		}
		out.bodies = append(out.bodies, fmt.Appendf(nil, `{"jsonrpc":"2.0","method":%q,"params":%s,"id":%d}`, fmt.Sprintf("engine_newPayloadV%d", version), array, i))
	}
	return out
}

// forgetAll drops everything.
func (k *known) forgetAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls, k.bytes = nil, 0
}

// durations collects times.
type durations struct {
	mu   sync.Mutex
	list []time.Duration
}

func (d *durations) add(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, t)
}

// percentile returns one in milliseconds.
func (d *durations) percentile(p int) float64 {
	slices.Sort(d.list)
	return float64(d.list[len(d.list)*p/100].Microseconds()) / 1000
}

// lastRead knows when its last byte was read.
type lastRead struct {
	io.ReadCloser
	at time.Time
}

func (r *lastRead) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		r.at = time.Now()
	}
	return n, err
}

// largestCall is the newPayload call of the largest real block that is there.
func largestCall(b *testing.B) (version int, params []json.RawMessage, body []byte) {
	b.Helper()
	var raw []byte
	var block *beaconBlock
	for _, candidate := range realBlocks(b) {
		if text, err := json.Marshal(candidate.Body.Payload); err == nil && len(text) > len(raw) {
			raw, block = text, candidate
		}
	}
	version, params = engineCall(b, block)
	body, err := json.Marshal(call{Version: "2.0", Method: fmt.Sprintf("engine_newPayloadV%d", version), Params: params, ID: json.RawMessage("1")})
	if err != nil {
		b.Fatal(err)
	}
	return version, params, body
}

func post(ctx context.Context, client *http.Client, url, token string, body []byte) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(q)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // read only
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || strings.Contains(string(text), "error\":{") || strings.Contains(string(text), statusSyncing) || strings.Contains(string(text), statusInvalid) {
		return fmt.Errorf("status %d (%w): %s", res.StatusCode, err, text)
	}
	return nil
}

// BenchmarkParse is what the first call of each spelling of a payload costs.
func BenchmarkParse(b *testing.B) {
	version, params, body := largestCall(b)
	b.Run("calls", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, _, err := parseCalls(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("newPayload", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, failure, err := taken(b, version, params).parse(); err != nil || failure != "" {
				b.Fatal(err, failure)
			}
		}
	})
	b.Run("fields only", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if _, err := newKnownCall("m", params); err != nil {
				b.Fatal(err)
			}
		}
	})
}
