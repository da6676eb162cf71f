package greylist_test

import (
	"context"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"blockprint/greylist"
)

// TestRecoveryHolds: whatever the series and the rules, the growth that a report asks for leads out of the criteria at the
// boundary that it names, one credit a boundary less does not, and no growth does sooner.
func TestRecoveryHolds(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	checked := 0
	for round := range 600 {
		rules := []greylist.Rules{greylist.NewLanded(), greylist.NewV2(), greylist.NewSeed()}[round%3]
		e := greylist.New(greylist.Options{Rules: rules})
		apply(t, e, entry("p", greylist.Active, 1))
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
		if (report.Recovery != nil) != s.Finding.Meets {
			t.Fatalf("round %d: %+v with recovery %+v", round, s.Finding, report.Recovery)
		}
		if report.Recovery == nil {
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
		r, wait := report.Recovery, report.Recovery.EarliestBoundary-report.Current.Index
		if meets(wait, r.Growth) || meets(wait, r.Growth-1) == false || wait > 1 && !meets(wait-1, 1<<50) {
			t.Errorf("round %d, %s: %+v does not hold", round, rules.Name(), r)
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
		e := greylist.New(greylist.Options{})
		apply(t, e, entry("p", greylist.Active, 1))
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
	want := greylist.Decisive{Distance: 40, Impossible: true, LeavesIn: 1}
	if r.Status != greylist.AutoGreylist || len(r.Decisive) != 1 || r.Decisive[0] != want {
		t.Errorf("%s, %+v", r.Status, r.Decisive)
	}
	if r.Recovery.EarliestBoundary != 42 || r.Recovery.ShortSum > 7*60 {
		t.Errorf("%+v", r.Recovery)
	}
	r = explain(42, 0, working) // it has left the windows
	if r.Status != greylist.Active || len(r.Decisive) > 0 {
		t.Errorf("%s, %+v", r.Status, r.Decisive)
	}
	dying := func(i int) uint64 { // hardly any work for a week
		if i > 34 {
			return 1
		}
		return 60
	}
	r = explain(42, 34, dying) // 7 before the newest
	want = greylist.Decisive{Distance: 7, Impossible: true, LeavesIn: 34}
	if r.Status != greylist.Active || len(r.Decisive) != 1 || r.Decisive[0] != want {
		t.Errorf("%s, %+v", r.Status, r.Decisive)
	}
}

// TestFind: names are found as people have them, and the nearest ones are named else.
func TestFind(t *testing.T) {
	e := greylist.New(greylist.Options{})
	for _, name := range []string{"Amicable_Numbers", "nfs@home", "SETI", "seti", "World_Community_Grid"} {
		apply(t, e, entry(name, greylist.Active, 1))
	}
	for name, want := range map[string]string{
		"Amicable Numbers": "Amicable_Numbers", "amicable_numbers": "Amicable_Numbers", " amicable  NUMBERS": "Amicable_Numbers", "NFS@Home": "nfs@home", "SETI": "SETI", "seti": "seti",
	} {
		if got, err := e.Find(name); err != nil || got != want {
			t.Errorf("%q: %q (%v)", name, got, err)
		}
		if r, err := e.Snapshot().Find(name); err != nil || r.Subject != want {
			t.Errorf("%q: %+v (%v)", name, r, err)
		}
	}
	for name, want := range map[string]string{
		"Seti":            `there is no subject "Seti": it may be SETI, seti`,
		"amicable number": "the nearest names are Amicable_Numbers",
		"community":       "the nearest names are World_Community_Grid",
		"nfs@hme":         "the nearest names are nfs@home",
		"einstein@home":   `there is no subject "einstein@home"`,
		"a\x1b[2J":        `there is no subject "a\x1b[2J"`,
	} {
		if got, err := e.Find(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v, want %s", name, got, err, want)
		}
	}
}

// memory is a log that counts how often it is read.
type memory struct {
	events [][]byte
	read   int
}

func (m *memory) ChangeEvents(_ context.Context, _ string, _, keep int, events, _ [][]byte) error {
	m.events = append(m.events[:keep:keep], events...)
	return nil
}

func (m *memory) Events(context.Context, string) iter.Seq2[[]byte, error] {
	m.read++
	return func(yield func([]byte, error) bool) {
		for _, e := range m.events {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (m *memory) LastEvent(context.Context, string) (int, []byte, error) {
	if len(m.events) == 0 {
		return 0, nil, nil
	}
	return len(m.events), m.events[len(m.events)-1], nil
}

// TestShelf: a log that has not changed is not read again for a while, one that has is.
func TestShelf(t *testing.T) {
	m := &memory{}
	now := time.Unix(1_780_000_000, 0)
	open := func(ctx context.Context) (*greylist.Book, error) {
		return greylist.OpenBook(ctx, m, "t", greylist.Options{})
	}
	s := &greylist.Shelf{Open: open, Now: func() time.Time { return now }}
	writer, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var events []greylist.Event
	for i, step := range []struct {
		write bool
		after time.Duration
		reads int
		known int
	}{
		{false, 0, 2, 0},
		{false, time.Minute, 2, 0},
		{true, time.Second, 2, 0},
		{false, time.Second, 3, 1},
		{true, 2 * time.Second, 4, 2},
		{false, 2 * time.Minute, 4, 2},
		{false, 10 * time.Minute, 5, 2},
	} {
		if step.write {
			events = append(events, greylist.Event{Entry: &greylist.Entry{Subject: string(rune('a' + i)), Status: greylist.Active, Time: int64(i)}})
			if _, err := writer.Replace(t.Context(), events); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(step.after)
		shot, err := s.Snapshot(t.Context())
		if err != nil || m.read != step.reads || len(shot.Reports) != step.known {
			t.Errorf("step %d: read %d times, %d subjects (%v)", i, m.read, len(shot.Reports), err)
		}
	}
}
