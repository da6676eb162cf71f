package packer

import (
	"sort"

	"blockprint"
	"blockprint/gossip"
)

// grandine maximizes the block's total reward: it finds the best few aggregates of each vote group, then how many of
// each to take. Its greedy form, for when the search does not finish in time, takes each group's best by weight.
type grandine struct {
	greedy bool
	stored entries[[]gossip.Bits]
	singleVotes
}

func newGrandine(greedy bool) *grandine {
	return &grandine{greedy: greedy, stored: newEntries[[]gossip.Bits](), singleVotes: newSingleVotes()}
}

func (p *grandine) Aggregate(a gossip.Aggregate) {
	list := p.stored.of(a.Group)
	*list = append(*list, a.Bits.Clone())
}

func (p *grandine) Imported(slot blockprint.Slot, _ []gossip.Attestation) {
	keep := func(g gossip.Group) bool { return g.Data.Slot+33 > slot }
	p.stored.drop(keep)
	p.heard.drop(keep)
}

// grandineLimit is how many aggregates are chosen before they are joined into attestations.
const grandineLimit = 128

// grandinePerGroup is how many aggregates of a group a block may take.
const grandinePerGroup = 6

// choice is the best aggregates of a group, those that add most first.
type choice struct {
	gossip.Group
	list  []int         // indices into bits
	bits  []gossip.Bits // the group's aggregates with all single votes added
	gains []uint64      // what each in list adds
	taken int
}

func (p *grandine) Pack(v *View) []gossip.Attestation {
	var choices []*choice
	for _, g := range p.stored.newest(v.Rand) {
		if d := v.distance(&g.Data); d < 1 || d > 32 || !v.Valid(&g.Data) {
			continue
		}
		c := &choice{Group: g}
		single := p.heard.at[g]
		for _, b := range *p.stored.at[g] {
			b = b.Clone()
			if single != nil {
				b.Add(*single)
			}
			c.bits = append(c.bits, b)
		}
		n := grandinePerGroup
		if p.greedy {
			n = 1
		}
		if c.choose(v, n); len(c.list) > 0 {
			choices = append(choices, c)
		}
	}
	var chosen []gossip.Aggregate
	if p.greedy {
		chosen = byWeight(choices)
	} else {
		chosen = knapsack(v, choices)
	}
	if !v.electra() {
		var out []gossip.Attestation
		for _, a := range chosen {
			out = append(out, gossip.Join(a))
		}
		return out
	}
	return firstFit(chosen, v.limit())
}

// choose finds up to n aggregates that together earn the most. The greedy choice nearly always equals an exact search's,
// because a group has at most some 16 aggregates, which overlap widely; pairs are searched exactly.
func (c *choice) choose(v *View, n int) {
	members, flags, f := v.Members(c.Group), v.flags(&c.Data), v.earned(&c.Data)
	worth := make([]uint64, len(members))
	useful := make(gossip.Bits, len(c.bits[0]))
	for i, m := range members {
		if worth[i] = v.BaseRewards[m] * flagWeights(f&^flags[m]); worth[i] > 0 {
			useful.Set(i)
		}
	}
	value := func(covered gossip.Bits) (sum uint64) {
		covered.Each(func(i int) { sum += worth[i] })
		return sum
	}
	fresh := make([]gossip.Bits, len(c.bits))
	for i, b := range c.bits {
		fresh[i] = b.Clone()
		fresh[i].Keep(useful)
	}
	covered := make(gossip.Bits, len(useful))
	for len(c.list) < n {
		best, most := -1, uint64(0)
		for i, b := range fresh {
			only := b.Clone()
			only.Remove(covered)
			if w := value(only); w > most {
				best, most = i, w
			}
		}
		if best < 0 {
			break
		}
		covered.Add(fresh[best])
		c.list = append(c.list, best)
		c.gains = append(c.gains, most)
	}
	if len(c.list) == 2 { // where the greedy choice most often is not the best
		c.bestPair(fresh, value)
	}
}

// bestPair replaces the two chosen aggregates if another pair earns more together.
func (c *choice) bestPair(fresh []gossip.Bits, value func(gossip.Bits) uint64) {
	most := c.gains[0] + c.gains[1]
	for i := range fresh {
		for j := range i {
			both := fresh[i].Clone()
			both.Add(fresh[j])
			if w := value(both); w > most {
				first, second := i, j
				if value(fresh[j]) > value(fresh[i]) {
					first, second = j, i
				}
				most = w
				c.list = []int{first, second}
				c.gains = []uint64{value(fresh[first]), w - value(fresh[first])}
			}
		}
	}
}

// byWeight is the greedy packing: the best of each group, the one that earns most first.
func byWeight(choices []*choice) []gossip.Aggregate {
	sort.SliceStable(choices, func(i, j int) bool { return choices[i].gains[0] > choices[j].gains[0] })
	var out []gossip.Aggregate
	for _, c := range choices[:min(len(choices), grandineLimit)] {
		out = append(out, gossip.Aggregate{Group: c.Group, Bits: c.bits[c.list[0]]})
	}
	return out
}

// knapsack takes from each group as many aggregates as give the best total within the limit: since every further
// aggregate of a group adds less than the one before, these are the largest gains of all groups. Groups of the current
// epoch come first, and a group's aggregates stay in order of arrival.
func knapsack(v *View, choices []*choice) []gossip.Aggregate {
	type gain struct {
		c      *choice
		amount uint64
	}
	var gains []gain
	for _, c := range choices {
		for _, g := range c.gains {
			gains = append(gains, gain{c, g})
		}
	}
	sort.SliceStable(gains, func(i, j int) bool { return gains[i].amount > gains[j].amount })
	for _, g := range gains[:min(len(gains), grandineLimit)] {
		g.c.taken++
	}
	v.Rand.Shuffle(len(choices), func(i, j int) { choices[i], choices[j] = choices[j], choices[i] })
	sort.SliceStable(choices, func(i, j int) bool { return v.isCurrent(&choices[i].Data) && !v.isCurrent(&choices[j].Data) })
	var out []gossip.Aggregate
	for _, c := range choices {
		list := append([]int(nil), c.list[:c.taken]...)
		sort.Ints(list)
		for _, at := range list {
			out = append(out, gossip.Aggregate{Group: c.Group, Bits: c.bits[at]})
		}
	}
	return out
}

// firstFit joins aggregates: each goes into the first attestation with the same data that lacks its committee.
func firstFit(list []gossip.Aggregate, limit int) []gossip.Attestation {
	var open [][]gossip.Aggregate
next:
	for _, a := range list {
	search:
		for i, parts := range open {
			if parts[0].Data != a.Data {
				continue
			}
			for _, o := range parts {
				if o.Committee == a.Committee {
					continue search
				}
			}
			open[i] = append(parts, a)
			continue next
		}
		open = append(open, []gossip.Aggregate{a})
	}
	var out []gossip.Attestation
	for _, parts := range open[:min(len(open), limit)] {
		out = append(out, gossip.Join(parts...))
	}
	return out
}
