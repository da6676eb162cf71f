package featurefile_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"blockprint"
	"blockprint/dataset/featurefile"
)

var names = []string{"a", "b", "c"}

func header() featurefile.Header {
	return featurefile.NewHeader("test", "mainnet", "graffiti", names)
}

// source makes the rows of a pretended input file.
func source(seed uint64, n int) (featurefile.Source, *featurefile.Rows) {
	rng := rand.New(rand.NewPCG(seed, 1))
	rows := featurefile.NewRows(len(names))
	for i := range n {
		var root blockprint.Root
		for j := range root {
			root[j] = byte(rng.Uint32())
		}
		values := []float64{rng.Float64(), float64(i), math.NaN()}
		rows.Add(blockprint.Slot(1000*seed+uint64(i)), rng.Uint64(), root, uint8(rng.IntN(5)), values)
	}
	return featurefile.Source{Path: fmt.Sprintf("f%d.json", seed), Size: int64(n), Modified: 1, Blocks: n + 1, Labelled: n}, rows
}

func must[T any](v T, err error) func(tb testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func add(tb testing.TB, w *featurefile.Writer, s featurefile.Source, rows *featurefile.Rows) {
	tb.Helper()
	w.Begin()
	for at := 0; at < rows.Len(); at += 1000 {
		if err := w.Append(rows.Slice(at, min(at+1000, rows.Len()))); err != nil {
			tb.Fatal(err)
		}
	}
	w.End(s)
}

// read returns all rows of a file.
func read(tb testing.TB, path string, features ...string) *featurefile.Rows {
	tb.Helper()
	f := must(featurefile.Open(path))(tb)
	defer func() { _ = f.Close() }()
	all := featurefile.NewRows(len(features))
	err := f.Read(context.Background(), features, func(r *featurefile.Rows) error {
		for i := range r.Len() {
			values := make([]float64, len(features))
			for k := range features {
				values[k] = r.Values[k][i]
			}
			all.Add(r.Slots[i], r.Proposers[i], r.Roots[i], r.Clients[i], values)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func sameRows(tb testing.TB, got, want *featurefile.Rows) {
	tb.Helper()
	if !slices.Equal(got.Slots, want.Slots) || !slices.Equal(got.Proposers, want.Proposers) || !slices.Equal(got.Roots, want.Roots) || !slices.Equal(got.Clients, want.Clients) {
		tb.Fatalf("rows differ: %d, want %d", got.Len(), want.Len())
	}
	for f := range want.Values {
		if !slices.EqualFunc(got.Values[f], want.Values[f], func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
			tb.Fatalf("feature %d differs", f)
		}
	}
}

func concat(list ...*featurefile.Rows) *featurefile.Rows {
	all := featurefile.NewRows(len(names))
	for _, r := range list {
		for i := range r.Len() {
			all.Add(r.Slots[i], r.Proposers[i], r.Roots[i], r.Clients[i], []float64{r.Values[0][i], r.Values[1][i], r.Values[2][i]})
		}
	}
	return all
}

// TestRoundTrip: what is written is read, bit by bit, all columns or some; over more than a chunk.
func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.features")
	w := must(featurefile.Resume(path, header()))(t)
	s1, r1 := source(1, 20_000)
	s2, r2 := source(2, 7)
	add(t, w, s1, r1)
	add(t, w, s2, r2)
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	want := concat(r1, r2)
	sameRows(t, read(t, path, names...), want)
	if got := read(t, path, "b"); !slices.Equal(got.Values[0], want.Values[1]) {
		t.Error("one column alone differs")
	}
	f := must(featurefile.Open(path))(t)
	defer func() { _ = f.Close() }()
	if f.Rows() != want.Len() || f.Header.Network != "mainnet" {
		t.Errorf("%d rows of %s", f.Rows(), f.Header.Network)
	}
	if got := must(f.Sources())(t); !slices.Equal(got, []featurefile.Source{s1, s2}) {
		t.Errorf("sources %v", got)
	}
	if err := f.Read(t.Context(), []string{"nothing"}, func(*featurefile.Rows) error { return nil }); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("an unknown feature: %v", err)
	}
}

// TestResume cuts an unfinished file at every place: the next run keeps whole sources only, and ends with the same
// rows as an undisturbed run.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.features")
	w := must(featurefile.Resume(path, header()))(t)
	var sources []featurefile.Source
	var rows []*featurefile.Rows
	for seed, n := range []int{30, 18_000, 5, 17_000} {
		s, r := source(uint64(seed+1), n)
		sources, rows = append(sources, s), append(rows, r)
		add(t, w, s, r)
	}
	if err := w.Close(); err != nil { // as if it were killed
		t.Fatal(err)
	}
	partial, err := os.ReadFile(path + ".partial")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	kept := map[int]bool{}
	for i := range 60 {
		cut := rng.IntN(len(partial) + 1)
		if i%3 == 0 {
			cut = rng.IntN(2000)
		}
		if err := os.WriteFile(path+".partial", partial[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := featurefile.Resume(path, header())
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		kept[len(w.Done())] = true
		for i, s := range sources {
			if have, done := w.Done()[s.Path]; done {
				if have != s {
					t.Fatalf("cut at %d: source %v became %v", cut, s, have)
				}
				continue
			}
			add(t, w, s, rows[i])
		}
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, read(t, path, names...), concat(rows...))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if !kept[0] || !kept[1] || !kept[3] {
		t.Errorf("the cuts left %v sources, want some with 0, 1 and 3", kept)
	}
}

// TestAdd: a finished file takes further sources; one with other features does not.
func TestAdd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.features")
	s1, r1 := source(1, 10)
	s2, r2 := source(2, 20)
	for i, s := range []featurefile.Source{s1, s2} {
		w := must(featurefile.Resume(path, header()))(t)
		if len(w.Done()) != i {
			t.Fatalf("%d sources are done, want %d", len(w.Done()), i)
		}
		add(t, w, s, []*featurefile.Rows{r1, r2}[i])
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	sameRows(t, read(t, path, names...), concat(r1, r2))
	other := featurefile.NewHeader("test", "mainnet", "graffiti", []string{"a"})
	if _, err := featurefile.Resume(path, other); blockprint.CodeOf(err) != blockprint.Conflict {
		t.Errorf("other features: %v", err)
	}
	sameRows(t, read(t, path, names...), concat(r1, r2))
}

// TestAbort: a source that turns out to be bad leaves nothing, however much of it is written already.
func TestAbort(t *testing.T) {
	for _, bad := range []int{1, 500, 16_384, 40_000} {
		path := filepath.Join(t.TempDir(), "x.features")
		w := must(featurefile.Resume(path, header()))(t)
		s1, r1 := source(1, 300)
		add(t, w, s1, r1)
		_, rows := source(2, bad)
		w.Begin()
		if err := w.Append(rows); err != nil {
			t.Fatal(err)
		}
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
		s3, r3 := source(3, 400)
		add(t, w, s3, r3)
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		sameRows(t, read(t, path, names...), concat(r1, r3))
		total := 0
		for _, n := range w.Summary() {
			total += n
		}
		if total != 700 {
			t.Errorf("bad source of %d rows: %d are counted, want 700", bad, total)
		}
	}
}

// TestDamage flips each of many bytes: the file is refused, never read wrong.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.features")
	w := must(featurefile.Resume(path, header()))(t)
	s, r := source(1, 500)
	add(t, w, s, r)
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := featurefile.Open(path)
		if err == nil {
			err = f.Read(context.Background(), names, func(*featurefile.Rows) error { return nil })
			_ = f.Close()
		}
		if blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	for at := 0; at < len(whole); at += 1 + len(whole)/997 {
		b := bytes.Clone(whole)
		b[at] ^= 0x40
		try(fmt.Sprintf("byte %d changed", at), b)
		try(fmt.Sprintf("cut at %d", at), whole[:at])
	}
}
