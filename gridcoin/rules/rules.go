// Package rules has Gridcoin's rules: zero credit days and the work availability score, as they run on its main network
// (Mainnet), as they were first proposed (Proposal), and as they were redesigned in 2026 (Redesign). All of their numbers can be
// changed. No decision uses floating point.
package rules

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"blockprint"
	"blockprint/greylist"
)

// All returns all rules that --rules knows, the default first. A new one is added here and nowhere else.
func All() []greylist.Rule { return []greylist.Rule{Mainnet(), Proposal(), Redesign()} }

// former has the former names of rules.
var former = map[string]string{"landed": "gridcoin-mainnet", "seed": "gridcoin-proposal", "v2": "gridcoin-2026"}

// Names returns the names of all rules.
func Names() []string {
	var out []string
	for _, r := range All() {
		out = append(out, r.Name())
	}
	return out
}

// Named returns the rules with a name, which may be a former one.
func Named(name string) (greylist.Rule, error) {
	for _, r := range All() {
		if r.Name() == cmp.Or(former[name], name) {
			return r, nil
		}
	}
	return nil, blockprint.Errorf(blockprint.Invalid, "unknown rules %q: expected %s", name, strings.Join(Names(), ", "))
}

// Others returns all rules but one.
func Others(rule greylist.Rule) []greylist.Rule {
	return slices.DeleteFunc(All(), func(r greylist.Rule) bool { return r.Name() == rule.Name() })
}

// Fraction is a quotient that is not reduced. The denominator is not 0.
type Fraction struct{ Num, Den uint64 }

// ParseFraction reads A/B or a decimal number, exactly.
func ParseFraction(s string) (Fraction, error) {
	a, b, ok := strings.Cut(s, "/")
	if !ok {
		whole, digits, _ := strings.Cut(s, ".")
		a, b = whole+digits, "1"+strings.Repeat("0", len(digits))
	}
	num, errNum := strconv.ParseUint(a, 10, 64)
	den, errDen := strconv.ParseUint(b, 10, 64)
	if errNum != nil || errDen != nil || den == 0 {
		return Fraction{}, blockprint.Errorf(blockprint.Invalid, "expected A/B or a decimal number, such as 1/10 or 0.1")
	}
	return Fraction{num, den}, nil
}

// Less compares exactly, in 128 bits.
func (f Fraction) Less(g Fraction) bool {
	hi, lo := bits.Mul64(f.Num, g.Den)
	hi2, lo2 := bits.Mul64(g.Num, f.Den)
	return hi < hi2 || hi == hi2 && lo < lo2
}

// MarshalJSON implements json.Marshaler: numerator and denominator.
func (f Fraction) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%d,%d]", f.Num, f.Den), nil
}

func (f Fraction) String() string { return fmt.Sprintf("%d/%d", f.Num, f.Den) }

// Float is for display only.
func (f Fraction) Float() float64 { return float64(f.Num) / float64(f.Den) }

// State is what these rules find.
type State struct {
	ZCD     int       `json:"zcd"`   // zero credit days in the window
	Short   uint64    `json:"tc_7"`  // credit of the short window
	Long    uint64    `json:"tc_40"` // credit of the long window
	ShortN  int       `json:"-"`     // boundaries that the short sum is divided by; 0 for none
	LongN   int       `json:"-"`     // the same for the long sum
	WAS     Fraction  `json:"was"`   // work availability score: the short average by the long one
	Judged  bool      `json:"-"`     // there are enough boundaries to judge at all
	ZCDMet  bool      `json:"-"`     // too many zero credit days
	WASMet  bool      `json:"-"`     // too low a score
	ZCDDays []ZeroDay `json:"-"`

	criteria *Criteria
}

// ZeroDay is an interval between boundaries that counts as a zero credit day.
type ZeroDay struct {
	Distance int    `json:"distance"` // of the interval's older end from the baseline
	Why      string `json:"why"`
}

// Criteria are the numbers of Gridcoin's rules.
type Criteria struct {
	ZCDWindow   int      // intervals in which zero credit days count
	ZCDLimit    int      // so many of them are not a reason yet
	ShortWindow int      // boundaries of the short average
	LongWindow  int      // boundaries of the long average, the most that count for anything
	WASLimit    Fraction // a score below it is a reason
	Grace       int      // a subject is judged once it has so many boundaries before its newest
}

// mainnet are the numbers on Gridcoin's main network since block 3,989,800.
var mainnet = Criteria{ZCDWindow: 20, ZCDLimit: 7, ShortWindow: 7, LongWindow: 40, WASLimit: Fraction{1, 10}, Grace: 7}

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

// Tunable is a rule with numbers that can be changed.
type Tunable interface {
	greylist.Rule
	// Tune returns the numbers by which the rule judges. The caller may change them.
	Tune() *Criteria
}

// Tune implements Tunable.
func (c *Criteria) Tune() *Criteria { return c }

// Truncating are Gridcoin's rules bit for bit: unsigned 64-bit integers, averages truncated before they are divided.
type Truncating struct {
	Criteria
	name string
}

// Mainnet returns the rules of Gridcoin's main network.
func Mainnet() *Truncating { return &Truncating{mainnet, "gridcoin-mainnet"} }

// Proposal returns the rules as first proposed, with zero credit days counted over the long window.
func Proposal() *Truncating {
	r := &Truncating{mainnet, "gridcoin-proposal"}
	r.ZCDWindow = r.LongWindow
	return r
}

