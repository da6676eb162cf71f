// Package greylist decides which sources have gone quiet or bad. It knows no chain: a subject has a total that is recorded
// at boundaries, rules over the recent boundaries decide whether it meets the criteria of the greylist, and administrative
// entries overrule them.
//
// Rules are values: Landed, Seed and V2 are presets, each of their numbers can be changed, and another set of rules is a
// type with an Evaluate method. No decision uses floating point.
package greylist

import (
	"math/bits"
	"slices"

	"blockprint"
)

// Figure is a subject's recorded total at a boundary, or that there is none.
type Figure struct {
	Total   uint64
	Present bool
}

// Series is what rules look at: the figures of one subject, newest first, beginning at the boundary that is judged (the
// baseline) and going back to the subject's first listing or as far as Rules.Reach says.
type Series struct {
	Figures []Figure
	// Benefit gives the baseline the benefit of the doubt: a figure that is missing there is not held against the subject
	// yet.
	Benefit bool
}

// Fraction is a quotient that is not reduced. The denominator is not 0.
type Fraction struct{ Num, Den uint64 }

// Less compares exactly, in 128 bits.
func (f Fraction) Less(g Fraction) bool {
	hi, lo := bits.Mul64(f.Num, g.Den)
	hi2, lo2 := bits.Mul64(g.Num, f.Den)
	return hi < hi2 || hi == hi2 && lo < lo2
}

// Float is for display only.
func (f Fraction) Float() float64 { return float64(f.Num) / float64(f.Den) }

// State is what rules find.
type State struct {
	ZCD     int      // zero credit days in the window
	Short   uint64   // credit of the short window
	Long    uint64   // credit of the long window
	ShortN  int      // boundaries that the short sum is divided by; 0 if there is none
	LongN   int      // the same of the long sum
	WAS     Fraction // work availability score: the short average by the long one
	Meets   bool     // the criteria of the greylist are met
	Judged  bool     // there are boundaries enough to judge at all
	ZCDMet  bool     // by too many zero credit days
	WASMet  bool     // by too low a score
	ZCDDays []ZeroDay
}

// ZeroDay is an interval between boundaries that counts as a zero credit day.
type ZeroDay struct {
	Distance int    `json:"distance"` // of the interval's older end from the baseline
	Why      string `json:"why"`
}

// Rules judge a series.
type Rules interface {
	// Name names the rules in results and on the command line.
	Name() string
	// Reach is how many boundaries behind the baseline the rules look at, at most.
	Reach() int
	// Evaluate judges the newest figure of a series.
	Evaluate(s Series) State
}

// Criteria are the numbers of Gridcoin's rules.
type Criteria struct {
	ZCDWindow   int      // intervals that are looked at for zero credit days
	ZCDLimit    int      // so many of them are still no reason
	ShortWindow int      // boundaries of the short average
	LongWindow  int      // boundaries of the long average, and of everything
	WASLimit    Fraction // a score below it is a reason
	Grace       int      // no subject is judged before it has so many boundaries behind its newest
}

// landed are the numbers on Gridcoin's main network since block 3,989,800.
var landed = Criteria{ZCDWindow: 20, ZCDLimit: 7, ShortWindow: 7, LongWindow: 40, WASLimit: Fraction{1, 10}, Grace: 7}

// Check refuses numbers that cannot be.
func (c *Criteria) Check() error {
	bad := func(format string, args ...any) error { return blockprint.Errorf(blockprint.Invalid, format, args...) }
	switch {
	case c.ShortWindow < 1 || c.LongWindow < 1:
		return bad("windows of %d and %d boundaries: expected at least one", c.ShortWindow, c.LongWindow)
	case c.ShortWindow > c.LongWindow:
		return bad("the short window of %d boundaries is longer than the long one of %d", c.ShortWindow, c.LongWindow)
	case c.ZCDWindow < 0 || c.ZCDWindow > c.LongWindow:
		return bad("a window of %d boundaries for zero credit days: expected 0 to the long window, %d", c.ZCDWindow, c.LongWindow)
	case c.LongWindow > 10_000:
		return bad("a long window of %d boundaries: expected at most 10000", c.LongWindow)
	case c.ZCDLimit < 0 || c.Grace < 0:
		return bad("a limit of %d zero credit days and a grace of %d: expected none below 0", c.ZCDLimit, c.Grace)
	case c.WASLimit.Den == 0:
		return bad("a work availability limit with the denominator 0")
	}
	return nil
}

// Landed are Gridcoin's rules as they run on its main network, bit for bit: unsigned 64-bit integers, averages truncated
// before they are divided.
type Landed struct {
	Criteria
	Label string // name; empty for "landed"
}

// NewLanded returns the preset "landed".
func NewLanded() *Landed { return &Landed{Criteria: landed} }

// NewSeed returns the preset "seed": the rules as first proposed, with zero credit days counted over the long window.
func NewSeed() *Landed {
	r := &Landed{Criteria: landed, Label: "seed"}
	r.ZCDWindow = r.LongWindow
	return r
}

// Name implements Rules.
func (r *Landed) Name() string {
	if r.Label == "" {
		return "landed"
	}
	return r.Label
}

// Reach implements Rules.
func (r *Landed) Reach() int { return r.LongWindow }

