package eel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// knownOf makes a call of parameters as they are written.
func knownOf(t testing.TB, method, params string) *knownCall {
	t.Helper()
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(params), &list); err != nil {
		t.Fatal(err)
	}
	k, err := newKnownCall(method, list)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestKnownSame: whatever is done to a body whose call is known, and however it comes in, either it is found to be a call that
// says the same, or it is read as it is.
func TestKnownSame(t *testing.T) {
	k := &known{limit: 1 << 20, count: 10}
	fields := []string{
		`"parentHash":"` + strings.Repeat("ab", 200) + `"`, `"blockNumber":"0x1"`, `"transactions":["` + strings.Repeat("0123456789", chunkSize/8) + `"]`, `"withdrawals":[]`,
	}
	k.learn(knownOf(t, "engine_newPayloadV3", `[{`+strings.Join(fields, ",")+`},[],"0x5"]`), checked{number: 7})
	k.learn(knownOf(t, "engine_newPayloadV3", `[{"blockNumber":"0x2",`+fields[0]+`},[],"0x5"]`), checked{number: 8})
	hold := func() error { return nil }
	recognized, read := map[uint64]int{}, 0
	rapid.Check(t, func(t *rapid.T) {
		// Mostly what can be recognized, with a thing or two that cannot.
		choose := func(name string, good, bad []string) string {
			if rapid.IntRange(0, 5).Draw(t, name+" is bad") == 5 {
				return rapid.SampledFrom(bad).Draw(t, name)
			}
			return rapid.SampledFrom(good).Draw(t, name)
		}
		head := choose("head", []string{
			`{"jsonrpc":"2.0","method":"engine_newPayloadV3","params":`, `{"id": 5, "jsonrpc" : "2.0","method":"engine_newPayloadV3" , "params" : `,
		}, []string{
			`{"params":`, `{"method":"engine_newPayloadV4","params":`, `{"method":{"a":1},"params":`, `[{"method":"engine_newPayloadV3","params":`,
			`{"x":"\"params\":[","method":"engine_newPayloadV3","params":`, `{"id":01,"method":"engine_newPayloadV3","params":`,
			`{"id":"` + strings.Repeat("x", mostLoose) + `","method":"engine_newPayloadV3","params":`,
		})
		tail := choose("tail", []string{`}`, ` , "x" : "a" }` + "\n"}, []string{
			`,"id":17}`, `,"method":"engine_newPayloadV3"}`, `,"method":"engine_getPayloadV3"}`, `,"params":[1]}`, `}}`, ``, `}]`, `,"id":"\u0061"}`,
		})
		list := rapid.Permutation(fields).Draw(t, "order")
		switch rapid.IntRange(0, 8).Draw(t, "fields") {
		case 6:
			list = list[1:]
		case 7:
			list = append(list[1:], list[1])
		case 3, 4, 5:
			list = []string{fields[0], `"blockNumber":"0x2"`}
		}
		separator := rapid.SampledFrom([]string{",", " ,\n "}).Draw(t, "separator")
		others := choose("others", []string{`,[],"0x5"]`, `, [] , "0x5" ]`}, []string{`,[],"0x6"]`, `,[]]`, `,[],"0x5",1]`, `]`})
		body := []byte(head + `[{` + strings.Join(list, separator) + `}` + others + tail)
		switch rapid.IntRange(0, 8).Draw(t, "change") {
		case 7:
			body[rapid.IntRange(0, len(body)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		case 8:
			body = body[:rapid.IntRange(0, len(body)).Draw(t, "length")]
		}
		var r io.Reader = bytes.NewReader(body)
		switch rapid.IntRange(0, 3).Draw(t, "reader") {
		case 1:
			r = iotest.HalfReader(r)
		case 2:
			r = iotest.DataErrReader(r)
		}
		c, same, buf, err := k.read(r, int64(len(body)), hold)
		if err != nil {
			t.Fatal(err)
		}
		if same == nil {
			read++
			if !bytes.Equal(buf.Bytes(), body) {
				t.Fatalf("a body of %d bytes was read as %d others", len(body), buf.Len())
			}
			release(buf)
			return
		}
		recognized[same.number]++
		calls, batch, err := parseCalls(body)
		if err != nil || batch || len(calls) != 1 || !bytes.Equal(calls[0].ID, c.ID) {
			t.Fatalf("%d bytes were taken for a known call (%v)", len(body), err)
		}
		own, err := newKnownCall(calls[0].Method, calls[0].Params)
		if err != nil || !own.same(same) {
			t.Fatalf("%d bytes were taken for a known call that says something else (%v)", len(body), err)
		}
	})
	if !testing.Short() && (recognized[7] == 0 || recognized[8] == 0 || read == 0) { // in short, too few are tried
		t.Errorf("%v were recognized, %d read: too few", recognized, read)
	}
}

// TestKnownBounded: only as much is kept as the limits allow, and what fails is not kept.
func TestKnownBounded(t *testing.T) {
	k := &known{limit: 10_000, count: 20}
	spelled := func(i, size int) *knownCall {
		return knownOf(t, "m", fmt.Sprintf(`[{"blockNumber":"%d","x":"%0*d"}]`, i, size, 0))
	}
	for i := range 50 {
		own := spelled(i, 1000)
		c, mine := k.claim(own, i%2 == 0)
		if !mine {
			t.Fatal("claimed before")
		}
		switch i % 5 {
		case 3:
			k.settle(c, checked{failure: "wrong"}, nil)
		case 4:
			k.settle(c, checked{}, errors.New("unreadable"))
		default:
			k.settle(c, checked{number: uint64(i)}, nil)
		}
	}
	total := 0
	for _, c := range k.all() {
		total += c.size
	}
	if k.bytes != total || total > k.limit || total < k.limit/2 {
		t.Errorf("%d bytes, counted %d", total, k.bytes)
	}
	for i, want := range map[int]bool{47: true, 48: false, 49: false, 0: false} {
		if got := slices.ContainsFunc(k.all(), spelled(i, 1000).same); got != want {
			t.Errorf("%d: kept is %v", i, got)
		}
	}
	k.learn(spelled(99, k.limit+1), checked{})
	for i := range 30 {
		k.learn(spelled(i, 1), checked{})
	}
	if len(k.calls) != k.count || k.bytes > k.limit {
		t.Errorf("%d calls of %d bytes", len(k.calls), k.bytes)
	}
}

// TestKnownOnce: of many that come at once, one is checked.
func TestKnownOnce(t *testing.T) {
	k := &known{limit: 10_000, count: 10}
	var mu sync.Mutex
	checks := 0
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			own := knownOf(t, "m", `[{"blockHash":"0x1"}]`)
			c, mine := k.claim(own, false)
			if mine {
				mu.Lock()
				checks++
				mu.Unlock()
				k.settle(c, checked{number: 3}, nil)
			}
			if found, err := c.wait(t.Context()); err != nil || found.number != 3 {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
	wg.Wait()
	if checks != 1 {
		t.Errorf("%d checks", checks)
	}
}

// TestClaim: of real payloads the same is read as in full.
func TestClaim(t *testing.T) {
	for name, b := range realBlocks(t) {
		version, params := engineCall(t, b)
		known := taken(t, params)
		full, c := payloadOf(t, params), known.claim(version)
		if c == nil {
			t.Fatalf("%s: not read", name)
		}
		got, _ := json.Marshal(c.header)
		want, _ := json.Marshal(full.asParent())
		if !bytes.Equal(got, want) || c.block != *full.BlockHash || c.parent != *full.ParentHash || c.number != uint64(*full.Number) ||
			c.timestamp != uint64(*full.Timestamp) || c.withdrawals != (full.Withdrawals != nil) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, text := range []string{``, `{}`, `[]`, `{"blockHash":"0x1"}`} {
		if c, err := newKnownCall("m", []json.RawMessage{json.RawMessage(text)}); err == nil && c.claim(1) != nil {
			t.Errorf("%s is taken for a payload", text)
		}
	}
}
