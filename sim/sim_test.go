package sim_test

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"blockprint"
	"blockprint/beacon"
	"blockprint/reward"
	"blockprint/sim"
)

func testConfig(seed uint64) sim.Config {
	c := sim.DefaultConfig(seed)
	c.Validators, c.Committees, c.SlotsPerEpoch = 1024, 4, 16
	c.SkipRate, c.LateRate, c.SideChainRate = 0.04, 0.1, 0.03
	return c
}

// TestTrackerAgrees walks a world with skipped slots, late blocks, side chains and both forks through the API of
// its node, in JSON and SSZ, and compares each block's exact reward with what the world itself paid.
func TestTrackerAgrees(t *testing.T) {
	c := testConfig(7)
	c.DenebEpoch, c.ElectraEpoch = 3, 6
	c.Shares = append(c.Shares, sim.Share{Variant: "lodestar/electra-weight", Weight: 1})
	w, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	const slots = 16 * 10
	for range slots {
		w.Step()
	}
	server := httptest.NewServer(w.Handler())
	defer server.Close()
	for _, asJSON := range []bool{false, true} {
		client, err := beacon.New([]string{server.URL}, beacon.Options{JSON: asJSON})
		if err != nil {
			t.Fatal(err)
		}
		_, head := w.Head()
		blocks, electra := 0, 0
		// From the middle on too: the warm-up must make the difference vanish.
		for _, start := range []blockprint.Slot{1, 70} {
			err = reward.Walk(t.Context(), client, slog.Default(), blockprint.Interval{Start: start, End: head}, reward.Walker{Block: func(r reward.Rated) error {
				blocks++
				if r.Block.Fork == blockprint.Electra {
					electra++
				}
				want, ok := w.ExactAttestationReward(r.Block.Root)
				if !ok || r.Reward.Exact.Attestations != want {
					t.Errorf("slot %d: exact reward %d, the world paid %d", r.Block.Slot, r.Reward.Exact.Attestations, want)
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("json %v: %d blocks, %d of Electra", asJSON, blocks, electra)
		if blocks < slots || electra == 0 {
			t.Errorf("only %d blocks, %d of Electra", blocks, electra)
		}
	}
}

func TestDeterministic(t *testing.T) {
	var heads [2]blockprint.Root
	for i := range heads {
		w, err := sim.New(testConfig(3))
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			w.Step()
		}
		heads[i], _ = w.Head()
	}
	if heads[0] != heads[1] {
		t.Error("the same seed gave two different chains")
	}
}

func BenchmarkStep(b *testing.B) {
	w, err := sim.New(sim.DefaultConfig(1))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w.Step()
	}
}