// Name implements greylist.Rule.
func (r *Truncating) Name() string { return r.name }

// Reach implements greylist.Rule.
func (r *Truncating) Reach() int { return r.LongWindow }

// Judge implements greylist.Rule.
func (r *Truncating) Judge(s greylist.Series) greylist.Finding {
	figures := s.Figures[:min(len(s.Figures), r.LongWindow+1)]
	n := len(figures) - 1
	if n < 1 {
		return r.none()
	}
	state := r.walk(figures, s.Benefit)
	state.ShortN, state.LongN = min(n, r.ShortWindow), min(n, r.LongWindow)
	state.WAS = truncatedRatio(state.Short, state.Long, state.ShortN, state.LongN)
	return state.finding(n)
}

// truncatedRatio divides truncated averages. It halves what is too large for a signed number, as the original does.
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

// none is the finding for fewer than two figures.
func (c *Criteria) none() greylist.Finding {
	return greylist.Finding{Detail: &State{WAS: Fraction{0, 1}, criteria: c}}
}

// The criteria that can be met.
var (
	byZCD  = []greylist.Reason{{Word: ByZCD}}
	byWAS  = []greylist.Reason{{Word: ByWAS}}
	byBoth = []greylist.Reason{{Word: ByZCD}, {Word: ByWAS}}
)

// Words of reasons.
const (
	ByZCD = "zcd"
	ByWAS = "was"
)

// finding reports whether the criteria are met, with n boundaries before the newest.
func (s *State) finding(n int) greylist.Finding {
	c := s.criteria
	s.Judged = n >= c.Grace
	s.ZCDMet = s.Judged && s.ZCD > c.ZCDLimit
	s.WASMet = s.Judged && s.WAS.Less(c.WASLimit)
	f := greylist.Finding{Judged: s.Judged, Meets: s.ZCDMet || s.WASMet, Detail: s}
	switch {
	case s.ZCDMet && s.WASMet:
		f.Reasons = byBoth
	case s.ZCDMet:
		f.Reasons = byZCD
	case s.WASMet:
		f.Reasons = byWAS
	}
	return f
}

// Why an interval is a zero credit day.
const (
	noFigure = "no figure"
	noGrowth = "no growth"
	loss     = "loss"
)

// walk goes back over two or more figures, newest first. It counts zero credit days and sums up credit.
func (c *Criteria) walk(figures []greylist.Figure, benefit bool) *State {
	s := &State{criteria: c}
	initial, newer := figures[0], figures[0] // the newest figure that exists, and the last one that was passed
	for k := 1; k < len(figures); k++ {
		f := &figures[k]
		if k <= c.ZCDWindow && !(benefit && k == 1 && !figures[0].Present) {
			if why := zero(f, &newer); why != "" {
				if s.ZCD++; s.ZCDDays == nil {
					s.ZCDDays = make([]ZeroDay, 0, 8)
				}
				s.ZCDDays = append(s.ZCDDays, ZeroDay{k, why})
			}
		}
		if !f.Present {
			continue
		}
		if !initial.Present {
			initial = *f
		}
		if initial.Total > f.Total {
			s.Long = initial.Total - f.Total
			if k <= c.ShortWindow {
				s.Short = s.Long
			}
		}
		newer = *f
	}
	return s
}

// zero returns why the interval from an older figure to a newer one is a zero credit day; empty if it is not one.
func zero(older, newer *greylist.Figure) string {
	switch {
	case !older.Present || !newer.Present:
		return noFigure
	case older.Total == newer.Total:
		return noGrowth
	case older.Total > newer.Total:
		return loss
	}
	return ""
}

// Exact are the rules of Gridcoin's redesign of 2026: an impossible zero counts as missing, averages divide by the number of
// figures that exist, and the score is exact.
type Exact struct{ Criteria }

// Redesign returns the rules of Gridcoin's redesign of 2026.
func Redesign() *Exact { return &Exact{mainnet} }

// Name implements greylist.Rule.
func (r *Exact) Name() string { return "gridcoin-2026" }

// Reach implements greylist.Rule. It is twice the window, since older figures prove that a zero is impossible.
func (r *Exact) Reach() int { return 2 * r.LongWindow }

// Judge implements greylist.Rule. The benefit of the doubt always holds.
func (r *Exact) Judge(s greylist.Series) greylist.Finding {
	n := min(len(s.Figures)-1, r.LongWindow)
	if n < 1 {
		return r.none()
	}
	figures := r.effective(s.Figures, n)
	state := r.walk(figures, true)
	for k := 1; k <= n; k++ {
		if figures[k].Present {
			state.LongN = k
			if k <= r.ShortWindow {
				state.ShortN = k
			}
		}
	}
	state.WAS = r.exactRatio(state)
	return state.finding(n)
}

// effective returns the window's figures without impossible zeros: a total never falls back to 0.
func (r *Exact) effective(all []greylist.Figure, n int) []greylist.Figure {
	out := slices.Clone(all[:n+1])
	// Once a total is above 0, every later 0 is an error.
	end := min(len(all), r.Reach()+1)
	risen := false
	for k := end - 1; k >= 0; k-- {
		f := all[k]
		switch {
		case f.Present && f.Total > 0:
			risen = true
		case f.Present && risen && k <= n:
			out[k] = greylist.Figure{}
		}
	}
	return out
}

// exactRatio is (short / ShortN) / (long / LongN). It halves both sums until their products fit.
func (r *Exact) exactRatio(s *State) Fraction {
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
