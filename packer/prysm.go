package packer

import (
	"maps"
	"slices"
	"sort"

	"blockprint"
	"blockprint/gossip"
)

// prysmVariant is what changed in Prysm over time.
type prysmVariant struct {
	mixed    bool // before Electra: one cover over all of a slot's committees, as if they were one
	marginal bool // since Electra: by what each adds to those before it, and nothing that adds nothing
}

var (
	prysm2023     = prysmVariant{mixed: true}
	prysm2024     = prysmVariant{}
	prysmMarginal = prysmVariant{marginal: true}
)

// prysm packs the newest slot first, in rounds over its committees, whatever the votes earn and whether or not they are
// on the chain already. It stores single votes apart from aggregates, and forgets an aggregate that is a subset of a
// single on-chain attestation.
type prysm struct {
	prysmVariant
	stored entries[[]gossip.Bits]
	singleVotes
	onChain map[gossip.Group][]gossip.Bits
}

func newPrysm(v prysmVariant) *prysm {
	return &prysm{prysmVariant: v, stored: newEntries[[]gossip.Bits](), singleVotes: newSingleVotes(), onChain: map[gossip.Group][]gossip.Bits{}}
}

func (p *prysm) Aggregate(a gossip.Aggregate) {
	for _, b := range p.onChain[a.Group] {
		if a.Bits.Within(b) {
			return
		}
	}
	list := p.stored.of(a.Group)
	for _, b := range *list {
		if a.Bits.Within(b) {
			return
		}
	}
	*list = disjointUnions(append(*list, a.Bits.Clone()))
}

func (p *prysm) Imported(slot blockprint.Slot, attestations []gossip.Attestation) {
	for _, a := range attestations {
		for i, c := range a.Committees {
			g := gossip.Group{Data: a.Data, Committee: c}
			p.onChain[g] = append(p.onChain[g], a.Bits[i])
			if list := p.stored.at[g]; list != nil {
				*list = slices.DeleteFunc(*list, func(b gossip.Bits) bool { return b.Within(a.Bits[i]) })
			}
		}
	}
	keep := func(g gossip.Group) bool { return g.Data.Slot+64 > slot }
	p.stored.drop(keep)
	p.heard.drop(keep)
	maps.DeleteFunc(p.onChain, func(g gossip.Group, _ []gossip.Bits) bool { return !keep(g) })
}

// disjointUnions is Prysm's aggregation within a vote group: each round takes a maximum cover of aggregates that do not
// overlap and merges it into one. At the end it drops subsets of others.
func disjointUnions(list []gossip.Bits) []gossip.Bits {
	var done []gossip.Bits
	rest := list
	for len(rest) > 0 {
		covered := make(gossip.Bits, len(list[0]))
		var taken, left []gossip.Bits
		for {
			best, most := -1, 0
			for i, b := range rest {
				if n := b.Count(); !b.Overlaps(covered) && n > most {
					best, most = i, n
				}
			}
			if best < 0 {
				break
			}
			covered.Add(rest[best])
			taken = append(taken, rest[best])
			rest = append(append([]gossip.Bits(nil), rest[:best]...), rest[best+1:]...)
		}
		left = rest
		if len(taken) < 2 {
			done = append(done, append(taken, left...)...)
			break
		}
		done = append(done, covered)
		rest = left
	}
	sort.SliceStable(done, func(i, j int) bool { return done[i].Count() > done[j].Count() })
	var out []gossip.Bits
next:
	for _, b := range done {
		for _, o := range out {
			if b.Within(o) {
				continue next
			}
		}
		out = append(out, b)
	}
	return out
}

// coverAdding is a maximum cover by voters that allows overlaps. It returns the aggregates that add a voter, the largest
// first.
func coverAdding(list []gossip.Bits) []gossip.Bits {
	if len(list) == 0 {
		return nil
	}
	covered := make(gossip.Bits, len(list[0]))
	rest := append([]gossip.Bits(nil), list...)
	var out []gossip.Bits
	for {
		best, most := -1, 0
		for i, b := range rest {
			if n := b.Fresh(covered); n > most {
				best, most = i, n
			}
		}
		if best < 0 {
			break
		}
		covered.Add(rest[best])
		out = append(out, rest[best])
		rest = append(rest[:best], rest[best+1:]...)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Count() > out[j].Count() })
	return out
}

func (p *prysm) Pack(v *View) []gossip.Attestation {
	for _, g := range p.heard.keys { // the client folds them in during the slot
		p.Aggregate(gossip.Aggregate{Group: g, Bits: p.heard.at[g].Clone()})
	}
	keys := p.stored.newest(v.Rand)
	if v.electra() {
		return p.packElectra(v, keys)
	}
	var out []gossip.Attestation
	for lo := 0; lo < len(keys); {
		hi := lo
		for hi < len(keys) && keys[hi].Data.Slot == keys[lo].Data.Slot {
			hi++
		}
		if p.mixed {
			out = append(out, p.slotMixed(v, keys[lo:hi])...)
		} else {
			out = append(out, p.slotRounds(v, keys[lo:hi])...)
		}
		lo = hi
	}
	out = out[:min(len(out), v.limit())]
	if p.mixed {
		return out
	}
	// Votes for a target that is not the chain's go to the end.
	sort.SliceStable(out, func(i, j int) bool { return v.targetMatches(&out[i].Data) && !v.targetMatches(&out[j].Data) })
	return out
}

