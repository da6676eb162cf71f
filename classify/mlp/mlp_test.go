package mlp_test

import (
	"math/rand/v2"
	"testing"

	"blockprint/classify/algorithm"
	"blockprint/classify/mlp"
)

// blocks makes n rows of six classes whose features lie a little apart.
func blocks(n, features int) algorithm.Data {
	rng := rand.New(rand.NewPCG(1, 1))
	d := algorithm.Data{X: make([]float64, n*features), Y: make([]uint8, n), Features: features, Classes: 6}
	for i := range d.Y {
		d.Y[i] = uint8(rng.IntN(d.Classes))
		for f := range features {
			d.X[i*features+f] = rng.NormFloat64() + float64(d.Y[i])*float64(f%3)/4
		}
	}
	return d
}

func fit(b *testing.B, d algorithm.Data, o mlp.Options) *mlp.Classifier {
	b.Helper()
	c, err := mlp.Fit(d, o)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func TestRefusesWidth(t *testing.T) {
	if _, err := mlp.Fit(blocks(9, 2), mlp.Options{Hidden: []int{0}}); err == nil {
		t.Error("a layer without units was accepted")
	}
}

// originalHidden are the widths of the original's layers.
var originalHidden = []int{390, 870}

// BenchmarkFit trains the original's layers; an epoch is 10,000 rows of 4 features.
func BenchmarkFit(b *testing.B) {
	const epochs = 2
	d := blocks(10_000, 4)
	n := 0
	for b.Loop() {
		fit(b, d, mlp.Options{Hidden: originalHidden, Epochs: epochs})
		n += epochs
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(n), "ms/epoch")
}

func BenchmarkQuery(b *testing.B) {
	for name, hidden := range map[string][]int{"small": nil, "original": originalHidden} {
		b.Run(name, func(b *testing.B) {
			d := blocks(600, 2)
			c := fit(b, d, mlp.Options{Hidden: hidden, Epochs: 1})
			proba := make([]float64, d.Classes)
			i := 0
			for b.Loop() {
				c.PredictProba(proba, d.X[i%600*2:(i%600+1)*2])
				i++
			}
		})
	}
}
