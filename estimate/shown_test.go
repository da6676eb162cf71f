package estimate_test

import (
	"math"
	"strings"
	"testing"

	"blockprint"
	"blockprint/estimate"
)

var two = []blockprint.Client{blockprint.Prysm, blockprint.Teku}

// TestByAttestations: figures by hand. Blocks of one attestation say nothing, so they are right as often as chance and
// never labeled; of two, both of Prysm's are labeled, one of Teku's is called Prysm.
func TestByAttestations(t *testing.T) {
	var blocks []estimate.Answer
	add := func(attestations, truth int, teku float64) {
		blocks = append(blocks, estimate.Answer{Truth: truth, P: []float64{1 - teku, teku}, Attestations: attestations})
	}
	for i := range 400 {
		add(1, i/200, 0.5)
	}
	add(2, 0, 0.02)
	add(2, 0, 0.04)
	add(2, 1, 0.02)
	add(2, 1, 0.7) // Prysm is possible too
	add(0, 1, 0.9) // not known
	add(7, 1, 1)
	got := estimate.ByAttestations(two, blocks)
	want := []estimate.Shown{
		{Of: "1 attestation", Count: 400, Balanced: 0.5, Claimed: 0.5, Right: 0.5},
		{Of: "2 attestations", Count: 4, Balanced: 0.75, Labelled: 0.75, Precision: 2. / 3, Claimed: (0.98 + 0.96 + 0.98 + 0.7) / 4, Right: 0.75},
		{Of: "5-8 attestations", Count: 1, Balanced: 1, Labelled: 1, Precision: 1, Claimed: 1, Right: 1},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, w := range want {
		g := got[i]
		if math.Abs(g.Claimed-w.Claimed) > 1e-12 {
			t.Errorf("%s: claimed %v, want %v", w.Of, g.Claimed, w.Claimed)
		}
		if i == 0 && math.Abs(g.Right-0.5) < 0.05 && g.Balanced == g.Right {
			g.Right, g.Balanced = 0.5, 0.5 // as often as chance
		}
		if g.Claimed = w.Claimed; g != w {
			t.Errorf("%+v, want %+v", g, w)
		}
	}
	if text := estimate.ShownText(got, nil); !strings.Contains(text, "1 attestation") || !strings.Contains(text, " - ") {
		t.Errorf("table:\n%s", text)
	}
}

// TestByBlocks: runs of a validator's blocks, never across validators; blocks that say nothing leave the answer open.
func TestByBlocks(t *testing.T) {
	var blocks []estimate.Answer
	add := func(validator uint64, n, truth int, teku float64) {
		for i := range n {
			blocks = append(blocks, estimate.Answer{Truth: truth, P: []float64{1 - teku, teku}, Validator: validator, Slot: blockprint.Slot(i)})
		}
	}
	add(1, 4, 0, 0.1)  // too few
	add(2, 23, 0, 0.2) // four runs of five, one of twenty
	add(3, 12, 1, 0.8) // two runs of five
	got := estimate.ByBlocks(two, blocks)
	if len(got) != 2 || got[0].Of != "5 blocks" || got[0].Count != 6 || got[1].Of != "20 blocks" || got[1].Count != 1 {
		t.Fatalf("%+v", got)
	}
	if got[0].Balanced != 1 || got[0].Right != 1 || got[1].Claimed <= got[0].Claimed {
		t.Errorf("%+v", got)
	}
	blocks = nil
	add(1, 5, 1, 0.5)
	add(2, 5, 0, 0.5)
	if got = estimate.ByBlocks(two, blocks); got[0].Labelled != 0 || math.Abs(got[0].Claimed-0.5) > 1e-9 {
		t.Errorf("blocks that say nothing: %+v", got)
	}
}
