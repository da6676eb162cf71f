package greylist

import (
	"fmt"
	"math/bits"
	"time"
)

// Report says why a subject stands as it does, since when, how far it is from each limit, and what it takes to recover.
type Report struct {
	Subject string         `json:"subject"`
	Status  Status         `json:"status"`
	Entry   Status         `json:"contract_status"`
	Policy  string         `json:"policy"`
	Rules   string         `json:"rules"`
	Current *BoundaryPlace `json:"boundary"` // nil before the first
	Since   *Place         `json:"since"`
	Reasons []string       `json:"reasons"`
	// Days is for how many whole days it has been on the greylist at the current boundary; the community delists after 60.
	Days *int64 `json:"days_on_greylist,omitempty"`
	// The rest is of the current boundary; nil if the subject was not evaluated there.
	ZCD      *ZCDReport   `json:"zcd,omitempty"`
	WAS      *WASReport   `json:"was,omitempty"`
	Recovery *Recovery    `json:"recovery,omitempty"`
	Grace    *GraceReport `json:"grace,omitempty"`
	// Decisive are figures without any one of which the criteria would be met, or not be met, the other way round.
	Decisive []Decisive `json:"decisive_figures,omitempty"`
	Listed   string     `json:"first_listed"`
	// Bound tells that it was listed then at the latest: its first entry is not known.
	Bound   bool         `json:"first_listed_is_bound,omitempty"`
	Figures []FigureLine `json:"figures"`
	Entries []EntryLine  `json:"entries"`
	Changes []Transition `json:"transitions"`
	// Others says what other rules would find.
	Others map[string]bool `json:"meets_under_other_rules,omitempty"`
	// NotARule is what is known beside that no rule looks at.
	NotARule *NotARule `json:"not_a_rule,omitempty"`
}

