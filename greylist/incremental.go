package greylist

// tracked evaluates one subject's figures as they come, by Landed's rules, without walking back: zero credit days are
// fixed once a newer figure is there and are counted in a sliding window; a sum reaches to the oldest figure of its
// window, unless the total has fallen inside of it. Then, and for other rules, the walk decides.
type tracked struct {
	listed int64
	next   int // the boundary that is expected
	figure []Figure
	// zero[i] says that the interval from figure i to the next newer present one is a zero credit day. It is known for
	// the figures before known; ones before it are summed up in zeros.
	zero  []bool
	zeros []int32 // zeros[i] is how many of zero[:i] are set
	// oldest[i] is the first present figure at i or later, for i up to the newest present figure.
	oldest []int32
	last   int // the newest present figure; -1 if there is none
	fall   int // the newest figure from which the total fell to the next present one; -1 if it never did
}

// incremental evaluates a subject at boundary i.
func (e *Engine) incremental(rules *Landed, name string, s *subject, listed int64, i int) Finding {
	t := s.track
	if t == nil || t.listed != listed || t.next != i {
		t = &tracked{listed: listed, last: -1, fall: -1}
		s.track = t
		figures := e.figures(name, listed, i, rules.Reach())
		for k := len(figures) - 1; k > 0; k-- {
			t.push(figures[k])
		}
	}
	b := e.boundary(i)
	total, present := b.Totals[name]
	t.push(Figure{total, present})
	t.next = i + 1
	return t.evaluate(rules, b.Doubt)
}

// push adds the next figure.
func (t *tracked) push(f Figure) {
	at := len(t.figure)
	t.figure = append(t.figure, f)
	if !f.Present {
		return
	}
	if t.last >= 0 {
		before := t.figure[t.last]
		t.fix(t.last, before.Total >= f.Total)
		if before.Total > f.Total {
			t.fall = t.last
		}
	}
	for i := t.last + 1; i <= at; i++ {
		t.oldest = append(t.oldest, int32(at))
		if i < at {
			t.fix(i, true) // a figure that is missing makes a zero credit day
		}
	}
	t.last = at
}

// fix settles whether the interval that begins at figure i is a zero credit day; i is the next unsettled one.
func (t *tracked) fix(i int, zero bool) {
	if len(t.zeros) == 0 {
		t.zeros = append(t.zeros, 0)
	}
	n := t.zeros[i]
	if zero {
		n++
	}
	t.zero = append(t.zero, zero)
	t.zeros = append(t.zeros, n)
}

// evaluate judges the newest figure.
func (t *tracked) evaluate(r *Landed, benefit bool) Finding {
	newest := len(t.figure) - 1
	n := min(newest, r.LongWindow)
	window := t.figure[newest-n:]
	long := newest - n
	if n < 1 || t.fall >= long || t.last < long {
		return Finding{r.Evaluate(Series{newestFirst(window), benefit}), n}
	}
	var s State
	s.ZCD, s.ZCDDays = t.days(newest, min(n, r.ZCDWindow), benefit)
	initial := t.figure[t.last].Total
	reach := func(i int) uint64 { // credit since the oldest figure at i or later
		if i > t.last {
			return 0
		}
		return initial - t.figure[t.oldest[i]].Total
	}
	s.Long, s.Short = reach(long), reach(newest-min(n, r.ShortWindow))
	s.ShortN, s.LongN = min(n, r.ShortWindow), n
	s.WAS = truncatedRatio(s.Short, s.Long, s.ShortN, s.LongN)
	s.judge(&r.Criteria, n)
	return Finding{s, n}
}

// days counts the zero credit days among the newest intervals. What has no newer figure yet counts, but for the newest
// one with the benefit of the doubt.
func (t *tracked) days(newest, window int, benefit bool) (count int, days []ZeroDay) {
	if window < 1 {
		return 0, nil
	}
	first := newest - window
	if settled := min(len(t.zero), newest); settled > first {
		count = int(t.zeros[settled] - t.zeros[first])
	}
	open := newest - max(first, len(t.zero)) // intervals whose newer end is not there
	count += open
	if benefit && open > 0 && !t.figure[newest].Present {
		count--
	}
	if count == 0 {
		return 0, nil
	}
	days = make([]ZeroDay, 0, count)
	for k := 1; k <= window; k++ {
		i := newest - k
		switch {
		case i >= len(t.zero):
			if !benefit || k > 1 || t.figure[newest].Present {
				days = append(days, ZeroDay{k, noFigure})
			}
		case !t.zero[i]:
		case !t.figure[i].Present:
			days = append(days, ZeroDay{k, noFigure})
		default:
			days = append(days, ZeroDay{k, noGrowth})
		}
	}
	return count, days
}

func newestFirst(oldestFirst []Figure) []Figure {
	out := make([]Figure, len(oldestFirst))
	for i, f := range oldestFirst {
		out[len(out)-1-i] = f
	}
	return out
}
