package greylist_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"blockprint"
	"blockprint/greylist"
	"blockprint/gridcoin/rules"
)

func entry(subject string, s greylist.Status, at int64) greylist.Event {
	return greylist.Event{Entry: &greylist.Entry{Subject: subject, Status: s, Hash: fmt.Sprintf("entry-%s-%d", subject, at), Time: at, Height: uint64(at)}}
}

func boundary(at int64, totals map[string]uint64) greylist.Event {
	return greylist.Event{Boundary: &greylist.Boundary{Height: uint64(at), Hash: fmt.Sprintf("boundary-%d", at), Time: at, Judged: true, Totals: totals}}
}

func apply(t testing.TB, e *greylist.Engine, events ...greylist.Event) (changes []greylist.Change) {
	t.Helper()
	for _, ev := range events {
		c, err := e.ApplyAndCompare(ev)
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, c...)
	}
	return changes
}

func status(t testing.TB, e *greylist.Engine, subject string) greylist.Status {
	t.Helper()
	s, ok := e.Standing(subject)
	if !ok {
		t.Fatalf("%s is not listed", subject)
	}
	return s.Effective
}

// oracle walks over the log for what a rule finds of a subject at the newest boundary; nil if it is not evaluated there.
func oracle(log []greylist.Event, o greylist.Options, subject string) *greylist.Finding {
	newest := -1
	for i, ev := range log {
		if ev.Boundary != nil {
			newest = i
		}
	}
	if newest < 0 || !log[newest].Boundary.Judged {
		return nil
	}
	listed, last := int64(-1), greylist.Unknown
	for _, ev := range log[:newest] {
		if n := ev.Entry; n != nil && n.Subject == subject {
			if listed < 0 || o.RelistRenews && last == greylist.Deleted && n.Status != greylist.Deleted {
				listed = n.Time
			}
			last = n.Status
		}
	}
	if b := log[newest].Boundary; last == greylist.Unknown || last == greylist.Deleted || b.Time < listed {
		return nil
	}
	var figures []greylist.Figure
	for i := newest; i >= 0 && len(figures) <= o.Rule.Reach(); i-- {
		b := log[i].Boundary
		if b == nil {
			continue
		}
		if !b.Judged || b.Time < listed {
			break
		}
		total, present := b.Totals[subject]
		figures = append(figures, greylist.Figure{Total: total, Present: present})
	}
	f := o.Rule.Judge(greylist.Series{Subject: subject, Height: log[newest].Boundary.Height, Figures: figures, Benefit: log[newest].Boundary.Doubt})
	return &f
}

// meeting makes a chain of boundaries after which a subject meets the criteria, or does not.
func meeting(t testing.TB, e *greylist.Engine, from int64, n int, total *uint64, growth uint64) []greylist.Change {
	t.Helper()
	var changes []greylist.Change
	for i := range n {
		*total += growth
		changes = append(changes, apply(t, e, boundary(from+int64(i), map[string]uint64{"p": *total}))...)
	}
	return changes
}

