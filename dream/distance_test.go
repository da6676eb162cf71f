package dream

import (
	"math"
	"math/rand/v2"
	"testing"

	"blockprint"
	"blockprint/beacon"
)

// given is an attestation: its data and the voters in each of its committees.
type given struct {
	data       byte
	committees map[uint64][]int
}

const members = 10

func packing(list ...given) Packing {
	var out Packing
	for _, g := range list {
		a := attestation{data: blockprint.AttestationData{BeaconBlockRoot: blockprint.Root{g.data}}}
		for c := range uint64(64) {
			voters, ok := g.committees[c]
			if !ok {
				continue
			}
			b := committeeBits{index: c, size: members, bits: make([]byte, (members+7)/8)}
			for _, v := range voters {
				b.bits[v/8] |= 1 << (v % 8)
			}
			a.voters += len(voters)
			a.committees = append(a.committees, b)
		}
		out = append(out, a)
	}
	return out
}

func TestDistance(t *testing.T) {
	one := given{1, map[uint64][]int{0: {0, 1, 2}, 3: {9}}}
	two := given{2, map[uint64][]int{0: {5}}}
	for name, c := range map[string]struct {
		a, b Packing
		want int
	}{
		"the same":          {packing(one, two), packing(one, two), 0},
		"empty":             {packing(), packing(one), 128 + 4},
		"exchanged":         {packing(one, two), packing(two, one), 2},
		"another voter":     {packing(one), packing(given{1, map[uint64][]int{0: {0, 1, 7}, 3: {9}}}), 2},
		"another committee": {packing(one), packing(given{1, map[uint64][]int{0: {0, 1, 2}, 4: {9}}}), 2},
		"another data":      {packing(two), packing(given{3, map[uint64][]int{0: {5}}}), 2 * (128 + 1)},
		// Attestations with the same data are paired by their voters, even if that exchanges their positions.
		"twins": {
			packing(given{1, map[uint64][]int{0: {0, 1, 2, 3, 4, 5}}}, given{1, map[uint64][]int{1: {0, 1, 2, 3, 4, 5}}}),
			packing(given{1, map[uint64][]int{1: {0, 1, 2, 3, 4, 5}}}, given{1, map[uint64][]int{0: {0, 1, 2, 3, 4, 5}}}),
			2,
		},
	} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if got := Distance(c.b, c.a); got != c.want {
			t.Errorf("%s, the other way round: %d, want %d", name, got, c.want)
		}
	}
}

// TestAssignment compares the result with the best of all permutations.
func TestAssignment(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 1 + rng.IntN(6)
		cost := make([][]int, n)
		for i := range cost {
			for range n {
				cost[i] = append(cost[i], rng.IntN(30))
			}
		}
		best := math.MaxInt
		var try func(row, sum int, used []bool)
		try = func(row, sum int, used []bool) {
			if row == n {
				best = min(best, sum)
				return
			}
			for c := range n {
				if !used[c] {
					used[c] = true
					try(row+1, sum+cost[row][c], used)
					used[c] = false
				}
			}
		}
		try(0, 0, make([]bool, n))
		if got := assignment(cost); got != best {
			t.Fatalf("%v: %d, want %d", cost, got, best)
		}
	}
}

// TestNewPacking: a reward whose committees do not fit the block's bits is refused.
func TestNewPacking(t *testing.T) {
	b := &beacon.Block{Attestations: []beacon.Attestation{{Committees: []uint64{1, 4}, Bits: []byte{0b00100101, 1}, NumBits: 8}}}
	r := &blockprint.BlockReward{}
	r.Attestations.Committees = [][]blockprint.CommitteeVotes{{{Index: 1, Size: 3}, {Index: 4, Size: 5}}}
	p, err := NewPacking(b, r)
	if err != nil || p[0].voters != 3 || p[0].committees[0].bits[0] != 0b101 || p[0].committees[1].bits[0] != 0b00100 {
		t.Errorf("%+v (%v)", p, err)
	}
	r.Attestations.Committees[0][1].Size = 4
	if _, err := NewPacking(b, r); err == nil {
		t.Error("committees that do not fit the bits were taken")
	}
	r.Attestations.Committees = nil
	if _, err := NewPacking(b, r); err == nil {
		t.Error("a reward without committees was taken")
	}
}

func TestJudge(t *testing.T) {
	n := func(label blockprint.Client, distance int) NodeDistance {
		return NodeDistance{string(label), label, distance}
	}
	for name, c := range map[string]struct {
		nearest []NodeDistance
		want    blockprint.Client
	}{
		"nobody":             {nil, ""},
		"one":                {[]NodeDistance{n("Teku", 50)}, "Teku"},
		"two of one client":  {[]NodeDistance{n("Teku", 50), n("Teku", 51), n("Prysm", 52)}, "Teku"},
		"twice as far":       {[]NodeDistance{n("Teku", 50), n("Prysm", 100)}, "Teku"},
		"not twice as far":   {[]NodeDistance{n("Teku", 50), n("Prysm", 99)}, ""},
		"both the very same": {[]NodeDistance{n("Teku", 0), n("Prysm", 0)}, ""},
	} {
		if got := judge(c.nearest); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
