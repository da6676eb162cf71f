package gbt_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"blockprint/classify/algorithm"
	"blockprint/classify/gbt"
)

// clusters makes n rows of three classes: 0 and 1 differ by a product of two features, which no single feature
// shows, 2 by a missing third.
func clusters(seed uint64, n int) algorithm.Data {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := algorithm.Data{Features: 3, Classes: 3}
	for range n {
		a, b, c := rng.Float64()-.5, rng.Float64()-.5, rng.Float64()
		class := uint8(0)
		if a*b > 0 {
			class = 1
		}
		if rng.IntN(3) == 0 {
			class, c = 2, math.NaN()
		}
		d.X = append(d.X, a, b, c)
		d.Y = append(d.Y, class)
	}
	return d
}

func fit(tb testing.TB, d algorithm.Data, o gbt.Options) *gbt.Classifier {
	tb.Helper()
	c, err := gbt.Fit(d, o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// TestTrees: trees find what only two features together show, a missing value is a sign like any other, and growing
// stops when nothing is left to learn.
func TestTrees(t *testing.T) {
	c := fit(t, clusters(1, 4000), gbt.Options{})
	if c.Rounds() == 400 {
		t.Error("growing never stopped")
	}
	proba := make([]float64, 3)
	for class, row := range [][]float64{{.3, -.3, .5}, {.3, .3, .5}, {.3, .3, math.NaN()}} {
		if c.PredictProba(proba, row); proba[class] < 0.9 {
			t.Errorf("%v: probabilities %v, want class %d", row, proba, class)
		}
	}
}

func BenchmarkFit(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	const rows, features, classes = 30_000, 24, 6
	d := algorithm.Data{X: make([]float64, rows*features), Y: make([]uint8, rows), Features: features, Classes: classes}
	for i := range d.Y {
		d.Y[i] = uint8(rng.IntN(classes))
		for f := range features {
			d.X[i*features+f] = rng.NormFloat64() + float64(d.Y[i])*float64(f%3)/4
		}
	}
	rounds := 0
	for b.Loop() {
		rounds += fit(b, d, gbt.Options{Rounds: 50}).Rounds()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(rounds), "ms/round")
}

func BenchmarkQuery(b *testing.B) {
	d := clusters(1, 4000)
	c := fit(b, d, gbt.Options{})
	proba := make([]float64, 3)
	i := 0
	for b.Loop() {
		c.PredictProba(proba, d.X[i%4000*3:(i%4000+1)*3])
		i++
	}
}
