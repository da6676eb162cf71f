package blockprint

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Interval is a range of slots, both ends included.
type Interval struct {
	Start Slot `json:"start"`
	End   Slot `json:"end"`
}

// AllSlots is every slot that a database can hold.
var AllSlots = Interval{End: 1<<63 - 1}

// ParseSlot reads a slot that a database can hold.
func ParseSlot(s string) (Slot, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 63)
	if err != nil {
		return 0, Errorf(Invalid, "%q: expected a slot", abbreviate(s))
	}
	return Slot(n), nil
}

// ParseInterval reads slots as A-B, as A-, which has no end, or as nothing, which is all of them.
func ParseInterval(s string) (Interval, error) {
	i := AllSlots
	if s == "" {
		return i, nil
	}
	a, b, ok := strings.Cut(s, "-")
	var errB error
	start, errA := ParseSlot(a)
	if i.Start = start; strings.TrimSpace(b) != "" {
		i.End, errB = ParseSlot(b)
	}
	if !ok || errA != nil || errB != nil || i.End < i.Start {
		return i, Errorf(Invalid, "expected slots as A-B or A-, with A at most B")
	}
	return i, nil
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

// Add returns the union of s and i. It leaves s unchanged.
func (s Intervals) Add(i Interval) Intervals {
	if i.End < i.Start {
		return s
	}
	// lo is the first run that touches i or comes after it, hi the first run that lies wholly after it.
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

// Contains reports whether every slot of i is in s.
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

// Chunks cuts i into pieces that end just before multiples of size, so that overlapping ranges are cut at the same
// places. Every slot is in exactly one piece.
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
