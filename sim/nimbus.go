package sim

import (
	"sort"

	"blockprint"
)

// nimbusVariant is a time in Nimbus's history.
type nimbusVariant struct {
	lookback uint64 // oldest distance
	ordered  bool   // Electra: attestations stand in the order in which their data were first picked
}

var (
	nimbus2023 = nimbusVariant{lookback: 24}
	nimbus2026 = nimbusVariant{lookback: 32, ordered: true}
)

// nimbus packs greedily by the number of new voters, whatever they pay. Aggregates are never merged with each other,
// but every single vote goes into all that lack it.
type nimbus struct {
	nimbusVariant
	stored entries[[]bitset]
	singleVotes
}

func newNimbus(v nimbusVariant) *nimbus {
	return &nimbus{nimbusVariant: v, stored: newEntries[[]bitset](), singleVotes: newSingleVotes()}
}

func (p *nimbus) aggregate(a aggregate) {
	list := p.stored.of(a.group)
	*list = withoutSubsets(*list, a.bits.clone())
}

// withoutSubsets adds b to a list in which nothing is contained in another.
func withoutSubsets(list []bitset, b bitset) []bitset {
	for _, have := range list {
		if b.within(have) {
			return list
		}
	}
	kept := list[:0]
	for _, have := range list {
		if !have.within(b) {
			kept = append(kept, have)
		}
	}
	return append(kept, b)
}

func (p *nimbus) single(g group, size, position int) {
	p.singleVotes.single(g, size, position)
	p.stored.of(g) // singles alone make an entry too
}

func (p *nimbus) imported(slot blockprint.Slot, _ []packed) {
	keep := func(g group) bool { return uint64(slot-g.data.slot) <= p.lookback }
	p.stored.drop(keep)
	p.singles.drop(keep)
}

// nimbusCandidate is an aggregate with the voters that are still new.
type nimbusCandidate struct {
	aggregate
	fresh bitset
	score int
}

func (p *nimbus) candidates(v *view) []*nimbusCandidate {
	var out []*nimbusCandidate
	for _, g := range p.stored.newest(v.rng) {
		if d := v.distance(&g.data); d < 1 || d > p.lookback || !v.valid(&g.data) {
			continue
		}
		var list []bitset
		single := p.singles.at[g]
		for _, b := range *p.stored.at[g] {
			b = b.clone()
			if single != nil {
				b.add(*single)
			}
			list = withoutSubsets(list, b)
		}
		if len(list) == 0 && single != nil {
			list = []bitset{single.clone()}
		}
		for _, b := range list {
			a := aggregate{g, b}
			if fresh := v.unseen(a); fresh.count() > 0 {
				out = append(out, &nimbusCandidate{a, fresh, fresh.count()})
			}
		}
	}
	return out
}

// better compares candidates as the greedy choice does.
func (c *nimbusCandidate) better(o *nimbusCandidate) bool {
	if c.score != o.score {
		return c.score > o.score
	}
	return c.data.slot > o.data.slot
}

// rescore strikes out what a pick covers from the candidates of its slot and committee, and drops those that are
// left without a new voter; the last one moves into the hole.
func rescore(list []*nimbusCandidate, pick *nimbusCandidate) []*nimbusCandidate {
	for i := 0; i < len(list); i++ {
		c := list[i]
		if c.data.slot != pick.data.slot || c.committee != pick.committee || c.data.shuffle != pick.data.shuffle {
			continue
		}
		c.fresh.strike(pick.fresh)
		if c.score = c.fresh.count(); c.score == 0 {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			i--
		}
	}
	return list
}

func (p *nimbus) pack(v *view) []packed {
	list := p.candidates(v)
	if v.electra() {
		return p.packElectra(v, list)
	}
	var out []packed
	for len(list) > 0 && len(out) < v.limit {
		at := len(list) - 1 // few are left: the oldest first, as the newest were listed first
		if len(list) >= v.limit {
			at = 0
			for i, c := range list {
				if c.better(list[at]) {
					at = i
				}
			}
		}
		pick := list[at]
		list[at] = list[len(list)-1]
		list = rescore(list[:len(list)-1], pick)
		out = append(out, onlyOne(pick.aggregate))
	}
	return out
}

// packElectra picks all that bring a new voter and puts each into the attestation of its data. Of several of one
// committee the first stays, the others are lost.
func (p *nimbus) packElectra(v *view, list []*nimbusCandidate) []packed {
	buckets := map[voteData][]aggregate{}
	var order []voteData
	for len(list) > 0 {
		sort.SliceStable(list, func(i, j int) bool { return list[i].better(list[j]) })
		pick := list[0]
		list = rescore(append([]*nimbusCandidate(nil), list[1:]...), pick)
		if buckets[pick.data] == nil {
			order = append(order, pick.data)
		}
		taken := false
		for _, a := range buckets[pick.data] {
			taken = taken || a.committee == pick.committee
		}
		if !taken {
			buckets[pick.data] = append(buckets[pick.data], pick.aggregate)
		}
	}
	if !p.ordered {
		v.rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	var out []packed
	for _, d := range order[:min(len(order), v.limit)] {
		out = append(out, join(buckets[d]))
	}
	return out
}