// slotMixed orders a slot's attestations by one maximum cover that takes equal positions in different committees for the
// same voter: what the cover selects comes first, then the rest, each by size. The cover ignores committees whose size
// differs from the first one's.
func (p *prysm) slotMixed(v *View, keys []gossip.Group) []gossip.Attestation {
	var list []gossip.Aggregate
	size := -1
	var bits []gossip.Bits
	for _, g := range keys {
		if v.distance(&g.Data) < 1 || !v.Valid(&g.Data) {
			continue
		}
		for _, b := range disjointUnions(*p.stored.at[g]) {
			n := len(v.Members(g))
			if size < 0 {
				size = n
			}
			list = append(list, gossip.Aggregate{Group: g, Bits: b})
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
		if x, y := selected[&a.Bits[0]], selected[&b.Bits[0]]; x != y {
			return x
		}
		return a.Bits.Count() > b.Bits.Count()
	})
	var out []gossip.Attestation
	for _, a := range list {
		out = append(out, gossip.Join(a))
	}
	return out
}

// slotRounds orders a slot's attestations: the first of every committee, then the second of each, and so on.
func (p *prysm) slotRounds(v *View, keys []gossip.Group) []gossip.Attestation {
	byCommittee := map[int][]gossip.Aggregate{}
	var committees []int
	for _, g := range keys {
		if v.distance(&g.Data) < 1 || !v.Valid(&g.Data) {
			continue
		}
		if byCommittee[g.Committee] == nil {
			committees = append(committees, g.Committee)
		}
		for _, b := range disjointUnions(*p.stored.at[g]) {
			byCommittee[g.Committee] = append(byCommittee[g.Committee], gossip.Aggregate{Group: g, Bits: b})
		}
	}
	for _, c := range committees {
		list := byCommittee[c]
		var chosen []gossip.Aggregate
		var bits []gossip.Bits
		for _, a := range list {
			bits = append(bits, a.Bits)
		}
		for _, b := range coverAdding(bits) {
			for _, a := range list {
				if &a.Bits[0] == &b[0] {
					chosen = append(chosen, a)
				}
			}
		}
		byCommittee[c] = chosen
	}
	var out []gossip.Attestation
	for round := 0; ; round++ {
		var these []gossip.Aggregate
		for _, c := range committees {
			if list := byCommittee[c]; round < len(list) {
				these = append(these, list[round])
			}
		}
		if len(these) == 0 {
			return out
		}
		sort.SliceStable(these, func(i, j int) bool { return these[i].Bits.Count() > these[j].Bits.Count() })
		for _, a := range these {
			out = append(out, gossip.Join(a))
		}
	}
}

// packElectra joins, for each data, the committees' k-th aggregates, and sorts these rounds by what each would earn
// alone.
func (p *prysm) packElectra(v *View, keys []gossip.Group) []gossip.Attestation {
	rounds := map[gossip.Data][][]gossip.Aggregate{}
	var order []gossip.Data
	for _, g := range keys {
		if v.distance(&g.Data) < 1 || !v.Valid(&g.Data) {
			continue
		}
		if rounds[g.Data] == nil {
			order = append(order, g.Data)
		}
		for k, b := range coverAdding(disjointUnions(*p.stored.at[g])) {
			if len(rounds[g.Data]) <= k {
				rounds[g.Data] = append(rounds[g.Data], nil)
			}
			rounds[g.Data][k] = append(rounds[g.Data][k], gossip.Aggregate{Group: g, Bits: b})
		}
	}
	type scored struct {
		gossip.Attestation
		value uint64
	}
	var all []scored
	for _, d := range order {
		for _, parts := range rounds[d] {
			var value uint64
			for _, a := range parts {
				value += v.numerator(a)
			}
			all = append(all, scored{gossip.Join(parts...), value})
		}
	}
	if p.marginal {
		var list []gossip.Attestation
		for _, s := range all {
			list = append(list, s.Attestation)
		}
		return v.greedyByReward(list, true)
	}
	v.Rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	sort.SliceStable(all, func(i, j int) bool { return all[i].value > all[j].value })
	var out []gossip.Attestation
	for _, s := range all[:min(len(all), v.limit())] {
		out = append(out, s.Attestation)
	}
	sort.SliceStable(out, func(i, j int) bool { return v.targetMatches(&out[i].Data) && !v.targetMatches(&out[j].Data) })
	return out
}
