package rules

import (
	"fmt"
	"slices"

	"blockprint/greylist"
)

// Recovery says what it takes not to meet the criteria any more.
type Recovery struct {
	// EarliestBoundary is the first boundary at which that can be, if the total grows at each from now on.
	EarliestBoundary int `json:"earliest_boundary"`
	// Needs is of the windows as they will be at that boundary: what is old has left them by then.
	Needs string `json:"needs"`
	// ShortSum is the credit of the short window at that boundary that is enough, and Growth how much of it must come at each
	// boundary until then.
	ShortSum uint64 `json:"needed_short_sum"`
	Growth   uint64 `json:"needed_growth"`
}

// Decisive is a figure without which a subject would meet the criteria, or would not, the other way round.
type Decisive struct {
	Distance int    `json:"distance"`
	Total    uint64 `json:"total_credit"`
	// Impossible tells that the total is 0 though an older one was not: credit of a lifetime cannot fall to nothing.
	Impossible bool `json:"impossible"`
	// LeavesIn is at which boundary from now on it has left the windows.
	LeavesIn int `json:"leaves_in"`
}

// plenty is more growth at a boundary than any subject has had, and leaves room for sums.
const plenty = 1 << 55

// recovery looks for the first boundary behind boundary i at which the criteria need not be met any more, and for the least
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
	return nil // by rules under which growth is not enough
}

// decisive looks for single figures that decide. Without a total that is wrong, a subject that is greylisted would not be;
// and one that is not, since a wrong total passes for work, would be. further are its figures beyond those that count.
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
		// That a figure is missing is a zero credit day itself.
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
