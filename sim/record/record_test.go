package record_test

import (
	"log/slog"
	"math"
	"testing"

	"blockprint/feature"
	"blockprint/sim"
	"blockprint/sim/record"
)

// means runs a world of both eras' variants and returns, for each, the mean of each feature over its blocks.
func means(t *testing.T, electra bool, variants ...string) map[string]map[string]float64 {
	t.Helper()
	c := sim.DefaultConfig(5)
	c.Validators, c.Committees, c.Shares = 16384, 16, nil
	if electra {
		c.ElectraEpoch = 0
	}
	for _, v := range variants {
		c.Shares = append(c.Shares, sim.Share{Variant: v, Weight: 1})
	}
	e, err := feature.NewExtractor(nil)
	if err != nil {
		t.Fatal(err)
	}
	sums, counts := map[string]map[string]float64{}, map[string]map[string]float64{}
	var row []float64
	err = record.Run(t.Context(), c, 30*len(variants), slog.New(slog.DiscardHandler), func(b record.Block) error {
		limit := 128
		if electra {
			limit = 8
		}
		if n := len(b.Reward.Attestations.PerAttestation); n > limit {
			t.Errorf("%s packs %d attestations", b.Variant, n)
		}
		row = e.Extract(row[:0], b.Reward)
		if sums[b.Variant] == nil {
			sums[b.Variant], counts[b.Variant] = map[string]float64{}, map[string]float64{}
		}
		for i, name := range e.Names() {
			if !math.IsNaN(row[i]) {
				sums[b.Variant][name] += row[i]
				counts[b.Variant][name]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for v, features := range sums {
		for name := range features {
			features[name] /= counts[v][name]
		}
	}
	for _, v := range variants {
		if counts[v]["num_attestations"] < 10 {
			t.Fatalf("%s built %v blocks", v, counts[v]["num_attestations"])
		}
	}
	return sums
}

// TestVisible: each packer shows what is seen of its client on chain (the design page on packing has the table).
func TestVisible(t *testing.T) {
	if testing.Short() {
		t.Skip("two worlds of all variants take long under the race detector")
	}
	deneb := means(t, false, "grandine/greedy", "grandine/optimal", "lighthouse/2024", "lodestar/2023", "lodestar/2024", "nimbus/2023", "prysm/2023", "prysm/2024", "teku/v1-plain", "teku/v1-sorted")
	electra := means(t, true, "grandine/greedy", "grandine/optimal", "lighthouse/2024", "lodestar/electra-distance", "lodestar/electra-weight", "nimbus/2023", "nimbus/2026", "prysm/2024", "prysm/marginal", "teku/v1-sorted", "teku/v2")
	type bound struct {
		of            map[string]map[string]float64
		variant, name string
		low, high     float64
	}
	for _, b := range []bound{
		// Lighthouse and greedy Grandine order by what is earned and pack nothing worthless.
		{deneb, "lighthouse/2024", "mono_marginal", 0.99, 1},
		{deneb, "lighthouse/2024", "percent_worthless", 0, 0.001},
		{deneb, "grandine/greedy", "percent_repeat", 0, 0},
		{deneb, "grandine/greedy", "mono_alone", 0.99, 1},
		{deneb, "grandine/optimal", "epoch_split", 1, 1},
		{deneb, "grandine/optimal", "percent_worthless", 0, 0.02},
		// Prysm packs newest slots first and minds no repetition, Teku puts the repeats of a group beside it.
		{deneb, "prysm/2023", "slot_desc", 0.97, 1},
		{deneb, "prysm/2024", "slot_desc", 0.97, 1},
		{deneb, "prysm/2024", "percent_worthless", 0.1, 0.9},
		{deneb, "prysm/2024", "percent_repeat_adjacent", 0, 0.8},
		{deneb, "teku/v1-plain", "slot_desc", 1, 1},
		{deneb, "teku/v1-plain", "percent_repeat_adjacent", 1, 1},
		{deneb, "teku/v1-sorted", "mono_bits_slot", 1, 1},
		// Nimbus packs the oldest first when there are few, nothing older than 24 slots, nothing worthless.
		{deneb, "nimbus/2023", "percent_worthless", 0, 0.02},
		{deneb, "nimbus/2023", "max_distance", 1, 24},
		{deneb, "lodestar/2024", "mono_unseen_distance", 0.99, 1},

		{electra, "lighthouse/2024", "mono_marginal", 0.99, 1},
		{electra, "lighthouse/2024", "percent_worthless", 0, 0.001},
		{electra, "nimbus/2023", "percent_repeat", 0, 0},
		{electra, "nimbus/2026", "percent_repeat", 0, 0},
		{electra, "nimbus/2026", "max_distance", 1, 32},
		{electra, "prysm/2024", "num_attestations", 7.5, 8},
		{electra, "prysm/2024", "mono_alone", 0.99, 1},
		{electra, "prysm/marginal", "mono_marginal", 0.99, 1},
		{electra, "prysm/marginal", "percent_worthless", 0, 0.001},
		{electra, "teku/v1-sorted", "slot_desc", 1, 1},
		{electra, "teku/v1-sorted", "mono_bits_slot", 1, 1},
		{electra, "teku/v2", "num_attestations", 6, 8},
		{electra, "grandine/optimal", "epoch_split", 1, 1},
		{electra, "lodestar/electra-distance", "mono_balance_distance", 0.8, 1},
	} {
		if v := b.of[b.variant][b.name]; v < b.low || v > b.high {
			t.Errorf("%s: %s is %.3f on average, want %v to %v", b.variant, b.name, v, b.low, b.high)
		}
	}
}
