package mlp_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"blockprint/classify/mlp"
)

// rings makes n rows of three classes that lie in rings around each other, far from zero and unequally scaled.
func rings(seed uint64, n int) (x []float64, y []uint8) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		class := i % 3
		angle, radius := 2*math.Pi*rng.Float64(), float64(class)+0.7*rng.Float64()
		x = append(x, 1000+50*radius*math.Cos(angle), radius*math.Sin(angle)/100)
		y = append(y, uint8(class))
	}
	return x, y
}

func fit(tb testing.TB, x []float64, y []uint8, features, classes int, o mlp.Options) *mlp.Classifier {
	tb.Helper()
	c, err := mlp.Fit(x, y, features, classes, o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestLearns(t *testing.T) {
	x, y := rings(1, 3000)
	c := fit(t, x, y, 2, 3, mlp.Options{})
	testX, testY := rings(2, 1000)
	right := 0
	proba := make([]float64, 3)
	for i, want := range testY {
		c.PredictProba(proba, testX[i*2:(i+1)*2])
		if slices.Index(proba, slices.Max(proba)) == int(want) {
			right++
		}
	}
	if right < 970 {
		t.Errorf("%d of 1000 new rows are told right, want 970", right)
	}
}

// TestDeterministic: the number of cores changes nothing, another seed does.
func TestDeterministic(t *testing.T) {
	x, y := rings(1, 1000)
	encode := func(seed uint64) []byte {
		b, err := fit(t, x, y, 2, 3, mlp.Options{Seed: seed, Epochs: 5, Hidden: []int{100, 130}}).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := encode(1)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if !bytes.Equal(first, encode(1)) {
		t.Error("one core trains another network")
	}
	if bytes.Equal(first, encode(2)) {
		t.Error("the seed changes nothing")
	}
}

func TestEncode(t *testing.T) {
	x, y := rings(1, 300)
	for _, hidden := range [][]int{{5}, {7, 3}} {
		c := fit(t, x, y, 2, 3, mlp.Options{Epochs: 3, Hidden: hidden})
		b, err := c.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := mlp.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		want, got := make([]float64, 3), make([]float64, 3)
		for i := range y {
			c.PredictProba(want, x[i*2:(i+1)*2])
			d.PredictProba(got, x[i*2:(i+1)*2])
			if !slices.Equal(want, got) {
				t.Fatalf("row %d: %v, decoded %v", i, want, got)
			}
		}
	}
}

// TestFew: hardly any rows, constant features and values far outside give probabilities all the same.
func TestFew(t *testing.T) {
	for name, c := range map[string]struct {
		x       []float64
		y       []uint8
		classes int
	}{
		"one row":          {[]float64{1}, []uint8{0}, 1},
		"class of no rows": {[]float64{1, 2, 3}, []uint8{0, 0, 2}, 3},
		"constant":         {make([]float64, 100), slices.Repeat([]uint8{0, 1}, 50), 2},
	} {
		model := fit(t, c.x, c.y, 1, c.classes, mlp.Options{Epochs: 5})
		proba := make([]float64, c.classes)
		for _, v := range []float64{2, 1e300, -1e300} {
			model.PredictProba(proba, []float64{v})
			if slices.ContainsFunc(proba, math.IsNaN) {
				t.Errorf("%s: %v", name, proba)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, f := range map[string]func() error{
		"no rows":       func() error { _, err := mlp.Fit(nil, nil, 2, 1, mlp.Options{}); return err },
		"ragged":        func() error { _, err := mlp.Fit(make([]float64, 5), make([]uint8, 2), 2, 1, mlp.Options{}); return err },
		"NaN":           func() error { _, err := mlp.Fit([]float64{math.NaN()}, []uint8{0}, 1, 1, mlp.Options{}); return err },
		"unknown class": func() error { _, err := mlp.Fit([]float64{1}, []uint8{3}, 1, 3, mlp.Options{}); return err },
		"width": func() error {
			_, err := mlp.Fit([]float64{1}, []uint8{0}, 1, 1, mlp.Options{Hidden: []int{0}})
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzDecode: a payload that is accepted can be asked.
func FuzzDecode(f *testing.F) {
	x, y := rings(1, 60)
	b, err := fit(f, x, y, 2, 3, mlp.Options{Epochs: 1, Hidden: []int{3}}).AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(_ *testing.T, b []byte) {
		c, err := mlp.Decode(b)
		if err != nil {
			return
		}
		features, classes := c.Shape()
		c.PredictProba(make([]float64, classes), make([]float64, features))
	})
}

// originalHidden are the widths of the original's layers.
var originalHidden = []int{390, 870}

// BenchmarkFit trains the original's layers; an epoch is 10,000 rows of 4 features.
func BenchmarkFit(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	const rows, features, classes, epochs = 10_000, 4, 6, 2
	x := make([]float64, rows*features)
	y := make([]uint8, rows)
	for i := range y {
		y[i] = uint8(rng.IntN(classes))
		for f := range features {
			x[i*features+f] = rng.NormFloat64() + float64(y[i])*float64(f%3)/4
		}
	}
	n := 0
	for b.Loop() {
		fit(b, x, y, features, classes, mlp.Options{Hidden: originalHidden, Epochs: epochs})
		n += epochs
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(n), "ms/epoch")
}

func BenchmarkQuery(b *testing.B) {
	for name, hidden := range map[string][]int{"small": nil, "original": originalHidden} {
		b.Run(name, func(b *testing.B) {
			x, y := rings(1, 600)
			c := fit(b, x, y, 2, 3, mlp.Options{Hidden: hidden, Epochs: 1})
			proba := make([]float64, 3)
			i := 0
			for b.Loop() {
				c.PredictProba(proba, x[i%600*2:(i%600+1)*2])
				i++
			}
		})
	}
}
