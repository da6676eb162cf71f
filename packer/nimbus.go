package packer

import (
	"sort"

	"blockprint"
	"blockprint/gossip"
)

// nimbusVariant is what changed in Nimbus over time.
type nimbusVariant struct {
	lookback uint64 // distance of the oldest votes that are packed
	ordered  bool   // since Electra: attestations stand in the order in which their data were first picked
}

var (
	nimbus2023 = nimbusVariant{lookback: 24}
	nimbus2026 = nimbusVariant{lookback: 32, ordered: true}
)

// nimbus packs greedily by the number of new voters, whatever they earn. It never merges aggregates with each other, but
// adds every single vote to all that lack it.
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

// withoutSubsets adds b to a list and keeps it free of subsets of others.
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
	p.stored.of(votes.Group) // single votes alone make an entry, too
}

func (p *nimbus) Imported(slot blockprint.Slot, _ []gossip.Attestation) {
	keep := func(g gossip.Group) bool { return uint64(slot-g.Data.Slot) <= p.lookback }
	p.stored.drop(keep)
	p.heard.drop(keep)
}

// nimbusCandidate is an aggregate that may be picked.
type nimbusCandidate struct {
	gossip.Aggregate
	fresh gossip.Bits // voters that neither the chain nor an earlier pick has
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

// better reports whether the greedy choice prefers c to o.
func (c *nimbusCandidate) better(o *nimbusCandidate) bool {
	if c.score != o.score {
		return c.score > o.score
	}
	return c.Data.Slot > o.Data.Slot
}

// rescore removes a pick's voters from the candidates with the same slot and committee, and drops candidates without a
// new voter: the list's last one takes the place of each.
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
		at := len(list) - 1 // with few left, from the end, where the oldest are
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

// packElectra picks all candidates that bring a new voter and puts each into the attestation with its data. Of several
// with the same committee, only the first gets in.
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
