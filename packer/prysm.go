package packer

import (
	"cmp"
	"slices"

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
	groups  entries[prysmGroup]
	waiting []gossip.Group // that have single votes to fold
}

// candidates returns the groups that may be included, the newest slot first, and their aggregates. It deletes the others
// for good, as the client does.
func (p *prysm) candidates(v *View) (keys []gossip.Group, lists map[gossip.Group][]gossip.Bits) {
	lists = map[gossip.Group][]gossip.Bits{}
	for _, g := range p.groups.newest(v.Rand) {
		e := p.groups.at[g]
		all := slices.Clone(e.stored)
		for _, a := range alone(g, e.open()) {
			all = append(all, a.Bits)
		}
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
