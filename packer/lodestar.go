package packer

import (
	"sort"

	"blockprint"
	"blockprint/gossip"
)

// lodestarVariant is what changed in Lodestar over time.
type lodestarVariant struct {
	perGroup   int  // aggregates that a block takes from a group before Electra
	stored     int  // aggregates that the pool keeps of a group
	sourceSeen bool // a voter counts as seen by its source flag alone, not by any flag
	byWeight   bool // since Electra: scores by flag weights instead of distance
}

var (
	lodestar2023     = lodestarVariant{perGroup: 2, stored: 4, sourceSeen: true}
	lodestar2024     = lodestarVariant{perGroup: 3, stored: 4}
	lodestarDistance = lodestarVariant{perGroup: 3, stored: 8}
	lodestarWeight   = lodestarVariant{perGroup: 3, stored: 8, byWeight: true}
)

// Limits on how much of the pool the client looks at.
const (
	lodestarScan        = 256
	lodestarScanElectra = 16
	lodestarRounds      = 8
)

// lodestar scores each vote group by its unseen voters (since Electra by their balance) over its distance. Single votes
// never reach its blocks.
type lodestar struct {
	lodestarVariant
	pool entries[[]gossip.Bits]
}

func newLodestar(v lodestarVariant) *lodestar {
	return &lodestar{lodestarVariant: v, pool: newEntries[[]gossip.Bits]()}
}

func (p *lodestar) Aggregate(a gossip.Aggregate) {
	list := p.pool.of(a.Group)
	for _, b := range *list {
		if a.Bits.Within(b) {
			return
		}
	}
	for _, b := range *list {
		if !b.Overlaps(a.Bits) {
			b.Add(a.Bits)
			return
		}
	}
	var kept []gossip.Bits
	for _, b := range *list {
		if !b.Within(a.Bits) {
			kept = append(kept, b)
		}
	}
	kept = append(kept, a.Bits.Clone())
	sort.SliceStable(kept, func(i, j int) bool { return kept[i].Count() > kept[j].Count() })
	*list = kept[:min(len(kept), p.stored)]
}

func (p *lodestar) Singles(gossip.Aggregate) {}

func (p *lodestar) Imported(slot blockprint.Slot, _ []gossip.Attestation) {
	p.pool.drop(func(g gossip.Group) bool { return g.Data.Slot+33 > slot })
}

func (p *lodestar) Pack(v *View) []gossip.Attestation {
	if v.electra() {
		return p.packElectra(v)
	}
	type scored struct {
		a     gossip.Aggregate
		score float64
	}
	var found []scored
	lowest := 0.0
	slots, last := 0, blockprint.Slot(0)
	for _, g := range p.pool.newest(nil) {
		if !p.candidate(v, &g.Data) {
			continue
		}
		if slots == 0 || g.Data.Slot != last {
			if len(found) >= lodestarScan {
				break
			}
			slots, last = slots+1, g.Data.Slot
		}
		distance := float64(v.distance(&g.Data))
		// From the third slot on, the client skips a group that cannot beat what it has found.
		if slots > 2 && float64(len(v.Members(g)))/distance < lowest {
			continue
		}
		var these []scored
		for _, b := range *p.pool.at[g] {
			a := gossip.Aggregate{Group: g, Bits: b}
			if n := p.unseen(v, a).Count(); n > 0 {
				these = append(these, scored{gossip.Aggregate{Group: g, Bits: b.Clone()}, float64(n) / distance})
			}
		}
		sort.SliceStable(these, func(i, j int) bool { return these[i].score > these[j].score })
		for _, s := range these[:min(len(these), p.perGroup)] {
			found = append(found, s)
			if len(found) == 1 || s.score < lowest {
				lowest = s.score
			}
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].score > found[j].score })
	var out []gossip.Attestation
	for _, s := range found[:min(len(found), v.limit())] {
		out = append(out, gossip.Join(s.a))
	}
	return out
}

func (p *lodestar) candidate(v *View, d *gossip.Data) bool {
	distance := v.distance(d)
	return distance >= 1 && (distance <= 32 || v.fork() >= blockprint.Deneb) && v.Valid(d)
}

func (p *lodestar) unseen(v *View, a gossip.Aggregate) gossip.Bits {
	if !p.sourceSeen {
		return v.unseen(a)
	}
	members, flags := v.Members(a.Group), v.flags(&a.Data)
	out := gossip.NewBits(len(members))
	a.Bits.Each(func(i int) {
		if flags[members[i]]&flagSource == 0 {
			out.Set(i)
		}
	})
	return out
}

// packElectra joins, for each data, the committees' k-th best aggregates. Voters of the slot before the block always
// count as unseen.
func (p *lodestar) packElectra(v *View) []gossip.Attestation {
	type consolidation struct {
		parts []gossip.Aggregate
		score float64
	}
	var found []*consolidation
	rounds := map[gossip.Data][]*consolidation{}
	for _, g := range p.pool.newest(nil) {
		if !p.candidate(v, &g.Data) {
			continue
		}
		if len(found) >= lodestarScanElectra && rounds[g.Data] == nil {
			continue
		}
		factor := 1 / float64(v.distance(&g.Data))
		if p.byWeight {
			factor = float64(flagWeights(v.earned(&g.Data)))
		}
		for k, part := range p.greedyByBalance(v, g) {
			if k == len(rounds[g.Data]) {
				c := &consolidation{}
				rounds[g.Data] = append(rounds[g.Data], c)
				found = append(found, c)
			}
			c := rounds[g.Data][k]
			c.parts = append(c.parts, part.Aggregate)
			c.score += float64(part.balance) * factor
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].score > found[j].score })
	var out []gossip.Attestation
	for _, c := range found[:min(len(found), v.limit())] {
		out = append(out, gossip.Join(c.parts...))
	}
	return out
}

type balanced struct {
	gossip.Aggregate
	balance uint64
}

// greedyByBalance picks a group's aggregates by the effective balance of voters whom neither the chain nor an earlier
// pick has.
func (p *lodestar) greedyByBalance(v *View, g gossip.Group) []balanced {
	fresh := make([]gossip.Bits, 0, len(*p.pool.at[g]))
	for _, b := range *p.pool.at[g] {
		if v.distance(&g.Data) == 1 {
			fresh = append(fresh, b.Clone())
		} else {
			fresh = append(fresh, p.unseen(v, gossip.Aggregate{Group: g, Bits: b}))
		}
	}
	var out []balanced
	for len(out) < lodestarRounds {
		best, most := -1, uint64(0)
		for i, f := range fresh {
			if w := v.weight(g, f, func(n uint32) uint64 { return v.Balances[n] }); w > most {
				best, most = i, w
			}
		}
		if best < 0 {
			break
		}
		out = append(out, balanced{gossip.Aggregate{Group: g, Bits: (*p.pool.at[g])[best].Clone()}, most})
		taken := fresh[best].Clone()
		for _, f := range fresh {
			f.Remove(taken)
		}
	}
	return out
}
