package feature

import "slices"

// matcher computes the ratio of Python's difflib.SequenceMatcher(None, a, b): twice the length of the matching
// blocks (the longest one, then those to its left and right, and so on) over the length of both sequences. If b has at
// least 200 elements, elements that make up more than 1 % of it do not begin a match ("autojunk"). It is ours because it is
// the original's definition of eight features, and ten times as fast as go-difflib, which compares strings.
type matcher struct {
	starts, places []int32 // places[starts[c]:starts[c+1]] are the positions of code c in b, ascending
	prev, cur      []int32 // prev[j+1]: length of the match that ends at b[j] for the previous element of a
	touchedPrev    []int32
	touchedCur     []int32
	queue          []span
}

type span struct{ alo, ahi, blo, bhi int }

// ratio compares sequences of small non-negative codes, which must mean the same in a and b.
func (m *matcher) ratio(a, b []int32) float64 {
	if slices.Equal(a, b) {
		return 1
	}
	m.index(a, b)
	m.queue = append(m.queue[:0], span{0, len(a), 0, len(b)})
	matched := 0
	for len(m.queue) > 0 {
		s := m.queue[len(m.queue)-1]
		m.queue = m.queue[:len(m.queue)-1]
		i, j, k := m.longest(a, b, s)
		if k == 0 {
			continue
		}
		matched += k
		if s.alo < i && s.blo < j {
			m.queue = append(m.queue, span{s.alo, i, s.blo, j})
		}
		if i+k < s.ahi && j+k < s.bhi {
			m.queue = append(m.queue, span{i + k, s.ahi, j + k, s.bhi})
		}
	}
	return 2 * float64(matched) / float64(len(a)+len(b))
}

func (m *matcher) index(a, b []int32) {
	codes := int(max(slices.Max(a), slices.Max(b))) + 1
	m.starts = slices.Grow(m.starts[:0], codes+1)[:codes+1]
	clear(m.starts)
	for _, c := range b {
		m.starts[c+1]++
	}
	if n := int32(len(b)); n >= 200 {
		for c := range codes {
			if m.starts[c+1] > n/100+1 {
				m.starts[c+1] = 0 // popular
			}
		}
	}
	for c := range codes {
		m.starts[c+1] += m.starts[c]
	}
	m.places = slices.Grow(m.places[:0], len(b))[:len(b)]
	next := slices.Clone(m.starts)
	for j, c := range b {
		if next[c] < m.starts[c+1] {
			m.places[next[c]] = int32(j)
			next[c]++
		}
	}
	m.prev = slices.Grow(m.prev[:0], len(b)+1)[:len(b)+1]
	m.cur = slices.Grow(m.cur[:0], len(b)+1)[:len(b)+1]
	clear(m.prev)
	clear(m.cur)
	m.touchedPrev, m.touchedCur = m.touchedPrev[:0], m.touchedCur[:0]
}

// longest finds the longest matching block inside s. If several are equally long, it is the first in a, then in b.
func (m *matcher) longest(a, b []int32, s span) (besti, bestj, size int) {
	besti, bestj = s.alo, s.blo
	for i := s.alo; i < s.ahi; i++ {
		for _, j := range m.places[m.starts[a[i]]:m.starts[a[i]+1]] {
			if int(j) < s.blo {
				continue
			}
			if int(j) >= s.bhi {
				break
			}
			k := m.prev[j] + 1
			m.cur[j+1] = k
			m.touchedCur = append(m.touchedCur, j+1)
			if int(k) > size {
				besti, bestj, size = i-int(k)+1, int(j)-int(k)+1, int(k)
			}
		}
		m.advance()
	}
	m.advance()
	// Popular elements do not begin a match, but they can extend one.
	for besti > s.alo && bestj > s.blo && a[besti-1] == b[bestj-1] {
		besti, bestj, size = besti-1, bestj-1, size+1
	}
	for besti+size < s.ahi && bestj+size < s.bhi && a[besti+size] == b[bestj+size] {
		size++
	}
	return besti, bestj, size
}

// advance makes the current row the previous one and clears the other.
func (m *matcher) advance() {
	for _, j := range m.touchedPrev {
		m.prev[j] = 0
	}
	m.prev, m.cur = m.cur, m.prev
	m.touchedPrev, m.touchedCur = m.touchedCur, m.touchedPrev[:0]
}
