package eel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// TestKnownSame: whatever is done to a body whose parameters are known, and however it comes in, either it is found to be a
// call with just these parameters, or it is read as it is.
func TestKnownSame(t *testing.T) {
	k := newKnown(1 << 20)
	params := `[{"parentHash":"` + strings.Repeat("ab", 200) + `","transactions":["` + strings.Repeat("0123456789", chunkSize/8) + `"]},[]]`
	k.learn("engine_newPayloadV3", []byte(params), checked{number: 7})
	hold := func() error { return nil }
	recognised, read := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		head := rapid.SampledFrom([]string{
			`{"jsonrpc":"2.0","method":"engine_newPayloadV3","params":`, `{"id": 5, "jsonrpc" : "2.0","method":"engine_newPayloadV3" , "params" : `, `{"params":`,
			`{"method":"engine_newPayloadV4","params":`, `{"method":{"a":1},"params":`, `[{"method":"engine_newPayloadV3","params":`, `{"x":"\"params\":[","method":"engine_newPayloadV3","params":`,
			`{"id":"` + strings.Repeat("x", envelopeSize) + `","method":"engine_newPayloadV3","params":`,
		}).Draw(t, "head")
		tail := rapid.SampledFrom([]string{
			`}`, `,"id":17}`, ` , "id" : "a" }` + "\n", `,"method":"engine_newPayloadV3"}`, `,"method":"engine_getPayloadV3"}`, `,"params":[1]}`, `}}`, ``, `}]`,
			`,"id":"` + strings.Repeat("y", envelopeSize) + `"}`,
		}).Draw(t, "tail")
		body := []byte(head + params + tail)
		switch rapid.IntRange(0, 3).Draw(t, "change") {
		case 1:
			body[rapid.IntRange(0, len(body)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		case 2:
			body = body[:rapid.IntRange(0, len(body)).Draw(t, "length")]
		}
		var r io.Reader = bytes.NewReader(body)
		switch rapid.IntRange(0, 3).Draw(t, "reader") {
		case 1:
			r = iotest.HalfReader(r)
		case 2:
			r = iotest.DataErrReader(r)
		}
		c, spelled, buf, err := k.read(r, int64(len(body)), hold)
		if err != nil {
			t.Fatal(err)
		}
		if spelled == nil {
			read++
			if !bytes.Equal(buf.Bytes(), body) {
				t.Fatalf("a body of %d bytes was read as %d others", len(body), buf.Len())
			}
			release(buf)
			return
		}
		recognised++
		calls, batch, err := parseCalls(body)
		if err != nil || batch || len(calls) != 1 || calls[0].Method != "engine_newPayloadV3" || string(calls[0].raw) != params || !bytes.Equal(calls[0].ID, c.ID) {
			t.Fatalf("%d bytes were taken for the known call (%v)", len(body), err)
		}
	})
	if recognised == 0 || read == 0 {
		t.Errorf("%d were recognised, %d read: too few to tell", recognised, read)
	}
}

// TestKnownBounded: only as much is kept as the limit allows, and what fails is not kept.
func TestKnownBounded(t *testing.T) {
	k := newKnown(10_000)
	spelled := func(i int) []byte { return fmt.Appendf(nil, "[%09d%0990d]", i, 0) }
	for i := range 50 {
		s, mine := k.claim("m", spelled(i))
		if !mine {
			t.Fatal("claimed before")
		}
		switch i % 5 {
		case 3:
			k.settle(s, checked{failure: "wrong"}, nil)
		case 4:
			k.settle(s, checked{}, errors.New("unreadable"))
		default:
			k.settle(s, checked{number: uint64(i)}, nil)
		}
	}
	if k.bytes > k.limit || k.bytes < k.limit/2 || k.right.Len() != k.bytes/1001 || len(k.pending) != 0 {
		t.Errorf("%d bytes in %d spellings, %d pending", k.bytes, k.right.Len(), len(k.pending))
	}
	for i, want := range map[int]bool{47: true, 48: false, 49: false, 0: false} {
		if s := k.find(spelled(i)); (s != nil) != want {
			t.Errorf("%d: kept is %v", i, s != nil)
		}
	}
	k.learn("m", bytes.Repeat([]byte("x"), k.limit+1), checked{})
	if k.bytes > k.limit {
		t.Errorf("one of more than the limit is kept: %d bytes", k.bytes)
	}
}

// TestKnownOnce: of many that come at once, one is checked.
func TestKnownOnce(t *testing.T) {
	k := newKnown(10_000)
	params := bytes.Repeat([]byte("y"), 1000)
	var mu sync.Mutex
	checks := 0
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			s, mine := k.claim("m", bytes.Clone(params))
			if mine {
				mu.Lock()
				checks++
				mu.Unlock()
				k.settle(s, checked{number: 3}, nil)
			}
			if c, err := s.wait(t.Context()); err != nil || c.number != 3 {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
	wg.Wait()
	if checks != 1 {
		t.Errorf("%d checks", checks)
	}
}

// TestParamsAt: where parameters begin.
func TestParamsAt(t *testing.T) {
	for text, want := range map[string]int{
		`{"params":[`: 10, ` { "id" : 1 , "params" : [`: 25, `{"id":null,"method":"a","params":[]`: 33, `{"params":{}`: -1, `{"params":`: -1, `{"id":1}`: -1, `{"id":[1],"params":[`: -1,
		``: -1, `{`: -1, `{"a\"`: -1, `{"a"`: -1, `{"a":"b`: -1, `[`: -1,
	} {
		if got := paramsAt([]byte(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// TestParseHeader: of real payloads the same is read as in full.
func TestParseHeader(t *testing.T) {
	for name, b := range realBlocks(t) {
		_, params := engineCall(t, b)
		full, err := parsePayload(params[0])
		if err != nil {
			t.Fatal(err)
		}
		p := parseHeader(params[0])
		if p == nil {
			t.Fatalf("%s: not read", name)
		}
		got, _ := json.Marshal(p.header())
		want, _ := json.Marshal(full.header())
		if !bytes.Equal(got, want) || *p.BlockHash != *full.BlockHash || (p.Withdrawals == nil) != (full.Withdrawals == nil) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, text := range []string{``, `{}`, `[]`, `{"blockHash":"0x1"}`} {
		if parseHeader([]byte(text)) != nil {
			t.Errorf("%s is taken for a payload", text)
		}
	}
}
