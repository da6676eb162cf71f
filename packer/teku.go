package packer

import (
	"maps"
	"slices"
	"sort"

	"blockprint"
	"blockprint/gossip"
)

// tekuVariant is a time in Teku's history.
type tekuVariant struct {
	sorted bool // inside a slot by size
	reward bool // the second pool: too many are chosen among by reward, and the chosen are filled up
}

var (
	tekuPlain  = tekuVariant{}
	tekuSorted = tekuVariant{sorted: true}
	tekuV2     = tekuVariant{reward: true}
)

// teku merges disjoint aggregates when it packs. It remembers which voters of a vote are on the chain and forgets
// what brings no further one.
type teku struct {
	tekuVariant
	stored entries[[]gossip.Bits]
	singleVotes
	onChain map[gossip.Group]gossip.Bits
}

func newTeku(v tekuVariant) *teku {
	return &teku{tekuVariant: v, stored: newEntries[[]gossip.Bits](), singleVotes: newSingleVotes(), onChain: map[gossip.Group]gossip.Bits{}}
}

func (p *teku) Aggregate(a gossip.Aggregate) {
	if have := p.onChain[a.Group]; have != nil && a.Bits.Within(have) {
		return
	}
	list := p.stored.of(a.Group)
	for _, b := range *list {
		if a.Bits.Equal(b) {
			return
		}
	}
	*list = append(*list, a.Bits.Clone())
}

// Singles puts in the single votes that are not on the chain.
func (p *teku) Singles(votes gossip.Aggregate) {
	if have := p.onChain[votes.Group]; have != nil {
		votes.Bits = votes.Bits.Clone()
		votes.Bits.Remove(have)
	}
	p.singleVotes.Singles(votes)
}

func (p *teku) Imported(slot blockprint.Slot, attestations []gossip.Attestation) {
	for _, a := range attestations {
		for i, c := range a.Committees {
			g := gossip.Group{Data: a.Data, Committee: c}
			if p.onChain[g] == nil {
				p.onChain[g] = make(gossip.Bits, len(a.Bits[i]))
			}
			p.onChain[g].Add(a.Bits[i])
			if list := p.stored.at[g]; list != nil {
				*list = slices.DeleteFunc(*list, func(b gossip.Bits) bool { return b.Within(p.onChain[g]) })
			}
			if singles := p.heard.at[g]; singles != nil {
				singles.Remove(a.Bits[i])
			}
		}
	}
	keep := func(g gossip.Group) bool { return g.Data.Slot+64 > slot }
	p.stored.drop(keep)
	p.heard.drop(keep)
	maps.DeleteFunc(p.onChain, func(g gossip.Group, _ gossip.Bits) bool { return !keep(g) })
}

func (p *teku) Pack(v *View) []gossip.Attestation {
	var out []gossip.Attestation
	for _, slot := range p.slots(v) {
		var these []gossip.Attestation
		for _, groups := range slot {
			these = append(these, p.emit(v, groups)...)
		}
		if p.sorted {
			sort.SliceStable(these, func(i, j int) bool { return these[i].Count() > these[j].Count() })
		}
		out = append(out, these...)
	}
	if !p.reward {
		return out[:min(len(out), v.limit())]
	}
	if len(out) > v.limit() {
		out = v.greedyByReward(out, false)
	}
	p.fillUp(v, out)
	return out
}

// candidates returns the groups that may be included: by slot, the newest first, and within a slot in the order of a hash
// map. The second pool also offers the groups whose data it has only single votes for.
func (p *teku) candidates(v *View) []gossip.Group {
	var keys []gossip.Group
	aggregated := map[gossip.Data]bool{}
	for _, g := range p.stored.keys {
		if len(*p.stored.at[g]) > 0 || !v.electra() {
			keys, aggregated[g.Data] = append(keys, g), true
		}
	}
	for _, g := range p.heard.keys {
		if p.reward && v.electra() && !aggregated[g.Data] {
			keys = append(keys, g)
		}
	}
	keys = slices.DeleteFunc(keys, func(g gossip.Group) bool { return v.distance(&g.Data) < 1 || !v.Valid(&g.Data) })
	return newest(keys, v.Rand)
}

