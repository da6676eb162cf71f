package greylist

import (
	"fmt"
	"maps"
	"slices"

	"blockprint"
)

// Entry is what an administrator says of a subject: a contract, in Gridcoin.
type Entry struct {
	Subject string `json:"subject"`
	Status  Status `json:"status"`
	Hash    string `json:"hash"`
	Time    int64  `json:"time"` // seconds since 1970
	Height  uint64 `json:"height"`
	// Listed, if not 0, says that the entry is not the subject's first: it was listed by then at the latest, not after Time.
	// It counts in the first entry that is known.
	Listed int64 `json:"listed,omitempty"` // seconds since 1970
	// Data is the tenant's own, which the engine hands on unread.
	Data map[string]string `json:"data,omitempty"`
}

// Boundary is a moment at which every subject's total is recorded, or missing: a superblock, in Gridcoin.
type Boundary struct {
	Height uint64 `json:"height"`
	Hash   string `json:"hash"`
	Time   int64  `json:"time"` // seconds since 1970
	// Judged tells that totals were recorded at all; nothing is evaluated at, or looked for behind, a boundary without
	// (superblocks before version 3).
	Judged bool `json:"judged"`
	// Doubt gives the benefit of the doubt to figures that are missing at this boundary.
	Doubt  bool              `json:"benefit_of_doubt"`
	Totals map[string]uint64 `json:"totals"`
	// Source names what recorded the boundary, where a tenant has several; the engine hands it on unread, as it does Signals.
	Source  string            `json:"source,omitempty"`
	Signals map[string]Signal `json:"signals,omitempty"` // by subject
}

// Signal is what is known of a subject that no rule looks at.
type Signal struct {
	// ExportAge is in seconds, since the subject made the figures that were read, as it says itself.
	ExportAge int64 `json:"export_age_s"`
	// Ready is how many results the subject has to give out; nil if it does not say.
	Ready *int64 `json:"results_ready_to_send,omitempty"`
}

// Event is an entry or a boundary: one of them is set.
type Event struct {
	Entry    *Entry    `json:"entry,omitempty"`
	Boundary *Boundary `json:"boundary,omitempty"`
}

// subject is what the engine keeps of one.
type subject struct {
	entries []int // places in the log
	// listed is the time of the first entry ever: deleting a subject and listing it again does not renew it. Where that entry
	// is not known it is a bound.
	listed   int64
	bound    bool
	findings []finding // of the boundaries at which it was judged, in order
	track    *tracked  // incremental evaluation; nil until it is needed
}

// finding is a Finding with the place of its boundary.
type finding struct {
	boundary int
	Finding
}

// Options choose how an engine judges.
type Options struct {
	Rules  Rules  // nil for Landed
	Policy Policy // nil for landed
	// RelistRenews makes a subject that was deleted and is listed again a new one. Gridcoin does not.
	RelistRenews bool
	// Evaluation is how subjects are evaluated; what is found is the same.
	Evaluation Evaluation
	// Exclusions makes a subject without a figure at the current boundary a change of its own, with the reasons Excluded
	// and Included: it has the effect of greylisting there, though its status stays.
	Exclusions bool
}

// Evaluation is a way of finding the same.
type Evaluation int

// The ways. BenchmarkReplay compares them.
const (
	// Incremental keeps what a walk would find again. Rules other than Landed are evaluated as by Cached.
	Incremental Evaluation = iota
	// Cached walks back once for each boundary and keeps what was found.
	Cached
	// Stateless walks back whenever somebody asks, and keeps nothing.
	Stateless
)

// Engine folds a log of events into statuses. Whatever is applied can be reverted, newest first, and leaves the state of
// what remains: everything is a function of the log. It is not safe for concurrent use.
type Engine struct {
	o          Options
	log        []Event
	subjects   map[string]*subject
	boundaries []int // places in the log
}

// Finding is what the rules found of a subject at a boundary.
type Finding struct {
	State
	Figures int // how many figures, missing ones included, there are behind the baseline
}

// New returns an engine without events.
func New(o Options) *Engine {
	if o.Rules == nil {
		o.Rules = NewLanded()
	}
	if o.Policy == nil {
		o.Policy = policies[0]
	}
	return &Engine{o: o, subjects: map[string]*subject{}}
}

// Len returns how many events there are.
func (e *Engine) Len() int { return len(e.log) }

// Boundaries returns how many boundaries there are.
func (e *Engine) Boundaries() int { return len(e.boundaries) }

