package feature

import (
	"math"
	"slices"

	"blockprint"
)

// packing are features that measure how a block was put together: what each attestation would earn alone and what it
// added, which data is repeated and with which committees, and the order of slots and epochs. They keep their meaning
// when attestations join committees (Electra). Those that need committees or worths have no value if another program
// wrote the file.
var packing = []Feature{
	{
		"percent_worthless", "0 to 1", "attestations that earn nothing, by the specification's figures (the original's percent_redundant counts new voters)",
		each(hasWorth, func(a *att) bool { return a.marginal == 0 }),
	},
	{
		"percent_worthless_alone", "0 to 1", "attestations that would earn nothing even alone: all their voters' flags were set before the block",
		each(hasWorth, func(a *att) bool { return a.alone == 0 }),
	},
	{
		"percent_hurt", "0 to 1", "attestations that earn less than they would alone, because earlier ones of the block took voters",
		each(hasWorth, func(a *att) bool { return a.marginal < a.alone }),
	},
	{
		"percent_low", "0 to 1", "attestations that earn below a hundredth of the block's best",
		func(in *input) float64 {
			return in.attShare(hasWorth, func(a *att) bool { return a.marginal*100 < in.pack.bestMarginal })
		},
	},
	{"mono_marginal", "0 to 1", "neighbours whose marginal rewards do not rise; 1 for greedy packing", notRising(hasWorth, marginal, anyPair)},
	{"mono_alone", "0 to 1", "neighbours whose stand-alone rewards do not rise; 1 for sorting without re-scoring", notRising(hasWorth, alone, anyPair)},
	{"mono_unseen", "0 to 1", "neighbours whose unseen voters do not rise", notRising(hasWorth, unseen, anyPair)},
	{"mono_unseen_distance", "0 to 1", "neighbours whose unseen voters by distance do not rise", notRising(hasWorth, unseenByDistance, anyPair)},
	{"mono_balance_distance", "0 to 1", "neighbours whose unseen balance by distance does not rise", notRising(hasWorth, balanceByDistance, anyPair)},
	{"mono_fresh", "0 to 1", "neighbours whose fresh voters do not rise", notRising(hasCommittees, fresh, anyPair)},
	{"mono_best_committee", "0 to 1", "neighbours whose best committee's fresh voters do not rise: the order of greedy picking by committee", notRising(hasCommittees, bestCommittee, anyPair)},
	{"mono_best_worth", "0 to 1", "neighbours whose best committee's reward does not rise", notRising(hasWorth, bestWorth, anyPair)},
	{"mono_best_unseen", "0 to 1", "neighbours whose best committee's unseen voters do not rise", notRising(hasCommitteeWorth, bestUnseen, anyPair)},
	{"mono_best_alone", "0 to 1", "neighbours whose best committee's stand-alone reward does not rise", notRising(hasCommitteeWorth, bestAlone, anyPair)},
	{"mono_bits", "0 to 1", "neighbours whose numbers of voters do not rise", notRising(hasCommittees, bitCount, anyPair)},
	{"mono_committees", "0 to 1", "neighbours whose numbers of committees do not rise", notRising(hasCommittees, committeeCount, anyPair)},
	{"mono_marginal_slot", "0 to 1", "as mono_marginal, of neighbours of one slot", notRising(hasWorth, marginal, sameSlot)},
	{"mono_alone_slot", "0 to 1", "as mono_alone, of neighbours of one slot", notRising(hasWorth, alone, sameSlot)},
	{"mono_bits_slot", "0 to 1", "as mono_bits, of neighbours of one slot: falls inside rounds", notRising(hasCommittees, bitCount, sameSlot)},
	{"mono_marginal_twin", "0 to 1", "as mono_marginal, of attestations of the same data, one after the other", inTwins(hasWorth, marginal)},
	{"mono_bits_twin", "0 to 1", "as mono_bits, of attestations of the same data, one after the other", inTwins(hasCommittees, bitCount)},
	{
		"order_regret", "0 to 1", "how much sooner the same marginal rewards could have been collected in descending order",
		orderRegret,
	},
	{"slot_desc", "0 to 1", "neighbours whose slots do not rise", notRising(hasData, slotOf, anyPair)},
	{"slot_asc", "0 to 1", "neighbours whose slots do not fall", notRising(hasData, func(a *att) float64 { return -slotOf(a) }, anyPair)},
	{"slot_runs", "1 up", "runs of equal slots by number of slots; 1 if each slot stands together", slotRuns},
	{"epoch_split", "0 to 1", "pairs of different epochs of which the current one stands first; 1 for a strict split", epochSplit},
	{"committee_asc", "0 to 1", "neighbours of one slot and vote in ascending order of committee (before Electra)", committeeOrder},
	{"max_distance", "1 up", "slots from the oldest vote to the block", overAtts(hasData, distance, slices.Max[[]float64])},
	{"median_distance", "1 up", "median of the slots from vote to block", overAtts(hasData, distance, median)},
	{"percent_newest", "0 to 1", "attestations for the slot just before the block", each(hasData, isNewest)},
	{"newest_reward_share", "0 to 1", "share of the marginal rewards that comes from the slot just before the block", newestShare},
	{"first_distance", "1 up", "slots from the first attestation's vote to the block", at(hasData, 0, distance)},
	{"percent_repeat", "0 to 1", "attestations whose data and committee stood before (since Electra: whose data did)", each(hasData, isRepeat)},
	{"percent_repeat_adjacent", "0 to 1", "of these, those right after the one before", repeatAdjacent},
	{"second_twin_at", "0 to 1", "where the first repeated data stands, as a share of the block", secondTwin},
	{"distinct_data", "1 up", "different data in the block, committees apart before Electra", distinctData},
	{"committees_first", "1 to 64", "committees of the first attestation", at(hasCommittees, 0, committeeCount)},
	{"committees_second", "1 to 64", "committees of the second attestation", at(hasCommittees, 1, committeeCount)},
	{"committees_last", "1 to 64", "committees of the last attestation", at(hasCommittees, -1, committeeCount)},
	{"committees_median", "1 to 64", "median of the attestations' committees", overAtts(hasCommittees, committeeCount, median)},
	{"percent_one_committee", "0 to 1", "attestations of a single committee", each(hasCommittees, func(a *att) bool { return a.committees == 1 })},
	{"one_committee_tail", "0 to 1", "how much of the block's end is attestations of a single committee", oneCommitteeTail},
	{"percent_nested", "0 to 1", "repeats whose committees all stood in the one before of their data", nested},
	{"twin_committees", "0 to 1", "committees of repeats, by those of the first of their data", twinCommittees},
	{"second_takes", "0 to 1", "fresh voters of the second attestation of a data, by those of all but the first; 1 if the second leaves nothing", secondTakes},
	{"twin_density", "0 up", "voters by committees of the second attestation of a data, by those of the first", twinDensity},
	{"twin_fresh_density", "0 up", "fresh voters by committees of the second attestation of a data", twinFreshDensity},
	{"twin_overlap", "0 to 1", "voters of repeats who were in an earlier attestation", twinOverlap},
	{"overlap", "0 to 1", "voters who were in an earlier attestation of the block", overlapShare},
	{"stale", "0 to 1", "voters whose flags were all set before the block", stale(anyAtt)},
	{"stale_old", "0 to 1", "the same, of attestations older than the newest slot", stale(isOld)},
	{"completeness", "0 to 1", "voters of the first attestation of a data, by all voters of the data in the block, mean over repeated data", completeness},
	{"coverage_newest", "0 to 1", "voters of the first attestation of the newest slot, by the members of its committees", coverage(isNewest)},
	{"coverage_old", "0 to 1", "voters of the attestations of older slots, by the members of their committees", coverageOld},
	{"percent_single_voter", "0 to 1", "attestations with one voter", each(hasCommittees, func(a *att) bool { return a.bits == 1 })},
	{"percent_few_voters", "0 to 1", "attestations in which less than a tenth of the committees' members voted", each(hasCommittees, func(a *att) bool { return 10*a.bits < a.size })},
	{"voters_per_committee_last", "0 up", "voters of the last attestation by its committees", at(hasCommittees, -1, votersPerCommittee)},
	{"voters_per_committee_median", "0 up", "median over the attestations of voters by committees", overAtts(hasCommittees, votersPerCommittee, median)},
	{"fresh_per_voter", "0 to 1", "fresh voters of all voters", freshShare(anyAtt)},
	{"fresh_per_voter_old", "0 to 1", "the same, of attestations older than the newest slot", freshShare(isOld)},
	{"committee_entries", "1 up", "committees of all attestations together", committeeEntries},
	{"idle_committees", "0 to 1", "committees of attestations that bring no fresh voter", committeeShare(hasCommittees, anyAtt, idle)},
	{"idle_committees_old", "0 to 1", "the same, of attestations older than the newest slot", committeeShare(hasCommittees, isOld, idle)},
	{"idle_committees_repeat", "0 to 1", "the same, of repeats of a data", committeeShare(hasCommittees, isRepeat, idle)},
	{"stale_committees", "0 to 1", "committees of attestations all of whose voters had a flag before the block", committeeShare(hasCommitteeWorth, anyAtt, staleCommittee)},
	{"stale_committees_old", "0 to 1", "the same, of attestations older than the newest slot", committeeShare(hasCommitteeWorth, isOld, staleCommittee)},
	{"one_fresh_old", "0 to 1", "committees with one fresh voter, of attestations older than the newest slot", committeeShare(hasCommittees, isOld, oneFresh)},
	{"one_fresh_repeat", "0 to 1", "the same, of repeats of a data", committeeShare(hasCommittees, isRepeat, oneFresh)},
	{"mono_fresh_committee", "0 to 1", "committees of repeats that bring no more fresh voters than when they stood before", committeeTwins(func(before, now *blockprint.CommitteeVotes) bool { return now.Fresh <= before.Fresh })},
	{"mono_bits_committee", "0 to 1", "committees of repeats with no more voters than when they stood before", committeeTwins(func(before, now *blockprint.CommitteeVotes) bool { return now.Attesters <= before.Attesters })},
	{"mono_fresh_rounds", "0 to 1", "as mono_fresh_committee, from the second time on", committeeRounds(func(before, now *blockprint.CommitteeVotes) bool { return now.Fresh <= before.Fresh })},
	{"mono_bits_rounds", "0 to 1", "as mono_bits_committee, from the second time on", committeeRounds(func(before, now *blockprint.CommitteeVotes) bool { return now.Attesters <= before.Attesters })},
	{"density_newest_spread", "0 to 1", "standard deviation, over the committees of the newest slot's first attestation, of the share that voted", densitySpread},
	{"saw_teeth", "0 to 1", "neighbours of one slot whose numbers of voters rise: where a round ends", sawTeeth},
	{"tail_bits", "0 up", "voters of the last quarter by those of the first", tail(bitCount)},
	{"tail_distance", "0 up", "distance of the last quarter by that of the first", tail(distance)},
	{"head_split", "0 to 1", "votes of the newest slot that are for another block than most of them", headSplit},
	{"newest_attestations", "0 up", "attestations of the newest slot by its committees that are in the block (before Electra, aggregates a committee)", newestAttestations},
}

