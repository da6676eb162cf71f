package rules_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"blockprint"
	"blockprint/greylist"
	"blockprint/gridcoin/rules"
)

func entry(subject string, at int64) greylist.Event {
	return greylist.Event{Entry: &greylist.Entry{Subject: subject, Status: greylist.Active, Time: at}}
}

func boundary(at int64, totals map[string]uint64) greylist.Event {
	return greylist.Event{Boundary: &greylist.Boundary{Height: uint64(at), Time: at, Judged: true, Totals: totals}}
}

func apply(t testing.TB, e *greylist.Engine, events ...greylist.Event) {
	t.Helper()
	for _, ev := range events {
		if err := e.Apply(ev); err != nil {
			t.Fatal(err)
		}
	}
}

// state returns what was found of a subject.
func state(t testing.TB, s *greylist.Standing) *rules.State {
	t.Helper()
	if s.Finding == nil {
		t.Fatalf("%+v was not evaluated", s)
	}
	return s.Finding.Detail.(*rules.State)
}

// facts returns what the rules add to a report.
func facts(r *greylist.Report) *rules.Facts { return r.Explanation.Facts.(*rules.Facts) }

// horrible is Gridcoin's series as a chain up to a superblock.
func horrible(t testing.TB, last int) *greylist.Engine {
	t.Helper()
	e := greylist.New(greylist.Options{Rule: rules.Mainnet()})
	apply(t, e, entry("horrible", 1))
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
	wantZCD := &rules.ZCDReport{Count: 4, Limit: 7, Window: 20, Margin: 3, NextToLeaveIn: 3, Days: []rules.ZeroDay{
		{Distance: 12, Why: "no figure"}, {Distance: 14, Why: "no growth"}, {Distance: 17, Why: "no figure"}, {Distance: 18, Why: "no growth"},
	}}
	if !reflect.DeepEqual(facts(r).ZCD, wantZCD) {
		t.Errorf("%+v", facts(r).ZCD)
	}
	if w := facts(r).WAS; w.ShortSum != 35 || w.ShortN != 7 || w.ShortAverage != 5 || w.LongSum != 4235 || w.LongN != 24 || w.LongAverage != 176 || w.Value != "5/176" || w.NeededShortSum != 126 {
		t.Errorf("%+v", w)
	}
	if facts(r).Recovery.EarliestBoundary != 25 || facts(r).Recovery.Needs != "at least 126 credits over the last 7 superblocks" || !facts(r).Grace.Over {
		t.Errorf("%+v %+v", facts(r).Recovery, facts(r).Grace)
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
		if facts(r).Recovery == nil {
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
			n := facts(r).Recovery.EarliestBoundary - at
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
			if state(t, &s).ZCDMet != early {
				t.Errorf("superblock %d: %d later, early %v: %+v; %+v", at, n, early, state(t, &s), facts(r).Recovery)
			}
		}
		if w := facts(r).WAS; w.ShortN > 0 {
			limit := rules.Fraction{Num: 1, Den: 10}
			enough := rules.Fraction{Num: w.NeededShortSum / uint64(w.ShortN), Den: max(w.LongAverage, 1)}
			less := rules.Fraction{Num: (w.NeededShortSum - 1) / uint64(w.ShortN), Den: max(w.LongAverage, 1)}
			if enough.Less(limit) || w.LongAverage > 0 && !less.Less(limit) {
				t.Errorf("superblock %d: %+v", at, w)
			}
		}
	}
}

