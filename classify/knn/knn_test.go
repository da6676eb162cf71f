package knn_test

import (
	"bytes"
	"cmp"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"blockprint/classify/algorithm"
	"blockprint/classify/knn"
)

// rows makes n rows like those of blocks: multiples of one over a small number, many of them equal.
func rows(rng *rand.Rand, n, dims, steps int) (x []float64, y []uint8) {
	for range n {
		for range dims {
			x = append(x, float64(rng.IntN(steps))/float64(steps))
		}
		y = append(y, uint8(rng.IntN(5)))
	}
	return x, y
}

// brute finds the k nearest rows by looking at all.
func brute(x []float64, y []uint8, dims, k int, q []float64) []knn.Neighbor {
	var all []knn.Neighbor
	for i := range y {
		d := 0.0
		for j := range dims {
			diff := q[j] - x[i*dims+j]
			d += diff * diff
		}
		all = append(all, knn.Neighbor{Row: uint32(i), Class: y[i], Distance: d})
	}
	slices.SortFunc(all, func(a, b knn.Neighbor) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Row, b.Row))
	})
	all = all[:k]
	for i := range all { // compared as squares, so that rounding the root makes no ties
		all[i].Distance = math.Sqrt(all[i].Distance)
	}
	return all
}

func TestExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ n, dims, steps, k int }{
		{9, 1, 2, 9}, {50, 2, 3, 9}, {500, 4, 4, 9}, {3000, 4, 50, 9}, {3000, 4, 1 << 30, 9}, {2000, 8, 10, 3}, {400, 3, 1, 20},
	} {
		x, y := rows(rng, c.n, c.dims, c.steps)
		tree, err := knn.Fit(algorithm.Data{X: x, Y: y, Features: c.dims, Classes: 5}, c.k)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := tree.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := knn.Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			q, _ := rows(rng, 1, c.dims, c.steps)
			want := brute(x, y, c.dims, c.k, q)
			for _, tree := range []*knn.Classifier{tree, decoded} {
				if got := tree.Neighbors(nil, q); !slices.Equal(got, want) {
					t.Fatalf("%+v: neighbours of %v are %v, want %v", c, q, got, want)
				}
			}
		}
	}
}

func TestProbabilities(t *testing.T) {
	tree, err := knn.Fit(algorithm.Data{X: []float64{0, 0, 0, 1, 2, 4}, Y: []uint8{0, 0, 1, 1, 1, 2}, Features: 1, Classes: 3}, 4)
	if err != nil {
		t.Fatal(err)
	}
	proba := make([]float64, 3)
	tree.PredictProba(proba, []float64{0})
	if want := []float64{2. / 3, 1. / 3, 0}; !slices.Equal(proba, want) {
		t.Errorf("a query on three rows: %v, want %v", proba, want)
	}
	tree.PredictProba(proba, []float64{3}) // 1 and 1 away: 2 and 4; 2 away: 1; 3 away: the first 0
	total := 1/1. + 1/1. + 1/2. + 1/3.
	if want := []float64{1 / 3. / total, 1.5 / total, 1 / total}; math.Abs(proba[0]-want[0]) > 1e-15 || proba[1] != want[1] || proba[2] != want[2] {
		t.Errorf("a query between rows: %v, want %v", proba, want)
	}
}

func TestRefusesNeighbors(t *testing.T) {
	if _, err := knn.Fit(algorithm.Data{X: make([]float64, 4), Y: make([]uint8, 2), Features: 2, Classes: 1}, 3); err == nil {
		t.Error("three neighbors of two rows were accepted")
	}
}

// BenchmarkQuery asks a tree of a million block-like rows; the ratio is to looking at all rows, in the same run.
// (The original, scikit-learn's k-d tree called from Python, takes about 150 microseconds a query.)
func BenchmarkQuery(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, dims = 1_000_000, 4
	x, y := rows(rng, n, dims, 200)
	began := time.Now()
	tree, err := knn.Fit(algorithm.Data{X: x, Y: y, Features: dims, Classes: 5}, 9)
	if err != nil {
		b.Fatal(err)
	}
	build := time.Since(began)
	q, _ := rows(rng, 1000, dims, 200)
	began = time.Now()
	for i := range 3 {
		scan(x, dims, q[i*dims:(i+1)*dims])
	}
	bruteTime := time.Since(began) / 3
	proba := make([]float64, 5)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		tree.PredictProba(proba, q[i%1000*dims:(i%1000+1)*dims])
		i++
	}
	per := b.Elapsed() / time.Duration(i)
	b.ReportMetric(float64(bruteTime)/float64(per), "x_brute_force")
	b.ReportMetric(1/per.Seconds(), "queries/s")
	b.ReportMetric(build.Seconds(), "s_to_build")
	if original, err := strconv.ParseFloat(os.Getenv("ORIGINAL_QUERY_US"), 64); err == nil {
		b.ReportMetric(original*1000/float64(per.Nanoseconds()), "x_original")
	}
}

// scan is the least that looking at all rows costs.
func scan(x []float64, dims int, q []float64) float64 {
	best := math.Inf(1)
	for i := 0; i < len(x); i += dims {
		d := 0.0
		for j := range dims {
			diff := q[j] - x[i+j]
			d += diff * diff
		}
		best = min(best, d)
	}
	return best
}

// TestParallelBuild: a tree that is large enough to be built on several cores is the one that a core builds alone,
// and finds what looking at all rows finds.
func TestParallelBuild(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	x, y := rows(rng, 120_000, 3, 500)
	build := func() (*knn.Classifier, []byte) {
		tree, err := knn.Fit(algorithm.Data{X: x, Y: y, Features: 3, Classes: 5}, 9)
		if err != nil {
			t.Fatal(err)
		}
		b, err := tree.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return tree, b
	}
	tree, encoded := build()
	if _, err := knn.Decode(encoded); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		q, _ := rows(rng, 1, 3, 500)
		if got, want := tree.Neighbors(nil, q), brute(x, y, 3, 9, q); !slices.Equal(got, want) {
			t.Fatalf("neighbours of %v are %v, want %v", q, got, want)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if _, again := build(); !bytes.Equal(encoded, again) {
		t.Error("one core builds another tree")
	}
}
