package greylist

import (
	"fmt"
	"time"
)

// Report says why a subject stands as it does, since when, and what the rule found.
type Report struct {
	Subject string         `json:"subject"`
	Status  Status         `json:"status"`
	Entry   Status         `json:"contract_status"`
	Policy  string         `json:"policy"`
	Rules   string         `json:"rules"`
	Current *BoundaryPlace `json:"boundary"` // nil before the first
	Since   *Place         `json:"since"`
	Reasons []string       `json:"reasons"`
	// Days is how many whole days the subject has been on the greylist at the current boundary. The community delists after 60.
	Days   *int64 `json:"days_on_greylist,omitempty"`
	Listed string `json:"first_listed"`
	// Bound is true if the first entry is not known: the subject was listed then at the latest.
	Bound   bool         `json:"first_listed_is_bound,omitempty"`
	Figures []FigureLine `json:"figures"`
	Entries []EntryLine  `json:"entries"`
	Changes []Transition `json:"transitions"`
	// Others says whether the subject meets the criteria of other rules at the current boundary; nil if it was not evaluated.
	Others map[string]bool `json:"meets_under_other_rules,omitempty"`
	// NotARule is what is known about the current boundary although no rule looks at it.
	NotARule *NotARule `json:"not_a_rule,omitempty"`
	// Numbers sum up the rule's finding. They have no values if the subject was not evaluated.
	Numbers []Number `json:"-"`
	// Explanation is the rule's own. Its facts become fields of the JSON object.
	Explanation Explanation `json:"-"`

	boundary string // what people call a boundary
	others   []string
}

// plainReport is a Report's own fields.
type plainReport Report

// MarshalJSON implements json.Marshaler.
func (r *Report) MarshalJSON() ([]byte, error) {
	return beside((*plainReport)(r), r.Explanation.Facts)
}

// NotARule has early warnings.
type NotARule struct {
	// Excluded is true if there is no figure at the current boundary.
	Excluded  bool   `json:"excluded"`
	ExportAge *int64 `json:"export_age_s,omitempty"`
	Ready     *int64 `json:"results_ready_to_send,omitempty"`
}

// BoundaryPlace names a boundary.
type BoundaryPlace struct {
	Index  int    `json:"index"`
	Height uint64 `json:"height"`
	Hash   string `json:"hash"`
	Time   string `json:"time"`
}

// Place is where something began: at a boundary, or at an entry after one.
type Place struct {
	Index  int    `json:"index"` // of the current boundary then; -1 before the first
	Height uint64 `json:"height"`
}

// FigureLine is a recorded total; nil if there is none. Delta is its growth since the next older total that exists.
type FigureLine struct {
	Distance int     `json:"distance"`
	Total    *uint64 `json:"total_credit"`
	Delta    *string `json:"delta"`
}

// EntryLine is an administrator's entry.
type EntryLine struct {
	Status Status `json:"status"`
	Hash   string `json:"hash"`
	Time   string `json:"time"`
}

// Transition is a change of the effective status.
type Transition struct {
	Index  int    `json:"index"` // of the current boundary then; -1 before the first
	Height uint64 `json:"height"`
	To     Status `json:"to"`
	Reason string `json:"reason"`
	Time   int64  `json:"time"` // seconds since 1970
}

// daysGreylisted counts the whole days since a subject came on the greylist; nil if it is not there now.
func daysGreylisted(history []Transition, now int64) *int64 {
	var since *Transition
	for i := range history {
		switch greylisted := history[i].To.Greylisted(); {
		case !greylisted:
			since = nil
		case since == nil:
			since = &history[i]
		}
	}
	if since == nil {
		return nil
	}
	days := max(0, now-since.Time) / 86_400
	return &days
}

// place names the current boundary; nil before the first.
func (e *Engine) place() *BoundaryPlace {
	b := e.current()
	if b == nil {
		return nil
	}
	return &BoundaryPlace{len(e.boundaries) - 1, b.Height, b.Hash, stamp(b.Time)}
}

