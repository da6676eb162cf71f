package recording

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"blockprint"
)

// sample is a recording of three slots with two nodes and committees of three and four.
func sample(t testing.TB) (*bytes.Buffer, []*Slot) {
	t.Helper()
	m := Meta{
		By: "a test", Preset: "minimal", SlotsPerEpoch: 8, SlotDuration: 6 * time.Second, Genesis: time.Unix(1_700_000_000, 0), Seed: 7,
		Invented: "everything", Nodes: []Node{{"A", blockprint.Prysm, "Prysm/v7.1.6", "prysm/2024", true, true}, {Name: "B", Client: blockprint.Teku}},
	}
	for f := range m.Forks {
		if f > int(blockprint.Electra) {
			m.Forks[f] = blockprint.FarFuture
		}
	}
	balances := make([]uint64, 7)
	for i := range balances {
		balances[i] = uint64(32+i) * 1_000_000_000
	}
	var out bytes.Buffer
	w := NewWriter(&out, m, balances)
	s := &Shuffling{Epoch: 0, Decision: blockprint.Root{1}}
	for range 8 {
		s.Members = append(s.Members, [][]uint32{{6, 5, 4}, {0, 1, 2, 3}})
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(w.Shuffling(s))
	var want []*Slot
	parent := blockprint.Root{1}
	for n := blockprint.Slot(1); n <= 3; n++ {
		d := &blockprint.AttestationData{Slot: n - 1, BeaconBlockRoot: parent, Target: blockprint.Checkpoint{Root: blockprint.Root{1}}}
		start := time.Duration(n) * m.SlotDuration
		one, both := []Part{{1, []uint64{0b1010}}}, []Part{{0, []uint64{0b101}}, {1, []uint64{0b1111}}}
		votes := []Vote{
			{Attestation{d, one}, start - 2*time.Second, false, 3, []string{"A", "B"}, Known},
			{Attestation{d, one}, start - time.Second, true, -1, []string{"B"}, Taken},
		}
		slot := &Slot{
			Slot: n, Mood: "calm", Votes: votes, Heads: map[string]blockprint.Slot{"A": n, "B": n - 1},
			Pools: []Pool{{"A", start, []Attestation{{d, one}}}},
			Blocks: []Block{
				{Slot: n, Node: "A", Asked: start + 30*time.Millisecond, Published: -1, Parent: parent, Attestations: []Attestation{{d, both}}},
				{n, "B", start + 20*time.Millisecond, start + time.Second, parent, blockprint.Root{1, byte(n)}, "hello", []Attestation{{d, both}, {d, one}}, []byte{1, 2}},
			},
		}
		for i := range votes {
			check(w.Vote(&votes[i]))
		}
		check(w.Pool(n, &slot.Pools[0]))
		for i := range slot.Blocks {
			check(w.Block(&slot.Blocks[i]))
		}
		check(w.EndSlot(n, slot.Mood, slot.Heads))
		want, parent = append(want, slot), blockprint.Root{1, byte(n)}
	}
	check(w.Close())
	return &out, want
}

// readAll reads slots until the end or an error.
func readAll(r *Reader) (slots []*Slot, err error) {
	for {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			return slots, nil
		}
		if err != nil {
			return slots, err
		}
		slots = append(slots, s)
	}
}

func unpack(t testing.TB, packed []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRoundTrip reads back what a Writer wrote.
func TestRoundTrip(t *testing.T) {
	out, want := sample(t)
	r, err := NewReader("sample", strings.NewReader(unpack(t, out.Bytes())))
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(r)
	if err != nil || !reflect.DeepEqual(got, want) || r.Skipped != 0 {
		t.Errorf("got %d slots, skipped %d, %v; want %d slots, the same that were written", len(got), r.Skipped, err, len(want))
	}
	if n, ok := r.Node("A"); !ok || n.Variant != "prysm/2024" || !n.FedAll || r.Preset != "minimal" || r.Forks[blockprint.Fulu] != blockprint.FarFuture {
		t.Errorf("the header came back as %+v", r.Meta)
	}
	if r.Balances[6] != 38_000_000_000 {
		t.Errorf("validator 6 has %d gwei", r.Balances[6])
	}
	s, err := r.Shuffling(0, blockprint.Root{1})
	if err != nil || s.Members[3][0][1] != 5 {
		t.Errorf("committees came back as %v, %v", s, err)
	}
	if _, err := r.Shuffling(0, blockprint.Root{2}); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("committees of another chain: %v", err)
	}
}

