package greylist

import (
	"cmp"
	"fmt"
	"slices"
)

// Change is a change of a subject's effective status that an event brought.
type Change struct {
	Subject  string `json:"subject"`
	Old      Status `json:"old"` // Unknown for a subject that is new
	New      Status `json:"new"` // Unknown for one that a revert took away
	Reason   string `json:"reason"`
	Boundary int    `json:"boundary"` // place of the current boundary; -1 before the first
	Height   uint64 `json:"height"`   // of the event
	Hash     string `json:"hash"`
	Time     int64  `json:"time"` // of the event
	// ZCD and WAS are what the rules find of the subject now; 0 and empty where nothing is found.
	ZCD int    `json:"zcd"`
	WAS string `json:"was"`
}

// maxShown is how many bytes of a name are shown; Gridcoin's have 100 at most.
const maxShown = 200

// Sentence tells a change to people, in one line.
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

// Reasons of changes.
const (
	Listed         = "listed"
	Removed        = "removed"
	ByManual       = "manual"
	ManualLifted   = "manual-lifted"
	Override       = "override"
	OverrideLifted = "override-lifted"
	ByZCD          = "zcd"
	ByWAS          = "was"
	ByBoth         = "zcd+was"
	Recovered      = "recovered"
	Reorganisation = "reorganisation"
	// Excluded and Included come with Options.Exclusions only, and with a status that stays.
	Excluded = "excluded"
	Included = "included"
)

// ApplyAndCompare applies an event and returns what changed by it, by subject.
func (e *Engine) ApplyAndCompare(ev Event) ([]Change, error) {
	before := e.effective(ev)
	if err := e.Apply(ev); err != nil {
		return nil, err
	}
	return e.compare(before, ev, e.reasonOf), nil
}

// RevertAndCompare takes the newest event away and returns what changed by it.
func (e *Engine) RevertAndCompare() (Event, []Change, error) {
	if len(e.log) == 0 {
		_, err := e.Revert()
		return Event{}, nil, err
	}
	before := e.effective(e.log[len(e.log)-1])
	ev, err := e.Revert()
	return ev, e.compare(before, ev, func(string, Status, Status, Event) string { return Reorganisation }), err
}

// shown is what of a subject's standing others are told of.
type shown struct {
	status   Status
	excluded bool
}

// effective returns how those subjects stand that an event can change.
func (e *Engine) effective(ev Event) map[string]shown {
	out := map[string]shown{}
	if ev.Entry != nil {
		if s, ok := e.Standing(ev.Entry.Subject); ok {
			out[ev.Entry.Subject] = shown{s.Effective, s.Excluded && e.o.Exclusions}
		}
		return out
	}
	for name := range e.subjects {
		s, _ := e.Standing(name) // it is there
		out[name] = shown{s.Effective, s.Excluded && e.o.Exclusions}
	}
	return out
}

func (e *Engine) compare(before map[string]shown, ev Event, reason func(string, Status, Status, Event) string) []Change {
	after := e.effective(ev)
	names := map[string]bool{}
	for n := range before {
		names[n] = true
	}
	for n := range after {
		names[n] = true
	}
	var out []Change
	for n := range names {
		was, is := before[n], after[n]
		if was == is {
			continue
		}
		c := Change{Subject: n, Old: was.status, New: is.status, Boundary: len(e.boundaries) - 1}
		if ev.Entry != nil {
			c.Height, c.Hash, c.Time = ev.Entry.Height, ev.Entry.Hash, ev.Entry.Time
		} else {
			c.Height, c.Hash, c.Time = ev.Boundary.Height, ev.Boundary.Hash, ev.Boundary.Time
		}
		if s, ok := e.Standing(n); ok && s.Finding != nil {
			c.ZCD, c.WAS = s.Finding.ZCD, fmt.Sprintf("%d/%d", s.Finding.WAS.Num, s.Finding.WAS.Den)
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

// reasonOf says why an event that was applied changed a status.
func (e *Engine) reasonOf(name string, before, after Status, ev Event) string {
	if ev.Boundary != nil {
		if !after.Greylisted() {
			return Recovered
		}
		return e.criteriaOf(name)
	}
	switch {
	case before == Unknown || before == Deleted:
		return Listed
	case after == Deleted:
		return Removed
	case after == Manual:
		return ByManual
	case after == AutoOverride:
		return Override
	case before == AutoOverride:
		return OverrideLifted
	case before == Manual:
		return ManualLifted
	}
	return e.criteriaOf(name)
}

// criteriaOf names the criteria that a subject meets at the current boundary.
func (e *Engine) criteriaOf(name string) string {
	s, _ := e.Standing(name)
	switch {
	case s.Finding == nil || !s.Finding.Meets:
		return ManualLifted // the policy "fsm" waits
	case s.Finding.ZCDMet && s.Finding.WASMet:
		return ByBoth
	case s.Finding.ZCDMet:
		return ByZCD
	}
	return ByWAS
}
