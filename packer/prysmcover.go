package packer

import (
	"slices"
	"sort"

	"blockprint/gossip"
)

// maxCover is a greedy maximum cover by voters. It returns the places of the aggregates that it selects, in ascending
// order, and what they cover. The first of equals wins.
func maxCover(list []gossip.Bits, overlaps bool) (places []int, covered gossip.Bits) {
	covered = make(gossip.Bits, len(list[0]))
	out := make([]bool, len(list))
	for {
		best, most := -1, 0
		for i, b := range list {
			if out[i] {
				continue
			}
			n := b.Fresh(covered)
			if n == 0 || !overlaps && b.Overlaps(covered) {
				out[i] = true
			} else if n > most {
				best, most = i, n
			}
		}
		if best < 0 {
			break
		}
		covered.Add(list[best])
		out[best] = true
		places = append(places, best)
	}
	slices.Sort(places)
	return places, covered
}

// bySize sorts aggregates, the largest first. The client sorts with the same function, which is not stable, so equals must
// not keep their order here either.
func bySize(list []gossip.Bits) {
	sort.Slice(list, func(i, j int) bool { return list[i].Count() > list[j].Count() })
}

// disjointUnions is Prysm's aggregation within a vote group: each round takes a maximum cover of aggregates that do not
// overlap and merges it into one. What remains is sorted by size, and a subset of the one before it is dropped. Places
// decide ties later: unions come first, and the last aggregate of the list fills each hole.
func disjointUnions(list []gossip.Bits) []gossip.Bits {
	if len(list) < 2 {
		return list
	}
	list = slices.Clone(list)
	unions, covered := 0, make(gossip.Bits, len(list[0]))
	rounds := len(list) / 2
	for range rounds {
		if len(list)-unions < 2 {
			break
		}
		places, cover := maxCover(list[unions:], false)
		if len(places) < 2 {
			break
		}
		for i := range places {
			places[i] += unions
		}
		if !cover.Equal(covered) {
			list[places[0]] = cover
			list[unions], list[places[0]] = list[places[0]], list[unions]
			covered.Add(cover)
			unions++
			places = places[1:]
		}
		list = fillHoles(list, places)
	}
	rest := list[unions:]
	bySize(rest)
	out := list[:unions]
	for i, b := range rest {
		if i > 0 && b.Within(out[len(out)-1]) {
			continue
		}
		out = append(out, b)
	}
	return out
}

// fillHoles removes the aggregates at places, which are in ascending order. The last one of the list fills each hole.
func fillHoles(list []gossip.Bits, places []int) []gossip.Bits {
	for _, at := range places {
		list[at] = nil
	}
	for _, at := range places {
		for len(list) > at && list[len(list)-1] == nil {
			list = list[:len(list)-1]
		}
		if at >= len(list) {
			break
		}
		list[at] = list[len(list)-1]
		list = list[:len(list)-1]
	}
	return list
}

// dropSubsets drops subsets of other aggregates. The last one of the list fills each hole.
func dropSubsets(list []gossip.Bits) []gossip.Bits {
	list = slices.Clone(list)
	remove := func(i int) {
		list[i] = list[len(list)-1]
		list = list[:len(list)-1]
	}
next:
	for i := 0; i < len(list); i++ {
		for j := i + 1; j < len(list); j++ {
			if list[j].Within(list[i]) {
				remove(j)
				j--
			} else if list[i].Within(list[j]) {
				remove(i)
				i--
				continue next
			}
		}
	}
	return list
}

// covering returns the aggregates of a maximum cover that allows overlaps, the largest first.
func covering(list []gossip.Bits) []gossip.Bits {
	if len(list) < 2 {
		return list
	}
	places, _ := maxCover(list, true)
	var out []gossip.Bits
	for _, i := range places {
		out = append(out, list[i])
	}
	bySize(out)
	return out
}
