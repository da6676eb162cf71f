package estimate_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"blockprint"
	"blockprint/estimate"
)

var three = []blockprint.Client{"A", "B", "C"}

// evidence returns blocks of a client that is recognized with a probability of three fifths.
func evidence(rng *rand.Rand, slot int, client int) estimate.Evidence {
	p := []float64{.2, .2, .2}
	shown := client
	if rng.Float64() > 0.6 {
		shown = (client + 1 + rng.IntN(2)) % 3
	}
	p[shown] = .6
	return estimate.Evidence{Slot: blockprint.Slot(slot), P: p}
}

// TestValidator: many weak hints make a certain answer, and its probability is right.
func TestValidator(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	m := estimate.ValidatorModel{Classes: three, Switch: 0.02}
	right, said := 0, 0.0
	const n = 2000
	for range n {
		client := rng.IntN(3)
		var blocks []estimate.Evidence
		for i := range 8 {
			blocks = append(blocks, evidence(rng, i, client))
		}
		e := m.Validator(blocks)
		said += e.P
		if e.Client == three[client] {
			right++
		}
	}
	if share := float64(right) / n; share < 0.82 || math.Abs(share-said/n) > 0.06 {
		t.Errorf("%.3f are right, and said to be %.3f", share, said/n)
	}
}

// TestWeight: where a validator's blocks repeat each other's mistakes, answers that count fully claim far more than is
// right, and weighted ones do not.
func TestWeight(t *testing.T) {
	for _, c := range []struct {
		weight    float64
		low, high float64 // what is claimed beyond what is right
	}{{1, 0.08, 1}, {estimate.ClassifierWeight, -0.1, 0.08}} {
		rng := rand.New(rand.NewPCG(1, 1))
		m := estimate.ValidatorModel{Classes: three, Switch: 0.02}
		right, claimed := 0.0, 0.0
		const n = 2000
		for range n {
			client := rng.IntN(3)
			var blocks []estimate.Evidence
			for i := 0; i < 8; i += 2 { // each block says what the one before said
				e := evidence(rng, i, client)
				e.Weight = c.weight
				blocks = append(blocks, e, e)
			}
			e := m.Validator(blocks)
			claimed += e.P / n
			if e.Client == three[client] {
				right += 1. / n
			}
		}
		if claimed-right < c.low || claimed-right > c.high {
			t.Errorf("weight %v: %.3f are right, claimed %.3f", c.weight, right, claimed)
		}
	}
}

// TestSwitch: a change of client is found where it was, and none is found where there was none.
func TestSwitch(t *testing.T) {
	m := estimate.ValidatorModel{Classes: three, Switch: 0.02}
	sure := func(slot, client int) estimate.Evidence {
		p := []float64{.05, .05, .05}
		p[client] = .9
		return estimate.Evidence{Slot: blockprint.Slot(slot), P: p}
	}
	var blocks []estimate.Evidence
	for i := range 10 {
		client := 0
		if i >= 6 {
			client = 2
		}
		blocks = append(blocks, sure(10*i, client))
	}
	e := m.Validator(blocks)
	if len(e.Switches) != 1 || e.Client != "C" {
		t.Fatalf("now %s, switches %+v", e.Client, e.Switches)
	}
	if s := e.Switches[0]; s.After != 50 || s.Before != 60 || s.From != "A" || s.To != "C" || s.P < 0.85 {
		t.Errorf("switch %+v", s)
	}
	blocks[6], blocks[7], blocks[8], blocks[9] = sure(60, 0), sure(70, 2), sure(80, 0), sure(90, 0)
	if e := m.Validator(blocks); len(e.Switches) != 0 || e.Client != "A" {
		t.Errorf("one odd block: now %s, switches %+v", e.Client, e.Switches)
	}
}

// TestShares: the true share lies in the interval about as often as it should, and the raw share does not.
func TestShares(t *testing.T) {
	rates := [][]float64{{.7, .2, .05, .05}, {.1, .8, .05, .05}, {.3, .3, .3, .1}}
	labels := []blockprint.Client{"A", "B", "C", "Uncertain"}
	truth := []float64{.6, .1, .3}
	rng := rand.New(rand.NewPCG(1, 1))
	draw := func(p []float64) int {
		x := rng.Float64()
		for i, v := range p {
			if x -= v; x < 0 {
				return i
			}
		}
		return len(p) - 1
	}
	inside, rawInside, trials := 0, 0, 60
	for trial := range trials {
		counts := map[blockprint.Client]map[blockprint.Client]float64{}
		for i, c := range three {
			counts[c] = map[blockprint.Client]float64{}
			for range 400 {
				counts[c][labels[draw(rates[i])]]++
			}
		}
		called := map[blockprint.Client]float64{}
		for range 3000 {
			called[labels[draw(rates[draw(truth)])]]++
		}
		for i, s := range estimate.Shares(estimate.NewConfusion(counts), called, nil, uint64(trial)) {
			if s.Low <= truth[i] && truth[i] <= s.High {
				inside++
			}
			if s.Low <= s.Raw && s.Raw <= s.High {
				rawInside++
			}
			if s.High-s.Low > 0.3 {
				t.Errorf("an interval from %.2f to %.2f says little", s.Low, s.High)
			}
		}
	}
	if share := float64(inside) / float64(3*trials); share < 0.9 {
		t.Errorf("the truth is inside of %.0f %% of the intervals, want about 95", 100*share)
	}
	if share := float64(rawInside) / float64(3*trials); share > 0.7 {
		t.Errorf("the raw share is inside of %.0f %% of the intervals: there was nothing to correct", 100*share)
	}
}

// TestUnrecognized: of two clients with the same labels only the sum is known, and the answer says so.
func TestUnrecognized(t *testing.T) {
	c := estimate.NewConfusion(map[blockprint.Client]map[blockprint.Client]float64{
		"A": {"A": 990, "B": 10}, "B": {"A": 20, "B": 980}, "C": {"A": 30, "B": 970},
	})
	shares := estimate.Shares(c, map[blockprint.Client]float64{"A": 4000, "B": 6000}, nil, 1)
	if s := shares[0]; s.High-s.Low > 0.1 || len(s.Like) != 0 {
		t.Errorf("A: %+v", s)
	}
	for i, other := range map[int]blockprint.Client{1: "C", 2: "B"} {
		if s := shares[i]; s.High-s.Low < 0.4 || len(s.Like) != 1 || s.Like[0] != other {
			t.Errorf("%s: %+v", s.Client, s)
		}
	}
}

// TestKnown: blocks that name their client count as they are.
func TestKnown(t *testing.T) {
	c := estimate.NewConfusion(map[blockprint.Client]map[blockprint.Client]float64{"A": {"A": 1000}, "B": {"B": 1000}})
	shares := estimate.Shares(c, map[blockprint.Client]float64{"A": 100}, map[blockprint.Client]float64{"B": 300}, 1)
	if math.Abs(shares[0].Share-0.25) > 0.01 || math.Abs(shares[1].Share-0.75) > 0.01 {
		t.Errorf("%+v", shares)
	}
	if estimate.Shares(c, nil, nil, 1) != nil {
		t.Error("shares of nothing")
	}
}
