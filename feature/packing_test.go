package feature_test

import (
	"math"
	"testing"

	"blockprint"
	"blockprint/feature"
)

// packedBlock is a block of slot 100 with five attestations:
//
//	0: slot 99, vote A, committees 0 and 1, earns 50 of 50 alone
//	1: slot 99, vote B, committee 0, earns 5 of 5
//	2: slot 99, vote A again, committee 1, earns 10 of 40 alone (half its voters stood in 0)
//	3: slot 98, committees 0 to 2, earns 20 of 20
//	4: slot 95 of the epoch before, committee 3, one voter, worth nothing
func packedBlock() *blockprint.BlockReward {
	a, b := blockprint.Root{1}, blockprint.Root{2}
	r := &blockprint.BlockReward{Meta: blockprint.BlockMeta{Slot: 100, ParentSlot: 99}}
	data := func(slot blockprint.Slot, root blockprint.Root, epoch blockprint.Epoch) blockprint.AttestationData {
		return blockprint.AttestationData{Slot: slot, BeaconBlockRoot: root, Target: blockprint.Checkpoint{Epoch: epoch}}
	}
	votes := func(index, attesters, fresh, unseen, alone uint64) blockprint.CommitteeVotes {
		return blockprint.CommitteeVotes{Index: index, Size: 20, Attesters: attesters, Fresh: fresh, Unseen: unseen, Alone: alone}
	}
	r.Attestations = blockprint.AttestationRewards{
		PerAttestation: make([][]blockprint.VoterReward, 5),
		Data:           []blockprint.AttestationData{data(99, a, 3), data(99, b, 3), data(99, a, 3), data(98, a, 3), data(95, a, 2)},
		Committees: [][]blockprint.CommitteeVotes{
			{votes(0, 18, 18, 18, 30), votes(1, 16, 16, 16, 20)},
			{votes(0, 2, 2, 2, 5)},
			{votes(1, 4, 2, 4, 40)},
			{votes(0, 5, 3, 3, 6), votes(1, 5, 4, 4, 8), votes(2, 10, 3, 3, 6)},
			{votes(3, 1, 0, 0, 0)},
		},
		Worth: []blockprint.AttestationWorth{
			{Alone: 50, Marginal: 50, Unseen: 34, UnseenBalance: 340},
			{Alone: 5, Marginal: 5, Unseen: 2, UnseenBalance: 20},
			{Alone: 40, Marginal: 10, Unseen: 4, UnseenBalance: 40, Overlap: 2},
			{Alone: 20, Marginal: 20, Unseen: 10, UnseenBalance: 100},
			{},
		},
	}
	return r
}

