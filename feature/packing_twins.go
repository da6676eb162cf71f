package feature

import (
	"math"

	"blockprint"
)

func repeatAdjacent(in *input) float64 {
	repeats, adjacent := 0, 0
	for i, a := range in.packed(hasData) {
		if a.twin >= 0 {
			repeats++
			if a.twin == i-1 {
				adjacent++
			}
		}
	}
	return shareOr(adjacent, repeats, math.NaN())
}

func secondTwin(in *input) float64 {
	atts := in.packed(hasData)
	for i, a := range atts {
		if a.twin >= 0 {
			return float64(i) / float64(len(atts))
		}
	}
	return math.NaN()
}

func distinctData(in *input) float64 {
	if len(in.packed(hasData)) == 0 {
		return math.NaN()
	}
	return float64(len(in.pack.byKey))
}

// within reports whether list b has all committees of list a. Both must be in ascending order.
func within(a, b []blockprint.CommitteeVotes) bool {
	j := 0
	for _, c := range a {
		for j < len(b) && b[j].Index < c.Index {
			j++
		}
		if j == len(b) || b[j].Index != c.Index {
			return false
		}
	}
	return true
}

func nested(in *input) float64 {
	repeats, inside := 0, 0
	for i, a := range in.packed(hasCommittees) {
		if a.twin >= 0 {
			repeats++
			if within(in.pack.lists[i], in.pack.lists[a.twin]) {
				inside++
			}
		}
	}
	return shareOr(inside, repeats, math.NaN())
}

func twinCommittees(in *input) float64 {
	own, of := 0, 0
	atts := in.packed(hasCommittees)
	for _, a := range atts {
		if a.twin >= 0 {
			own += a.committees
			of += atts[a.first].committees
		}
	}
	return shareOr(own, of, math.NaN())
}

// seconds calls f with the first and second attestation for each repeated data, and returns how many there were.
func (in *input) seconds(n needs, f func(first, second *att)) (count int) {
	atts := in.packed(n)
	for i := range atts {
		if t := atts[i].twin; t >= 0 && atts[i].first == t {
			f(&atts[t], &atts[i])
			count++
		}
	}
	return count
}

func secondTakes(in *input) float64 {
	second, rest := 0, 0
	in.seconds(hasCommittees, func(_, s *att) { second += s.fresh })
	for _, a := range in.packed(hasCommittees) {
		if a.twin >= 0 {
			rest += a.fresh
		}
	}
	return shareOr(second, rest, math.NaN())
}

func twinDensity(in *input) float64 {
	sum := 0.0
	n := in.seconds(hasCommittees, func(f, s *att) { sum += votersPerCommittee(s) / max(votersPerCommittee(f), 1) })
	return sum / float64(n) // NaN without repeats
}

func twinFreshDensity(in *input) float64 {
	sum := 0.0
	n := in.seconds(hasCommittees, func(_, s *att) { sum += float64(s.fresh) / float64(max(s.committees, 1)) })
	return sum / float64(n)
}

func twinOverlap(in *input) float64 {
	overlap, voters := 0.0, 0
	for _, a := range in.packed(hasWorth) {
		if a.twin >= 0 {
			overlap += a.overlap
			voters += a.bits
		}
	}
	return overlap / float64(voters) // NaN without repeats
}

func completeness(in *input) float64 {
	atts := in.packed(hasWorth)
	sum, n := 0.0, 0
	for i := range atts {
		if atts[i].first != i {
			continue
		}
		all, repeats := float64(atts[i].bits), 0
		for j := i + 1; j < len(atts); j++ {
			if atts[j].first == i {
				all += float64(atts[j].bits) - atts[j].overlap
				repeats++
			}
		}
		if repeats > 0 && all > 0 {
			sum += float64(atts[i].bits) / all
			n++
		}
	}
	return sum / float64(n) // NaN without repeats
}
