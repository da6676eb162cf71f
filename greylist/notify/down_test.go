package notify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"blockprint/greylist"
	"blockprint/greylist/notify"
)

// picky refuses some notices, and records those that it gets.
type picky struct {
	refuse func(notify.Notice) error
	asked  []int64
	took   []int64
}

func (p *picky) Name() string { return "picky" }

func (p *picky) Notify(_ context.Context, n notify.Notice) error {
	p.asked = append(p.asked, n.ID)
	if err := p.refuse(n); err != nil {
		return err
	}
	p.took = append(p.took, n.ID)
	return nil
}

// manual gives each subject an entry: the first one lists it, the next ones greylist it and lift that again. Each is a change.
func manual(t *testing.T, b *greylist.Book, subjects ...string) {
	t.Helper()
	for _, name := range subjects {
		status := greylist.Active
		if s, ok := b.Standing(name); ok && s.Entry.Status == greylist.Active {
			status = greylist.Manual
		}
		e := &greylist.Entry{Subject: name, Status: status, Hash: fmt.Sprint(b.Len()), Time: int64(1_780_000_000 + b.Len())}
		if _, err := b.Replace(t.Context(), append(b.Log(), greylist.Event{Entry: e})); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDown: a receiver that is down is left alone for pauses that grow up to an hour. All its failures are one row in the
// delivery log. When it is back, it gets everything, in order.
func TestDown(t *testing.T) {
	b, s := book(t, filepath.Join(t.TempDir(), "g.db"))
	manual(t, b, "first", "a", "b", "a") // the very first event is not reported
	down := true
	r := &picky{refuse: func(notify.Notice) error {
		if down {
			return errors.New("no network")
		}
		return nil
	}}
	now := time.Unix(1_780_000_000, 0)
	d := dispatcher(s, r)
	d.Now = func() time.Time { return now }
	var pauses []time.Duration
	last, end := now, now.Add(6*time.Hour)
	for now.Before(end) {
		before := len(r.asked)
		err := d.Dispatch(t.Context())
		if (err != nil) != (len(r.asked) > before) {
			t.Fatalf("at %s: %v, asked %d times", now, err, len(r.asked)-before)
		}
		if err != nil {
			pauses = append(pauses, now.Sub(last))
			last = now
		}
		now = now.Add(5 * time.Second)
	}
	if pauses[1] != 5*time.Second || pauses[2] != 10*time.Second || slices.Max(pauses) != time.Hour {
		t.Errorf("pauses %v", pauses)
	}
	if tries, err := s.Deliveries(t.Context(), "test", 100); err != nil || len(tries) != 1 || tries[0].Error != "no network" || tries[0].At != 1_780_000_000 {
		t.Errorf("%+v (%v)", tries, err)
	}
	down = false
	if err := d.Dispatch(t.Context()); err != nil || len(r.took) > 0 {
		t.Errorf("%v, it took %v", err, r.took)
	}
	now = now.Add(time.Hour)
	if err := d.Dispatch(t.Context()); err != nil || !slices.Equal(r.took, []int64{1, 2, 3}) {
		t.Errorf("%v, it took %v", err, r.took)
	}
}

// TestPassedOver: a change that a receiver refuses again and again is passed over once the receiver accepts a later one of
// another subject. Nothing is passed over as long as the receiver may be down.
func TestPassedOver(t *testing.T) {
	b, s := book(t, filepath.Join(t.TempDir(), "g.db"))
	manual(t, b, "first", "bad", "bad", "good", "good", "bad", "good")
	r := &picky{refuse: func(n notify.Notice) error {
		if n.Subject == "bad" {
			return errors.New("status 500")
		}
		return nil
	}}
	err := dispatcher(s, r).Dispatch(t.Context())
	if err != nil || !slices.Equal(r.took, []int64{3, 4, 6}) {
		t.Errorf("%v, it took %v", err, r.took)
	}
	tries, err := s.Deliveries(t.Context(), "test", 100)
	if err != nil {
		t.Fatal(err)
	}
	passed := []int64{}
	for _, try := range tries {
		if strings.HasPrefix(try.Error, "passed over, since later changes are taken: status 500") {
			passed = append(passed, try.ID)
		}
	}
	if !slices.Equal(passed, []int64{5, 2, 1}) {
		t.Errorf("passed over: %v of %+v", passed, tries)
	}
	manual(t, b, "bad") // no later one: it waits
	for range 2 {
		if err := dispatcher(s, r).Dispatch(t.Context()); err == nil {
			t.Error("no error, although a notice was not delivered")
		}
	}
	if last, err := s.Delivered(t.Context(), "test", "picky"); err != nil || last != 6 {
		t.Errorf("delivered up to %d (%v)", last, err)
	}
}

// TestStrangersText: text that cannot be an argument, or would break a line, is escaped.
func TestStrangersText(t *testing.T) {
	b, s := book(t, filepath.Join(t.TempDir(), "g.db"))
	out := filepath.Join(t.TempDir(), "out")
	long := strings.Repeat("é", 140_000)
	for i, name := range []string{"first", "A\x00b", "line\nbreak\x1b[2J", "\xff\u202e", long, "last"} {
		e := &greylist.Entry{Subject: name, Status: greylist.Active, Hash: name, Time: int64(i)}
		if _, err := b.Replace(t.Context(), append(b.Log(), greylist.Event{Entry: e})); err != nil {
			t.Fatal(err)
		}
	}
	c, err := notify.NewCommand(script(t, `printf '%s=%s\n' "$2" "$GREYLIST_SUBJECT" >> `+out+"\n"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := dispatcher(s, c).Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, shown := range []string{`A\x00b`, `line\x0abreak\x1b[2J`, `�\u202e`, long[:4096] + "...", "last"} {
		want += shown + "=" + shown + "\n"
	}
	if string(got) != want {
		t.Errorf("%.300q, want %.300q", got, want)
	}
}
