package gbt_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"blockprint/classify/gbt"
)

// clusters makes n rows of three classes: 0 and 1 differ by a product of two features, which no single feature
// shows, 2 by a missing third.
func clusters(seed uint64, n int) (x []float64, y []uint8) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for range n {
		a, b, c := rng.Float64()-.5, rng.Float64()-.5, rng.Float64()
		class := uint8(0)
		if a*b > 0 {
			class = 1
		}
		if rng.IntN(3) == 0 {
			class, c = 2, math.NaN()
		}
		x = append(x, a, b, c)
		y = append(y, class)
	}
	return x, y
}

func fit(tb testing.TB, x []float64, y []uint8, features, classes int, o gbt.Options) *gbt.Classifier {
	tb.Helper()
	c, err := gbt.Fit(x, y, features, classes, o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func accuracy(c *gbt.Classifier, x []float64, y []uint8) float64 {
	features, classes := c.Shape()
	right := 0
	proba := make([]float64, classes)
	for i, want := range y {
		c.PredictProba(proba, x[i*features:(i+1)*features])
		if slices.Index(proba, slices.Max(proba)) == int(want) {
			right++
		}
	}
	return float64(right) / float64(len(y))
}

func TestLearns(t *testing.T) {
	x, y := clusters(1, 4000)
	c := fit(t, x, y, 3, 3, gbt.Options{})
	testX, testY := clusters(2, 4000)
	if a := accuracy(c, testX, testY); a < 0.97 {
		t.Errorf("%.3f of new rows are told right, want 0.97", a)
	}
	if c.Rounds() == 400 {
		t.Error("growing never stopped")
	}
	proba := make([]float64, 3)
	c.PredictProba(proba, []float64{.3, .3, math.NaN()})
	if proba[2] < 0.9 {
		t.Errorf("a missing value does not tell: %v", proba)
	}
	total := 0.0
	for _, p := range proba {
		total += p
	}
	if math.Abs(total-1) > 1e-12 {
		t.Errorf("probabilities sum to %v", total)
	}
}

// TestDeterministic: the number of cores changes nothing, another seed does.
func TestDeterministic(t *testing.T) {
	x, y := clusters(1, 2000)
	encode := func(seed uint64) []byte {
		b, err := fit(t, x, y, 3, 3, gbt.Options{Seed: seed, Rounds: 20}).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := encode(1)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if !bytes.Equal(first, encode(1)) {
		t.Error("one core grows other trees")
	}
	if bytes.Equal(first, encode(2)) {
		t.Error("the seed changes nothing")
	}
}

func TestEncode(t *testing.T) {
	x, y := clusters(1, 1000)
	c := fit(t, x, y, 3, 3, gbt.Options{Rounds: 10})
	b, err := c.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := gbt.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	want, got := make([]float64, 3), make([]float64, 3)
	for i := range y {
		c.PredictProba(want, x[i*3:(i+1)*3])
		d.PredictProba(got, x[i*3:(i+1)*3])
		if !slices.Equal(want, got) {
			t.Fatalf("row %d: %v, decoded %v", i, want, got)
		}
	}
}

// TestFew: classes with hardly a row, constant features and single classes make a classifier, if not a good one.
func TestFew(t *testing.T) {
	for name, c := range map[string]struct {
		x       []float64
		y       []uint8
		classes int
	}{
		"one row":          {[]float64{1}, []uint8{0}, 1},
		"one class":        {[]float64{1, 2, 3}, []uint8{0, 0, 0}, 1},
		"class of no rows": {[]float64{1, 2, 3}, []uint8{0, 0, 2}, 3},
		"constant":         {make([]float64, 100), slices.Repeat([]uint8{0, 1}, 50), 2},
		"all missing":      {slices.Repeat([]float64{math.NaN()}, 100), slices.Repeat([]uint8{0, 1}, 50), 2},
	} {
		model := fit(t, c.x, c.y, 1, c.classes, gbt.Options{})
		proba := make([]float64, c.classes)
		model.PredictProba(proba, []float64{2})
		if slices.ContainsFunc(proba, math.IsNaN) {
			t.Errorf("%s: %v", name, proba)
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, f := range map[string]func() error{
		"no rows":       func() error { _, err := gbt.Fit(nil, nil, 2, 1, gbt.Options{}); return err },
		"ragged":        func() error { _, err := gbt.Fit(make([]float64, 5), make([]uint8, 2), 2, 1, gbt.Options{}); return err },
		"infinite":      func() error { _, err := gbt.Fit([]float64{math.Inf(1)}, []uint8{0}, 1, 1, gbt.Options{}); return err },
		"unknown class": func() error { _, err := gbt.Fit([]float64{1}, []uint8{3}, 1, 3, gbt.Options{}); return err },
	} {
		if f() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzDecode: a payload that is accepted can be asked.
func FuzzDecode(f *testing.F) {
	x, y := clusters(1, 200)
	b, err := fit(f, x, y, 3, 3, gbt.Options{Rounds: 2}).AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(_ *testing.T, b []byte) {
		c, err := gbt.Decode(b)
		if err != nil {
			return
		}
		features, classes := c.Shape()
		c.PredictProba(make([]float64, classes), make([]float64, features))
	})
}

func BenchmarkFit(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	const rows, features, classes = 30_000, 24, 6
	x := make([]float64, rows*features)
	y := make([]uint8, rows)
	for i := range y {
		y[i] = uint8(rng.IntN(classes))
		for f := range features {
			x[i*features+f] = rng.NormFloat64() + float64(y[i])*float64(f%3)/4
		}
	}
	rounds := 0
	for b.Loop() {
		rounds += fit(b, x, y, features, classes, gbt.Options{Rounds: 50}).Rounds()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(rounds), "ms/round")
}

func BenchmarkQuery(b *testing.B) {
	x, y := clusters(1, 4000)
	c := fit(b, x, y, 3, 3, gbt.Options{})
	proba := make([]float64, 3)
	i := 0
	for b.Loop() {
		c.PredictProba(proba, x[i%4000*3:(i%4000+1)*3])
		i++
	}
}
