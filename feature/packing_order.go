package feature

import (
	"cmp"
	"math"
	"slices"
)

func anyPair(_, _ *att) bool { return true }

func sameSlot(a, b *att) bool { return a.slot == b.slot }

// notRising is the share of neighbors for which value does not rise, 1 if no neighbors can be compared.
func notRising(n needs, value func(*att) float64, among func(a, b *att) bool) func(*input) float64 {
	return func(in *input) float64 {
		atts := in.packed(n)
		if len(atts) == 0 {
			return math.NaN()
		}
		pairs, held := 0, 0
		for i := 1; i < len(atts); i++ {
			if !among(&atts[i-1], &atts[i]) {
				continue
			}
			pairs++
			if value(&atts[i]) <= value(&atts[i-1]) {
				held++
			}
		}
		return shareOr(held, pairs, 1)
	}
}

// inTwins is notRising for successive attestations with the same data.
func inTwins(n needs, value func(*att) float64) func(*input) float64 {
	return func(in *input) float64 {
		atts := in.packed(n)
		if len(atts) == 0 {
			return math.NaN()
		}
		pairs, held := 0, 0
		for i := range atts {
			if t := atts[i].twin; t >= 0 {
				pairs++
				if value(&atts[i]) <= value(&atts[t]) {
					held++
				}
			}
		}
		return shareOr(held, pairs, 1)
	}
}

func orderRegret(in *input) float64 {
	atts := in.packed(hasWorth)
	if len(atts) == 0 {
		return math.NaN()
	}
	v := in.pack.values[:0]
	for i := range atts {
		v = append(v, atts[i].marginal)
	}
	// The sum, over the attestations, of all rewards up to and including each.
	area := func() (sum float64) {
		for i, m := range v {
			sum += m * float64(len(v)-i)
		}
		return sum
	}
	collected := area()
	slices.SortFunc(v, func(a, b float64) int { return cmp.Compare(b, a) })
	in.pack.values = v
	if best := area(); best > 0 {
		return 1 - collected/best
	}
	return 0
}

func slotRuns(in *input) float64 {
	atts := in.packed(hasData)
	if len(atts) == 0 {
		return math.NaN()
	}
	runs := 1
	v := append(in.pack.values[:0], float64(atts[0].slot))
	for i := 1; i < len(atts); i++ {
		if atts[i].slot != atts[i-1].slot {
			runs++
		}
		v = append(v, float64(atts[i].slot))
	}
	slices.Sort(v)
	in.pack.values = v
	return float64(runs) / float64(len(slices.Compact(v)))
}

func epochSplit(in *input) float64 {
	atts := in.packed(hasData)
	if len(atts) == 0 {
		return math.NaN()
	}
	current, ordered, previous := 0, 0, 0
	for i := range atts {
		if atts[i].current {
			current++
		} else {
			previous++
			ordered += current
		}
	}
	if current == 0 || previous == 0 {
		return math.NaN()
	}
	return float64(ordered) / float64(current*previous)
}

func committeeOrder(in *input) float64 {
	atts := in.packed(hasData)
	if len(atts) == 0 {
		return math.NaN()
	}
	pairs, held := 0, 0
	for i := 1; i < len(atts); i++ {
		a, b := &atts[i-1], &atts[i]
		if a.slot != b.slot || a.key.root != b.key.root || a.key.index == b.key.index {
			continue
		}
		pairs++
		if a.key.index < b.key.index {
			held++
		}
	}
	if pairs == 0 {
		return math.NaN()
	}
	return float64(held) / float64(pairs)
}

func sawTeeth(in *input) float64 {
	atts := in.packed(hasCommittees)
	pairs, rises := 0, 0
	for i := 1; i < len(atts); i++ {
		if atts[i].slot == atts[i-1].slot {
			pairs++
			if atts[i].bits > atts[i-1].bits {
				rises++
			}
		}
	}
	return shareOr(rises, pairs, math.NaN())
}

// tail is the mean of a value over the block's last quarter, divided by that over its first quarter.
func tail(value func(*att) float64) func(*input) float64 {
	return func(in *input) float64 {
		atts := in.packed(hasCommittees)
		n := len(atts) / 4
		if n == 0 {
			return math.NaN()
		}
		first, last := 0.0, 0.0
		for i := range n {
			first += value(&atts[i])
			last += value(&atts[len(atts)-1-i])
		}
		return last / first
	}
}