// TestCut: of a recording that was cut, the whole slots are read, the partial one is counted, and the reason is there.
func TestCut(t *testing.T) {
	out, _ := sample(t)
	text := unpack(t, out.Bytes())
	lines := strings.SplitAfter(text, "\n")
	for _, c := range []struct {
		name, text string
		slots      int
		cut        string
	}{
		{"in the last line", text[:len(text)-3], 2, "ends in the middle"},
		{"before the last line", strings.Join(lines[:len(lines)-2], ""), 2, ""},
		{"without the last line's end", strings.TrimSuffix(text, "\n"), 3, ""},
	} {
		r, err := NewReader(c.name, strings.NewReader(c.text))
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(r)
		if err != nil || len(got) != c.slots || r.Skipped != 3-c.slots || !strings.Contains(r.Cut, c.cut) {
			t.Errorf("cut %s: %d slots, %d skipped, cut %q, %v", c.name, len(got), r.Skipped, r.Cut, err)
		}
	}
	path := filepath.Join(t.TempDir(), "cut.jsonl.gz")
	if err := os.WriteFile(path, out.Bytes()[:out.Len()-20], 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(r)
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err != nil || len(got) == 3 || r.Skipped != 1 || !strings.Contains(r.Cut, "compressed file") {
		t.Errorf("a cut compressed file: %d slots, %d skipped, cut %q, %v", len(got), r.Skipped, r.Cut, err)
	}
}

// TestContradictions: what contradicts what came before is refused, with the line and how to go on.
func TestContradictions(t *testing.T) {
	out, _ := sample(t)
	text := unpack(t, out.Bytes())
	for name, c := range map[string]struct{ old, new, want string }{
		"no recording":       {`"type":"meta"`, `"type":"block"`, "no recording"},
		"newer format":       {`"format":1`, `"format":9`, "reads format 1"},
		"two nodes":          {`"name":"B"`, `"name":"A"`, "two nodes"},
		"unknown node":       {`"to":["B"]`, `"to":["C"]`, `no node "C"`},
		"unknown line":       {`"type":"pool"`, `"type":"pond"`, "unknown type"},
		"broken line":        {`"type":"pool"`, `"type":pool`, "invalid character"},
		"no such data":       {`"d":1`, `"d":77`, "no data 77"},
		"too many bits":      {`"ab":"1a"`, `"ab":"ff01"`, "committees"},
		"no such committee":  {`"cb":"0200000000000000"`, `"cb":"0400000000000000"`, "committee 2"},
		"no such validator":  {`"effective_balance_eth_u16":"IAAhACIAIwAkACUAJgA="`, `"effective_balance_eth_u16":"IAAhACIAIwAkACUA"`, "no validator 6"},
		"slot without end":   {`"type":"slot","slot":1`, `"type":"slot","slot":2`, "end of slot 2"},
		"unknown parent":     {`"parent":"0101`, `"parent":"0109`, "does not have"},
		"vote after a block": {`"type":"fed","slot":1,"t":4`, `"type":"fed","slot":0,"t":1`, "comes after them"},
	} {
		changed := strings.Replace(text, c.old, c.new, 1)
		if changed == text {
			t.Errorf("%s: the sample has no %s", name, c.old)
			continue
		}
		r, err := NewReader(name, strings.NewReader(changed))
		if err == nil {
			_, err = readAll(r)
		}
		if blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want an error about %q", name, err, c.want)
		} else if !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v names no line", name, err)
		}
	}
}