// NotARule warns early.
type NotARule struct {
	// Excluded tells that there is no figure at the current boundary.
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

// Place is where something began: at a boundary, or at an entry after it.
type Place struct {
	Index  int    `json:"index"` // of the current boundary then; -1 before the first
	Height uint64 `json:"height"`
}

// ZCDReport is about zero credit days.
type ZCDReport struct {
	Count  int       `json:"count"`
	Limit  int       `json:"limit"`
	Window int       `json:"window"`
	Days   []ZeroDay `json:"days"`
	// Margin is how many more are still no reason; negative if there are too many.
	Margin int `json:"margin"`
	// NextToLeaveIn is in how many boundaries the oldest one leaves the window; 0 if there is none.
	NextToLeaveIn int `json:"next_to_leave_in"`
}

// WASReport is about the work availability score.
type WASReport struct {
	ShortSum     uint64  `json:"short_sum"`
	ShortN       int     `json:"short_n"`
	ShortAverage uint64  `json:"short_average"`
	LongSum      uint64  `json:"long_sum"`
	LongN        int     `json:"long_n"`
	LongAverage  uint64  `json:"long_average"`
	Value        string  `json:"value"`
	Display      float64 `json:"display"`
	Limit        string  `json:"limit"`
	// NeededShortSum is the least credit of the short window that is no reason, at today's long average: of a subject that
	// meets the criteria, Recovery says what it takes.
	NeededShortSum uint64 `json:"needed_short_sum"`
}

// GraceReport says whether a subject has been listed for long enough to be judged.
type GraceReport struct {
	Over bool `json:"over"`
	Left int  `json:"boundaries_left,omitempty"`
}

// FigureLine is a recorded total; nil where there is none. Delta is what it grew by since the next older one that is
// there.
type FigureLine struct {
	Distance int     `json:"distance"`
	Total    *uint64 `json:"total_credit"`
	Delta    *string `json:"delta"`
}

// EntryLine is what an administrator said.
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

// daysGreylisted counts the whole days since a subject came on the greylist, where it still is; nil if it is not.
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

func stamp(seconds int64) string {
	return time.Unix(seconds, 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

// Explain reports on a subject, whose name may be given as people do (see Find).
func (e *Engine) Explain(name string) (*Report, error) {
	name, err := e.Find(name)
	if err != nil {
		return nil, err
	}
	s, _ := e.Standing(name) // it is there
	return e.explain(&s, e.History(name)), nil
}

// explain reports on a subject whose history is known.
func (e *Engine) explain(s *Standing, history []Transition) *Report {
	name := s.Subject
	sub := e.subjects[name]
	r := &Report{
		Subject: name, Status: s.Effective, Entry: s.Entry.Status, Policy: e.o.Policy.Name(), Rules: e.o.Rules.Name(),
		Reasons: reasons(s), Listed: stamp(e.listedAt(sub)), Bound: sub.bound && e.listedAt(sub) == sub.listed, Changes: history,
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
	r.Current = &BoundaryPlace{i, b.Height, b.Hash, stamp(b.Time)}
	r.Days = daysGreylisted(history, b.Time)
	figures := e.figures(name, e.listedAt(sub), i, e.o.Rules.Reach())
	r.Figures = figureLines(figures)
	if s.Finding == nil {
		return r
	}
	r.NotARule = &NotARule{Excluded: s.Excluded}
	if signal, ok := b.Signals[name]; ok {
		age := max(signal.ExportAge, 0) // a project's clock may have been ahead
		r.NotARule.ExportAge, r.NotARule.Ready = &age, signal.Ready
	}
	if c := criteria(e.o.Rules); c != nil {
		r.judge(c, s.Finding)
		series := Series{figures, b.Doubt}
		if s.Finding.Meets {
			r.Recovery = recovery(e.o.Rules, c, series, s.Finding, i)
		}
		r.Decisive = decisive(e.o.Rules, c, series, s.Finding, e.figures(name, e.listedAt(sub), i, 2*e.o.Rules.Reach()))
	}
	r.Others = map[string]bool{}
	for _, other := range []Rules{NewLanded(), NewSeed(), NewV2()} {
		if other.Name() != e.o.Rules.Name() {
			r.Others[other.Name()] = other.Evaluate(Series{e.figures(name, e.listedAt(sub), i, other.Reach()), b.Doubt}).Meets
		}
	}
	return r
}

// criteria returns the numbers of rules that have Gridcoin's.
func criteria(r Rules) *Criteria {
	switch r := r.(type) {
	case *Landed:
		return &r.Criteria
	case *V2:
		return &r.Criteria
	}
	return nil
}

// reasons names why a subject is greylisted.
func reasons(s *Standing) []string {
	out := []string{}
	if s.Entry.Status == Manual {
		out = append(out, ByManual)
	}
	if f := s.Finding; f != nil && f.Meets {
		if f.ZCDMet {
			out = append(out, ByZCD)
		}
		if f.WASMet {
			out = append(out, ByWAS)
		}
	}
	return out
}

func figureLines(figures []Figure) []FigureLine {
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

// judge fills in what the rules found.
func (r *Report) judge(c *Criteria, f *Finding) {
	r.Grace = &GraceReport{Over: f.Judged, Left: max(c.Grace-f.Figures, 0)}
	z := &ZCDReport{Count: f.ZCD, Limit: c.ZCDLimit, Window: c.ZCDWindow, Days: f.ZCDDays, Margin: c.ZCDLimit - f.ZCD}
	if z.Days == nil {
		z.Days = []ZeroDay{}
	}
	if n := len(z.Days); n > 0 {
		z.NextToLeaveIn = c.ZCDWindow + 1 - z.Days[n-1].Distance
	}
	r.ZCD = z
	w := &WASReport{
		ShortSum: f.Short, ShortN: f.ShortN, LongSum: f.Long, LongN: f.LongN,
		Value: fmt.Sprintf("%d/%d", f.WAS.Num, f.WAS.Den), Display: f.WAS.Float(), Limit: fmt.Sprintf("%d/%d", c.WASLimit.Num, c.WASLimit.Den),
	}
	if f.ShortN > 0 && f.LongN > 0 {
		w.ShortAverage, w.LongAverage = f.Short/uint64(f.ShortN), f.Long/uint64(f.LongN)
		w.NeededShortSum = needed(w.LongAverage, uint64(f.ShortN), c.WASLimit)
	}
	r.WAS = w
}

// needed is the least sum of n boundaries whose truncated average is at least limit times the long average; the largest
// number if none is.
func needed(long, n uint64, limit Fraction) uint64 {
	// average >= long * num / den, rounded up
	hi, lo := bits.Mul64(long, limit.Num)
	lo, carry := bits.Add64(lo, limit.Den-1, 0)
	if hi += carry; hi >= limit.Den {
		return 1<<64 - 1
	}
	average, _ := bits.Div64(hi, lo, limit.Den)
	hi, lo = bits.Mul64(average, n)
	if hi > 0 {
		return 1<<64 - 1
	}
	return max(lo, 1)
}

// History returns how a subject's effective status changed, oldest first.
func (e *Engine) History(name string) []Transition {
	out := []Transition{}
	sub := e.subjects[name]
	if sub == nil {
		return out
	}
	// The log is applied to another engine that knows this subject only: what was found is found again.
	for _, c := range e.replay(func(entry *Entry) bool { return entry.Subject == name }) {
		if t, ok := c.transition(); ok {
			out = append(out, t)
		}
	}
	return out
}

// transition is a change in short; ok is false for one of something else than the status.
func (c *Change) transition() (t Transition, ok bool) {
	return Transition{c.Boundary, c.Height, c.New, c.Reason, c.Time}, c.Old != c.New
}

// Changes returns all that has ever changed, oldest first.
func (e *Engine) Changes() []Change { return e.replay(func(*Entry) bool { return true }) }

// AtBoundaries shows the engine as it was at each of the newest n boundaries, oldest first; back counts from the current one,
// which is 0. What it shows must not be changed or kept.
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

// replay applies the log to another engine, without entries that are not wanted, and returns what changes.
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

// Snapshot is all that readers are told of a greylist as it was at a moment. It does not change.
type Snapshot struct {
	// Evaluated tells whether the newest boundary was judged: an empty greylist is something else than none.
	Evaluated bool
	Boundary  *BoundaryPlace // nil before the first
	Rules     string
	Policy    string
	Reports   []*Report // by subject
	Changes   []Change  // oldest first
}

// Snapshot works out everything at once, so that reading needs no work.
func (e *Engine) Snapshot() *Snapshot {
	s := &Snapshot{Evaluated: e.Evaluated(), Rules: e.o.Rules.Name(), Policy: e.o.Policy.Name(), Changes: e.Changes()}
	histories := map[string][]Transition{}
	for i := range s.Changes {
		if t, ok := s.Changes[i].transition(); ok {
			histories[s.Changes[i].Subject] = append(histories[s.Changes[i].Subject], t)
		}
	}
	for _, st := range e.Standings() {
		s.Reports = append(s.Reports, e.explain(&st, append([]Transition{}, histories[st.Subject]...)))
	}
	if b := e.current(); b != nil {
		s.Boundary = &BoundaryPlace{len(e.boundaries) - 1, b.Height, b.Hash, stamp(b.Time)}
	}
	return s
}