func stamp(seconds int64) string {
	return time.Unix(seconds, 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

// Explain reports on a subject. Its name may be in any form that Find accepts.
func (e *Engine) Explain(name string) (*Report, error) {
	name, err := e.Find(name)
	if err != nil {
		return nil, err
	}
	s, _ := e.Standing(name) // it is there
	return e.explain(&s, e.History(name)), nil
}

// explain reports on a subject with a given history.
func (e *Engine) explain(s *Standing, history []Transition) *Report {
	sub := e.subjects[s.Subject]
	listed := e.listedAt(sub)
	r := &Report{
		Subject: s.Subject, Status: s.Effective, Entry: s.Entry.Status, Policy: e.o.Policy.Name, Rules: e.o.Rule.Name(), Reasons: s.Reasons(),
		Listed: stamp(listed), Bound: sub.bound && listed == sub.listed, Changes: history, Numbers: s.Numbers(), boundary: e.o.Boundary,
	}
	for _, at := range sub.entries {
		n := e.log[at].Entry
		r.Entries = append(r.Entries, EntryLine{n.Status, n.Hash, stamp(n.Time)})
	}
	if n := len(r.Changes); n > 0 {
		r.Since = &Place{r.Changes[n-1].Index, r.Changes[n-1].Height}
	}
	b := e.current()
	if b == nil {
		return r
	}
	i := len(e.boundaries) - 1
	r.Current = e.place()
	r.Days = daysGreylisted(history, b.Time)
	r.Figures = e.Figures(s.Subject)
	series := func(reach int) Series {
		return Series{s.Subject, b.Height, e.figures(s.Subject, listed, i, reach), b.Doubt}
	}
	if s.Finding == nil {
		return r
	}
	r.NotARule = &NotARule{Excluded: s.Excluded}
	if signal, ok := b.Signals[s.Subject]; ok {
		age := max(signal.ExportAge, 0) // the subject's clock may have been ahead
		r.NotARule.ExportAge, r.NotARule.Ready = &age, signal.Ready
	}
	if d := s.Finding.Detail; d != nil {
		r.Explanation = d.Explain(Case{e.o.Rule, series(2 * e.o.Rule.Reach()), s.Finding, i, s.Entry.Status, s.Effective})
	}
	r.Others = map[string]bool{}
	for _, other := range e.o.Others {
		r.Others[other.Name()] = other.Judge(series(other.Reach())).Meets
		r.others = append(r.others, other.Name())
	}
	return r
}

// Reasons says why a subject is greylisted.
func (s *Standing) Reasons() []string {
	out := []string{}
	if s.Entry.Status == Manual {
		out = append(out, ByManual)
	}
	if s.Finding != nil {
		for _, r := range s.Finding.Reasons {
			out = append(out, r.String())
		}
	}
	return out
}

// Figures returns the figures of a subject that its rule looks at, newest first.
func (e *Engine) Figures(name string) []FigureLine {
	sub := e.subjects[name]
	if sub == nil {
		return nil
	}
	figures := e.figures(name, e.listedAt(sub), len(e.boundaries)-1, e.o.Rule.Reach())
	out := make([]FigureLine, len(figures))
	for k, f := range figures {
		out[k].Distance = k
		if !f.Present {
			continue
		}
		total := f.Total
		out[k].Total = &total
		for _, older := range figures[k+1:] {
			if older.Present {
				delta := fmt.Sprint(f.Total - older.Total)
				if older.Total > f.Total {
					delta = fmt.Sprintf("-%d", older.Total-f.Total)
				}
				out[k].Delta = &delta
				break
			}
		}
	}
	return out
}

// History returns how a subject's effective status changed, oldest first.
func (e *Engine) History(name string) []Transition {
	out := []Transition{}
	sub := e.subjects[name]
	if sub == nil {
		return out
	}
	// Another engine, which knows only this subject, applies the log and finds everything again.
	for _, c := range e.replay(func(entry *Entry) bool { return entry.Subject == name }) {
		if t, ok := c.transition(); ok {
			out = append(out, t)
		}
	}
	return out
}

// transition is a change in short; ok is false if the status stays.
func (c *Change) transition() (t Transition, ok bool) {
	return Transition{c.Boundary, c.Height, c.New, c.Reason, c.Time}, c.Old != c.New
}

// Changes returns everything that has ever changed, oldest first.
func (e *Engine) Changes() []Change { return e.replay(func(*Entry) bool { return true }) }

// AtBoundaries calls show with an engine as it was at each of the newest n boundaries, oldest first. back counts from the current
// boundary, which is 0. show must neither change nor keep the engine.
func (e *Engine) AtBoundaries(n int, show func(back int, e *Engine)) {
	again := New(e.o)
	for _, ev := range e.log {
		if again.Apply(ev) != nil {
			return // cannot be: it was applied before
		}
		if back := len(e.boundaries) - len(again.boundaries); ev.Boundary != nil && back < n {
			show(back, again)
		}
	}
}

// replay applies the log to another engine, leaving out unwanted entries, and returns what changes.
func (e *Engine) replay(wanted func(*Entry) bool) []Change {
	again := New(e.o)
	out := []Change{}
	for _, ev := range e.log {
		if ev.Entry != nil && !wanted(ev.Entry) {
			continue
		}
		changes, err := again.ApplyAndCompare(ev)
		if err != nil {
			return out // cannot be: it was applied before
		}
		out = append(out, changes...)
	}
	return out
}

// Snapshot is everything that readers see of a greylist, as of one moment. It does not change.
type Snapshot struct {
	// Evaluated is true if the newest boundary was judged: an empty greylist is not the same as none.
	Evaluated bool
	Boundary  *BoundaryPlace // nil before the first
	Rules     string
	Policy    string
	Reports   []*Report // by subject
	Changes   []Change  // oldest first
}

// Snapshot computes everything at once, so that reading takes no work.
func (e *Engine) Snapshot() *Snapshot {
	s := &Snapshot{Evaluated: e.Evaluated(), Boundary: e.place(), Rules: e.o.Rule.Name(), Policy: e.o.Policy.Name, Changes: e.Changes()}
	histories := map[string][]Transition{}
	for i := range s.Changes {
		if t, ok := s.Changes[i].transition(); ok {
			histories[s.Changes[i].Subject] = append(histories[s.Changes[i].Subject], t)
		}
	}
	for _, st := range e.Standings() {
		s.Reports = append(s.Reports, e.explain(&st, append([]Transition{}, histories[st.Subject]...)))
	}
	return s
}
