package rules

import (
	"fmt"
	"slices"

	"blockprint/greylist"
)

// Recovery says what it takes to no longer meet the criteria.
type Recovery struct {
	// EarliestBoundary is the first boundary at which that is possible, if the total grows at each boundary from now on.
	EarliestBoundary int `json:"earliest_boundary"`
	// Needs describes the windows as they will be at that boundary, when the oldest figures have left them.
	Needs string `json:"needs"`
	// ShortSum is the credit of the short window that is enough at that boundary. Growth is how much of it must come at each
	// boundary until then.
	ShortSum uint64 `json:"needed_short_sum"`
	Growth   uint64 `json:"needed_growth"`
}

// Decisive is a figure without which the finding would be the opposite.
type Decisive struct {
	Distance int    `json:"distance"`
	Total    uint64 `json:"total_credit"`
	// Impossible is true if the total is 0 although an older one was not: a lifetime's credit cannot fall to nothing.
	Impossible bool `json:"impossible"`
	// LeavesIn is in how many boundaries it will have left the windows.
	LeavesIn int `json:"leaves_in"`
}

// plenty is more growth at a boundary than any subject has had. It leaves room for sums.
const plenty = 1 << 55

// recovery looks for the first boundary after boundary i at which the subject may no longer meet the criteria, and for the least
// steady growth until then that is enough.
func recovery(r greylist.Rule, c *Criteria, now greylist.Series, found *State, i int) *Recovery {
	var last uint64
	for _, figure := range now.Figures {
		if figure.Present {
			last = figure.Total
			break
		}
	}
	after := func(wait int, growth uint64) greylist.Finding {
		next := make([]greylist.Figure, wait, wait+len(now.Figures))
		for k := range next {
			next[k] = greylist.Figure{Total: last + uint64(wait-k)*growth, Present: true}
		}
		next = append(next, now.Figures...)
		return r.Judge(greylist.Series{Figures: next[:min(len(next), r.Reach()+1)], Benefit: now.Benefit})
	}
	most := min(uint64(plenty), (1<<64-1-last)/uint64(c.LongWindow+1))
	for wait := 1; wait <= c.LongWindow+1; wait++ {
		if after(wait, most).Meets {
			continue
		}
		low, high := uint64(0), most // of growth: too little, enough
		for high-low > 1 {
			if middle := low + (high-low)/2; after(wait, middle).Meets {
				low = middle
			} else {
				high = middle
			}
		}
		s := after(wait, high).Detail.(*State) // these rules have no other
		out := &Recovery{EarliestBoundary: i + wait, ShortSum: s.Short, Growth: high}
		if found.ZCDMet {
			out.Needs = fmt.Sprintf("growth at each of the next %d superblocks", wait)
		}
		if found.WASMet || high > 1 {
			if out.Needs != "" {
				out.Needs += ", and "
			}
			out.Needs += fmt.Sprintf("at least %d credits over the last %d superblocks", s.Short, s.ShortN)
		}
		return out
	}
	return nil // under rules for which growth is not enough
}

// decisive looks for single figures that decide. Without a wrong total, a greylisted subject might not be greylisted, and one
// that is not greylisted, because a wrong total passes for work, might be. further has the figures beyond those that count, too.
func decisive(r greylist.Rule, c *Criteria, now greylist.Series, found *State, further []greylist.Figure) []Decisive {
	if !found.Judged {
		return nil
	}
	met := found.ZCDMet || found.WASMet
	var out []Decisive
	for k, figure := range now.Figures {
		if !figure.Present || k > c.LongWindow {
			continue
		}
		without := slices.Clone(now.Figures)
		without[k] = greylist.Figure{}
		f := r.Judge(greylist.Series{Figures: without, Benefit: now.Benefit})
		// A missing figure is itself a zero credit day.
		if f.Meets == met || !met && !f.Detail.(*State).WASMet {
			continue
		}
		impossible := false
		for _, older := range further[min(k+1, len(further)):] {
			impossible = impossible || figure.Total == 0 && older.Present && older.Total > 0
		}
		out = append(out, Decisive{k, figure.Total, impossible, c.LongWindow + 1 - k})
	}
	return out
}
