package gbt

import (
	"math"
	"slices"

	"blockprint/classify/algorithm"
)

// maxBins bounds the values of a feature that a tree can distinguish; bin 0 is for missing values.
const maxBins = 255

// binner maps the values of each feature to small numbers that keep their order.
type binner struct {
	// cuts[f][b] is the largest value of feature f in bin b+1; the last bin has no bound.
	cuts [][]float64
}

// newBinner chooses bins with about equally many rows each, or one per value where there are few values. Few rows
// get few bins: cuts between single rows are noise.
func newBinner(x []float64, features int) *binner {
	b := &binner{cuts: make([][]float64, features)}
	rows := len(x) / features
	bins := min(max(rows/8, 16), maxBins)
	// A sample is enough to place the cuts.
	step := max(1, rows/200_000)
	algorithm.InParallel(features, func(f int) {
		var values []float64
		for i := 0; i < rows; i += step {
			if v := x[i*features+f]; !math.IsNaN(v) {
				values = append(values, v)
			}
		}
		slices.Sort(values)
		b.cuts[f] = cutsOf(values, bins)
	})
	return b
}

// cutsOf returns the bounds between at most so many bins of sorted values.
func cutsOf(values []float64, bins int) []float64 {
	var cuts []float64
	distinct := 0
	for i, v := range values {
		if i == 0 || v != values[i-1] {
			distinct++
		}
	}
	between := func(a, b float64) float64 {
		if m := a + (b-a)/2; m < b {
			return m
		}
		return a
	}
	if distinct <= bins {
		for i := 1; i < len(values); i++ {
			if values[i] != values[i-1] {
				cuts = append(cuts, between(values[i-1], values[i]))
			}
		}
		return cuts
	}
	for b := 1; b < bins; b++ {
		i := b * len(values) / bins
		for i < len(values) && i > 0 && values[i] == values[i-1] {
			i++ // a value is never divided
		}
		if i == 0 || i >= len(values) {
			continue
		}
		if cut := between(values[i-1], values[i]); len(cuts) == 0 || cut > cuts[len(cuts)-1] {
			cuts = append(cuts, cut)
		}
	}
	return cuts
}

// bin returns the bin of a value of feature f.
func (b *binner) bin(f int, v float64) uint8 {
	if math.IsNaN(v) {
		return 0
	}
	at, _ := slices.BinarySearch(b.cuts[f], v)
	return uint8(at + 1)
}

// columns bins all rows, a column per feature.
func (b *binner) columns(x []float64) [][]uint8 {
	features := len(b.cuts)
	rows := len(x) / features
	out := make([][]uint8, features)
	algorithm.InParallel(features, func(f int) {
		col := make([]uint8, rows)
		for i := range col {
			col[i] = b.bin(f, x[i*features+f])
		}
		out[f] = col
	})
	return out
}

// threshold returns the number that a row's value must not exceed to be in bin or below.
func (b *binner) threshold(f int, bin uint8) float64 {
	if bin == 0 {
		return math.Inf(-1) // only NaN goes left
	}
	return b.cuts[f][bin-1]
}