// Evaluate implements Rules.
func (r *Landed) Evaluate(s Series) State {
	var state State
	figures := s.Figures[:min(len(s.Figures), r.LongWindow+1)]
	n := len(figures) - 1
	if n < 1 {
		state.WAS = Fraction{0, 1}
		return state
	}
	w := walk(&r.Criteria, figures, s.Benefit)
	state = w.state
	state.ShortN, state.LongN = min(n, r.ShortWindow), min(n, r.LongWindow)
	state.WAS = truncatedRatio(state.Short, state.Long, state.ShortN, state.LongN)
	state.judge(&r.Criteria, n)
	return state
}

// truncatedRatio divides truncated averages. What is too large for a signed number is halved, as the original does.
func truncatedRatio(short, long uint64, shortN, longN int) Fraction {
	a, b := short/uint64(shortN), long/uint64(longN)
	if const63 := uint64(1)<<63 - 1; a > const63 || b > const63 {
		a, b = a/2, b/2
	}
	if b == 0 {
		return Fraction{0, 1}
	}
	return Fraction{a, b}
}

// judge says whether the criteria are met with n boundaries behind the newest.
func (s *State) judge(c *Criteria, n int) {
	s.Judged = n >= c.Grace
	s.ZCDMet = s.Judged && s.ZCD > c.ZCDLimit
	s.WASMet = s.Judged && s.WAS.Less(c.WASLimit)
	s.Meets = s.ZCDMet || s.WASMet
}

// walker goes back over a series.
type walker struct {
	state State
	// initial is the newest figure that is there, bookmark the last one that was passed.
	initial, bookmark Figure
}

// Reasons of zero credit days.
const (
	noFigure = "no figure"
	noGrowth = "no growth"
	loss     = "loss"
)

// walk counts zero credit days and sums up credit over figures, newest first, of which there are two or more.
func walk(c *Criteria, figures []Figure, benefit bool) *walker {
	w := &walker{initial: figures[0], bookmark: figures[0]}
	for k := 1; k < len(figures); k++ {
		f := figures[k]
		if k <= c.ZCDWindow && !(benefit && k == 1 && !figures[0].Present) {
			if why := w.zero(f); why != "" {
				w.state.ZCD++
				w.state.ZCDDays = append(w.state.ZCDDays, ZeroDay{k, why})
			}
		}
		if !f.Present {
			continue
		}
		if !w.initial.Present {
			w.initial = f
		}
		if w.initial.Total > f.Total {
			w.state.Long = w.initial.Total - f.Total
			if k <= c.ShortWindow {
				w.state.Short = w.state.Long
			}
		}
		w.bookmark = f
	}
	return w
}

// zero says why the interval from an older figure to the one before it on the walk is a zero credit day; empty if it is
// not.
func (w *walker) zero(older Figure) string {
	switch {
	case !older.Present || !w.bookmark.Present:
		return noFigure
	case older.Total == w.bookmark.Total:
		return noGrowth
	case older.Total > w.bookmark.Total:
		return loss
	}
	return ""
}

// V2 are the rules of Gridcoin's redesign of 2026: a recorded zero that cannot be is missing, averages are divided by
// what there is, and the score is exact.
type V2 struct{ Criteria }

// NewV2 returns the preset "v2".
func NewV2() *V2 { return &V2{landed} }

// Name implements Rules.
func (r *V2) Name() string { return "v2" }

// Reach implements Rules: behind the window as many boundaries again, for evidence that a zero cannot be.
func (r *V2) Reach() int { return 2 * r.LongWindow }

// Evaluate implements Rules. The benefit of the doubt always holds.
func (r *V2) Evaluate(s Series) State {
	var state State
	n := min(len(s.Figures)-1, r.LongWindow)
	if n < 1 {
		state.WAS = Fraction{0, 1}
		return state
	}
	figures := r.effective(s.Figures, n)
	w := walk(&r.Criteria, figures, true)
	state = w.state
	for k := 1; k <= n; k++ {
		if figures[k].Present {
			state.LongN = k
			if k <= r.ShortWindow {
				state.ShortN = k
			}
		}
	}
	state.WAS = r.exactRatio(&state)
	state.judge(&r.Criteria, n)
	return state
}

// effective returns the figures of the window without zeros that cannot be: a total never falls back to 0.
func (r *V2) effective(all []Figure, n int) []Figure {
	out := slices.Clone(all[:n+1])
	// From the oldest figure that is looked at to the newest, once a total is above 0 every later 0 is an error.
	end := min(len(all), r.Reach()+1)
	risen := false
	for k := end - 1; k >= 0; k-- {
		f := all[k]
		switch {
		case f.Present && f.Total > 0:
			risen = true
		case f.Present && risen && k <= n:
			out[k] = Figure{}
		}
	}
	return out
}

// exactRatio is (short / ShortN) / (long / LongN), the sums halved together until their products fit.
func (r *V2) exactRatio(s *State) Fraction {
	if s.ShortN == 0 || s.LongN == 0 || s.Long == 0 {
		return Fraction{0, 1}
	}
	const fits = (1<<63 - 1) / 800
	short, long := s.Short, s.Long
	for short > fits || long > fits {
		short, long = short/2, long/2
	}
	if long == 0 {
		return Fraction{0, 1}
	}
	return Fraction{short * uint64(s.LongN), long * uint64(s.ShortN)}
}

// Preset returns the rules of a name.
func Preset(name string) (Rules, error) {
	switch name {
	case "landed":
		return NewLanded(), nil
	case "seed":
		return NewSeed(), nil
	case "v2":
		return NewV2(), nil
	}
	return nil, blockprint.Errorf(blockprint.Invalid, "unknown rules %q: expected landed, seed or v2", name)
}