// slots returns the candidates by slot, and then by what is merged together. Since Electra, all committees with the same
// data are merged together.
func (p *teku) slots(v *View) [][][]gossip.Group {
	var out [][][]gossip.Group
	place := map[gossip.Data]int{}
	last := blockprint.Slot(0)
	for _, g := range p.candidates(v) {
		if len(out) == 0 || g.Data.Slot != last {
			out, last = append(out, nil), g.Data.Slot
		}
		slot := &out[len(out)-1]
		if at, ok := place[g.Data]; ok && v.electra() {
			(*slot)[at] = append((*slot)[at], g)
			continue
		}
		place[g.Data] = len(*slot)
		*slot = append(*slot, []gossip.Group{g})
	}
	return out
}

// emit merges the aggregates of groups with the same data: the largest one with all smaller ones that it does not
// overlap, and so on as long as an aggregate brings a voter that is neither on the chain nor emitted. Since Electra, single
// votes take part only where there are no aggregates.
func (p *teku) emit(v *View, groups []gossip.Group) []gossip.Attestation {
	var all []gossip.Aggregate
	included := map[int]gossip.Bits{}
	for _, g := range groups {
		if have := p.onChain[g]; have != nil {
			included[g.Committee] = have.Clone()
		}
		if list := p.stored.at[g]; list != nil {
			for _, b := range *list {
				all = append(all, gossip.Aggregate{Group: g, Bits: b})
			}
		}
	}
	if len(all) == 0 || !v.electra() {
		for _, g := range groups {
			if b := p.heard.at[g]; b != nil {
				all = append(all, alone(g, *b)...)
			}
		}
	}
	v.Rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	sizes := make(map[*uint64]int, len(all))
	for _, a := range all {
		sizes[&a.Bits[0]] = a.Bits.Count()
	}
	sort.SliceStable(all, func(i, j int) bool { return sizes[&all[i].Bits[0]] > sizes[&all[j].Bits[0]] })
	var out []gossip.Attestation
	for {
		var merged map[int]gossip.Bits
		rest := all[:0:0]
		for _, a := range all {
			if have := included[a.Committee]; have != nil && a.Bits.Within(have) {
				continue // said already
			}
			rest = append(rest, a)
			have := merged[a.Committee]
			switch {
			case merged == nil:
				merged = map[int]gossip.Bits{a.Committee: a.Bits.Clone()}
			case have == nil:
				merged[a.Committee] = a.Bits.Clone()
			case !have.Overlaps(a.Bits):
				have.Add(a.Bits)
			}
		}
		if merged == nil {
			return out
		}
		for c, b := range merged {
			if included[c] == nil {
				included[c] = make(gossip.Bits, len(b))
			}
			included[c].Add(b)
		}
		out = append(out, joined(groups[0].Data, merged))
		all = rest
	}
}

// alone returns single votes as aggregates of one.
func alone(g gossip.Group, b gossip.Bits) []gossip.Aggregate {
	var out []gossip.Aggregate
	b.Each(func(i int) {
		one := make(gossip.Bits, len(b))
		one.Set(i)
		out = append(out, gossip.Aggregate{Group: g, Bits: one})
	})
	return out
}

// fillUp adds the single votes of each data that are not on the chain to its first attestation; since Electra, this can add
// committees.
func (p *teku) fillUp(v *View, list []gossip.Attestation) {
	heard := map[gossip.Data][]gossip.Group{}
	for _, g := range p.heard.keys {
		heard[g.Data] = append(heard[g.Data], g)
	}
	filled := map[gossip.Group]bool{}
	for i := range list {
		a := &list[i]
		bits := map[int]gossip.Bits{}
		for j, c := range a.Committees {
			bits[c] = a.Bits[j]
		}
		for _, g := range heard[a.Data] {
			singles := *p.heard.at[g]
			if filled[g] || singles.Count() == 0 || bits[g.Committee] == nil && !v.electra() {
				continue
			}
			filled[g] = true
			if bits[g.Committee] == nil {
				bits[g.Committee] = make(gossip.Bits, len(singles))
			}
			bits[g.Committee].Add(singles)
		}
		*a = joined(a.Data, bits)
	}
}

// joined makes an on-chain aggregate of the votes of one data by committee.
func joined(d gossip.Data, bits map[int]gossip.Bits) gossip.Attestation {
	parts := make([]gossip.Aggregate, 0, len(bits))
	for c, b := range bits {
		parts = append(parts, gossip.Aggregate{Group: gossip.Group{Data: d, Committee: c}, Bits: b})
	}
	return gossip.Join(parts...)
}
