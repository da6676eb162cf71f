package sim

import (
	"maps"
	"slices"
	"sort"

	"blockprint"
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
	stored entries[[]bitset]
	singleVotes
	onChain map[group]bitset
}

func newTeku(v tekuVariant) *teku {
	return &teku{tekuVariant: v, stored: newEntries[[]bitset](), singleVotes: newSingleVotes(), onChain: map[group]bitset{}}
}

func (p *teku) aggregate(a aggregate) {
	if have := p.onChain[a.group]; have != nil && a.bits.within(have) {
		return
	}
	list := p.stored.of(a.group)
	for _, b := range *list {
		if a.bits.equal(b) {
			return
		}
	}
	*list = append(*list, a.bits.clone())
}

func (p *teku) imported(slot blockprint.Slot, attestations []packed) {
	for _, a := range attestations {
		for i, c := range a.committees {
			g := group{a.data, c}
			if p.onChain[g] == nil {
				p.onChain[g] = make(bitset, len(a.bits[i]))
			}
			p.onChain[g].add(a.bits[i])
			if list := p.stored.at[g]; list != nil {
				*list = slices.DeleteFunc(*list, func(b bitset) bool { return b.within(p.onChain[g]) })
			}
		}
	}
	keep := func(g group) bool { return g.data.slot+64 > slot }
	p.stored.drop(keep)
	p.singles.drop(keep)
	maps.DeleteFunc(p.onChain, func(g group, _ bitset) bool { return !keep(g) })
}

func (p *teku) pack(v *view) []packed {
	var out []packed
	for _, slot := range p.slots(v) {
		var these []packed
		for _, groups := range slot {
			these = append(these, p.emit(v, groups, !v.electra())...)
		}
		if p.sorted {
			sort.SliceStable(these, func(i, j int) bool { return these[i].count() > these[j].count() })
		}
		out = append(out, these...)
	}
	if !p.reward {
		return out[:min(len(out), v.limit)]
	}
	if v.electra() {
		out = append(out, p.onlySingles(v)...)
	}
	if len(out) > v.limit {
		out = v.greedyByReward(out, false)
	}
	p.fillUp(v, out)
	return out
}

// slots returns what may be included: of each slot, newest first, the groups that are merged with each other, in
// the order of a hash map. Since Electra these are all committees of a data.
func (p *teku) slots(v *view) [][][]group {
	var out [][][]group
	place := map[voteData]int{}
	last := blockprint.Slot(0)
	for _, g := range p.stored.newest(v.rng) {
		if v.distance(&g.data) < 1 || !v.valid(&g.data) {
			continue
		}
		if len(out) == 0 || g.data.slot != last {
			out, last = append(out, nil), g.data.slot
		}
		slot := &out[len(out)-1]
		if at, ok := place[g.data]; ok && v.electra() {
			(*slot)[at] = append((*slot)[at], g)
			continue
		}
		place[g.data] = len(*slot)
		*slot = append(*slot, []group{g})
	}
	return out
}

// emit merges what is stored of groups of one data: the largest with all smaller ones that it does not overlap, and
// so on as long as something brings a voter that is not on the chain or emitted.
func (p *teku) emit(v *view, groups []group, singles bool) []packed {
	var all []aggregate
	included := map[int]bitset{}
	for _, g := range groups {
		if have := p.onChain[g]; have != nil {
			included[g.committee] = have.clone()
		}
		if list := p.stored.at[g]; list != nil {
			for _, b := range *list {
				all = append(all, aggregate{g, b})
			}
		}
		if b := p.singles.at[g]; b != nil && singles {
			all = append(all, alone(g, *b)...)
		}
	}
	v.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	sizes := make(map[*uint64]int, len(all))
	for _, a := range all {
		sizes[&a.bits[0]] = a.bits.count()
	}
	sort.SliceStable(all, func(i, j int) bool { return sizes[&all[i].bits[0]] > sizes[&all[j].bits[0]] })
	var out []packed
	for {
		var merged map[int]bitset
		rest := all[:0:0]
		for _, a := range all {
			if have := included[a.committee]; have != nil && a.bits.within(have) {
				continue // said already
			}
			rest = append(rest, a)
			have := merged[a.committee]
			switch {
			case merged == nil:
				merged = map[int]bitset{a.committee: a.bits.clone()}
			case have == nil:
				merged[a.committee] = a.bits.clone()
			case !have.overlaps(a.bits):
				have.add(a.bits)
			}
		}
		if merged == nil {
			return out
		}
		for c, b := range merged {
			if included[c] == nil {
				included[c] = make(bitset, len(b))
			}
			included[c].add(b)
		}
		out = append(out, joined(groups[0].data, merged))
		all = rest
	}
}

// alone returns single votes as aggregates of one.
func alone(g group, b bitset) []aggregate {
	var out []aggregate
	b.each(func(i int) {
		one := make(bitset, len(b))
		one.set(i)
		out = append(out, aggregate{g, one})
	})
	return out
}

// onlySingles are the data of which a node has single votes only.
func (p *teku) onlySingles(v *view) []packed {
	aggregated := map[voteData]bool{}
	for _, g := range p.stored.keys {
		aggregated[g.data] = aggregated[g.data] || len(*p.stored.at[g]) > 0
	}
	groups := map[voteData][]group{}
	var order []voteData
	for _, g := range p.singles.newest(v.rng) {
		if aggregated[g.data] || v.distance(&g.data) < 1 || !v.valid(&g.data) {
			continue
		}
		if groups[g.data] == nil {
			order = append(order, g.data)
		}
		groups[g.data] = append(groups[g.data], g)
	}
	var out []packed
	for _, d := range order {
		out = append(out, p.emit(v, groups[d], true)...)
	}
	return out
}

// fillUp adds to the first attestation of each data all single votes that it lacks.
func (p *teku) fillUp(v *view, list []packed) {
	filled := map[voteData]bool{}
	perCommittee := map[group]bool{}
	for i := range list {
		a := &list[i]
		if v.electra() && filled[a.data] {
			continue
		}
		filled[a.data] = true
		for j, c := range a.committees {
			g := group{a.data, c}
			if b := p.singles.at[g]; b != nil && !perCommittee[g] {
				a.bits[j].add(*b)
			}
			perCommittee[g] = true
		}
	}
}
