package packer

import (
	"cmp"
	"slices"

	"blockprint"
	"blockprint/gossip"
)

// lodestarVariant is what changed in Lodestar over time.
type lodestarVariant struct {
	perGroup   int  // aggregates that a block takes from a group before Electra
	stored     int  // aggregates that the pool keeps of a group
	sourceSeen bool // a voter counts as seen by its source flag alone, not by any flag
	byWeight   bool // since Electra: scores by flag weights instead of distance, and keeps the whole previous epoch
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
	groups entries[lodestarGroup]
}

// lodestarGroup is what the pool has of a vote group.
type lodestarGroup struct {
	stored []lodestarAggregate // in order of arrival, until there are too many
	// heard are the aggregates from gossip and blocks; gossip refuses a subset of one of them. An aggregate that grows in the
	// pool also grows here, because both share it.
	heard []gossip.Bits
}

type lodestarAggregate struct {
	bits  gossip.Bits
	count int // voters at arrival
}

func newLodestar(v lodestarVariant) *lodestar {
	return &lodestar{lodestarVariant: v, groups: newEntries[lodestarGroup]()}
}

// holds returns a function that reports whether a set has all of b as Lodestar sees it. Lodestar compares byte by byte and
// overlooks a subset if a byte is empty in only one of the two sets, so sparse aggregates stay beside larger ones.
func holds(b gossip.Bits) func(have gossip.Bits) bool {
	return func(have gossip.Bits) bool {
		if !b.Within(have) {
			return false
		}
		for i := range b {
			for shift := 0; shift < 64; shift += 8 {
				if b[i]>>shift&0xff == 0 && have[i]>>shift&0xff != 0 {
					return false
				}
			}
		}
		return true
	}
}

func (p *lodestar) Aggregate(a gossip.Aggregate) {
	g := p.groups.of(a.Group)
	if slices.ContainsFunc(g.heard, holds(a.Bits)) {
		return
	}
	p.Post(a)
}

// Post puts in an aggregate that was posted to the API, even a subset of what gossip or a block brought.
func (p *lodestar) Post(a gossip.Aggregate) {
	g := p.groups.of(a.Group)
	b := a.Bits.Clone()
	g.heard = append(g.heard, b)
	g.add(b, p.stored)
}

// add compares b with each stored aggregate in turn: the first one that has all of b makes it superfluous, and the first
// one that is disjoint absorbs it. Otherwise b replaces its subsets. Beyond the limit, the smallest ones go.
func (g *lodestarGroup) add(b gossip.Bits, limit int) {
	held := holds(b)
	for _, have := range g.stored {
		if held(have.bits) {
			return
		}
		if !have.bits.Overlaps(b) {
			have.bits.Add(b)
			return
		}
	}
	g.stored = slices.DeleteFunc(g.stored, func(have lodestarAggregate) bool { return holds(have.bits)(b) })
	g.stored = append(g.stored, lodestarAggregate{b, b.Count()})
	if len(g.stored) > limit {
		slices.SortStableFunc(g.stored, func(a, b lodestarAggregate) int { return cmp.Compare(b.count, a.count) })
		g.stored = g.stored[:limit]
	}
}

// Singles do not reach blocks.
func (p *lodestar) Singles(gossip.Aggregate) {}

func (p *lodestar) Imported(slot blockprint.Slot, attestations []gossip.Attestation) {
	for _, a := range attestations {
		for i, c := range a.Committees {
			g := p.groups.of(gossip.Group{Data: a.Data, Committee: c})
			if !slices.ContainsFunc(g.heard, holds(a.Bits[i])) {
				g.heard = append(g.heard, a.Bits[i].Clone())
			}
		}
	}
	retained := blockprint.Slot(33)
	if p.byWeight {
		retained = 64
	}
	p.groups.drop(func(g gossip.Group) bool { return g.Data.Slot+retained > slot })
}

// lodestarRow is the groups with the same data, in order of arrival.
type lodestarRow struct {
	data   gossip.Data
	groups []gossip.Group
}

