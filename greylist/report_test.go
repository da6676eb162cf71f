package greylist_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"blockprint"
	"blockprint/greylist"
)

// horrible is Gridcoin's series as a chain up to a superblock.
func horrible(t testing.TB, last int) *greylist.Engine {
	t.Helper()
	e := greylist.New(greylist.Options{})
	apply(t, e, entry("horrible", greylist.Active, 1))
	for i, g := range readGolden(t, "horrible-project.json")[:last+1] {
		totals := map[string]uint64{}
		if g.TotalCredit != nil {
			totals["horrible"] = *g.TotalCredit
		}
		apply(t, e, boundary(int64(1000+i), totals))
	}
	return e
}

// TestExplain: the report of the design's example, superblock 24 of the series.
func TestExplain(t *testing.T) {
	r, err := horrible(t, 24).Explain("horrible")
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != greylist.AutoGreylist || r.Entry != greylist.Active || r.Current.Index != 24 || r.Since.Index != 24 || !reflect.DeepEqual(r.Reasons, []string{"was"}) {
		t.Errorf("%+v since %+v", r, r.Since)
	}
	wantZCD := &greylist.ZCDReport{Count: 4, Limit: 7, Window: 20, Margin: 3, NextToLeaveIn: 3, Days: []greylist.ZeroDay{
		{Distance: 12, Why: "no figure"}, {Distance: 14, Why: "no growth"}, {Distance: 17, Why: "no figure"}, {Distance: 18, Why: "no growth"},
	}}
	if !reflect.DeepEqual(r.ZCD, wantZCD) {
		t.Errorf("%+v", r.ZCD)
	}
	if w := r.WAS; w.ShortSum != 35 || w.ShortN != 7 || w.ShortAverage != 5 || w.LongSum != 4235 || w.LongN != 24 || w.LongAverage != 176 || w.Value != "5/176" || w.NeededShortSum != 126 {
		t.Errorf("%+v", w)
	}
	if r.Recovery.EarliestBoundary != 25 || r.Recovery.Needs != "at least 126 credits over the last 7 superblocks" || !r.Grace.Over {
		t.Errorf("%+v %+v", r.Recovery, r.Grace)
	}
	if len(r.Figures) != 25 || *r.Figures[0].Total != 5235 || *r.Figures[0].Delta != "1" || r.Figures[12].Total != nil {
		t.Errorf("%+v", r.Figures[:2])
	}
	var got []string
	for _, c := range r.Changes {
		got = append(got, fmt.Sprintf("%d %s %s", c.Index, c.To, c.Reason))
	}
	if !reflect.DeepEqual(got, []string{"-1 ACTIVE listed", "12 AUTO_GREYLISTED zcd", "21 ACTIVE recovered", "24 AUTO_GREYLISTED was"}) {
		t.Errorf("%q", got)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	if _, err := horrible(t, 1).Explain("nobody"); blockprint.CodeOf(err) != blockprint.NotFound {
		t.Errorf("%v", err)
	}
}

// TestRecovery: at the boundary that a report names the criteria can be left by what it says, and not sooner; of the needed
// sum one credit less is not enough.
func TestRecovery(t *testing.T) {
	records := readGolden(t, "horrible-project.json")
	for at := 7; at < len(records); at++ {
		r, err := horrible(t, at).Explain("horrible")
		if err != nil {
			t.Fatal(err)
		}
		if r.Recovery == nil {
			continue
		}
		for _, early := range []bool{true, false} {
			e := horrible(t, at)
			last := uint64(0)
			for _, f := range r.Figures {
				if f.Total != nil {
					last = max(last, *f.Total)
				}
			}
			n := r.Recovery.EarliestBoundary - at
			if early {
				if n--; n == 0 || len(r.Reasons) > 1 || r.Reasons[0] != "zcd" {
					continue
				}
			}
			for i := range n {
				last += 1_000_000 // plenty
				apply(t, e, boundary(int64(5000+i), map[string]uint64{"horrible": last}))
			}
			s, _ := e.Standing("horrible")
			if s.Finding.ZCDMet != early {
				t.Errorf("superblock %d: %d later, early %v: %+v; %+v", at, n, early, s.Finding.State, r.Recovery)
			}
		}
		if w := r.WAS; w.ShortN > 0 {
			limit := greylist.Fraction{Num: 1, Den: 10}
			enough := greylist.Fraction{Num: w.NeededShortSum / uint64(w.ShortN), Den: max(w.LongAverage, 1)}
			less := greylist.Fraction{Num: (w.NeededShortSum - 1) / uint64(w.ShortN), Den: max(w.LongAverage, 1)}
			if enough.Less(limit) || w.LongAverage > 0 && !less.Less(limit) {
				t.Errorf("superblock %d: %+v", at, w)
			}
		}
	}
}

// TestDays: days on the greylist count through a change of the reason for it, and end with it.
func TestDays(t *testing.T) {
	const day = 86_400
	e := greylist.New(greylist.Options{Policy: mustPolicy(t, "manual-first")})
	days := func() *int64 {
		r, err := e.Explain("a")
		if err != nil {
			t.Fatal(err)
		}
		return r.Days
	}
	apply(t, e, entry("a", greylist.Active, 0))
	for i := range 9 { // no growth at all: greylisted at the seventh boundary behind the first
		apply(t, e, boundary(int64(i)*day, map[string]uint64{"a": 5}))
	}
	if d := days(); d == nil || *d != 1 {
		t.Fatalf("%v days after the second boundary", d)
	}
	apply(t, e, entry("a", greylist.Manual, 9*day), boundary(12*day-1, map[string]uint64{"a": 6}))
	if d := days(); d == nil || *d != 4 {
		t.Errorf("%v days, manually now", d)
	}
	apply(t, e, entry("a", greylist.AutoOverride, 13*day))
	if d := days(); d != nil {
		t.Errorf("%v days, though it is overridden", *d)
	}
}

func mustPolicy(t *testing.T, name string) greylist.Policy {
	t.Helper()
	p, err := greylist.PolicyOf(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
