package feature

import (
	"cmp"
	"math"
	"slices"
)

// averageRanks returns the rank of each value, from 1; equal values share the mean of their ranks.
func averageRanks(values []int32) []float64 {
	perm := make([]int, len(values))
	for i := range perm {
		perm[i] = i
	}
	slices.SortFunc(perm, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	ranks := make([]float64, len(values))
	for lo := 0; lo < len(perm); {
		hi := lo + 1
		for hi < len(perm) && values[perm[hi]] == values[perm[lo]] {
			hi++
		}
		for _, at := range perm[lo:hi] {
			ranks[at] = float64(lo+hi+1) / 2
		}
		lo = hi
	}
	return ranks
}

// pearson returns the correlation of x and y, which have the same length; NaN if either is constant.
func pearson(x, y []float64) float64 {
	n := float64(len(x))
	var mx, my float64
	for i := range x {
		mx += x[i] / n
		my += y[i] / n
	}
	var sxy, sxx, syy float64
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		sxy += dx * dy
		sxx += dx * dx
		syy += dy * dy
	}
	return sxy / math.Sqrt(sxx*syy)
}
