package greylist

import (
	"maps"
	"reflect"
	"slices"

	"blockprint"
)

// Entry is an administrator's statement about a subject: a contract, in Gridcoin.
type Entry struct {
	Subject string `json:"subject"`
	Status  Status `json:"status"`
	Hash    string `json:"hash"`
	Time    int64  `json:"time"` // seconds since 1970
	Height  uint64 `json:"height"`
	// Listed, if not 0, means that the entry is not the subject's first: the subject was listed by then at the latest, and not
	// after Time. It counts in a subject's first known entry.
	Listed int64 `json:"listed,omitempty"` // seconds since 1970
	// Data belongs to the tenant. The engine passes it on unread.
	Data map[string]string `json:"data,omitempty"`
}

// Boundary is a moment at which every subject's total is recorded, or missing: a superblock, in Gridcoin.
type Boundary struct {
	Height uint64 `json:"height"`
	Hash   string `json:"hash"`
	Time   int64  `json:"time"` // seconds since 1970
	// Judged is true if totals were recorded at all. The engine evaluates nothing at a boundary without totals (a superblock
	// before version 3), and looks for nothing before it.
	Judged bool `json:"judged"`
	// Doubt gives missing figures at this boundary the benefit of the doubt.
	Doubt  bool              `json:"benefit_of_doubt"`
	Totals map[string]uint64 `json:"totals"`
	// More has further figures, by subject and name, for rules that look at more than a total.
	More map[string]map[string]uint64 `json:"more,omitempty"`
	// Source names what recorded the boundary, where a tenant has several sources. The engine passes it on unread, like Signals.
	Source  string            `json:"source,omitempty"`
	Signals map[string]Signal `json:"signals,omitempty"` // by subject
}

// Signal is what is known about a subject although no rule looks at it.
type Signal struct {
	// ExportAge is how many seconds before the boundary the subject made its figures, according to itself.
	ExportAge int64 `json:"export_age_s"`
	// Ready is how many results the subject has ready to send; nil if it does not say.
	Ready *int64 `json:"results_ready_to_send,omitempty"`
}

// Event is either an entry or a boundary.
type Event struct {
	Entry    *Entry    `json:"entry,omitempty"`
	Boundary *Boundary `json:"boundary,omitempty"`
}

// subject is the engine's state of one.
type subject struct {
	entries []int // places in the log
	// listed is the time of the first entry ever: deleting a subject and listing it again does not renew it. If that entry is
	// not known, it is a bound.
	listed   int64
	bound    bool
	findings []finding // at the boundaries at which it was judged, in order
	window   window
}

// finding is a Finding with the place of its boundary.
type finding struct {
	boundary int
	Finding
}

// Options choose how an engine judges.
type Options struct {
	Rule   Rule   // never nil
	Others []Rule // their verdicts are part of reports
	Policy Policy // without a name: rules-first
	// RelistRenews makes a subject that is deleted and listed again a new one. Gridcoin does not.
	RelistRenews bool
	// Exclusions reports a change, with the reason Excluded or Included, when a subject loses or regains its figure at the
	// current boundary: that has the effect of greylisting there, though the status stays.
	Exclusions bool
	// QuietListings reports no change for a new subject as long as nothing is wrong with it.
	QuietListings bool
	// Boundary is what people call a boundary; empty for "boundary".
	Boundary string
}

// Engine folds a log of events into statuses. Events can be reverted, newest first, which restores the state before them:
// everything is a function of the log. It is not safe for concurrent use.
type Engine struct {
	o          Options
	log        []Event
	subjects   map[string]*subject
	boundaries []int    // places in the log
	blank      []Number // sums up a finding that does not exist
}

// New returns an engine without events.
func New(o Options) *Engine {
	if o.Policy.Name == "" {
		o.Policy = policies[0]
	}
	if o.Boundary == "" {
		o.Boundary = "boundary"
	}
	e := &Engine{o: o, subjects: map[string]*subject{}}
	none := o.Rule.Judge(Series{})
	for _, n := range none.numbers() {
		e.blank = append(e.blank, Number{Name: n.Name, Exact: reflect.Zero(reflect.TypeOf(n.Exact)).Interface(), Text: "-"})
	}
	return e
}

// Len returns how many events there are.
func (e *Engine) Len() int { return len(e.log) }

// Boundaries returns how many boundaries there are.
func (e *Engine) Boundaries() int { return len(e.boundaries) }

// Apply adds an event. An event that cannot be is Invalid, and changes nothing.
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
	case Unknown: // an entry without a status makes its subject active
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
			s.window = window{} // filled anew when the next boundary comes
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

