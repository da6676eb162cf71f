package classify_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"blockprint/classify"
	"blockprint/classify/algorithm"
)

// rings makes n rows of three classes that lie in rings around each other, far from zero and unequally scaled.
func rings(seed uint64, n int) algorithm.Data {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := algorithm.Data{Features: 2, Classes: 3}
	for i := range n {
		angle, radius := 2*math.Pi*rng.Float64(), float64(i%3)+0.7*rng.Float64()
		d.X = append(d.X, 1000+50*radius*math.Cos(angle), radius*math.Sin(angle)/100)
		d.Y = append(d.Y, uint8(i%3))
	}
	return d
}

// quick are settings with which every algorithm fits in no time; each takes those that it knows.
var quick = algorithm.Settings{"rounds": {20}, "hidden": {100, 130}, "k": {3}}

func fit(tb testing.TB, a *algorithm.Algorithm, d algorithm.Data, seed uint64) classify.Predictor {
	tb.Helper()
	p, err := a.Fit(d, quick, seed)
	if err != nil {
		tb.Fatalf("%s: %v", a.Name, err)
	}
	return p
}

func payload(tb testing.TB, p classify.Predictor) []byte {
	tb.Helper()
	b, err := p.AppendBinary(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// each runs a test for every algorithm.
func each(t *testing.T, test func(t *testing.T, a *algorithm.Algorithm)) {
	for _, a := range classify.Algorithms {
		t.Run(a.Name, func(t *testing.T) { test(t, a) })
	}
}

// TestLearns: rows that were not learned from are classified right, up to those near the border of two rings.
func TestLearns(t *testing.T) {
	each(t, func(t *testing.T, a *algorithm.Algorithm) {
		if a.Name == "knn" {
			t.Skip("neighbors take features as they are scaled")
		}
		p, err := a.Fit(rings(1, 1500), nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		d, right, proba := rings(2, 1000), 0, make([]float64, 3)
		for i, want := range d.Y {
			p.PredictProba(proba, d.X[i*2:(i+1)*2])
			if slices.Index(proba, slices.Max(proba)) == int(want) {
				right++
			}
		}
		if right < 960 {
			t.Errorf("%d of 1000 new rows are classified right, want 960", right)
		}
	})
}

// TestDeterministic: the number of cores changes nothing. The seed does, except for neighbors, which need no chance.
func TestDeterministic(t *testing.T) {
	each(t, func(t *testing.T, a *algorithm.Algorithm) {
		encode := func(seed uint64) []byte { return payload(t, fit(t, a, rings(1, 600), seed)) }
		first := encode(1)
		if same := bytes.Equal(first, encode(2)); same != (a.Name == "knn") {
			t.Errorf("another seed gives the same classifier: %v", same)
		}
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		if !bytes.Equal(first, encode(1)) {
			t.Error("one core fits another classifier")
		}
	})
}

// TestPayload: a classifier that is read again gives the same answers, which are probabilities.
func TestPayload(t *testing.T) {
	each(t, func(t *testing.T, a *algorithm.Algorithm) {
		d := rings(1, 300)
		written := fit(t, a, d, 1)
		read, err := a.Decode(payload(t, written))
		if err != nil {
			t.Fatal(err)
		}
		if features, classes := read.Shape(); features != 2 || classes != 3 {
			t.Errorf("%d features and %d classes, want 2 and 3", features, classes)
		}
		want, got := make([]float64, 3), make([]float64, 3)
		for i := range d.Y {
			written.PredictProba(want, d.X[i*2:(i+1)*2])
			read.PredictProba(got, d.X[i*2:(i+1)*2])
			if sum := got[0] + got[1] + got[2]; !slices.Equal(want, got) || math.Abs(sum-1) > 1e-6 {
				t.Fatalf("row %d: %v, after reading %v", i, want, got)
			}
		}
	})
}

// TestFew: hardly any rows, constant features and values far outside give probabilities all the same.
func TestFew(t *testing.T) {
	for name, d := range map[string]algorithm.Data{
		"one row":          {X: []float64{1}, Y: []uint8{0}, Classes: 1},
		"one class":        {X: []float64{1, 2, 3}, Y: []uint8{0, 0, 0}, Classes: 1},
		"class of no rows": {X: []float64{1, 2, 3}, Y: []uint8{0, 0, 2}, Classes: 3},
		"constant":         {X: make([]float64, 100), Y: slices.Repeat([]uint8{0, 1}, 50), Classes: 2},
		"all missing":      {X: slices.Repeat([]float64{math.NaN()}, 100), Y: slices.Repeat([]uint8{0, 1}, 50), Classes: 2},
	} {
		d.Features = 1
		for _, a := range classify.Algorithms {
			if !a.Missing && math.IsNaN(d.X[0]) {
				continue
			}
			p := fit(t, a, d, 1)
			proba := make([]float64, d.Classes)
			for _, v := range []float64{2, 1e150, -1e150} {
				p.PredictProba(proba, []float64{v})
				if slices.ContainsFunc(proba, math.IsNaN) {
					t.Errorf("%s, %s: %v", a.Name, name, proba)
				}
			}
		}
	}
}

func TestRefusesData(t *testing.T) {
	for name, c := range map[string]struct {
		data    algorithm.Data
		missing bool // algorithms for missing values take it
	}{
		"no rows":       {algorithm.Data{Features: 2, Classes: 1}, false},
		"no features":   {algorithm.Data{Y: []uint8{0}, Classes: 1}, false},
		"ragged":        {algorithm.Data{X: make([]float64, 5), Y: make([]uint8, 2), Features: 2, Classes: 1}, false},
		"infinite":      {algorithm.Data{X: []float64{math.Inf(1)}, Y: []uint8{0}, Features: 1, Classes: 1}, false},
		"missing":       {algorithm.Data{X: []float64{math.NaN()}, Y: []uint8{0}, Features: 1, Classes: 1}, true},
		"unknown class": {algorithm.Data{X: []float64{1}, Y: []uint8{3}, Features: 1, Classes: 3}, false},
		"no classes":    {algorithm.Data{X: []float64{1}, Y: []uint8{0}, Features: 1}, false},
	} {
		for _, a := range classify.Algorithms {
			if _, err := a.Fit(c.data, nil, 1); (err == nil) != (a.Missing && c.missing) {
				t.Errorf("%s, %s: %v", a.Name, name, err)
			}
		}
	}
}

// FuzzPayload: a payload that an algorithm accepts can be asked.
func FuzzPayload(f *testing.F) {
	for i, a := range classify.Algorithms {
		p, err := a.Fit(rings(1, 60), algorithm.Settings{"rounds": {2}, "hidden": {3}}, 1)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), payload(f, p))
	}
	f.Fuzz(func(_ *testing.T, kind uint8, b []byte) {
		p, err := classify.Algorithms[int(kind)%len(classify.Algorithms)].Decode(b)
		if err != nil {
			return
		}
		features, classes := p.Shape()
		p.PredictProba(make([]float64, classes), make([]float64, features))
	})
}
