package greylist

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Change is a change of a subject's effective status by an event.
type Change struct {
	Subject  string `json:"subject"`
	Old      Status `json:"old"` // Unknown for a subject that is new
	New      Status `json:"new"` // Unknown for a subject that a revert removed
	Reason   string `json:"reason"`
	Boundary int    `json:"boundary"` // place of the current boundary; -1 before the first
	Height   uint64 `json:"height"`   // of the event
	Hash     string `json:"hash"`
	Time     int64  `json:"time"` // of the event
	// Numbers sum up the rule's finding now. In JSON they are further fields with their names and exact values.
	Numbers []Number `json:"-"`
}

// plainChange is a Change's own fields.
type plainChange Change

// MarshalJSON implements json.Marshaler.
func (c Change) MarshalJSON() ([]byte, error) {
	return WithNumbers(plainChange(c), c.Numbers, func(n Number) any { return n.Exact })
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *Change) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, (*plainChange)(c)); err != nil {
		return err
	}
	c.Numbers = nil
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		n := Number{Name: fmt.Sprint(name)}
		if err := dec.Decode(&n.Exact); err != nil {
			return err
		}
		if !slices.Contains(changeFields, n.Name) {
			c.Numbers = append(c.Numbers, n)
		}
	}
	return nil
}

// changeFields are the names of a Change's own fields.
var changeFields = []string{"subject", "old", "new", "reason", "boundary", "height", "hash", "time"}

// maxShown is how many bytes of a name are shown. Gridcoin's names have at most 100.
const maxShown = 200

// Sentence describes a change in one line.
func (c *Change) Sentence() string {
	subject := Printable(c.Subject, maxShown)
	if c.Old == c.New {
		return fmt.Sprintf("%s: %s (its status stays %s)", subject, c.Reason, c.New.Text())
	}
	if c.Old == Unknown {
		return fmt.Sprintf("%s: %s (%s)", subject, c.New.Text(), c.Reason)
	}
	return fmt.Sprintf("%s: %s, before %s (%s)", subject, c.New.Text(), c.Old.Text(), c.Reason)
}

// Reasons for changes.
const (
	Listed         = "listed"
	Removed        = "removed"
	ByManual       = "manual"
	ManualLifted   = "manual-lifted"
	Override       = "override"
	OverrideLifted = "override-lifted"
	Recovered      = "recovered"
	Reorganisation = "reorganisation"
	// Excluded and Included occur only with Options.Exclusions, and the status stays.
	Excluded = "excluded"
	Included = "included"
)

// ApplyAndCompare applies events and returns what they changed together, in order of subject. It names the last one as the cause.
// If one of them cannot be applied, none is.
func (e *Engine) ApplyAndCompare(events ...Event) ([]Change, error) {
	if len(events) == 0 {
		return nil, nil
	}
	before := e.shown()
	for i, ev := range events {
		if err := e.Apply(ev); err != nil {
			for range i {
				_, _ = e.Revert() // it was just applied
			}
			return nil, err
		}
	}
	return e.compare(before, events[len(events)-1], e.reasonOf), nil
}

// RevertAndCompare takes the newest event away and returns it and what that changed.
func (e *Engine) RevertAndCompare() (Event, []Change, error) {
	before := e.shown()
	ev, err := e.Revert()
	if err != nil {
		return Event{}, nil, err
	}
	return ev, e.compare(before, ev, func(string, Status, Status, Event) string { return Reorganisation }), nil
}

// shown is the part of a subject's standing whose changes are reported.
type shown struct {
	status   Status
	excluded bool
}

// shown returns that part for all subjects.
func (e *Engine) shown() map[string]shown {
	out := make(map[string]shown, len(e.subjects))
	for name := range e.subjects {
		s, _ := e.Standing(name) // it is there
		out[name] = shown{s.Effective, s.Excluded && e.o.Exclusions}
	}
	return out
}

// compare returns how the standings differ from earlier ones, and names an event as the cause.
func (e *Engine) compare(before map[string]shown, ev Event, reason func(string, Status, Status, Event) string) []Change {
	after := e.shown()
	names := maps.Clone(after)
	maps.Copy(names, before)
	var out []Change
	for n := range names {
		was, is := before[n], after[n]
		if was == is || e.o.QuietListings && was.status == Unknown && is.status == Active {
			continue
		}
		c := Change{Subject: n, Old: was.status, New: is.status, Boundary: len(e.boundaries) - 1, Numbers: e.blank}
		if ev.Entry != nil {
			c.Height, c.Hash, c.Time = ev.Entry.Height, ev.Entry.Hash, ev.Entry.Time
		} else {
			c.Height, c.Hash, c.Time = ev.Boundary.Height, ev.Boundary.Hash, ev.Boundary.Time
		}
		if s, ok := e.Standing(n); ok {
			c.Numbers = s.Numbers()
		}
		if was.status != is.status {
			c.Reason = reason(n, was.status, is.status, ev)
			out = append(out, c)
		}
		if was.excluded != is.excluded && is.status != Deleted && is.status != Unknown {
			c.Old, c.Reason = is.status, Included
			if is.excluded {
				c.Reason = Excluded
			}
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int { return cmp.Compare(a.Subject, b.Subject) })
	return out
}

// reasonOf says why an applied event changed a status.
func (e *Engine) reasonOf(name string, before, after Status, ev Event) string {
	var reasons []Reason // why the rule would greylist it, if it is greylisted
	if s, _ := e.Standing(name); s.Finding != nil && after.Greylisted() {
		reasons = s.Finding.Reasons
	}
	switch {
	case ev.Boundary != nil && !after.Greylisted():
		return Recovered
	case ev.Boundary != nil && after != Manual:
		return because("", reasons)
	case before == Unknown || before == Deleted:
		return because(Listed, reasons)
	case after == Deleted:
		return Removed
	case after == Manual:
		return because(ByManual, reasons)
	case after == AutoOverride:
		return Override
	case before == AutoOverride:
		return because(OverrideLifted, reasons)
	case before == Manual || len(reasons) == 0: // without a reason the policy fsm waits
		return because(ManualLifted, reasons)
	}
	return because("", reasons)
}