// Apply adds an event.
func (e *Engine) Apply(ev Event) error {
	switch {
	case (ev.Entry == nil) == (ev.Boundary == nil):
		return blockprint.Errorf(blockprint.Invalid, "an event must be either an entry or a boundary")
	case ev.Entry != nil:
		return e.applyEntry(ev)
	}
	return e.applyBoundary(ev)
}

func (e *Engine) applyEntry(ev Event) error {
	n := ev.Entry
	switch n.Status {
	case Unknown: // adding without a status makes active
		c := *n
		c.Status = Active
		n, ev.Entry = &c, &c
	case AutoGreylist:
		return blockprint.Errorf(blockprint.Invalid, "entry %s of %q: %s follows from the rules and cannot be given", n.Hash, n.Subject, n.Status)
	}
	if n.Subject == "" {
		return blockprint.Errorf(blockprint.Invalid, "entry %s has no subject", n.Hash)
	}
	s := e.subjects[n.Subject]
	if s == nil {
		s = &subject{listed: n.Time}
		if n.Listed > 0 {
			s.listed, s.bound = min(n.Time, n.Listed), true
		}
		e.subjects[n.Subject] = s
	}
	s.entries = append(s.entries, len(e.log))
	e.log = append(e.log, ev)
	return nil
}

func (e *Engine) applyBoundary(ev Event) error {
	b := ev.Boundary
	if last := e.current(); last != nil && b.Time < last.Time {
		return blockprint.Errorf(blockprint.Invalid, "boundary at height %d is of %d, before the one at height %d, which is of %d", b.Height, b.Time, last.Height, last.Time)
	}
	e.boundaries = append(e.boundaries, len(e.log))
	e.log = append(e.log, ev)
	e.evaluate(len(e.boundaries) - 1)
	return nil
}

// Revert takes the newest event away and returns it.
func (e *Engine) Revert() (Event, error) {
	if len(e.log) == 0 {
		return Event{}, blockprint.Errorf(blockprint.NotFound, "there is nothing to revert")
	}
	last := len(e.log) - 1
	ev := e.log[last]
	e.log = e.log[:last]
	if ev.Boundary != nil {
		e.boundaries = e.boundaries[:len(e.boundaries)-1]
		for _, s := range e.subjects {
			if n := len(s.findings); n > 0 && s.findings[n-1].boundary == len(e.boundaries) {
				s.findings = s.findings[:n-1]
			}
			s.track = nil // built anew when the next boundary comes
		}
		return ev, nil
	}
	s := e.subjects[ev.Entry.Subject]
	if s.entries = s.entries[:len(s.entries)-1]; len(s.entries) == 0 {
		delete(e.subjects, ev.Entry.Subject) // its first listing is forgotten as well
	}
	return ev, nil
}

// boundary returns a boundary by its place among them.
func (e *Engine) boundary(i int) *Boundary { return e.log[e.boundaries[i]].Boundary }

// current returns the newest boundary; nil if there is none.
func (e *Engine) current() *Boundary {
	if len(e.boundaries) == 0 {
		return nil
	}
	return e.boundary(len(e.boundaries) - 1)
}

// Back returns the boundary that lies n behind the current one, which is Back(0); nil if there is none.
func (e *Engine) Back(n int) *Boundary {
	if i := len(e.boundaries) - 1 - n; n >= 0 && i >= 0 {
		return e.boundary(i)
	}
	return nil
}

// entry returns the newest entry of a subject.
func (e *Engine) entry(s *subject) *Entry { return e.log[s.entries[len(s.entries)-1]].Entry }

// Previous returns the entry of a subject before its newest one; nil if there is none.
func (e *Engine) Previous(name string) *Entry {
	s := e.subjects[name]
	if s == nil || len(s.entries) < 2 {
		return nil
	}
	return e.log[s.entries[len(s.entries)-2]].Entry
}

// listedAt returns when a subject counts as listed.
func (e *Engine) listedAt(s *subject) int64 { return e.listedBefore(s, len(e.log)) }

// listedBefore is listedAt as it was before an event of the log.
func (e *Engine) listedBefore(s *subject, place int) int64 {
	listed := s.listed
	if !e.o.RelistRenews {
		return listed
	}
	for i := 1; i < len(s.entries) && s.entries[i] < place; i++ {
		if e.log[s.entries[i-1]].Entry.Status == Deleted && e.log[s.entries[i]].Entry.Status != Deleted {
			listed = e.log[s.entries[i]].Entry.Time
		}
	}
	return listed
}

