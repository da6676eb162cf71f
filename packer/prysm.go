package packer

import (
	"cmp"
	"slices"
	"sort"
	"time"

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
// on the chain already.
type prysm struct {
	prysmVariant
	groups entries[prysmGroup]
}

// prysmGroup is what the pool has of a vote group: aggregates, single votes, and what it has deleted and will not take
// again.
type prysmGroup struct {
	stored  []gossip.Bits // in the client's order, which decides ties
	singles []gossip.Bits // one vote each
	// The pool ignores subsets of deleted, which are votes of head blocks and folded single votes, and subsets of gone,
	// which are aggregates that it once stored.
	deleted, gone []gossip.Bits
}

func newPrysm(v prysmVariant) *prysm {
	return &prysm{prysmVariant: v, groups: newEntries[prysmGroup]()}
}

// inOne reports whether b is a subset of one of the sets.
func inOne(list []gossip.Bits, b gossip.Bits) bool { return slices.ContainsFunc(list, b.Within) }

// addUnlessIn appends b unless it is a subset of one of the sets.
func addUnlessIn(list []gossip.Bits, b gossip.Bits) []gossip.Bits {
	if inOne(list, b) {
		return list
	}
	return append(list, b)
}

func (p *prysm) Aggregate(a gossip.Aggregate) {
	g := p.groups.of(a.Group)
	if a.Bits.Count() == 1 {
		g.single(a.Bits.Clone())
		return
	}
	g.add(a.Bits.Clone())
}

func (g *prysmGroup) add(b gossip.Bits) {
	if !inOne(g.stored, b) && !inOne(g.gone, b) && !inOne(g.deleted, b) {
		g.stored = disjointUnions(append(g.stored, b))
	}
}

// Singles puts in votes from subnets. Unlike a single vote that came as an aggregate, one of an aggregate is ignored.
func (p *prysm) Singles(votes gossip.Aggregate) {
	g := p.groups.of(votes.Group)
	votes.Bits.Each(func(i int) {
		b := make(gossip.Bits, len(votes.Bits))
		b.Set(i)
		if !inOne(g.stored, b) && !inOne(g.gone, b) {
			g.single(b)
		}
	})
}

func (g *prysmGroup) single(b gossip.Bits) {
	if !inOne(g.deleted, b) {
		g.singles = addUnlessIn(g.singles, b)
	}
}

// Ticks are the times at which the client folds single votes into aggregates.
func (p *prysm) Ticks() []time.Duration {
	return []time.Duration{7 * time.Second, 9500 * time.Millisecond, 11800 * time.Millisecond}
}

// Tick folds each group's single votes into an aggregate and forgets them. A vote that is alone in its group waits.
func (p *prysm) Tick() {
	for _, e := range p.groups.at {
		if len(e.open()) < 2 {
			continue
		}
		union := e.singles[0].Clone()
		for _, b := range e.singles[1:] {
			union.Add(b)
		}
		e.add(union)
		e.deleted = append(e.deleted, e.singles...)
		e.singles = nil
	}
}

// open returns the single votes that are not in a deleted set.
func (g *prysmGroup) open() []gossip.Bits {
	g.singles = slices.DeleteFunc(g.singles, func(b gossip.Bits) bool { return inOne(g.deleted, b) })
	return g.singles
}

// delete forgets the subsets of b.
func (g *prysmGroup) delete(b gossip.Bits) {
	g.deleted = addUnlessIn(g.deleted, b)
	if b.Count() == 1 {
		return
	}
	g.stored = slices.DeleteFunc(g.stored, func(o gossip.Bits) bool {
		if o.Within(b) {
			g.gone = addUnlessIn(g.gone, o)
			return true
		}
		return false
	})
}

// Load takes over a group from a node's pool.
func (p *prysm) Load(g gossip.Group, list []gossip.Bits) {
	e := p.groups.of(g)
	for _, b := range list {
		if b.Count() == 1 {
			e.singles = append(e.singles, b)
		} else {
			e.stored = append(e.stored, b)
		}
	}
}

func (p *prysm) Imported(slot blockprint.Slot, attestations []gossip.Attestation) {
	for _, a := range attestations {
		for i, c := range a.Committees {
			p.groups.of(gossip.Group{Data: a.Data, Committee: c}).delete(a.Bits[i])
		}
	}
	p.groups.drop(func(g gossip.Group) bool { return g.Data.Slot+64 > slot })
}

// maxCover is a greedy maximum cover by voters. It returns the places of the aggregates that it selects, in ascending
// order, and what they cover. The first of equals wins.
func maxCover(list []gossip.Bits, overlaps bool) (places []int, covered gossip.Bits) {
	covered = make(gossip.Bits, len(list[0]))
	out := make([]bool, len(list))
	for {
		best, most := -1, 0
		for i, b := range list {
			if out[i] {
				continue
			}
			n := b.Fresh(covered)
			if n == 0 || !overlaps && b.Overlaps(covered) {
				out[i] = true
			} else if n > most {
				best, most = i, n
			}
		}
		if best < 0 {
			break
		}
		covered.Add(list[best])
		out[best] = true
		places = append(places, best)
	}
	slices.Sort(places)
	return places, covered
}

// bySize sorts aggregates, the largest first. The client sorts with the same function, which is not stable, so equals must
// not keep their order here either.
func bySize(list []gossip.Bits) {
	sort.Slice(list, func(i, j int) bool { return list[i].Count() > list[j].Count() })
}

// disjointUnions is Prysm's aggregation within a vote group: each round takes a maximum cover of aggregates that do not
// overlap and merges it into one. What remains is sorted by size, and a subset of the one before it is dropped. Places
// decide ties later: unions come first, and the last aggregate of the list fills each hole.
func disjointUnions(list []gossip.Bits) []gossip.Bits {
	if len(list) < 2 {
		return list
	}
	list = slices.Clone(list)
	unions, covered := 0, make(gossip.Bits, len(list[0]))
	rounds := len(list) / 2
	for range rounds {
		if len(list)-unions < 2 {
			break
		}
		places, cover := maxCover(list[unions:], false)
		if len(places) < 2 {
			break
		}
		for i := range places {
			places[i] += unions
		}
		if !cover.Equal(covered) {
			list[places[0]] = cover
			list[unions], list[places[0]] = list[places[0]], list[unions]
			covered.Add(cover)
			unions++
			places = places[1:]
		}
		list = fillHoles(list, places)
	}
	rest := list[unions:]
	bySize(rest)
	out := list[:unions]
	for i, b := range rest {
		if i > 0 && b.Within(out[len(out)-1]) {
			continue
		}
		out = append(out, b)
	}
	return out
}

// fillHoles removes the aggregates at places, which are in ascending order. The last one of the list fills each hole.
func fillHoles(list []gossip.Bits, places []int) []gossip.Bits {
	for _, at := range places {
		list[at] = nil
	}
	for _, at := range places {
		for len(list) > at && list[len(list)-1] == nil {
			list = list[:len(list)-1]
		}
		if at >= len(list) {
			break
		}
		list[at] = list[len(list)-1]
		list = list[:len(list)-1]
	}
	return list
}

// dropSubsets drops subsets of other aggregates. The last one of the list fills each hole.
func dropSubsets(list []gossip.Bits) []gossip.Bits {
	list = slices.Clone(list)
	remove := func(i int) {
		list[i] = list[len(list)-1]
		list = list[:len(list)-1]
	}
next:
	for i := 0; i < len(list); i++ {
		for j := i + 1; j < len(list); j++ {
			if list[j].Within(list[i]) {
				remove(j)
				j--
			} else if list[i].Within(list[j]) {
				remove(i)
				i--
				continue next
			}
		}
	}
	return list
}

// covering returns the aggregates of a maximum cover that allows overlaps, the largest first.
func covering(list []gossip.Bits) []gossip.Bits {
	if len(list) < 2 {
		return list
	}
	places, _ := maxCover(list, true)
	var out []gossip.Bits
	for _, i := range places {
		out = append(out, list[i])
	}
	bySize(out)
	return out
}

// candidates returns the groups that may be included, the newest slot first, and their aggregates. It deletes the others
// for good, as the client does.
func (p *prysm) candidates(v *View) (keys []gossip.Group, lists map[gossip.Group][]gossip.Bits) {
	lists = map[gossip.Group][]gossip.Bits{}
	for _, g := range p.groups.newest(v.Rand) {
		e := p.groups.at[g]
		all := append(slices.Clone(e.stored), e.open()...)
		if v.distance(&g.Data) < 1 || !v.Valid(&g.Data) {
			for _, b := range all {
				e.delete(b)
			}
			continue
		}
		if all = disjointUnions(dropSubsets(all)); len(all) == 0 {
			continue
		}
		if !v.electra() { // since then, the client looks for subsets among joined aggregates, where there are none
			all = dropSubsets(all)
		}
		keys, lists[g] = append(keys, g), all
	}
	return keys, lists
}

func (p *prysm) Pack(v *View) []gossip.Attestation {
	keys, lists := p.candidates(v)
	if v.electra() {
		return p.packElectra(v, keys, lists)
	}
	var out []gossip.Attestation
	for lo := 0; lo < len(keys); {
		hi := lo
		for hi < len(keys) && keys[hi].Data.Slot == keys[lo].Data.Slot {
			hi++
		}
		if p.mixed {
			out = append(out, slotMixed(v, keys[lo:hi], lists)...)
		} else {
			out = append(out, slotRounds(keys[lo:hi], lists)...)
		}
		lo = hi
	}
	out = out[:min(len(out), v.limit())]
	if p.mixed {
		return out
	}
	return v.headTargetsFirst(out)
}

// slotMixed orders a slot's attestations by one maximum cover that takes equal positions in different committees for the
// same voter: what the cover selects comes first, then the rest, each by size. The cover ignores committees whose size
// differs from the first one's.
func slotMixed(v *View, keys []gossip.Group, lists map[gossip.Group][]gossip.Bits) []gossip.Attestation {
	var list []gossip.Aggregate
	size := -1
	var bits []gossip.Bits
	var places []int // of bits in list
	for _, g := range keys {
		n := len(v.Members(g))
		if size < 0 {
			size = n
		}
		for _, b := range lists[g] {
			if n == size {
				bits, places = append(bits, b), append(places, len(list))
			}
			list = append(list, gossip.Aggregate{Group: g, Bits: b})
		}
	}
	var out []gossip.Attestation
	selected := make([]bool, len(list))
	chosen, _ := maxCover(bits, true)
	for _, i := range chosen {
		selected[places[i]] = true
	}
	for _, first := range []bool{true, false} {
		from := len(out)
		for i, a := range list {
			if selected[i] == first {
				out = append(out, gossip.Join(a))
			}
		}
		slices.SortStableFunc(out[from:], func(a, b gossip.Attestation) int { return cmp.Compare(b.Count(), a.Count()) })
	}
	return out
}

// slotRounds orders a slot's attestations: the first of every committee, then the second of each, and so on.
func slotRounds(keys []gossip.Group, lists map[gossip.Group][]gossip.Bits) []gossip.Attestation {
	byCommittee := map[int][]gossip.Aggregate{}
	var committees []int
	for _, g := range keys {
		if byCommittee[g.Committee] == nil {
			committees = append(committees, g.Committee)
		}
		for _, b := range lists[g] {
			byCommittee[g.Committee] = append(byCommittee[g.Committee], gossip.Aggregate{Group: g, Bits: b})
		}
	}
	for c, list := range byCommittee {
		var bits []gossip.Bits
		for _, a := range list {
			bits = append(bits, a.Bits)
		}
		places, _ := maxCover(bits, true)
		var chosen []gossip.Aggregate
		for _, i := range places {
			chosen = append(chosen, list[i])
		}
		slices.SortStableFunc(chosen, func(a, b gossip.Aggregate) int { return cmp.Compare(b.Bits.Count(), a.Bits.Count()) })
		byCommittee[c] = chosen
	}
	var out []gossip.Attestation
	for round := 0; ; round++ {
		from := len(out)
		for _, c := range committees {
			if list := byCommittee[c]; round < len(list) {
				out = append(out, gossip.Join(list[round]))
			}
		}
		if len(out) == from {
			return out
		}
		slices.SortStableFunc(out[from:], func(a, b gossip.Attestation) int { return cmp.Compare(b.Count(), a.Count()) })
	}
}

// packElectra joins, for each data, the committees' k-th aggregates, and sorts these rounds by what each would earn
// alone.
func (p *prysm) packElectra(v *View, keys []gossip.Group, lists map[gossip.Group][]gossip.Bits) []gossip.Attestation {
	rounds := map[gossip.Data][][]gossip.Aggregate{}
	var order []gossip.Data
	for _, g := range keys {
		if rounds[g.Data] == nil {
			order = append(order, g.Data)
		}
		for k, b := range covering(lists[g]) {
			if len(rounds[g.Data]) <= k {
				rounds[g.Data] = append(rounds[g.Data], nil)
			}
			rounds[g.Data][k] = append(rounds[g.Data][k], gossip.Aggregate{Group: g, Bits: b})
		}
	}
	var all []gossip.Attestation
	for _, d := range order {
		for _, parts := range rounds[d] {
			all = append(all, gossip.Join(parts...))
		}
	}
	if p.marginal {
		return v.headTargetsFirst(v.greedyByReward(all, true))
	}
	v.Rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	values, _ := v.Worth(all)
	byValue := make([]int, len(all))
	for i := range all {
		byValue[i] = i
	}
	slices.SortStableFunc(byValue, func(i, j int) int { return cmp.Compare(values[j], values[i]) })
	var out []gossip.Attestation
	for _, i := range byValue[:min(len(all), v.limit())] {
		out = append(out, all[i])
	}
	return v.headTargetsFirst(out)
}

// headTargetsFirst moves attestations to the end whose signatures the client checks again. It does not check those whose
// target is the head's own target of its epoch or of the one before, nor votes at an epoch's start for a block of the
// previous epoch. If an epoch begins with an empty slot, all votes of the previous epoch move to the end of the next block.
func (v *View) headTargetsFirst(list []gossip.Attestation) []gossip.Attestation {
	now := v.epoch()
	headIsNow := v.Spec.EpochOf(v.Head) == now
	checked := func(d *gossip.Data) bool {
		onChain := headIsNow && d.Target.Root == v.RootAt(v.Spec.StartOf(d.Target.Epoch))
		return onChain || d.Target.Epoch == now && d.BeaconBlockRoot == d.Target.Root && v.inEpoch(d.BeaconBlockRoot, now-1)
	}
	slices.SortStableFunc(list, func(a, b gossip.Attestation) int {
		switch x, y := checked(&a.Data), checked(&b.Data); {
		case x == y:
			return 0
		case x:
			return -1
		}
		return 1
	})
	return list
}

// inEpoch reports whether a root is that of one of the chain's blocks in an epoch.
func (v *View) inEpoch(root blockprint.Root, epoch blockprint.Epoch) bool {
	start := v.Spec.StartOf(epoch)
	for slot := start; slot < start+blockprint.Slot(v.Spec.SlotsPerEpoch); slot++ {
		if v.RootAt(slot) == root {
			return true
		}
	}
	return false
}
