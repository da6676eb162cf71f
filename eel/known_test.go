package eel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
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
	k.learn(knownOf(t, "engine_newPayloadV3", `[{`+strings.Join(fields, ",")+`},[],"0x5"]`))
	k.learn(knownOf(t, "engine_newPayloadV3", `[{"blockNumber":"0x2",`+fields[0]+`},[],"0x5"]`))
	hold := func() error { return nil }
	recognized, read := map[string]int{}, 0
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
		recognized[string(same.fields["blockNumber"])]++
		calls, batch, err := parseCalls(body)
		if err != nil || batch || len(calls) != 1 || !bytes.Equal(calls[0].ID, c.ID) {
			t.Fatalf("%d bytes were taken for a known call (%v)", len(body), err)
		}
		own, err := newKnownCall(calls[0].Method, calls[0].Params)
		if err != nil || !own.same(same) {
			t.Fatalf("%d bytes were taken for a known call that says something else (%v)", len(body), err)
		}
	})
	if !testing.Short() && (recognized[`"0x1"`] == 0 || recognized[`"0x2"`] == 0 || read == 0) { // in short, too few are tried
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
		c, found := k.find(own, i%2 == 0)
		if found {
			t.Fatal("known before")
		}
		if i%5 > 2 {
			k.forget(c)
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
	k.learn(spelled(99, k.limit+1))
	for i := range 30 {
		k.learn(spelled(i, 1))
	}
	if len(k.calls) != k.count || k.bytes > k.limit {
		t.Errorf("%d calls of %d bytes", len(k.calls), k.bytes)
	}
}

// TestKnownOnce: of many that come at once, one is checked.
func TestKnownOnce(t *testing.T) {
	k := &known{limit: 10_000, count: 10}
	var calls sync.Map
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			c, _ := k.find(knownOf(t, "engine_newPayloadV1", `[{"blockHash":"0x1"}]`), false)
			calls.Store(c, true)
			if _, err := c.check(); err == nil {
				t.Error("it is taken for right")
			}
		})
	}
	wg.Wait()
	calls.Range(func(c, _ any) bool {
		if c != k.all()[0] {
			t.Error("another one was checked")
		}
		return true
	})
}

// TestClaim: of real payloads the same is read as in full.
func TestClaim(t *testing.T) {
	for name, b := range realBlocks(t) {
		version, params := engineCall(t, b)
		full, c := payloadOf(t, params), taken(t, version, params).claim
		if c == nil {
			t.Fatalf("%s: not read", name)
		}
		want := payload{
			BlockHash: full.BlockHash, ParentHash: full.ParentHash, StateRoot: full.StateRoot, Number: full.Number, Timestamp: full.Timestamp,
			GasLimit: full.GasLimit, GasUsed: full.GasUsed, BaseFee: full.BaseFee, BlobGasUsed: full.BlobGasUsed, ExcessBlobGas: full.ExcessBlobGas,
		}
		if !reflect.DeepEqual(*c.payload, want) || c.version != version || c.withdrawals != (full.Withdrawals != nil) {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for _, text := range []string{``, `{}`, `[]`, `{"blockHash":"0x1"}`} {
		if c, err := newKnownCall("m", []json.RawMessage{json.RawMessage(text)}); err == nil && c.claim != nil {
			t.Errorf("%s is taken for a payload", text)
		}
	}
}
