package sim

import (
	"maps"
	"slices"
	"sort"

	"blockprint"
)

// prysmVariant is a time in Prysm's history.
type prysmVariant struct {
	mixed    bool // before Electra: one cover over all committees of a slot, as if they were one
	marginal bool // Electra: by what each adds to those before it, and nothing worthless
}

var (
	prysm2023     = prysmVariant{mixed: true}
	prysm2024     = prysmVariant{}
	prysmMarginal = prysmVariant{marginal: true}
)

// prysm packs the newest slot first, in rounds over its committees, and minds neither rewards nor repetition. It
// keeps aggregates and single votes apart and forgets what one on-chain attestation holds whole.
type prysm struct {
	prysmVariant
	stored entries[[]bitset]
	singleVotes
	onChain map[group][]bitset
}

func newPrysm(v prysmVariant) *prysm {
	return &prysm{prysmVariant: v, stored: newEntries[[]bitset](), singleVotes: newSingleVotes(), onChain: map[group][]bitset{}}
}

func (p *prysm) aggregate(a aggregate) {
	for _, b := range p.onChain[a.group] {
		if a.bits.within(b) {
			return
		}
	}
	list := p.stored.of(a.group)
	for _, b := range *list {
		if a.bits.within(b) {
			return
		}
	}
	*list = disjointUnions(append(*list, a.bits.clone()))
}

func (p *prysm) imported(slot blockprint.Slot, attestations []packed) {
	for _, a := range attestations {
		for i, c := range a.committees {
			g := group{a.data, c}
			p.onChain[g] = append(p.onChain[g], a.bits[i])
			if list := p.stored.at[g]; list != nil {
				*list = slices.DeleteFunc(*list, func(b bitset) bool { return b.within(a.bits[i]) })
			}
		}
	}
	keep := func(g group) bool { return g.data.slot+64 > slot }
	p.stored.drop(keep)
	p.singles.drop(keep)
	maps.DeleteFunc(p.onChain, func(g group, _ []bitset) bool { return !keep(g) })
}

// disjointUnions is Prysm's aggregation inside a vote group: rounds of maximum cover among votes that do not
// overlap, each joined into one; what is contained in another is dropped.
func disjointUnions(list []bitset) []bitset {
	var done []bitset
	rest := list
	for len(rest) > 0 {
		covered := make(bitset, len(list[0]))
		var taken, left []bitset
		for {
			best, most := -1, 0
			for i, b := range rest {
				if n := b.count(); !b.overlaps(covered) && n > most {
					best, most = i, n
				}
			}
			if best < 0 {
				break
			}
			covered.add(rest[best])
			taken = append(taken, rest[best])
			rest = append(append([]bitset(nil), rest[:best]...), rest[best+1:]...)
		}
		left = rest
		if len(taken) < 2 {
			done = append(done, append(taken, left...)...)
			break
		}
		done = append(done, covered)
		rest = left
	}
	sort.SliceStable(done, func(i, j int) bool { return done[i].count() > done[j].count() })
	var out []bitset
next:
	for _, b := range done {
		for _, o := range out {
			if b.within(o) {
				continue next
			}
		}
		out = append(out, b)
	}
	return out
}

// coverAdding is maximum cover by bits with overlaps allowed: those that add a bit, by bit count.
func coverAdding(list []bitset) []bitset {
	if len(list) == 0 {
		return nil
	}
	covered := make(bitset, len(list[0]))
	rest := append([]bitset(nil), list...)
	var out []bitset
	for {
		best, most := -1, 0
		for i, b := range rest {
			if n := b.fresh(covered); n > most {
				best, most = i, n
			}
		}
		if best < 0 {
			break
		}
		covered.add(rest[best])
		out = append(out, rest[best])
		rest = append(rest[:best], rest[best+1:]...)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].count() > out[j].count() })
	return out
}

func (p *prysm) pack(v *view) []packed {
	for _, g := range p.singles.keys { // folded in during the slot
		p.aggregate(aggregate{g, p.singles.at[g].clone()})
	}
	keys := p.stored.newest(v.rng)
	if v.electra() {
		return p.packElectra(v, keys)
	}
	var out []packed
	for lo := 0; lo < len(keys); {
		hi := lo
		for hi < len(keys) && keys[hi].data.slot == keys[lo].data.slot {
			hi++
		}
		if p.mixed {
			out = append(out, p.slotMixed(v, keys[lo:hi])...)
		} else {
			out = append(out, p.slotRounds(v, keys[lo:hi])...)
		}
		lo = hi
	}
	out = out[:min(len(out), v.limit)]
	if p.mixed {
		return out
	}
	// Those whose target is not the chain's go to the end.
	sort.SliceStable(out, func(i, j int) bool { return v.targetMatches(&out[i].data) && !v.targetMatches(&out[j].data) })
	return out
}