// rows returns the data that may be included: the newest slot first, and within a slot in order of arrival.
func (p *lodestar) rows(v *View) []*lodestarRow {
	var out []*lodestarRow
	at := map[gossip.Data]*lodestarRow{}
	for _, g := range p.groups.newest(nil) {
		distance := v.distance(&g.Data)
		if distance < 1 || distance > 32 && v.fork() < blockprint.Deneb || !v.Valid(&g.Data) || len(p.groups.at[g].stored) == 0 {
			continue
		}
		row := at[g.Data]
		if row == nil {
			row = &lodestarRow{data: g.Data}
			at[g.Data], out = row, append(out, row)
		}
		row.groups = append(row.groups, g)
	}
	return out
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
scan:
	for _, row := range p.rows(v) {
		if slots == 0 || row.data.Slot != last {
			slots, last = slots+1, row.data.Slot
		}
		distance := float64(v.distance(&row.data))
		for _, g := range row.groups {
			unseen := p.unseenIn(v, g)
			// From the third slot on, the client skips a group that cannot beat what it has found.
			if slots > 2 && len(found) >= v.limit() && float64(unseen.Count())/distance < lowest {
				continue
			}
			var these []scored
			for _, s := range p.groups.at[g].stored {
				b := s.bits.Clone()
				b.Keep(unseen)
				if n := b.Count(); n > 0 {
					these = append(these, scored{gossip.Aggregate{Group: g, Bits: s.bits.Clone()}, float64(n) / distance})
				}
			}
			if len(these) > p.perGroup {
				slices.SortStableFunc(these, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
				these = these[:p.perGroup]
			}
			for _, s := range these {
				found = append(found, s)
				if len(found) == 1 || s.score < lowest {
					lowest = s.score
				}
			}
			if len(found) >= lodestarScan {
				break scan
			}
		}
	}
	slices.SortStableFunc(found, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	var out []gossip.Attestation
	for _, s := range found[:min(len(found), v.limit())] {
		out = append(out, gossip.Join(s.a))
	}
	return out
}

// unseenIn returns the members of a committee that count as unseen.
func (p *lodestar) unseenIn(v *View, g gossip.Group) gossip.Bits {
	if !p.sourceSeen {
		return v.unseenIn(g)
	}
	members, flags := v.Members(g), v.flags(&g.Data)
	out := gossip.NewBits(len(members))
	for i, m := range members {
		if flags[m]&flagSource == 0 {
			out.Set(i)
		}
	}
	return out
}

// packElectra joins, for each data, the committees' k-th best aggregates. Voters of the slot before the block always
// count as unseen. An attestation that earns nothing is packed, too, while there is room.
func (p *lodestar) packElectra(v *View) []gossip.Attestation {
	type consolidation struct {
		parts []gossip.Aggregate
		score float64
	}
	var found []*consolidation
scan:
	for _, row := range p.rows(v) {
		factor := 1 / float64(v.distance(&row.data))
		if p.byWeight {
			factor = float64(flagWeights(v.earned(&row.data)))
		}
		var rounds []*consolidation
		for _, g := range row.groups {
			for k, part := range p.greedyByBalance(v, g) {
				if k == len(rounds) {
					rounds = append(rounds, &consolidation{})
				}
				rounds[k].parts = append(rounds[k].parts, part.Aggregate)
				rounds[k].score += float64(part.balance) * factor
			}
		}
		for _, c := range rounds {
			if found = append(found, c); len(found) >= lodestarScanElectra {
				break scan
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *consolidation) int { return cmp.Compare(b.score, a.score) })
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
	stored := p.groups.at[g].stored
	fresh := make([]gossip.Bits, 0, len(stored))
	for _, s := range stored {
		b := s.bits.Clone()
		if v.distance(&g.Data) != 1 {
			b.Keep(v.unseenIn(g))
		}
		fresh = append(fresh, b)
	}
	var out []balanced
	for len(out) < lodestarRounds {
		best, most := -1, uint64(0)
		for i, f := range fresh {
			if w := v.weight(g, f, func(n uint32) uint64 { return v.Balances[n] / 1_000_000_000 }); w > most {
				best, most = i, w
			}
		}
		if best < 0 {
			break
		}
		out = append(out, balanced{gossip.Aggregate{Group: g, Bits: stored[best].bits.Clone()}, most})
		taken := fresh[best].Clone()
		for _, f := range fresh {
			f.Remove(taken)
		}
	}
	return out
}
