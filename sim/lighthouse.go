package sim

import (
	"sort"

	"blockprint"
)

// lighthouse packs by greedy maximum cover of reward. Its pool merges every aggregate into all stored ones that it
// does not overlap.
type lighthouse struct {
	stored entries[[]bitset]
	singleVotes
}

func newLighthouse() *lighthouse {
	return &lighthouse{stored: newEntries[[]bitset](), singleVotes: newSingleVotes()}
}

func (p *lighthouse) aggregate(a aggregate) { p.insert(a.group, a.bits) }

func (p *lighthouse) insert(g group, b bitset) {
	list := p.stored.of(g)
	merged := false
	for _, have := range *list {
		if b.within(have) && have.within(b) {
			return
		}
	}
	for _, have := range *list {
		if !have.overlaps(b) {
			have.add(b)
			merged = true
		}
	}
	if !merged {
		*list = append(*list, b.clone())
	}
}

func (p *lighthouse) imported(slot blockprint.Slot, _ []packed) {
	keep := func(g group) bool { return g.data.slot+64 > slot }
	p.stored.drop(keep)
	p.singles.drop(keep)
}

// candidate is an attestation that may be picked, with the voters that would still earn something.
type candidate struct {
	parts []aggregate // one committee each
	fresh []bitset
	score uint64
}

func (p *lighthouse) pack(v *view) []packed {
	for _, g := range p.singles.keys { // the naive pool is poured into the other before packing
		p.insert(g, p.singles.at[g].clone())
	}
	candidates := p.candidates(v)
	v.rng.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	var epochs [2][]*candidate
	for _, c := range candidates {
		at := 0
		if v.isCurrent(&c.parts[0].data) {
			at = 1
		}
		epochs[at] = append(epochs[at], c)
	}
	previous, current := v.cover(epochs[0]), v.cover(epochs[1])
	picked := append(current, previous...) // current first on ties
	sort.SliceStable(picked, func(i, j int) bool { return picked[i].score > picked[j].score })
	var out []packed
	for _, c := range picked[:min(len(picked), v.limit)] {
		out = append(out, join(c.parts))
	}
	return out
}

func (p *lighthouse) candidates(v *view) []*candidate {
	var out []*candidate
	used := map[voteData][]aggregate{} // Electra: the best of each committee is joined, the others stay alone
	var order []voteData
	for _, g := range p.stored.newest(nil) {
		if d := v.distance(&g.data); d < 1 || d > 32 || !v.valid(&g.data) {
			continue
		}
		list := *p.stored.at[g]
		unseen := v.unseenIn(g)
		alone := func(b bitset) {
			if b.overlaps(unseen) { // what pays nothing is never picked
				out = append(out, &candidate{parts: []aggregate{{g, b.clone()}}})
			}
		}
		if !v.electra() {
			for _, b := range list {
				alone(b)
			}
			continue
		}
		best := 0
		for i, b := range list {
			if b.count() > list[best].count() {
				best = i
			}
		}
		for i, b := range list {
			if i != best {
				alone(b)
			}
		}
		if used[g.data] == nil {
			order = append(order, g.data)
		}
		used[g.data] = append(used[g.data], aggregate{g, list[best].clone()})
	}
	for _, d := range order {
		out = append(out, &candidate{parts: used[d]})
	}
	for _, c := range out {
		for _, a := range c.parts {
			c.fresh = append(c.fresh, v.unseen(a))
		}
	}
	return out
}

// reward is what a candidate's fresh voters would earn.
func (c *candidate) reward(v *view) uint64 {
	f := v.earned(&c.parts[0].data)
	var sum uint64
	for i, a := range c.parts {
		sum += v.weight(a.group, c.fresh[i], func(n uint32) uint64 { return v.state.base[n] * flagWeights(f) })
	}
	return sum
}

// cover picks by greedy maximum cover, up to the block's limit, in the order of picking.
func (v *view) cover(from []*candidate) []*candidate {
	live := from[:0:0]
	for _, c := range from {
		if c.score = c.reward(v); c.score > 0 {
			live = append(live, c)
		}
	}
	var picked []*candidate
	for len(picked) < v.limit {
		best := -1
		for i, c := range live {
			if c.score > 0 && (best < 0 || c.score >= live[best].score) {
				best = i // the last of equal ones
			}
		}
		if best < 0 {
			break
		}
		b := live[best]
		live = append(live[:best:best], live[best+1:]...)
		picked = append(picked, b)
		for _, c := range live {
			if c.parts[0].data.slot == b.parts[0].data.slot && c.strike(b) {
				c.score = c.reward(v)
			}
		}
	}
	return picked
}

// strike removes the voters that b covers and tells whether there were any.
func (c *candidate) strike(b *candidate) bool {
	changed := false
	for i, a := range c.parts {
		for j, o := range b.parts {
			if a.committee == o.committee && a.data.shuffle == o.data.shuffle && c.fresh[i].overlaps(b.fresh[j]) {
				c.fresh[i].strike(b.fresh[j])
				changed = true
			}
		}
	}
	return changed
}
