package greylist_test

import (
	"context"
	"iter"
	"strings"
	"testing"
	"time"

	"blockprint/greylist"
	"blockprint/gridcoin/rules"
)

// TestFind: names are found as people have them, and the nearest ones are named else.
func TestFind(t *testing.T) {
	e := greylist.New(greylist.Options{Rule: rules.Mainnet()})
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
		return greylist.OpenBook(ctx, m, "t", greylist.Options{Rule: rules.Mainnet()})
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
