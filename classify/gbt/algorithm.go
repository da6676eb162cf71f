package gbt

import "blockprint/classify/algorithm"

// Algorithm is gradient-boosted trees.
var Algorithm = algorithm.Algorithm{
	Name: "gbt", Missing: true, Calibrate: true, Combinations: 2000,
	Options: []algorithm.Option{
		{Name: "rounds", Help: "trees per client at most", Default: "400", Min: 1, Max: 1 << 16},
		{Name: "leaves", Help: "leaves of a tree", Default: "31", Min: 2, Max: 1 << 12},
		{Name: "rate", Help: "learning rate", Kind: algorithm.Float, Default: "0.1", Max: 1},
	},
	Fit: func(d algorithm.Data, s algorithm.Settings, seed uint64) (algorithm.Predictor, error) {
		o := Options{Rounds: s.Int("rounds", 0), Leaves: s.Int("leaves", 0), Rate: s.Float("rate", 0), Seed: seed}
		return Fit(d, o)
	},
	Decode: func(b []byte) (algorithm.Predictor, error) { return Decode(b) },
}

// Parameters returns the number of trees per class.
func (c *Classifier) Parameters() map[string]float64 {
	return map[string]float64{"rounds": float64(c.Rounds())}
}
