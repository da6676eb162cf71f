package rules

import (
	"fmt"
	"math/bits"

	"blockprint/greylist"
)

// Facts are what these rules add to a report.
type Facts struct {
	ZCD      *ZCDReport   `json:"zcd,omitempty"`
	WAS      *WASReport   `json:"was,omitempty"`
	Recovery *Recovery    `json:"recovery,omitempty"`
	Grace    *GraceReport `json:"grace,omitempty"`
	// Decisive lists each figure that decides alone: without it, the finding would be the opposite.
	Decisive []Decisive `json:"decisive_figures,omitempty"`
}

// ZCDReport explains the zero credit days.
type ZCDReport struct {
	Count  int       `json:"count"`
	Limit  int       `json:"limit"`
	Window int       `json:"window"`
	Days   []ZeroDay `json:"days"`
	// Margin is how many more zero credit days would not be a reason yet; negative if there are too many.
	Margin int `json:"margin"`
	// NextToLeaveIn is in how many boundaries the oldest zero credit day leaves the window; 0 if there is none.
	NextToLeaveIn int `json:"next_to_leave_in"`
}

// WASReport explains the work availability score.
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
	// NeededShortSum is the least credit of the short window that is not a reason, at today's long average. For a subject that
	// meets the criteria, Recovery says what it takes.
	NeededShortSum uint64 `json:"needed_short_sum"`
}

// GraceReport says whether a subject has been listed for long enough to be judged.
type GraceReport struct {
	Over bool `json:"over"`
	Left int  `json:"boundaries_left,omitempty"`
}

// Numbers implements greylist.Detail.
func (s *State) Numbers() []greylist.Number {
	return []greylist.Number{
		{Name: "zcd", Value: s.ZCD, Exact: s.ZCD, Text: fmt.Sprintf("%d/%d", s.ZCD, s.criteria.ZCDLimit)},
		{Name: "was", Value: s.WAS.Float(), Exact: s.WAS.String(), Text: fmt.Sprintf("%.3f", s.WAS.Float())},
	}
}

// Explain implements greylist.Detail.
func (s *State) Explain(c greylist.Case) greylist.Explanation {
	further := c.Series.Figures
	now := c.Series
	now.Figures = further[:min(len(further), c.Rule.Reach()+1)]
	f := &Facts{ZCD: s.zcd(), WAS: s.was(), Grace: &GraceReport{Over: s.Judged, Left: max(s.criteria.Grace-min(len(now.Figures)-1, s.criteria.LongWindow), 0)}}
	if s.ZCDMet || s.WASMet {
		f.Recovery = recovery(c.Rule, s.criteria, now, s, c.Index)
	}
	f.Decisive = decisive(c.Rule, s.criteria, now, s, further)
	return greylist.Explanation{Facts: f, Lines: f.lines(&c)}
}

func (s *State) zcd() *ZCDReport {
	c := s.criteria
	z := &ZCDReport{Count: s.ZCD, Limit: c.ZCDLimit, Window: c.ZCDWindow, Days: s.ZCDDays, Margin: c.ZCDLimit - s.ZCD}
	if z.Days == nil {
		z.Days = []ZeroDay{}
	}
	if n := len(z.Days); n > 0 {
		z.NextToLeaveIn = c.ZCDWindow + 1 - z.Days[n-1].Distance
	}
	return z
}

func (s *State) was() *WASReport {
	w := &WASReport{
		ShortSum: s.Short, ShortN: s.ShortN, LongSum: s.Long, LongN: s.LongN,
		Value: s.WAS.String(), Display: s.WAS.Float(), Limit: s.criteria.WASLimit.String(),
	}
	if s.ShortN > 0 && s.LongN > 0 {
		w.ShortAverage, w.LongAverage = s.Short/uint64(s.ShortN), s.Long/uint64(s.LongN)
		w.NeededShortSum = needed(w.LongAverage, uint64(s.ShortN), s.criteria.WASLimit)
	}
	return w
}

// needed is the least sum over n boundaries whose truncated average is at least limit times the long average; the largest
// number if there is no such sum.
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

// lines returns the facts as sentences.
func (f *Facts) lines(c *greylist.Case) []string {
	z, w := f.ZCD, f.WAS
	line := fmt.Sprintf("zero credit days: %d of the newest %d, %d are allowed", z.Count, z.Window, z.Limit)
	if z.NextToLeaveIn > 0 {
		line += fmt.Sprintf("; the oldest leaves the window in %d", z.NextToLeaveIn)
	}
	out := []string{line}
	for _, d := range z.Days {
		out = append(out, fmt.Sprintf("  %d superblocks ago: %s", d.Distance, d.Why))
	}
	line = fmt.Sprintf("work availability: %d a superblock over %d by %d over %d = %s (%.4f), at least %s",
		w.ShortAverage, w.ShortN, w.LongAverage, w.LongN, w.Value, w.Display, w.Limit)
	if f.Recovery == nil {
		line += fmt.Sprintf("; %d credits in %d superblocks are needed", w.NeededShortSum, w.ShortN)
	}
	out = append(out, line)
	if !f.Grace.Over {
		out = append(out, fmt.Sprintf("it is too new to be judged: %d superblocks more", f.Grace.Left))
	}
	for _, d := range f.Decisive {
		out = append(out, d.line(c))
	}
	if f.Recovery != nil {
		out = append(out, fmt.Sprintf("it can recover at superblock %d at the earliest: %s", f.Recovery.EarliestBoundary, f.Recovery.Needs))
	}
	return out
}

// line says which figure decides alone, and for how long.
func (d *Decisive) line(c *greylist.Case) string {
	where := "the newest superblock"
	if d.Distance > 0 {
		where = fmt.Sprintf("the superblock %d before the newest", d.Distance)
	}
	what := ""
	if d.Impossible {
		what = ", which cannot be"
	}
	verdict := "would not meet the criteria"
	if c.Entry == greylist.Active && c.Status == greylist.AutoGreylist {
		verdict = "would be Active"
	} else if !c.Finding.Meets {
		verdict = "would meet the criteria"
	}
	when := "at the next superblock"
	if d.LeavesIn > 1 {
		when = fmt.Sprintf("in %d superblocks", d.LeavesIn)
	}
	return fmt.Sprintf("one figure decides: %s recorded a total of %d%s; without it the subject %s; that figure leaves the window %s", where, d.Total, what, verdict, when)
}