// TestSeedExamples walks through the two examples of the proposal under each policy.
func TestSeedExamples(t *testing.T) {
	for _, c := range []struct {
		policy string
		// first example: greylisted by hand; met; not met; lifted; and at the next boundary
		first []greylist.Status
		// second: greylisted by hand; met; lifted; not met
		second []greylist.Status
	}{
		{"manual-first", []greylist.Status{greylist.Manual, greylist.Manual, greylist.Manual, greylist.Active, greylist.Active}, []greylist.Status{greylist.Manual, greylist.Manual, greylist.AutoGreylist, greylist.Active}},
		{"fsm", []greylist.Status{greylist.Manual, greylist.Manual, greylist.Manual, greylist.AutoGreylist, greylist.Active}, []greylist.Status{greylist.Manual, greylist.Manual, greylist.AutoGreylist, greylist.Active}},
		{"rules-first", []greylist.Status{greylist.Manual, greylist.AutoGreylist, greylist.Manual, greylist.Active, greylist.Active}, []greylist.Status{greylist.Manual, greylist.AutoGreylist, greylist.AutoGreylist, greylist.Active}},
	} {
		policy, err := greylist.PolicyOf(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		start := func() (*greylist.Engine, *uint64) {
			e, total := greylist.New(greylist.Options{Rule: rules.Mainnet(), Policy: policy}), uint64(0)
			apply(t, e, entry("p", greylist.Active, 1))
			meeting(t, e, 100, 10, &total, 1000)
			apply(t, e, entry("p", greylist.Manual, 150))
			return e, &total
		}
		var got []greylist.Status
		note := func(e *greylist.Engine) { got = append(got, status(t, e, "p")) }
		e, total := start()
		note(e)
		meeting(t, e, 200, 8, total, 0) // eight days without growth
		note(e)
		meeting(t, e, 300, 20, total, 1000)
		note(e)
		apply(t, e, entry("p", greylist.Active, 400))
		note(e)
		meeting(t, e, 500, 1, total, 1000)
		note(e)
		if !slices.Equal(got, c.first) {
			t.Errorf("%s, first example: %v, want %v", c.policy, got, c.first)
		}
		got = nil
		e, total = start()
		note(e)
		meeting(t, e, 200, 8, total, 0)
		note(e)
		apply(t, e, entry("p", greylist.Active, 400))
		note(e)
		meeting(t, e, 500, 20, total, 1000)
		note(e)
		if !slices.Equal(got, c.second) {
			t.Errorf("%s, second example: %v, want %v", c.policy, got, c.second)
		}
	}
	if _, err := greylist.PolicyOf("other"); err == nil {
		t.Error("a policy that there is not was found")
	}
}

// TestChanges: every change of an effective status has its reason.
func TestChanges(t *testing.T) {
	e, total := greylist.New(greylist.Options{Rule: rules.Mainnet()}), uint64(0)
	var got []string
	note := func(changes []greylist.Change) {
		for _, c := range changes {
			got = append(got, fmt.Sprintf("%s>%s:%s", c.Old, c.New, c.Reason))
		}
	}
	note(apply(t, e, entry("p", greylist.Unknown, 1)))
	note(meeting(t, e, 100, 10, &total, 1000))
	note(meeting(t, e, 200, 8, &total, 0))
	note(apply(t, e, entry("p", greylist.AutoOverride, 250)))
	note(apply(t, e, entry("p", greylist.Active, 260)))
	note(meeting(t, e, 300, 20, &total, 1000))
	note(apply(t, e, entry("p", greylist.Manual, 350)))
	note(apply(t, e, entry("p", greylist.Active, 360)))
	note(apply(t, e, entry("p", greylist.Deleted, 370)))
	_, changes, err := e.RevertAndCompare()
	if err != nil {
		t.Fatal(err)
	}
	note(changes)
	want := []string{
		"UNKNOWN>ACTIVE:listed", "ACTIVE>AUTO_GREYLISTED:was", "AUTO_GREYLISTED>AUTO_GREYLIST_OVERRIDE:override", "AUTO_GREYLIST_OVERRIDE>AUTO_GREYLISTED:override-lifted",
		"AUTO_GREYLISTED>ACTIVE:recovered", "ACTIVE>MAN_GREYLISTED:manual", "MAN_GREYLISTED>ACTIVE:manual-lifted", "ACTIVE>DELETED:removed", "DELETED>ACTIVE:reorganisation",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestListing: figures before the first listing do not count, deleting does not renew it unless that is asked for, and a
// subject that is deleted is not judged.
func TestListing(t *testing.T) {
	for _, renew := range []bool{false, true} {
		e := greylist.New(greylist.Options{Rule: rules.Mainnet(), RelistRenews: renew})
		total := uint64(5)
		apply(t, e, entry("p", greylist.Active, 1))
		meeting(t, e, 100, 10, &total, 0)
		if status(t, e, "p") != greylist.AutoGreylist {
			t.Error("ten days without growth were not noticed")
		}
		apply(t, e, entry("p", greylist.Deleted, 150))
		meeting(t, e, 200, 1, &total, 0)
		if s, _ := e.Standing("p"); s.Effective != greylist.Deleted || s.Finding != nil {
			t.Errorf("a deleted subject is %+v", s)
		}
		apply(t, e, entry("p", greylist.Active, 250))
		if status(t, e, "p") != greylist.Active {
			t.Error("it was judged before the next boundary")
		}
		meeting(t, e, 300, 1, &total, 0)
		want := map[bool]greylist.Status{false: greylist.AutoGreylist, true: greylist.Active}[renew]
		if got := status(t, e, "p"); got != want {
			t.Errorf("listed again, renewing %v: %s, want %s", renew, got, want)
		}
	}
}

// TestNotJudged: before totals are recorded there is no greylist, which is something else than an empty one.
func TestNotJudged(t *testing.T) {
	e := greylist.New(greylist.Options{Rule: rules.Mainnet()})
	if e.Evaluated() {
		t.Error("nothing was evaluated yet")
	}
	old := boundary(5, nil)
	old.Boundary.Judged = false
	apply(t, e, entry("p", greylist.Active, 1), old)
	if s, _ := e.Standing("p"); e.Evaluated() || s.Finding != nil || s.Effective != greylist.Active {
		t.Errorf("%+v", s)
	}
	for i := range 9 {
		apply(t, e, boundary(int64(10+i), nil))
	}
	if s, _ := e.Standing("p"); !e.Evaluated() || !s.Finding.Meets {
		t.Errorf("%+v", s)
	}
}

func TestRefuses(t *testing.T) {
	e := greylist.New(greylist.Options{Rule: rules.Mainnet()})
	apply(t, e, boundary(10, nil))
	for name, ev := range map[string]greylist.Event{
		"nothing":      {},
		"both":         {Entry: entry("p", greylist.Active, 1).Entry, Boundary: boundary(11, nil).Boundary},
		"auto":         entry("p", greylist.AutoGreylist, 1),
		"no subject":   entry("", greylist.Active, 1),
		"back in time": boundary(9, nil),
	} {
		if err := e.Apply(ev); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e.Len() != 1 {
		t.Errorf("%d events", e.Len())
	}
	if _, err := greylist.New(greylist.Options{Rule: rules.Mainnet()}).Revert(); blockprint.CodeOf(err) != blockprint.NotFound {
		t.Errorf("nothing to revert: %v", err)
	}
}

// TestReorganisations: after any sequence of applies and reverts the state is that of applying only what remains, by every
// rule and policy, and what is found is what a walk over the log finds.
func TestReorganisations(t *testing.T) {
	statuses := []greylist.Status{greylist.Active, greylist.Active, greylist.Manual, greylist.AutoOverride, greylist.Deleted}
	rapid.Check(t, func(rt *rapid.T) {
		o := greylist.Options{RelistRenews: rapid.Bool().Draw(rt, "renew")}
		var err error
		if o.Policy, err = greylist.PolicyOf(rapid.SampledFrom([]string{"rules-first", "manual-first", "fsm"}).Draw(rt, "policy")); err != nil {
			rt.Fatal(err)
		}
		if o.Rule, err = rules.Named(rapid.SampledFrom(rules.Names()).Draw(rt, "rules")); err != nil {
			rt.Fatal(err)
		}
		e := greylist.New(o)
		var remains []greylist.Event
		clock := int64(1)
		for range rapid.IntRange(1, 120).Draw(rt, "steps") {
			clock++
			switch kind := rapid.IntRange(0, 9).Draw(rt, "kind"); {
			case kind < 2 && len(remains) > 0:
				if _, err := e.Revert(); err != nil {
					rt.Fatal(err)
				}
				remains = remains[:len(remains)-1]
			case kind < 4:
				ev := entry(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "subject"), rapid.SampledFrom(statuses).Draw(rt, "status"), clock)
				if err := e.Apply(ev); err != nil {
					rt.Fatal(err)
				}
				remains = append(remains, ev)
			default:
				totals := map[string]uint64{}
				for _, s := range []string{"a", "b"} {
					if rapid.IntRange(0, 5).Draw(rt, "there") > 0 {
						totals[s] = rapid.SampledFrom([]uint64{0, 5, 5, 6, 7, 100, 1000, 1 << 63}).Draw(rt, "total")
					}
				}
				ev := boundary(clock, totals)
				ev.Boundary.Judged = rapid.IntRange(0, 20).Draw(rt, "judged") > 0
				ev.Boundary.Doubt = rapid.Bool().Draw(rt, "doubt")
				if err := e.Apply(ev); err != nil {
					rt.Fatal(err)
				}
				remains = append(remains, ev)
			}
		}
		fresh := greylist.New(o)
		for _, ev := range remains {
			if err := fresh.Apply(ev); err != nil {
				rt.Fatal(err)
			}
		}
		if !reflect.DeepEqual(fresh.Standings(), e.Standings()) || fresh.Evaluated() != e.Evaluated() {
			rt.Fatalf("%+v, want %+v", e.Standings(), fresh.Standings())
		}
		for _, s := range e.Standings() {
			if want := oracle(remains, o, s.Subject); !reflect.DeepEqual(s.Finding, want) {
				rt.Fatalf("%s: found %+v, a walk finds %+v", s.Subject, s.Finding, want)
			}
		}
	})
}

// series makes totals of subjects that mostly grow, with gaps, falls and plateaus.
func series(superblocks, subjects int) []greylist.Event {
	rng := rand.New(rand.NewPCG(3, 4))
	var events []greylist.Event
	totals := make([]uint64, subjects)
	for s := range totals {
		totals[s] = uint64(rng.IntN(1 << 40))
		events = append(events, entry(fmt.Sprint("project", s), greylist.Active, 1))
	}
	for i := range superblocks {
		record := map[string]uint64{}
		for s := range totals {
			switch x := rng.IntN(1000); {
			case x < 20: // missing
				continue
			case x < 22:
				totals[s] -= totals[s] / 1000
			case x < 70:
			default:
				totals[s] += uint64(rng.IntN(1 << 20))
			}
			record[fmt.Sprint("project", s)] = totals[s]
		}
		events = append(events, boundary(int64(10+i), record))
	}
	return events
}

// TestWalk compares what is found with what a walk over the log finds, at every superblock of a long chain.
func TestWalk(t *testing.T) {
	for _, rule := range rules.All() {
		o := greylist.Options{Rule: rule}
		e, events, met := greylist.New(o), series(300, 10), 0
		for i, ev := range events {
			apply(t, e, ev)
			for _, s := range e.Standings() {
				if want := oracle(events[:i+1], o, s.Subject); !reflect.DeepEqual(s.Finding, want) {
					t.Fatalf("event %d, %s: %+v, want %+v", i, s.Subject, s.Finding, want)
				}
				if s.Effective == greylist.AutoGreylist {
					met++
				}
			}
		}
		t.Logf("%s: %d of %d findings meet the criteria", rule.Name(), met, 300*10)
	}
}

// BenchmarkReplay replays 2,500 superblocks of 40 projects, asking for all standings never, once, or ten times after each.
// The original takes 5 to 11 us for each project and superblock.
func BenchmarkReplay(b *testing.B) {
	events := series(2500, 40)
	for _, rule := range rules.All() {
		for _, reads := range []int{0, 1, 10} {
			b.Run(fmt.Sprintf("%s/reads=%d", rule.Name(), reads), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					e := greylist.New(greylist.Options{Rule: rule})
					for _, ev := range events {
						if err := e.Apply(ev); err != nil {
							b.Fatal(err)
						}
						for range reads {
							e.Standings()
						}
					}
				}
				per := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / (2500 * 40)
				b.ReportMetric(per, "ns/finding")
				b.ReportMetric(5000/per, "x-original's-best")
			})
		}
	}
}

// TestExclusions: a subject without a figure is excluded, which is told as a change of its own, and comes back.
func TestExclusions(t *testing.T) {
	e := greylist.New(greylist.Options{Rule: rules.Mainnet(), Exclusions: true})
	apply(t, e, entry("a", greylist.Active, 1), entry("b", greylist.Active, 1), boundary(2, map[string]uint64{"a": 1, "b": 1}))
	told := func(ev greylist.Event) (out []string) {
		changes, err := e.ApplyAndCompare(ev)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			out = append(out, fmt.Sprint(c.Subject, " ", c.Old, " ", c.New, " ", c.Reason))
		}
		return out
	}
	want := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	want("a is missing", told(boundary(3, map[string]uint64{"b": 2})), "a ACTIVE ACTIVE excluded")
	r, err := e.Explain("a")
	if err != nil || r.NotARule == nil || !r.NotARule.Excluded || len(r.Changes) != 1 {
		t.Errorf("%+v, %v: expected the exclusion beside the rules, and no change of status", r, err)
	}
	want("both are there", told(boundary(4, map[string]uint64{"a": 2, "b": 3})), "a ACTIVE ACTIVE included")
	if _, changes, err := e.RevertAndCompare(); err != nil || len(changes) != 1 || changes[0].Reason != greylist.Excluded {
		t.Errorf("reverting its return: %+v, %v", changes, err)
	}
	want("removed while excluded", told(entry("a", greylist.Deleted, 5)), "a ACTIVE DELETED removed")
}
