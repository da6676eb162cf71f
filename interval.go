package blockprint

import (
	"fmt"
	"sort"
)

// Interval is a range of slots, both ends included.
type Interval struct {
	Start Slot `json:"start"`
	End   Slot `json:"end"`
}

func (i Interval) String() string {
	if i.Start == i.End {
		return fmt.Sprint(i.Start)
	}
	return fmt.Sprintf("%d to %d", i.Start, i.End)
}

// Len returns the number of slots in i.
func (i Interval) Len() uint64 { return uint64(i.End-i.Start) + 1 }

// Intervals is a set of slots: sorted, disjoint and never adjacent, so that its length is the number of runs.
type Intervals []Interval

// Add returns the union of s and i. s is not changed.
func (s Intervals) Add(i Interval) Intervals {
	if i.End < i.Start {
		return s
	}
	// lo is the first run that touches i or lies after it, hi the first run wholly after it.
	lo := sort.Search(len(s), func(n int) bool { return s[n].End >= i.Start || s[n].End+1 == i.Start })
	hi := sort.Search(len(s), func(n int) bool { return s[n].Start > i.End && s[n].Start-1 > i.End })
	if lo < hi {
		i.Start = min(i.Start, s[lo].Start)
		i.End = max(i.End, s[hi-1].End)
	}
	out := make(Intervals, 0, len(s)+1-(hi-lo))
	out = append(out, s[:lo]...)
	out = append(out, i)
	return append(out, s[hi:]...)
}

// Contains tells whether every slot of i is in s.
func (s Intervals) Contains(i Interval) bool {
	n := sort.Search(len(s), func(n int) bool { return s[n].End >= i.Start })
	return n < len(s) && s[n].Start <= i.Start && i.End <= s[n].End
}

// Gaps returns the runs of slots inside i that are not in s.
func (s Intervals) Gaps(i Interval) Intervals {
	var gaps Intervals
	next := i.Start
	n := sort.Search(len(s), func(n int) bool { return s[n].End >= i.Start })
	for ; n < len(s) && s[n].Start <= i.End; n++ {
		if s[n].Start > next {
			gaps = append(gaps, Interval{next, s[n].Start - 1})
		}
		if s[n].End >= i.End {
			return gaps
		}
		next = s[n].End + 1
	}
	return append(gaps, Interval{next, i.End})
}

// Chunks cuts i into pieces that end at multiples of size, so that every slot is in exactly one piece and the
// same long range is always cut at the same places.
func (i Interval) Chunks(size uint64) []Interval {
	var out []Interval
	for start := i.Start; ; {
		end := Slot((uint64(start)/size+1)*size - 1)
		if end >= i.End {
			return append(out, Interval{start, i.End})
		}
		out = append(out, Interval{start, end})
		start = end + 1
	}
}