// att holds what the features need to know about an attestation.
type att struct {
	slot            blockprint.Slot
	distance        float64
	current         bool
	key             dataKey
	twin            int // the previous attestation with the same key, -1 if this is the first
	first           int // the first attestation with the same key
	marginal, alone float64
	unseen, balance float64
	overlap         float64
	committees      int
	bits, fresh     int
	best            int // fresh voters of the committee with the most
	bestUnseen      int // the same for unseen voters
	bestAlone       float64
	size            int // members of the committees
}

// dataKey holds what attestations have in common if they could have been one: the data and, before Electra, the committee.
type dataKey struct {
	slot  blockprint.Slot
	index uint64
	root  blockprint.Root
	tgt   blockprint.Root
	epoch blockprint.Epoch
}

// needs says which parts of a reward a feature needs.
type needs int

const (
	hasData needs = 1 << iota
	hasCommittees
	hasWorth
	hasCommitteeWorth
)

// packScratch is the packing features' memory, which is reused for each block.
type packScratch struct {
	ready        bool
	have         needs
	atts         []att
	lists        [][]blockprint.CommitteeVotes
	byKey        map[dataKey]int
	values       []float64
	bestMarginal float64
}

// packed returns the block's attestations, none if the block lacks what a feature needs.
func (in *input) packed(n needs) []att {
	p := &in.pack
	if !p.ready {
		in.preparePack()
	}
	if p.have&n != n {
		return nil
	}
	return p.atts
}

