package classify

import "math"

// Calibration makes probabilities honest: of blocks that are called X with 80 %, 80 % should be X's. Temperature
// divides the logarithms of the probabilities (above 1 makes the answer less sure), Smoothing then mixes in a share
// of "any class alike", for the certainty that no finite training data supports. Both keep the order of the classes.
// Package train fits them to blocks that the predictor did not see.
type Calibration struct {
	Temperature float64 `json:"temperature"`
	Smoothing   float64 `json:"smoothing"`
}

// leastProbability stands for zero where a logarithm is needed.
const leastProbability = 1e-9

// Apply corrects probabilities in place. A nil calibration leaves them as they are.
func (c *Calibration) Apply(proba []float64) {
	if c == nil {
		return
	}
	total := 0.0
	for i, p := range proba {
		proba[i] = math.Exp(math.Log(max(p, leastProbability)) / c.Temperature)
		total += proba[i]
	}
	for i, p := range proba {
		proba[i] = (1-c.Smoothing)*p/total + c.Smoothing/float64(len(proba))
	}
}

// valid tells whether a calibration that was read from a file makes sense.
func (c *Calibration) valid() bool {
	return c == nil || c.Temperature > 0 && c.Temperature < 1e6 && c.Smoothing >= 0 && c.Smoothing <= 1
}
