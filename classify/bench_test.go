package classify_test

import (
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"blockprint"
	"blockprint/classify"
	"blockprint/classify/algorithm"
	"blockprint/classify/knn"
	"blockprint/feature"
)

// BenchmarkOpen opens a kNN model of six million rows of four features, as all of mainnet's history to 2024 would
// make, and asks it. (The original, which trains on start, takes 50 minutes until it answers: issue 12 of its
// repository. Its k-d tree answers 6,700 queries a second.)
func BenchmarkOpen(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, dims, classes = 6_000_000, 4, 6
	x, y := make([]float64, 0, n*dims), make([]uint8, 0, n)
	for range n {
		class := rng.IntN(classes)
		for d := range dims {
			steps := 60 + rng.IntN(68) // a feature is a share of so many attestations
			center := 0.2 + 0.6*float64((class*(d+2))%classes)/classes
			v := min(max(center+0.12*rng.NormFloat64(), 0), 1)
			x = append(x, float64(int(v*float64(steps)))/float64(steps))
		}
		y = append(y, uint8(class))
	}
	began := time.Now()
	tree, err := knn.Fit(algorithm.Data{X: x, Y: y, Features: dims, Classes: classes}, 9)
	if err != nil {
		b.Fatal(err)
	}
	build := time.Since(began)
	m := &classify.Model{Parts: []classify.Part{{Predictor: tree, PartInfo: classify.PartInfo{Type: "knn", Features: feature.Default(), Classes: []blockprint.Client{"Grandine", "Lighthouse", "Lodestar", "Nimbus", "Prysm", "Teku"}}}}}
	path := filepath.Join(b.TempDir(), "m.model")
	if err := m.Save(path); err != nil {
		b.Fatal(err)
	}
	queries := x[:4*20_000]
	m = nil
	runtime.GC()
	for b.Loop() {
		if m, err = classify.Open(path); err != nil {
			b.Fatal(err)
		}
	}
	perOpen := b.Elapsed() / time.Duration(b.N)
	proba := make([]float64, classes)
	began = time.Now()
	for i := range 20_000 {
		// Half a step aside, so that no query coincides with a row.
		q := [dims]float64{queries[4*i] + 1./512, queries[4*i+1] + 1./512, queries[4*i+2], queries[4*i+3]}
		m.Parts[0].Predictor.PredictProba(proba, q[:])
	}
	b.ReportMetric(20_000/time.Since(began).Seconds(), "queries/s")
	b.ReportMetric(build.Seconds(), "s_to_build")
	b.ReportMetric((50*time.Minute).Seconds()/perOpen.Seconds(), "x_original")
}
