package sim

import (
	"sort"

	"blockprint"
)

// lodestarVariant is a time in Lodestar's history.
type lodestarVariant struct {
	perGroup   int  // aggregates taken of a group before Electra
	stored     int  // aggregates kept of a group
	sourceSeen bool // "seen" means the source flag, not any flag
	byWeight   bool // Electra: score by flag weights instead of distance
}

var (
	lodestar2023     = lodestarVariant{perGroup: 2, stored: 4, sourceSeen: true}
	lodestar2024     = lodestarVariant{perGroup: 3, stored: 4}
	lodestarDistance = lodestarVariant{perGroup: 3, stored: 8}
	lodestarWeight   = lodestarVariant{perGroup: 3, stored: 8, byWeight: true}
)

// Limits on how much of the pool is looked at.
const (
	lodestarScan        = 256
	lodestarScanElectra = 16
	lodestarRounds      = 8
)

// lodestar packs by votes (later balance) over distance, per vote group. Only aggregates reach its blocks.
type lodestar struct {
	lodestarVariant
	pool entries[[]bitset]
}

func newLodestar(v lodestarVariant) *lodestar {
	return &lodestar{lodestarVariant: v, pool: newEntries[[]bitset]()}
}

func (p *lodestar) aggregate(a aggregate) {
	list := p.pool.of(a.group)
	for _, b := range *list {
		if a.bits.within(b) {
			return
		}
	}
	for _, b := range *list {
		if !b.overlaps(a.bits) {
			b.add(a.bits)
			return
		}
	}
	var kept []bitset
	for _, b := range *list {
		if !b.within(a.bits) {
			kept = append(kept, b)
		}
	}
	kept = append(kept, a.bits.clone())
	sort.SliceStable(kept, func(i, j int) bool { return kept[i].count() > kept[j].count() })
	*list = kept[:min(len(kept), p.stored)]
}

func (p *lodestar) single(group, int, int) {}

func (p *lodestar) imported(slot blockprint.Slot, _ []packed) {
	p.pool.drop(func(g group) bool { return g.data.slot+33 > slot })
}

func (p *lodestar) pack(v *view) []packed {
	if v.electra() {
		return p.packElectra(v)
	}
	type scored struct {
		a     aggregate
		score float64
	}
	var found []scored
	lowest := 0.0
	slots, last := 0, blockprint.Slot(0)
	for _, g := range p.pool.newest(nil) {
		if !p.candidate(v, &g.data) {
			continue
		}
		if slots == 0 || g.data.slot != last {
			if len(found) >= lodestarScan {
				break
			}
			slots, last = slots+1, g.data.slot
		}
		distance := float64(v.distance(&g.data))
		// From the third slot on, a group that cannot beat what was found is passed over.
		if slots > 2 && float64(len(v.members(g)))/distance < lowest {
			continue
		}
		var these []scored
		for _, b := range *p.pool.at[g] {
			a := aggregate{g, b}
			if n := p.unseen(v, a).count(); n > 0 {
				these = append(these, scored{aggregate{g, b.clone()}, float64(n) / distance})
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
	var out []packed
	for _, s := range found[:min(len(found), v.limit)] {
		out = append(out, onlyOne(s.a))
	}
	return out
}

func (p *lodestar) candidate(v *view, d *voteData) bool {
	distance := v.distance(d)
	return distance >= 1 && (distance <= 32 || v.fork >= blockprint.Deneb) && v.valid(d)
}

func (p *lodestar) unseen(v *view, a aggregate) bitset {
	if !p.sourceSeen {
		return v.unseen(a)
	}
	members, flags := v.members(a.group), v.flags(&a.data)
	out := newBitset(len(members))
	a.bits.each(func(i int) {
		if flags[members[i]]&flagSource == 0 {
			out.set(i)
		}
	})
	return out
}

// packElectra joins, for each data, the k-th best aggregates of its committees. Voters of the slot before the
// block always count as unseen.
func (p *lodestar) packElectra(v *view) []packed {
	type consolidation struct {
		parts []aggregate
		score float64
	}
	var found []*consolidation
	rounds := map[voteData][]*consolidation{}
	for _, g := range p.pool.newest(nil) {
		if !p.candidate(v, &g.data) {
			continue
		}
		if len(found) >= lodestarScanElectra && rounds[g.data] == nil {
			continue
		}
		factor := 1 / float64(v.distance(&g.data))
		if p.byWeight {
			factor = float64(flagWeights(v.earned(&g.data)))
		}
		for k, part := range p.greedyByBalance(v, g) {
			if k == len(rounds[g.data]) {
				c := &consolidation{}
				rounds[g.data] = append(rounds[g.data], c)
				found = append(found, c)
			}
			c := rounds[g.data][k]
			c.parts = append(c.parts, part.aggregate)
			c.score += float64(part.balance) * factor
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].score > found[j].score })
	var out []packed
	for _, c := range found[:min(len(found), v.limit)] {
		out = append(out, join(c.parts))
	}
	return out
}

type balanced struct {
	aggregate
	balance uint64
}

// greedyByBalance picks the aggregates of a group by unseen effective balance, striking out what is taken.
func (p *lodestar) greedyByBalance(v *view, g group) []balanced {
	fresh := make([]bitset, 0, len(*p.pool.at[g]))
	for _, b := range *p.pool.at[g] {
		if v.distance(&g.data) == 1 {
			fresh = append(fresh, b.clone())
		} else {
			fresh = append(fresh, p.unseen(v, aggregate{g, b}))
		}
	}
	var out []balanced
	for len(out) < lodestarRounds {
		best, most := -1, uint64(0)
		for i, f := range fresh {
			if w := v.weight(g, f, func(n uint32) uint64 { return v.state.balances[n] }); w > most {
				best, most = i, w
			}
		}
		if best < 0 {
			break
		}
		out = append(out, balanced{aggregate{g, (*p.pool.at[g])[best].clone()}, most})
		taken := fresh[best].clone()
		for _, f := range fresh {
			f.strike(taken)
		}
	}
	return out
}