func (in *input) preparePack() {
	p, a := &in.pack, &in.r.Attestations
	p.ready, p.atts, p.have, p.bestMarginal, p.lists = true, p.atts[:0], 0, 0, a.Committees
	if len(a.Data) != in.n() || in.n() == 0 {
		return
	}
	p.have = hasData
	if len(a.Committees) == in.n() {
		p.have |= hasCommittees
		if len(a.Worth) == in.n() {
			p.have |= hasWorth | hasCommitteeWorth
		}
	}
	if p.byKey == nil {
		p.byKey = map[dataKey]int{}
	}
	clear(p.byKey)
	first := a.Data[0]
	newest := first.Target.Epoch
	for i := range a.Data {
		newest = max(newest, a.Data[i].Target.Epoch)
	}
	for i := range a.Data {
		d := &a.Data[i]
		t := att{
			slot: d.Slot, distance: float64(in.r.Meta.Slot) - float64(d.Slot), current: d.Target.Epoch == newest,
			key:  dataKey{d.Slot, d.Index, d.BeaconBlockRoot, d.Target.Root, d.Target.Epoch},
			twin: -1, first: i,
		}
		if last, ok := p.byKey[t.key]; ok {
			t.twin, t.first = last, p.atts[last].first
		}
		p.byKey[t.key] = i
		if p.have&hasCommittees != 0 {
			t.committees = len(a.Committees[i])
			unseen := uint64(0)
			for _, c := range a.Committees[i] {
				unseen += c.Unseen
				t.bestUnseen = max(t.bestUnseen, int(c.Unseen))
				t.bestAlone = max(t.bestAlone, float64(c.Alone))
				t.bits += int(c.Attesters)
				t.fresh += int(c.Fresh)
				t.best = max(t.best, int(c.Fresh))
				t.size += int(c.Size)
			}
			if p.have&hasWorth != 0 && unseen != a.Worth[i].Unseen { // an earlier version wrote the file
				p.have &^= hasCommitteeWorth
			}
		}
		if p.have&hasWorth != 0 {
			w := &a.Worth[i]
			t.marginal, t.alone, t.unseen, t.balance, t.overlap = float64(w.Marginal), float64(w.Alone), float64(w.Unseen), float64(w.UnseenBalance), float64(w.Overlap)
			p.bestMarginal = max(p.bestMarginal, t.marginal)
		}
		p.atts = append(p.atts, t)
	}
}

