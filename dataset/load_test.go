package dataset_test

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/dataset"
	"blockprint/sim"
	"blockprint/sim/habit"
)

// TestLoad: files are written for slots that are over and proven, and for no others; files that are not whole are
// loaded again, whole ones are left alone.
func TestLoad(t *testing.T) {
	c := sim.DefaultConfig(4)
	c.Validators, c.Committees, c.SlotsPerEpoch, c.SkipRate, c.SideChainRate = 256, 2, 8, 0.1, 0
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		w.Step()
	}
	client := func(habits ...habit.Habit) *beacon.Client {
		s := httptest.NewServer(habit.Play(w.Handler(), habits...))
		t.Cleanup(s.Close)
		c, err := beacon.New([]string{s.URL}, beacon.Options{Tries: 2, Pause: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	load := func(c *beacon.Client, dir string, start, end blockprint.Slot, finalized bool) error {
		return dataset.Load(t.Context(), c, blockprint.Interval{Start: start, End: end}, dir, dataset.LoadOptions{Batch: 16, Finalized: finalized, Logger: slog.New(slog.DiscardHandler)})
	}
	files := func(dir string) string {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range list {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(f.Name(), "slot_"), ".json"))
		}
		return strings.Join(names, " ")
	}
	node, young := client(), client(habit.SinceSlot(80))

	dir := t.TempDir()
	if err := load(young, dir, 10, 20, false); blockprint.CodeOf(err) != blockprint.NotFound || files(dir) != "" {
		t.Errorf("a node without history: %v, files %q", err, files(dir))
	}
	if err := load(node, dir, 70, 1<<62, false); blockprint.CodeOf(err) != blockprint.NotCovered || files(dir) != "70_to_85" {
		t.Errorf("beyond the head: %v, files %q", err, files(dir))
	}
	finality, err := node.Finality(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := "38_to_53 70_to_85"
	if final := uint64(finality.Finalized.Epoch) * c.SlotsPerEpoch; final >= 69 {
		want = "38_to_53 54_to_69 70_to_85"
	}
	if err := load(node, dir, 38, 100, true); blockprint.CodeOf(err) != blockprint.NotCovered || files(dir) != want {
		t.Errorf("beyond the finalised slot: %v, files %q, want %q", err, files(dir), want)
	}
	path := filepath.Join(dir, "slot_38_to_53.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimPrefix(string(whole), "[\n"), "\n")
	old := func(lines ...string) string { // as earlier versions wrote it
		return "[" + strings.TrimSuffix(strings.TrimSuffix(strings.Join(lines, ""), "\n"), ",") + "]\n"
	}
	for name, damaged := range map[string]string{
		"empty":          "[]\n",
		"begins late":    old(lines[2 : len(lines)-2]...),
		"hole":           old(append(append([]string{}, lines[:3]...), lines[5:len(lines)-2]...)...),
		"ends early":     old(lines[:len(lines)-4]...),
		"not JSON":       "[{",
		"another's file": "[" + strings.ReplaceAll(old(lines[:len(lines)-2]...)[1:], `"slot":"4`, `"slot":"9`),
	} {
		if err := os.WriteFile(path, []byte(damaged), 0o644); err != nil {
			t.Fatal(err)
		}
		// A node without history cannot tell that blocks are missing at the end.
		if err := load(young, dir, 38, 53, false); err == nil && name != "ends early" {
			t.Errorf("%s: a node without history says nothing", name)
		}
		if err := load(node, dir, 38, 53, false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != string(whole) {
			t.Errorf("%s: the file was not loaded again (%v)", name, err)
		}
	}
	intact := "[" + string(whole)[2:]
	if err := os.WriteFile(path, []byte(intact), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*beacon.Client{node, young} {
		if err := load(c, dir, 38, 53, false); err != nil {
			t.Error(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != intact {
		t.Errorf("a whole file of an earlier version was changed (%v)", err)
	}
}
