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

// BenchmarkLoad sends a real payload of mainnet from 64 clients, each as soon as it was answered, over loopback: to a server
// that only reads it, and to the multiplexer, which knows the answer. The difference is what the multiplexer adds.
func BenchmarkLoad(b *testing.B) {
	version, params, body := largestCall(b)
	p, _, err := parseNewPayload(version, params)
	if err != nil {
		b.Fatal(err)
	}
	c := DefaultConfig()
	c.Clients = map[string]Secret{"node": {1}}
	c.Logger = slog.New(slog.DiscardHandler)
	e, err := New(c)
	if err != nil {
		b.Fatal(err)
	}
	e.memory.learnPayload(*p.BlockHash, uint64(*p.Number), payloadStatus{Status: statusValid, LatestValidHash: p.BlockHash})
	reader := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	token, err := Secret{1}.sign(time.Now())
	if err != nil {
		b.Fatal(err)
	}
	for _, run := range []struct {
		name    string
		handler http.Handler
		clients int
	}{{"reading only/64 clients", reader, 64}, {"eel/64 clients", e.Handler(), 64}, {"reading only/1 client", reader, 1}, {"eel/1 client", e.Handler(), 1}} {
		b.Run(run.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			server := httptest.NewServer(run.handler)
			defer server.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: run.clients}}
			var mu sync.Mutex
			var took []time.Duration
			todo := make(chan struct{})
			var wg sync.WaitGroup
			for range run.clients {
				wg.Go(func() {
					for range todo {
						began := time.Now()
						if err := post(context.Background(), client, server.URL, token, body); err != nil {
							b.Error(err)
						}
						mu.Lock()
						took = append(took, time.Since(began))
						mu.Unlock()
					}
				})
			}
			for b.Loop() {
				todo <- struct{}{}
			}
			close(todo)
			wg.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
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
	if err != nil || res.StatusCode != http.StatusOK || strings.Contains(string(text), "error\":{") || strings.Contains(string(text), statusSyncing) {
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
			if _, failure, err := parseNewPayload(version, params); err != nil || failure != "" {
				b.Fatal(err, failure)
			}
		}
	})
	b.Run("header only", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if parseHeader(params[0]) == nil {
				b.Fatal("not read")
			}
		}
	})
}