// TestRecoveryHolds: whatever the series and the rules, the growth that a report asks for leads out of the criteria at the
// boundary that it names, one credit a boundary less does not, and no growth does sooner.
func TestRecoveryHolds(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	checked := 0
	for round := range 600 {
		rule := rules.All()[round%3]
		e := greylist.New(greylist.Options{Rule: rule})
		apply(t, e, entry("p", 1))
		total := uint64(rng.IntN(1000))
		for i := range 8 + rng.IntN(60) {
			totals := map[string]uint64{"p": total}
			switch rng.IntN(8) {
			case 0:
				delete(totals, "p")
			case 1:
				totals["p"] = 0
			case 2, 3, 4:
				total += uint64(rng.IntN(5000))
			}
			apply(t, e, boundary(int64(100+i), totals))
		}
		report, err := e.Explain("p")
		if err != nil {
			t.Fatal(err)
		}
		s, _ := e.Standing("p")
		if (facts(report).Recovery != nil) != s.Finding.Meets {
			t.Fatalf("round %d: %+v with recovery %+v", round, s.Finding, facts(report).Recovery)
		}
		if facts(report).Recovery == nil {
			continue
		}
		checked++
		last := uint64(0)
		for _, f := range report.Figures {
			if f.Total != nil {
				last = *f.Total
				break
			}
		}
		meets := func(wait int, growth uint64) bool {
			for k := range wait {
				apply(t, e, boundary(int64(1000+k), map[string]uint64{"p": last + uint64(k+1)*growth}))
			}
			s, _ := e.Standing("p")
			for range wait {
				if _, err := e.Revert(); err != nil {
					t.Fatal(err)
				}
			}
			return s.Finding.Meets
		}
		r, wait := facts(report).Recovery, facts(report).Recovery.EarliestBoundary-report.Current.Index
		if meets(wait, r.Growth) || meets(wait, r.Growth-1) == false || wait > 1 && !meets(wait-1, 1<<50) {
			t.Errorf("round %d, %s: %+v does not hold", round, rule.Name(), r)
		}
	}
	if checked < 100 {
		t.Errorf("only %d reports had a recovery", checked)
	}
}

// TestDecisive: one figure that cannot be greylists a project that works, or hides one that does not, and is named.
func TestDecisive(t *testing.T) {
	explain := func(n, zero int, growth func(i int) uint64) *greylist.Report {
		t.Helper()
		e := greylist.New(greylist.Options{Rule: rules.Mainnet()})
		apply(t, e, entry("p", 1))
		total := uint64(500_000)
		for i := range n {
			total += growth(i)
			figure := total
			if i == zero {
				figure = 0
			}
			apply(t, e, boundary(int64(100+i), map[string]uint64{"p": figure}))
		}
		r, err := e.Explain("p")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	working := func(int) uint64 { return 60 }
	r := explain(42, 1, working) // 40 before the newest
	want := rules.Decisive{Distance: 40, Impossible: true, LeavesIn: 1}
	if r.Status != greylist.AutoGreylist || len(facts(r).Decisive) != 1 || facts(r).Decisive[0] != want {
		t.Errorf("%s, %+v", r.Status, facts(r).Decisive)
	}
	if facts(r).Recovery.EarliestBoundary != 42 || facts(r).Recovery.ShortSum > 7*60 {
		t.Errorf("%+v", facts(r).Recovery)
	}
	r = explain(42, 0, working) // it has left the windows
	if r.Status != greylist.Active || len(facts(r).Decisive) > 0 {
		t.Errorf("%s, %+v", r.Status, facts(r).Decisive)
	}
	dying := func(i int) uint64 { // hardly any work for a week
		if i > 34 {
			return 1
		}
		return 60
	}
	r = explain(42, 34, dying) // 7 before the newest
	want = rules.Decisive{Distance: 7, Impossible: true, LeavesIn: 34}
	if r.Status != greylist.Active || len(facts(r).Decisive) != 1 || facts(r).Decisive[0] != want {
		t.Errorf("%s, %+v", r.Status, facts(r).Decisive)
	}
}

// TestGoldenThroughEngine: Gridcoin's 47 superblocks as a chain, with a subject that was in the superblocks before it was
// listed.
func TestGoldenThroughEngine(t *testing.T) {
	e := greylist.New(greylist.Options{Rule: rules.Mainnet()})
	apply(t, e, entry("other", 0), boundary(1, map[string]uint64{"horrible": 7}), boundary(2, map[string]uint64{"horrible": 9}), entry("horrible", 10))
	for i, g := range readGolden(t, "horrible-project.json") {
		totals := map[string]uint64{"other": uint64(i)}
		if g.TotalCredit != nil {
			totals["horrible"] = *g.TotalCredit
		}
		apply(t, e, boundary(int64(100+i), totals))
		s, _ := e.Standing("horrible")
		check(t, fmt.Sprintf("superblock %d", i), state(t, &s), g.Expect)
		if (s.Effective == greylist.AutoGreylist) != g.Expect.Meets {
			t.Errorf("superblock %d: %s", i, s.Effective)
		}
	}
}
