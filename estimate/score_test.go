package estimate_test

import (
	"math"
	"testing"

	"blockprint"
	"blockprint/estimate"
)

// TestConfusion: hits and rates of a confusion that is small enough to count by hand.
func TestConfusion(t *testing.T) {
	c := estimate.NewConfusion(map[blockprint.Client]map[blockprint.Client]float64{
		blockprint.Teku:  {blockprint.Teku: 6, blockprint.Prysm: 2},
		blockprint.Prysm: {blockprint.Prysm: 1, blockprint.Teku: 3, blockprint.Uncertain: 4},
	})
	for client, want := range map[blockprint.Client]estimate.Hits{
		blockprint.Teku:      {TruePos: 6, FalseNeg: 2, FalsePos: 3, TrueNeg: 5},
		blockprint.Prysm:     {TruePos: 1, FalseNeg: 7, FalsePos: 2, TrueNeg: 6},
		blockprint.Uncertain: {FalsePos: 4, TrueNeg: 12},
	} {
		if got := c.Hits(client); got != want {
			t.Errorf("%s: %+v, want %+v", client, got, want)
		}
	}
	hits := c.Hits(blockprint.Teku)
	for name, rate := range map[string]struct {
		got  *estimate.Rate
		want float64
	}{
		"true positives": {hits.TruePositiveRate(), 6. / 8}, "true negatives": {hits.TrueNegativeRate(), 5. / 8}, "precision": {hits.Precision(), 6. / 9},
	} {
		if r := rate.got; r == nil || math.Abs(r.Share-rate.want) > 1e-12 || !(r.Low < r.Share && r.Share < r.High) {
			t.Errorf("%s: %+v, want %g", name, r, rate.want)
		}
	}
	if mean, ok := c.BalancedAccuracy(); !ok || mean != (6./8+1./8)/2 {
		t.Errorf("balanced accuracy %g, %v", mean, ok)
	}
	none := c.Hits(blockprint.Nimbus)
	if none.TruePositiveRate() != nil || none.Precision() != nil {
		t.Errorf("rates without blocks: %+v", none)
	}
	if _, ok := (&estimate.Confusion{}).BalancedAccuracy(); ok {
		t.Error("a balanced accuracy without blocks")
	}
}
