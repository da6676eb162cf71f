package packer

import (
	"maps"
	"slices"
	"sort"

	"blockprint"
	"blockprint/gossip"
)

// tekuVariant is what changed in Teku over time.
type tekuVariant struct {
	sorted bool // attestations of a slot stand by size
	reward bool // the second pool: chooses by reward when there are too many, and fills up the chosen with single votes
}

var (
	tekuPlain  = tekuVariant{}
	tekuSorted = tekuVariant{sorted: true}
	tekuV2     = tekuVariant{reward: true}
)

// teku merges disjoint aggregates when it packs. It remembers which voters of each group are on the chain and forgets
// aggregates that bring no further voter.
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
			these = append(these, p.emit(v, groups, !v.electra())...)
		}
		if p.sorted {
			sort.SliceStable(these, func(i, j int) bool { return these[i].Count() > these[j].Count() })
		}
		out = append(out, these...)
	}
	if !p.reward {
		return out[:min(len(out), v.limit())]
	}
	if v.electra() {
		out = append(out, p.onlySingles(v)...)
	}
	if len(out) > v.limit() {
		out = v.greedyByReward(out, false)
	}
	p.fillUp(v, out)
	return out
}

// slots returns the groups that may be included: by slot, the newest first, then by what is merged together, in the
// order of a hash map. Since Electra, all committees with the same data are merged together.
func (p *teku) slots(v *View) [][][]gossip.Group {
	var out [][][]gossip.Group
	place := map[gossip.Data]int{}
	last := blockprint.Slot(0)
	for _, g := range p.stored.newest(v.Rand) {
		if v.distance(&g.Data) < 1 || !v.Valid(&g.Data) {
			continue
		}
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
// overlap, and so on as long as an aggregate brings a voter that is neither on the chain nor emitted.
func (p *teku) emit(v *View, groups []gossip.Group, singles bool) []gossip.Attestation {
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
		if b := p.heard.at[g]; b != nil && singles {
			all = append(all, alone(g, *b)...)
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
				continue // brings no further voter
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

// onlySingles returns the attestations whose data the node has only single votes for.
func (p *teku) onlySingles(v *View) []gossip.Attestation {
	aggregated := map[gossip.Data]bool{}
	for _, g := range p.stored.keys {
		aggregated[g.Data] = aggregated[g.Data] || len(*p.stored.at[g]) > 0
	}
	groups := map[gossip.Data][]gossip.Group{}
	var order []gossip.Data
	for _, g := range p.heard.newest(v.Rand) {
		if aggregated[g.Data] || v.distance(&g.Data) < 1 || !v.Valid(&g.Data) {
			continue
		}
		if groups[g.Data] == nil {
			order = append(order, g.Data)
		}
		groups[g.Data] = append(groups[g.Data], g)
	}
	var out []gossip.Attestation
	for _, d := range order {
		out = append(out, p.emit(v, groups[d], true)...)
	}
	return out
}

// fillUp adds the single votes of each data to its first attestation.
func (p *teku) fillUp(v *View, list []gossip.Attestation) {
	filled := map[gossip.Data]bool{}
	perCommittee := map[gossip.Group]bool{}
	for i := range list {
		a := &list[i]
		if v.electra() && filled[a.Data] {
			continue
		}
		filled[a.Data] = true
		for j, c := range a.Committees {
			g := gossip.Group{Data: a.Data, Committee: c}
			if b := p.heard.at[g]; b != nil && !perCommittee[g] {
				a.Bits[j].Add(*b)
			}
			perCommittee[g] = true
		}
	}
}

// joined makes an attestation from votes by committee.
func joined(d gossip.Data, bits map[int]gossip.Bits) gossip.Attestation {
	parts := make([]gossip.Aggregate, 0, len(bits))
	for c, b := range bits {
		parts = append(parts, gossip.Aggregate{Group: gossip.Group{Data: d, Committee: c}, Bits: b})
	}
	return gossip.Join(parts...)
}