// slotMixed orders a slot's attestations by one maximum cover in which the positions of all committees count as the
// same: first what was selected, then the rest, each by size. Committees of another size than the first are not
// looked at in the cover.
func (p *prysm) slotMixed(v *view, keys []group) []packed {
	var list []aggregate
	size := -1
	var bits []bitset
	for _, g := range keys {
		if v.distance(&g.data) < 1 || !v.valid(&g.data) {
			continue
		}
		for _, b := range disjointUnions(*p.stored.at[g]) {
			n := len(v.members(g))
			if size < 0 {
				size = n
			}
			list = append(list, aggregate{g, b})
			if n == size {
				bits = append(bits, b)
			}
		}
	}
	selected := map[*uint64]bool{}
	for _, b := range coverAdding(bits) {
		selected[&b[0]] = true
	}
	sort.SliceStable(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if x, y := selected[&a.bits[0]], selected[&b.bits[0]]; x != y {
			return x
		}
		return a.bits.count() > b.bits.count()
	})
	var out []packed
	for _, a := range list {
		out = append(out, onlyOne(a))
	}
	return out
}

// slotRounds orders a slot's attestations: the first of every committee, then the second of each, and so on.
func (p *prysm) slotRounds(v *view, keys []group) []packed {
	byCommittee := map[int][]aggregate{}
	var committees []int
	for _, g := range keys {
		if v.distance(&g.data) < 1 || !v.valid(&g.data) {
			continue
		}
		if byCommittee[g.committee] == nil {
			committees = append(committees, g.committee)
		}
		for _, b := range disjointUnions(*p.stored.at[g]) {
			byCommittee[g.committee] = append(byCommittee[g.committee], aggregate{g, b})
		}
	}
	for _, c := range committees {
		list := byCommittee[c]
		var chosen []aggregate
		var bits []bitset
		for _, a := range list {
			bits = append(bits, a.bits)
		}
		for _, b := range coverAdding(bits) {
			for _, a := range list {
				if &a.bits[0] == &b[0] {
					chosen = append(chosen, a)
				}
			}
		}
		byCommittee[c] = chosen
	}
	var out []packed
	for round := 0; ; round++ {
		var these []aggregate
		for _, c := range committees {
			if list := byCommittee[c]; round < len(list) {
				these = append(these, list[round])
			}
		}
		if len(these) == 0 {
			return out
		}
		sort.SliceStable(these, func(i, j int) bool { return these[i].bits.count() > these[j].bits.count() })
		for _, a := range these {
			out = append(out, onlyOne(a))
		}
	}
}

// packElectra joins the k-th aggregate of every committee of a data, and sorts these rounds by what each would
// earn alone.
func (p *prysm) packElectra(v *view, keys []group) []packed {
	rounds := map[voteData][][]aggregate{}
	var order []voteData
	for _, g := range keys {
		if v.distance(&g.data) < 1 || !v.valid(&g.data) {
			continue
		}
		if rounds[g.data] == nil {
			order = append(order, g.data)
		}
		for k, b := range coverAdding(disjointUnions(*p.stored.at[g])) {
			if len(rounds[g.data]) <= k {
				rounds[g.data] = append(rounds[g.data], nil)
			}
			rounds[g.data][k] = append(rounds[g.data][k], aggregate{g, b})
		}
	}
	type scored struct {
		packed
		value uint64
	}
	var all []scored
	for _, d := range order {
		for _, parts := range rounds[d] {
			var value uint64
			for _, a := range parts {
				value += v.numerator(a)
			}
			all = append(all, scored{join(parts), value})
		}
	}
	if p.marginal {
		var list []packed
		for _, s := range all {
			list = append(list, s.packed)
		}
		return v.greedyByReward(list, true)
	}
	v.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	sort.SliceStable(all, func(i, j int) bool { return all[i].value > all[j].value })
	var out []packed
	for _, s := range all[:min(len(all), v.limit)] {
		out = append(out, s.packed)
	}
	sort.SliceStable(out, func(i, j int) bool { return v.targetMatches(&out[i].data) && !v.targetMatches(&out[j].data) })
	return out
}

func (v *view) targetMatches(d *voteData) bool {
	return d.target.Root == v.rootAt(v.spec.StartOf(d.target.Epoch))
}