func TestPacking(t *testing.T) {
	want := map[string]float64{
		"percent_worthless": 1. / 5, "percent_worthless_alone": 1. / 5, "percent_hurt": 1. / 5, "percent_low": 1. / 5,
		"mono_marginal": 2. / 4, "mono_alone": 3. / 4, "mono_unseen": 2. / 4, "mono_unseen_distance": 2./4 + 0, "mono_balance_distance": 2. / 4,
		"mono_fresh": 3. / 4, "mono_best_committee": 3. / 4, "mono_best_worth": 3. / 4, "mono_bits": 2. / 4, "mono_committees": 3. / 4, "mono_best_unseen": 3. / 4, "mono_best_alone": 3. / 4,
		"mono_marginal_slot": 1. / 2, "mono_alone_slot": 1. / 2, "mono_bits_slot": 1. / 2, "mono_marginal_twin": 1, "mono_bits_twin": 1,
		// 50 5 10 20 0 against 50 20 10 5 0, each times the attestations that it stands before and itself.
		"order_regret": 1 - (250.+20+30+40)/(250.+80+30+10),
		"slot_desc":    1, "slot_asc": 2. / 4, "slot_runs": 1, "epoch_split": 1, "max_distance": 5, "median_distance": 1,
		"percent_newest": 3. / 5, "newest_reward_share": 65. / 85, "first_distance": 1,
		"percent_repeat": 1. / 5, "percent_repeat_adjacent": 0, "second_twin_at": 2. / 5, "distinct_data": 4,
		"committees_first": 2, "committees_second": 1, "committees_last": 1, "committees_median": 1,
		"percent_one_committee": 3. / 5, "one_committee_tail": 1. / 5, "percent_nested": 1, "twin_committees": 1. / 2,
		"second_takes": 1, "twin_density": 4. / 17, "twin_fresh_density": 2,
		"twin_overlap": 2. / 4, "overlap": 2. / 61, "stale": (61. - 50) / 61, "stale_old": (21. - 10) / 21,
		"completeness": 34. / 36, "coverage_newest": 34. / 40, "coverage_old": 21. / 80,
		"percent_single_voter": 1. / 5, "percent_few_voters": 1. / 5, "voters_per_committee_last": 1, "voters_per_committee_median": 4,
		"fresh_per_voter": 48. / 61, "fresh_per_voter_old": 10. / 21, "saw_teeth": 1. / 2,
		"committee_entries": 8, "idle_committees": 1. / 8, "idle_committees_old": 1. / 4, "idle_committees_repeat": 0,
		"stale_committees": 1. / 8, "stale_committees_old": 1. / 4, "one_fresh_old": 0, "one_fresh_repeat": 0,
		"mono_fresh_committee": 1, "mono_bits_committee": 1, "density_newest_spread": 0.05,
		"tail_bits": 1. / 34, "tail_distance": 5, "head_split": 2. / 38, "newest_attestations": 3. / 2,
	}
	e, err := feature.NewExtractor(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := packedBlock()
	values := e.Extract(nil, r)
	tested := 0
	for i, name := range e.Names() {
		w, ok := want[name]
		if !ok {
			continue
		}
		tested++
		if math.Abs(values[i]-w) > 1e-12 || math.IsNaN(values[i]) {
			t.Errorf("%s is %v, want %v", name, values[i], w)
		}
	}
	if tested != len(want) {
		t.Errorf("%d of %d features are known", tested, len(want))
	}
	// Committees are in no order here, and old files have neither committees nor worths.
	if v := values[indexOf(t, e.Names(), "committee_asc")]; !math.IsNaN(v) {
		t.Errorf("committee_asc is %v", v)
	}
	r.Attestations.Committees, r.Attestations.Worth = nil, nil
	values = e.Extract(nil, r)
	for name, defined := range map[string]bool{"mono_marginal": false, "mono_bits": false, "completeness": false, "slot_desc": true, "percent_repeat": true} {
		if v := values[indexOf(t, e.Names(), name)]; math.IsNaN(v) == defined {
			t.Errorf("%s of an old file is %v", name, v)
		}
	}
	for i, v := range e.Extract(nil, &blockprint.BlockReward{Meta: blockprint.BlockMeta{Slot: 1}}) {
		if math.IsInf(v, 0) {
			t.Errorf("%s of an empty block is %v", e.Names()[i], v)
		}
	}
}

// TestRounds: what committees bring when they come a second and a third time.
func TestRounds(t *testing.T) {
	r := &blockprint.BlockReward{Meta: blockprint.BlockMeta{Slot: 100, ParentSlot: 99}}
	round := func(counts ...uint64) (list []blockprint.CommitteeVotes) {
		for i := 0; i < len(counts); i += 3 {
			list = append(list, blockprint.CommitteeVotes{Index: counts[i], Size: 20, Attesters: counts[i+1], Fresh: counts[i+2]})
		}
		return list
	}
	r.Attestations = blockprint.AttestationRewards{
		PerAttestation: make([][]blockprint.VoterReward, 3),
		Data:           make([]blockprint.AttestationData, 3),
		Committees: [][]blockprint.CommitteeVotes{
			round(0, 18, 18, 1, 16, 16, 2, 19, 19), // committee, voters, fresh ones
			round(0, 15, 1, 2, 10, 1),
			round(0, 17, 2, 2, 8, 1),
		},
	}
	for i := range r.Attestations.Data {
		r.Attestations.Data[i].Slot = 99
	}
	e, err := feature.NewExtractor([]string{"mono_fresh_committee", "mono_bits_committee", "mono_fresh_rounds", "mono_bits_rounds", "one_fresh_repeat", "stale_committees"})
	if err != nil {
		t.Fatal(err)
	}
	got := e.Extract(nil, r)
	// Committee 0 brings more the third time than the second, committee 2 does not. The last needs worths.
	for i, want := range []float64{3. / 4, 3. / 4, 1. / 2, 1. / 2, 3. / 4, math.NaN()} {
		if got[i] != want && !(math.IsNaN(got[i]) && math.IsNaN(want)) {
			t.Errorf("%s is %v, want %v", e.Names()[i], got[i], want)
		}
	}
}

func indexOf(t *testing.T, names []string, name string) int {
	t.Helper()
	for i, n := range names {
		if n == name {
			return i
		}
	}
	t.Fatalf("no feature %s", name)
	return 0
}
