package feature

import (
	"bytes"
	"cmp"
	"slices"

	"gonum.org/v1/gonum/stat"

	"blockprint"
)

// order are features that measure how close a block is to being sorted. All but the Spearman correlation compare the
// block with its sorted self by the Ratcliff-Obershelp ratio.
var order = []Feature{
	{
		"difflib_rewards", "0 to 1", "how near the rewards are to descending order",
		func(in *input) float64 { return in.rewardRatio() },
	},
	{
		"difflib_slot_index", "0 to 1", "how near the attestations are to ascending (slot, committee); committee is data.index, which is 0 since Electra",
		byKey(false, slotIndex),
	},
	{
		"difflib_index_slot", "0 to 1", "how near the attestations are to ascending (committee, slot)",
		byKey(false, indexSlot),
	},
	{
		"difflib_slot_index_rev", "0 to 1", "how near the attestations are to descending (slot, committee)",
		byKey(true, slotIndex),
	},
	{
		"difflib_index_slot_rev", "0 to 1", "how near the attestations are to descending (committee, slot)",
		byKey(true, indexSlot),
	},
	{
		"difflib_slot", "0 to 1", "how near the attestations are to oldest slot first",
		byKey(false, slotOnly),
	},
	{
		"difflib_slot_rev", "0 to 1", "how near the attestations are to newest slot first",
		byKey(true, slotOnly),
	},
	{
		"difflib_slot_reward", "0 to 1", "how near the attestations are to ascending (slot, reward)",
		byKey(false, slotReward),
	},
	{
		"difflib_slot_reward_rev", "0 to 1", "how near the attestations are to descending (slot, reward)",
		byKey(true, slotReward),
	},
	{
		"spearman_correlation", "-1 to 1", "rank correlation of the rewards with themselves in descending order",
		func(in *input) float64 { return in.spearman() },
	},
}

// orderScratch is the order features' memory, which is reused for each block.
type orderScratch struct {
	ready   bool
	entries []entry // empty if an old file lacks the data, whose ratios are then 1
	codes   []int32 // one number for each distinct (slot, index, root, reward), in block order
	perm    []int32
	sorted  []int32
	rewards []int32 // the same for rewards alone
	matcher matcher
}

// entry holds what two attestations must have in common to count as equal.
type entry struct {
	slot   blockprint.Slot
	index  uint64
	root   *blockprint.Root
	reward blockprint.Gwei
}

func slotIndex(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.index, b.index))
}

func indexSlot(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(a.slot, b.slot))
}

func slotOnly(a, b *entry) int { return cmp.Compare(a.slot, b.slot) }

func slotReward(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.reward, b.reward))
}

func wholeEntry(a, b *entry) int {
	return cmp.Or(slotIndex(a, b), cmp.Compare(a.reward, b.reward), bytes.Compare(a.root[:], b.root[:]))
}

// byKey makes a feature that compares the block with itself sorted by a key. The sort is stable in both directions, like
// Python's.
func byKey(reverse bool, key func(a, b *entry) int) func(*input) float64 {
	return func(in *input) float64 {
		in.prepareOrder()
		o := &in.order
		o.sorted = upTo(o.sorted, len(o.codes))
		slices.SortStableFunc(o.sorted, func(a, b int32) int {
			if reverse {
				a, b = b, a
			}
			return key(&o.entries[a], &o.entries[b])
		})
		for i, at := range o.sorted {
			o.sorted[i] = o.codes[at]
		}
		return o.matcher.ratio(o.codes, o.sorted)
	}
}

// prepareOrder gives equal attestations equal codes.
func (in *input) prepareOrder() {
	o := &in.order
	if o.ready {
		return
	}
	o.ready = true
	n := min(len(in.r.Attestations.Data), in.n())
	o.entries = o.entries[:0]
	for i := range n {
		d := &in.r.Attestations.Data[i]
		o.entries = append(o.entries, entry{d.Slot, d.Index, &d.BeaconBlockRoot, in.totals[i]})
	}
	o.codes = o.number(o.codes, n, func(a, b int32) int { return wholeEntry(&o.entries[a], &o.entries[b]) })
}

// rankRewards returns, in block order, 0 for the attestations of the highest reward, 1 for the next, and so on.
func (in *input) rankRewards() []int32 {
	o := &in.order
	o.rewards = o.number(o.rewards, in.n(), func(a, b int32) int { return cmp.Compare(in.totals[b], in.totals[a]) })
	return o.rewards
}

// upTo returns the numbers 0 to n-1 in the memory of list.
func upTo(list []int32, n int) []int32 {
	list = slices.Grow(list[:0], n)[:n]
	for i := range list {
		list[i] = int32(i)
	}
	return list
}

// number gives each of n things its rank from 0 in ascending order, equal things the same, in the memory of codes.
func (o *orderScratch) number(codes []int32, n int, compare func(a, b int32) int) []int32 {
	o.perm = upTo(o.perm, n)
	slices.SortFunc(o.perm, compare)
	codes = slices.Grow(codes[:0], n)[:n]
	code := int32(-1)
	for i, at := range o.perm {
		if i == 0 || compare(o.perm[i-1], at) != 0 {
			code++
		}
		codes[at] = code
	}
	return codes
}

func (in *input) rewardRatio() float64 {
	ranks := in.rankRewards()
	o := &in.order
	o.sorted = append(o.sorted[:0], ranks...)
	slices.Sort(o.sorted)
	return o.matcher.ratio(ranks, o.sorted)
}

func (in *input) spearman() float64 {
	ranks := in.rankRewards()
	if slices.IsSorted(ranks) {
		return 1 // also for a constant sequence, whose correlation is undefined
	}
	o := &in.order
	o.sorted = append(o.sorted[:0], ranks...)
	slices.Sort(o.sorted)
	return stat.Correlation(averageRanks(ranks), averageRanks(o.sorted), nil)
}

// averageRanks returns the rank of each value, from 1; equal values share the mean of their ranks.
// It is ours because gonum correlates values but does not rank them.
func averageRanks(values []int32) []float64 {
	perm := make([]int, len(values))
	for i := range perm {
		perm[i] = i
	}
	slices.SortFunc(perm, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	ranks := make([]float64, len(values))
	for lo := 0; lo < len(perm); {
		hi := lo + 1
		for hi < len(perm) && values[perm[hi]] == values[perm[lo]] {
			hi++
		}
		for _, at := range perm[lo:hi] {
			ranks[at] = float64(lo+hi+1) / 2
		}
		lo = hi
	}
	return ranks
}
