package packer

import (
	"sort"

	"blockprint"
	"blockprint/gossip"
)

// lighthouse packs by greedy maximum cover of rewards. Its pool merges each aggregate into all stored ones that it does
// not overlap.
type lighthouse struct {
	stored entries[[]gossip.Bits]
	singleVotes
}

func newLighthouse() *lighthouse {
	return &lighthouse{stored: newEntries[[]gossip.Bits](), singleVotes: newSingleVotes()}
}

func (p *lighthouse) Aggregate(a gossip.Aggregate) { p.insert(a.Group, a.Bits) }

func (p *lighthouse) insert(g gossip.Group, b gossip.Bits) {
	list := p.stored.of(g)
	merged := false
	for _, have := range *list {
		if b.Within(have) && have.Within(b) {
			return
		}
	}
	for _, have := range *list {
		if !have.Overlaps(b) {
			have.Add(b)
			merged = true
		}
	}
	if !merged {
		*list = append(*list, b.Clone())
	}
}

func (p *lighthouse) Imported(slot blockprint.Slot, _ []gossip.Attestation) {
	keep := func(g gossip.Group) bool { return g.Data.Slot+64 > slot }
	p.stored.drop(keep)
	p.heard.drop(keep)
}

// candidate is an attestation that may be picked.
type candidate struct {
	parts []gossip.Aggregate // one committee each
	fresh []gossip.Bits      // by part: the voters that would still earn something
	score uint64
}

func (p *lighthouse) Pack(v *View) []gossip.Attestation {
	for _, g := range p.heard.keys { // the pool of single votes is merged into the other before packing
		p.insert(g, p.heard.at[g].Clone())
	}
	candidates := p.candidates(v)
	v.Rand.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	var epochs [2][]*candidate
	for _, c := range candidates {
		at := 0
		if v.isCurrent(&c.parts[0].Data) {
			at = 1
		}
		epochs[at] = append(epochs[at], c)
	}
	previous, current := v.cover(epochs[0]), v.cover(epochs[1])
	picked := append(current, previous...) // current first on ties
	sort.SliceStable(picked, func(i, j int) bool { return picked[i].score > picked[j].score })
	var out []gossip.Attestation
	for _, c := range picked[:min(len(picked), v.limit())] {
		out = append(out, gossip.Join(c.parts...))
	}
	return out
}

func (p *lighthouse) candidates(v *View) []*candidate {
	var out []*candidate
	used := map[gossip.Data][]gossip.Aggregate{} // since Electra: the best of each committee, which will be joined; the others stay alone
	var order []gossip.Data
	for _, g := range p.stored.newest(nil) {
		if d := v.distance(&g.Data); d < 1 || d > 32 || !v.Valid(&g.Data) {
			continue
		}
		list := *p.stored.at[g]
		unseen := v.unseenIn(g)
		alone := func(b gossip.Bits) {
			if b.Overlaps(unseen) { // the client drops what earns nothing
				out = append(out, &candidate{parts: []gossip.Aggregate{{Group: g, Bits: b.Clone()}}})
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
			if b.Count() > list[best].Count() {
				best = i
			}
		}
		for i, b := range list {
			if i != best {
				alone(b)
			}
		}
		if used[g.Data] == nil {
			order = append(order, g.Data)
		}
		used[g.Data] = append(used[g.Data], gossip.Aggregate{Group: g, Bits: list[best].Clone()})
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

// reward returns what a candidate's fresh voters would earn.
func (c *candidate) reward(v *View) uint64 {
	f := v.earned(&c.parts[0].Data)
	var sum uint64
	for i, a := range c.parts {
		sum += v.weight(a.Group, c.fresh[i], func(n uint32) uint64 { return v.BaseRewards[n] * flagWeights(f) })
	}
	return sum
}

// cover picks candidates by greedy maximum cover, up to the block's limit, and returns them in the order of picking.
func (v *View) cover(from []*candidate) []*candidate {
	live := from[:0:0]
	for _, c := range from {
		if c.score = c.reward(v); c.score > 0 {
			live = append(live, c)
		}
	}
	var picked []*candidate
	for len(picked) < v.limit() {
		best := -1
		for i, c := range live {
			if c.score > 0 && (best < 0 || c.score >= live[best].score) {
				best = i // of equal candidates, the last one
			}
		}
		if best < 0 {
			break
		}
		b := live[best]
		live = append(live[:best:best], live[best+1:]...)
		picked = append(picked, b)
		for _, c := range live {
			if c.parts[0].Data.Slot == b.parts[0].Data.Slot && c.strike(b) {
				c.score = c.reward(v)
			}
		}
	}
	return picked
}

// strike removes the voters that b covers and reports whether it removed any.
func (c *candidate) strike(b *candidate) bool {
	changed := false
	for i, a := range c.parts {
		for j, o := range b.parts {
			if a.Committee == o.Committee && a.Data.DependentRoot == o.Data.DependentRoot && c.fresh[i].Overlaps(b.fresh[j]) {
				c.fresh[i].Remove(b.fresh[j])
				changed = true
			}
		}
	}
	return changed
}
