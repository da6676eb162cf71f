package mlp

import (
	"fmt"

	"blockprint/classify/algorithm"
)

// Algorithm is the multi-layer perceptron.
var Algorithm = algorithm.Algorithm{
	Name: "mlp", Calibrate: true, Combinations: 2000,
	Options: []algorithm.Option{
		{Name: "hidden", Help: "widths of the hidden layers", Kind: algorithm.Ints, Default: "64,64; the original's 390,870", Min: 1, Max: 1 << 14, Most: 15},
		{Name: "rate", Help: "learning rate", Kind: algorithm.Float, Default: "0.001", Max: 1},
	},
	Fit: func(d algorithm.Data, s algorithm.Settings, seed uint64) (algorithm.Predictor, error) {
		return Fit(d, Options{Hidden: s.Ints("hidden"), Rate: s.Float("rate", 0), Seed: seed})
	},
	Decode: func(b []byte) (algorithm.Predictor, error) { return Decode(b) },
}

// Parameters returns the widths of the hidden layers.
func (c *Classifier) Parameters() map[string]float64 {
	out := map[string]float64{}
	for i, w := range c.Hidden() {
		out[fmt.Sprintf("hidden_%d", i+1)] = float64(w)
	}
	return out
}