// evaluate judges all subjects at boundary i, the newest, if anything is judged there.
func (e *Engine) evaluate(i int) {
	b := e.boundary(i)
	if !b.Judged || e.o.Evaluation == Stateless {
		return
	}
	rules, incremental := e.o.Rules.(*Landed)
	for name, s := range e.subjects {
		if e.entry(s).Status == Deleted {
			continue
		}
		listed := e.listedAt(s)
		if b.Time < listed {
			continue
		}
		var f Finding
		if incremental && e.o.Evaluation == Incremental {
			f = e.incremental(rules, name, s, listed, i)
		} else {
			f = e.walk(name, listed, i)
		}
		s.findings = append(s.findings, finding{i, f})
	}
}

// walk evaluates a subject at boundary i from its figures.
func (e *Engine) walk(name string, listed int64, i int) Finding {
	figures := e.figures(name, listed, i, e.o.Rules.Reach())
	return Finding{e.o.Rules.Evaluate(Series{figures, e.boundary(i).Doubt}), len(figures) - 1}
}

// found returns what was found of a subject at the current boundary; nil if it was not evaluated there.
func (e *Engine) found(name string, s *subject) *Finding {
	i := len(e.boundaries) - 1
	if e.o.Evaluation != Stateless {
		if n := len(s.findings); n > 0 && s.findings[n-1].boundary == i {
			f := s.findings[n-1].Finding
			return &f
		}
		return nil
	}
	// Whether it was evaluated was decided when the boundary came, by the entry of then.
	if i < 0 || !e.boundary(i).Judged {
		return nil
	}
	then := Unknown
	for _, at := range s.entries {
		if at < e.boundaries[i] {
			then = e.log[at].Entry.Status
		}
	}
	if listed := e.listedBefore(s, e.boundaries[i]); then != Unknown && then != Deleted && e.boundary(i).Time >= listed {
		f := e.walk(name, listed, i)
		return &f
	}
	return nil
}

// figures returns a subject's figures, newest first, from boundary i back to its listing, at most reach behind i.
func (e *Engine) figures(name string, listed int64, i, reach int) []Figure {
	var out []Figure
	for k := i; k >= 0 && k >= i-reach; k-- {
		b := e.boundary(k)
		if !b.Judged || b.Time < listed {
			break
		}
		total, present := b.Totals[name]
		out = append(out, Figure{total, present})
	}
	return out
}

// Standing is how a subject stands now.
type Standing struct {
	Subject   string
	Effective Status
	Entry     *Entry
	// Finding is of the current boundary; nil if the subject was not evaluated there.
	Finding *Finding
	// Excluded tells that it was, though it has no figure there: it counts for nothing at that boundary.
	Excluded bool
}

// Standing returns how a subject stands; ok is false for one that was never listed.
func (e *Engine) Standing(name string) (s Standing, ok bool) {
	sub := e.subjects[name]
	if sub == nil {
		return s, false
	}
	s = Standing{Subject: name, Entry: e.entry(sub)}
	situation := Situation{Entry: s.Entry.Status}
	if s.Finding = e.found(name, sub); s.Finding != nil {
		situation.Meets = s.Finding.Meets
		_, recorded := e.current().Totals[name]
		s.Excluded = !recorded && s.Entry.Status != Deleted
	}
	situation.Lifted = e.lifted(sub)
	s.Effective = e.o.Policy.Effective(situation)
	return s, true
}

// lifted tells whether a manual greylisting of a subject ended since the current boundary.
func (e *Engine) lifted(s *subject) bool {
	since := -1
	if n := len(e.boundaries); n > 0 {
		since = e.boundaries[n-1]
	}
	for i := len(s.entries) - 1; i > 0 && s.entries[i] > since; i-- {
		if e.log[s.entries[i-1]].Entry.Status == Manual && e.log[s.entries[i]].Entry.Status == Active {
			return true
		}
	}
	return false
}

// Standings returns how all subjects stand, by name.
func (e *Engine) Standings() []Standing {
	var out []Standing
	for _, name := range slices.Sorted(maps.Keys(e.subjects)) {
		s, _ := e.Standing(name) // it is there
		out = append(out, s)
	}
	return out
}

// Evaluated tells whether the current boundary was judged: an empty greylist is something else than none.
func (e *Engine) Evaluated() bool {
	b := e.current()
	return b != nil && b.Judged
}

func (b *Boundary) String() string { return fmt.Sprintf("boundary at height %d", b.Height) }
