package feature

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pmezard/go-difflib/difflib"

	"blockprint"
)

// sequences makes pairs of sequences around and beyond the length at which autojunk begins.
func sequences(rng *rand.Rand) (a, b []int32) {
	n := []int{0, 1, 5, 30, 128, 199, 200, 201, 300}[rng.IntN(9)]
	codes := []int{1, 2, 4, 40, 400}[rng.IntN(5)]
	for range n {
		a = append(a, int32(rng.IntN(codes)))
	}
	b = slices.Clone(a)
	switch rng.IntN(4) {
	case 0:
		slices.Sort(b)
	case 1:
		rng.Shuffle(n, func(i, j int) { b[i], b[j] = b[j], b[i] })
	case 2:
		for range min(n, 3) {
			i, j := rng.IntN(n), rng.IntN(n)
			b[i], b[j] = b[j], b[i]
		}
	}
	return a, b
}

func texts(s []int32) (out []string) {
	for _, c := range s {
		out = append(out, strconv.Itoa(int(c)))
	}
	return out
}

// TestRatio compares with another implementation of Python's difflib.
func TestRatio(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var m matcher
	for i := range 3000 {
		a, b := sequences(rng)
		want := difflib.NewMatcher(texts(a), texts(b)).Ratio()
		if got := m.ratio(a, b); math.Abs(got-want) > 1e-12 {
			t.Fatalf("pair %d of length %d: ratio %v, want %v", i, len(a), got, want)
		}
	}
}

func TestAverageRanks(t *testing.T) {
	if got := averageRanks([]int32{3, 1, 3, 2}); !slices.Equal(got, []float64{3.5, 1, 3.5, 2}) {
		t.Errorf("ranks %v", got)
	}
}

// BenchmarkRatio compares a block of 128 attestations with itself sorted; the ratio is to pmezard/go-difflib.
func BenchmarkRatio(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	var x []int32
	for range 128 {
		x = append(x, int32(rng.IntN(60)))
	}
	y := slices.Clone(x)
	slices.Sort(y)
	tx, ty := texts(x), texts(y)
	began := time.Now()
	const rounds = 300
	for range rounds {
		difflib.NewMatcher(tx, ty).Ratio()
	}
	baseline := time.Since(began) / rounds
	var m matcher
	n := 0
	for b.Loop() {
		m.ratio(x, y)
		n++
	}
	b.ReportMetric(float64(baseline)/float64(b.Elapsed()/time.Duration(n)), "x_go-difflib")
}

// benchReward is a block of 128 attestations.
func benchReward() *blockprint.BlockReward {
	rng := rand.New(rand.NewPCG(1, 2))
	r := &blockprint.BlockReward{Meta: blockprint.BlockMeta{Slot: 100, ParentSlot: 99}}
	for i := range uint64(128) {
		var voters []blockprint.VoterReward
		for range rng.IntN(60) {
			voters = append(voters, blockprint.VoterReward{Validator: rng.Uint64N(1e6), Gwei: 1000})
		}
		r.Attestations.PerAttestation = append(r.Attestations.PerAttestation, voters)
		r.Attestations.Data = append(r.Attestations.Data, blockprint.AttestationData{Slot: blockprint.Slot(99 - i/60), Index: rng.Uint64N(64)})
	}
	return r
}

// BenchmarkExtract computes features of a block of 128 attestations. (The original takes about 120 microseconds for
// its four default ones.)
func BenchmarkExtract(b *testing.B) {
	for name, features := range map[string][]string{"default": Default(), "all": nil} {
		b.Run(name, func(b *testing.B) {
			e, err := NewExtractor(features)
			if err != nil {
				b.Fatal(err)
			}
			r := benchReward()
			var out []float64
			b.ReportAllocs()
			for b.Loop() {
				out = e.Extract(out[:0], r)
			}
		})
	}
}