func marginal(a *att) float64 { return a.marginal }

func alone(a *att) float64 { return a.alone }

func unseen(a *att) float64 { return a.unseen }

func fresh(a *att) float64 { return float64(a.fresh) }

func bitCount(a *att) float64 { return float64(a.bits) }

func committeeCount(a *att) float64 { return float64(a.committees) }

func distance(a *att) float64 { return a.distance }

func slotOf(a *att) float64 { return float64(a.slot) }

func bestCommittee(a *att) float64 { return float64(a.best) }

func bestUnseen(a *att) float64 { return float64(a.bestUnseen) }

func bestAlone(a *att) float64 { return a.bestAlone }

// bestWorth assumes that all fresh voters of an attestation earn the same, which is true up to their balances.
func bestWorth(a *att) float64 { return a.marginal * float64(a.best) / float64(max(a.fresh, 1)) }

func unseenByDistance(a *att) float64 { return a.unseen / a.distance }

func balanceByDistance(a *att) float64 { return a.balance / a.distance }

func votersPerCommittee(a *att) float64 { return float64(a.bits) / float64(max(a.committees, 1)) }

// attShare is the share of the attestations for which f holds.
func (in *input) attShare(n needs, f func(*att) bool) float64 {
	atts := in.packed(n)
	if len(atts) == 0 {
		return math.NaN()
	}
	count := 0
	for i := range atts {
		if f(&atts[i]) {
			count++
		}
	}
	return float64(count) / float64(len(atts))
}

func each(n needs, f func(*att) bool) func(*input) float64 {
	return func(in *input) float64 { return in.attShare(n, f) }
}

