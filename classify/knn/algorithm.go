package knn

import (
	"fmt"

	"blockprint/classify/algorithm"
)

// Algorithm is k nearest neighbors, the original's classifier. Its probabilities are the original's to the bit, so they are
// not corrected unless the user asks for it.
var Algorithm = algorithm.Algorithm{
	Name: "knn", Combinations: 200_000,
	Options: []algorithm.Option{{Name: "k", Help: "neighbors", Default: "9", Min: 1, Max: 1 << 16}},
	Needs: func(s algorithm.Settings) (int, string) {
		k := neighbors(s)
		return k, fmt.Sprintf("k = %d neighbors", k)
	},
	Fit: func(d algorithm.Data, s algorithm.Settings, _ uint64) (algorithm.Predictor, error) {
		// A fold may have fewer rows than neighbors: then all of them are asked.
		return Fit(d, min(neighbors(s), len(d.Y)))
	},
	Decode: func(b []byte) (algorithm.Predictor, error) { return Decode(b) },
}

// neighbors returns the number of neighbors; the original's is the default.
func neighbors(s algorithm.Settings) int { return s.Int("k", 9) }

// Parameters returns the number of neighbors.
func (c *Classifier) Parameters() map[string]float64 { return map[string]float64{"k": float64(c.k)} }
