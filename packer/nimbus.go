package packer

import (
	"sort"

	"blockprint"
	"blockprint/gossip"
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
	stored entries[[]gossip.Bits]
	singleVotes
}

func newNimbus(v nimbusVariant) *nimbus {
	return &nimbus{nimbusVariant: v, stored: newEntries[[]gossip.Bits](), singleVotes: newSingleVotes()}
}

func (p *nimbus) Aggregate(a gossip.Aggregate) {
	list := p.stored.of(a.Group)
	*list = withoutSubsets(*list, a.Bits.Clone())
}

// withoutSubsets adds b to a list in which nothing is contained in another.
func withoutSubsets(list []gossip.Bits, b gossip.Bits) []gossip.Bits {
	for _, have := range list {
		if b.Within(have) {
			return list
		}
	}
	kept := list[:0]
	for _, have := range list {
		if !have.Within(b) {
			kept = append(kept, have)
		}
	}
	return append(kept, b)
}

func (p *nimbus) Singles(votes gossip.Aggregate) {
	p.singleVotes.Singles(votes)
	p.stored.of(votes.Group) // singles alone make an entry too
}

func (p *nimbus) Imported(slot blockprint.Slot, _ []gossip.Attestation) {
	keep := func(g gossip.Group) bool { return uint64(slot-g.Data.Slot) <= p.lookback }
	p.stored.drop(keep)
	p.heard.drop(keep)
}

// nimbusCandidate is an aggregate with the voters that are still new.
type nimbusCandidate struct {
	gossip.Aggregate
	fresh gossip.Bits
	score int
}

func (p *nimbus) candidates(v *View) []*nimbusCandidate {
	var out []*nimbusCandidate
	for _, g := range p.stored.newest(v.Rand) {
		if d := v.distance(&g.Data); d < 1 || d > p.lookback || !v.Valid(&g.Data) {
			continue
		}
		var list []gossip.Bits
		single := p.heard.at[g]
		for _, b := range *p.stored.at[g] {
			b = b.Clone()
			if single != nil {
				b.Add(*single)
			}
			list = withoutSubsets(list, b)
		}
		if len(list) == 0 && single != nil {
			list = []gossip.Bits{single.Clone()}
		}
		for _, b := range list {
			a := gossip.Aggregate{Group: g, Bits: b}
			if fresh := v.unseen(a); fresh.Count() > 0 {
				out = append(out, &nimbusCandidate{a, fresh, fresh.Count()})
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
	return c.Data.Slot > o.Data.Slot
}

// rescore strikes out what a pick covers from the candidates of its slot and committee, and drops those that are
// left without a new voter; the last one moves into the hole.
func rescore(list []*nimbusCandidate, pick *nimbusCandidate) []*nimbusCandidate {
	for i := 0; i < len(list); i++ {
		c := list[i]
		if c.Data.Slot != pick.Data.Slot || c.Committee != pick.Committee || c.Data.DependentRoot != pick.Data.DependentRoot {
			continue
		}
		c.fresh.Remove(pick.fresh)
		if c.score = c.fresh.Count(); c.score == 0 {
			list[i] = list[len(list)-1]
			list = list[:len(list)-1]
			i--
		}
	}
	return list
}

func (p *nimbus) Pack(v *View) []gossip.Attestation {
	list := p.candidates(v)
	if v.electra() {
		return p.packElectra(v, list)
	}
	var out []gossip.Attestation
	for len(list) > 0 && len(out) < v.limit() {
		at := len(list) - 1 // few are left: the oldest first, as the newest were listed first
		if len(list) >= v.limit() {
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
		out = append(out, gossip.Join(pick.Aggregate))
	}
	return out
}

// packElectra picks all that bring a new voter and puts each into the attestation of its data. Of several of one
// committee the first stays, the others are lost.
func (p *nimbus) packElectra(v *View, list []*nimbusCandidate) []gossip.Attestation {
	buckets := map[gossip.Data][]gossip.Aggregate{}
	var order []gossip.Data
	for len(list) > 0 {
		sort.SliceStable(list, func(i, j int) bool { return list[i].better(list[j]) })
		pick := list[0]
		list = rescore(append([]*nimbusCandidate(nil), list[1:]...), pick)
		if buckets[pick.Data] == nil {
			order = append(order, pick.Data)
		}
		taken := false
		for _, a := range buckets[pick.Data] {
			taken = taken || a.Committee == pick.Committee
		}
		if !taken {
			buckets[pick.Data] = append(buckets[pick.Data], pick.Aggregate)
		}
	}
	if !p.ordered {
		v.Rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	var out []gossip.Attestation
	for _, d := range order[:min(len(order), v.limit())] {
		out = append(out, gossip.Join(buckets[d]...))
	}
	return out
}