func shareOr(a, b int, none float64) float64 {
	if b == 0 {
		return none
	}
	return float64(a) / float64(b)
}

// overAtts summarizes a value of each attestation. The summary may reorder the values.
func overAtts(n needs, value func(*att) float64, summary func([]float64) float64) func(*input) float64 {
	return func(in *input) float64 {
		atts := in.packed(n)
		if len(atts) == 0 {
			return math.NaN()
		}
		in.pack.values = in.pack.values[:0]
		for i := range atts {
			in.pack.values = append(in.pack.values, value(&atts[i]))
		}
		return summary(in.pack.values)
	}
}

// median sorts v. It is ours because gonum's quantiles do not average the middle two values.
func median(v []float64) float64 {
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// at is a value of the attestation at a position, which counts from the end if it is negative. The result is NaN if the
// block has no such attestation.
func at(n needs, place int, value func(*att) float64) func(*input) float64 {
	return func(in *input) float64 {
		atts := in.packed(n)
		i := place
		if i < 0 {
			i += len(atts)
		}
		if i < 0 || i >= len(atts) {
			return math.NaN()
		}
		return value(&atts[i])
	}
}

func newestShare(in *input) float64 {
	newest, all := 0.0, 0.0
	for _, a := range in.packed(hasWorth) {
		all += a.marginal
		if a.distance == 1 {
			newest += a.marginal
		}
	}
	return newest / all // NaN for a block that earns nothing
}

func oneCommitteeTail(in *input) float64 {
	atts := in.packed(hasCommittees)
	n := 0
	for i := len(atts) - 1; i >= 0 && atts[i].committees == 1; i-- {
		n++
	}
	return shareOr(n, len(atts), math.NaN())
}

func overlapShare(in *input) float64 {
	overlap, voters := 0.0, 0
	for _, a := range in.packed(hasWorth) {
		overlap += a.overlap
		voters += a.bits
	}
	return overlap / float64(voters)
}

// stale is the share of some attestations' voters whose flags were all set before the block.
func stale(among func(*att) bool) func(*input) float64 {
	return func(in *input) float64 {
		stale, voters := 0.0, 0
		atts := in.packed(hasWorth)
		for i := range atts {
			if a := &atts[i]; among(a) {
				stale += float64(a.bits) - a.unseen
				voters += a.bits
			}
		}
		return stale / float64(voters)
	}
}

// coverage is the number of voters of the first attestation for which f holds, divided by its committees' members.
func coverage(f func(*att) bool) func(*input) float64 {
	return func(in *input) float64 {
		atts := in.packed(hasCommittees)
		for i := range atts {
			if f(&atts[i]) {
				return float64(atts[i].bits) / float64(atts[i].size)
			}
		}
		return math.NaN()
	}
}

func coverageOld(in *input) float64 {
	bits, size := 0, 0
	for _, a := range in.packed(hasCommittees) {
		if a.distance > 1 {
			bits += a.bits
			size += a.size
		}
	}
	return shareOr(bits, size, math.NaN())
}

// freshShare is the share of some attestations' voters that are fresh.
func freshShare(among func(*att) bool) func(*input) float64 {
	return func(in *input) float64 {
		fresh, bits := 0, 0
		atts := in.packed(hasCommittees)
		for i := range atts {
			if a := &atts[i]; among(a) {
				fresh += a.fresh
				bits += a.bits
			}
		}
		return shareOr(fresh, bits, math.NaN())
	}
}

func headSplit(in *input) float64 {
	atts := in.packed(hasCommittees)
	all, most := 0, 0
	for i := range atts {
		if atts[i].distance != 1 {
			continue
		}
		all += atts[i].fresh
		same := 0
		for j := range atts {
			if atts[j].distance == 1 && atts[j].key.root == atts[i].key.root {
				same += atts[j].fresh
			}
		}
		most = max(most, same)
	}
	return shareOr(all-most, all, math.NaN())
}

func newestAttestations(in *input) float64 {
	atts := in.packed(hasCommittees)
	n, committees := 0, map[uint64]bool{}
	for i := range atts {
		if atts[i].distance == 1 {
			n++
			for _, c := range in.pack.lists[i] {
				committees[c.Index] = true
			}
		}
	}
	return shareOr(n, len(committees), math.NaN())
}
