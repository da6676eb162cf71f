package blockprint_test

import (
	"testing"

	"pgregory.net/rapid"

	"blockprint"
)

func interval(t *rapid.T, label string) blockprint.Interval {
	start := rapid.Uint64Range(0, 60).Draw(t, label)
	return blockprint.Interval{Start: blockprint.Slot(start), End: blockprint.Slot(start + rapid.Uint64Range(0, 12).Draw(t, label+" length"))}
}

// TestParseInterval: an open end is the last slot that a database can hold; what is no range is refused.
func TestParseInterval(t *testing.T) {
	for text, want := range map[string]blockprint.Interval{
		"": blockprint.AllSlots, "5-9": {Start: 5, End: 9}, " 5 - 9 ": {Start: 5, End: 9}, "7-": {Start: 7, End: blockprint.AllSlots.End},
	} {
		if got, err := blockprint.ParseInterval(text); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"5", "9-5", "-5", "-", "a-b", "5-b", "1-99999999999999999999"} {
		if got, err := blockprint.ParseInterval(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

// TestIntervals compares the set of intervals with a set of slots.
func TestIntervals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s blockprint.Intervals
		slots := map[blockprint.Slot]bool{}
		for range rapid.IntRange(0, 12).Draw(t, "additions") {
			i := interval(t, "added")
			s = s.Add(i)
			for n := i.Start; n <= i.End; n++ {
				slots[n] = true
			}
		}
		for n := 1; n < len(s); n++ {
			if s[n].Start <= s[n-1].End+1 {
				t.Fatalf("%v is not sorted, disjoint and apart", s)
			}
		}
		asked := interval(t, "asked")
		missing := map[blockprint.Slot]bool{}
		for _, g := range s.Gaps(asked) {
			for n := g.Start; n <= g.End; n++ {
				missing[n] = true
			}
		}
		all := true
		for n := asked.Start; n <= asked.End; n++ {
			all = all && slots[n]
			if missing[n] == slots[n] {
				t.Fatalf("slot %d: missing %v, covered %v", n, missing[n], slots[n])
			}
		}
		if s.Contains(asked) != all {
			t.Fatalf("Contains(%v) is %v", asked, !all)
		}
	})
}

// TestChunks: every slot is in exactly one chunk, and the cuts are where they always are.
func TestChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := interval(t, "whole")
		size := rapid.Uint64Range(1, 9).Draw(t, "size")
		next := i.Start
		for _, c := range i.Chunks(size) {
			if c.Start != next || c.End < c.Start || uint64(c.Start)/size != uint64(c.End)/size {
				t.Fatalf("chunk %v after slot %d of %v by %d", c, next, i, size)
			}
			next = c.End + 1
		}
		if next != i.End+1 {
			t.Fatalf("the chunks of %v end at %d", i, next)
		}
	})
}

func TestNewClassification(t *testing.T) {
	p := func(values ...float64) []blockprint.Probability {
		names := []blockprint.Client{"Grandine", "Lighthouse", "Prysm"}
		var out []blockprint.Probability
		for i, v := range values {
			out = append(out, blockprint.Probability{Client: names[i], P: v})
		}
		return out
	}
	for _, c := range []struct {
		p      []blockprint.Probability
		single blockprint.Client
		multi  string
	}{
		{nil, "Uncertain", "Uncertain"},
		{p(1, 0, 0), "Grandine", "Grandine"},
		{p(0.02, 0.96, 0.02), "Lighthouse", "Lighthouse"},
		{p(0.5, 0.5, 0), "Grandine", "Grandine or Lighthouse"},
		{p(0.3, 0.3, 0.4), "Prysm", "Uncertain"},
		{p(0.1, 0.15, 0.75), "Prysm", "Prysm"},
		{p(0.2, 0.2, 0.6), "Prysm", "Prysm"},
	} {
		got := blockprint.NewClassification(c.p)
		if got.Single != c.single || got.Multi != c.multi {
			t.Errorf("%v: %s, %q; want %s, %q", c.p, got.Single, got.Multi, c.single, c.multi)
		}
	}
}