// Back returns the boundary n places before the current one, which is Back(0); nil if there is none.
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
func (e *Engine) listedAt(s *subject) int64 {
	listed := s.listed
	if !e.o.RelistRenews {
		return listed
	}
	for i := 1; i < len(s.entries); i++ {
		if e.log[s.entries[i-1]].Entry.Status == Deleted && e.log[s.entries[i]].Entry.Status != Deleted {
			listed = e.log[s.entries[i]].Entry.Time
		}
	}
	return listed
}

// evaluate judges all subjects at boundary i, the newest, if anything is judged there.
func (e *Engine) evaluate(i int) {
	b := e.boundary(i)
	if !b.Judged {
		return
	}
	reach := e.o.Rule.Reach()
	for name, s := range e.subjects {
		listed := e.listedAt(s)
		if e.entry(s).Status == Deleted || b.Time < listed {
			continue
		}
		if w := &s.window; w.next == i && i > 0 && w.listed == listed {
			w.push(b.figure(name), reach)
		} else { // it is new, something was reverted, or it was not judged at the previous boundary
			w.fill(e.figures(name, listed, i, reach), reach)
			w.listed = listed
		}
		s.window.next = i + 1
		f := e.o.Rule.Judge(Series{name, b.Height, s.window.newest(reach), b.Doubt})
		s.findings = append(s.findings, finding{i, f})
	}
}

// found returns the finding for a subject at the current boundary; nil if it was not evaluated there.
func (e *Engine) found(s *subject) *Finding {
	if n := len(s.findings); n > 0 && s.findings[n-1].boundary == len(e.boundaries)-1 {
		f := s.findings[n-1].Finding
		return &f
	}
	return nil
}

// figure returns the boundary's record of a subject.
func (b *Boundary) figure(name string) Figure {
	total, present := b.Totals[name]
	return Figure{total, present, b.More[name]}
}

// figures returns a subject's figures, newest first, from boundary i back to its listing, at most reach boundaries before i.
func (e *Engine) figures(name string, listed int64, i, reach int) []Figure {
	var out []Figure
	for k := i; k >= 0 && k >= i-reach; k-- {
		b := e.boundary(k)
		if !b.Judged || b.Time < listed {
			break
		}
		out = append(out, b.figure(name))
	}
	return out
}

// window keeps a subject's newest figures at hand, newest first, so that judging needs no walk over the boundaries. They stand
// at the end of a buffer that fills toward its beginning.
type window struct {
	figures []Figure
	start   int
	next    int   // the boundary whose figure comes next
	listed  int64 // when the subject counted as listed
}

// fill starts over with the given figures.
func (w *window) fill(figures []Figure, reach int) {
	w.figures = make([]Figure, max(4*reach, len(figures)+1, 8))
	w.start = len(w.figures) - copy(w.figures[len(w.figures)-len(figures):], figures)
}

// push adds the next figure.
func (w *window) push(f Figure, reach int) {
	if w.start == 0 {
		w.fill(w.newest(reach), reach)
	}
	w.start--
	w.figures[w.start] = f
}

// newest returns the newest figure and at most reach older ones.
func (w *window) newest(reach int) []Figure {
	return w.figures[w.start:min(w.start+reach+1, len(w.figures))]
}

// Standing is how a subject stands now.
type Standing struct {
	Subject   string
	Effective Status
	Entry     *Entry
	// Finding is that at the current boundary; nil if the subject was not evaluated there.
	Finding *Finding
	// Excluded is true if the subject was evaluated there but has no figure: it counts for nothing at that boundary.
	Excluded bool

	blank []Number
}

// Numbers sum up the rule's finding. They have no values if the subject was not evaluated.
func (s *Standing) Numbers() []Number {
	if s.Finding == nil {
		return s.blank
	}
	return s.Finding.numbers()
}

// Standing returns how a subject stands; ok is false for one that was never listed.
func (e *Engine) Standing(name string) (s Standing, ok bool) {
	sub := e.subjects[name]
	if sub == nil {
		return s, false
	}
	s = Standing{Subject: name, Entry: e.entry(sub), blank: e.blank}
	situation := Situation{Entry: s.Entry.Status}
	if s.Finding = e.found(sub); s.Finding != nil {
		situation.Meets = s.Finding.Meets
		_, recorded := e.current().Totals[name]
		s.Excluded = !recorded && s.Entry.Status != Deleted
	}
	situation.Lifted = e.lifted(sub)
	s.Effective = e.o.Policy.Effective(situation)
	return s, true
}

// lifted reports whether a manual greylisting of a subject has ended since the current boundary.
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

// Standings returns how all subjects stand, in order of name.
func (e *Engine) Standings() []Standing {
	var out []Standing
	for _, name := range slices.Sorted(maps.Keys(e.subjects)) {
		s, _ := e.Standing(name) // it is there
		out = append(out, s)
	}
	return out
}

// Evaluated reports whether the current boundary was judged: an empty greylist is not the same as none.
func (e *Engine) Evaluated() bool {
	b := e.current()
	return b != nil && b.Judged
}
