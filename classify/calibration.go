package classify

import (
	"math"

	"blockprint/classify/algorithm"
)

// Calibration makes probabilities honest: of blocks that are called X with 80 %, 80 % should be X's. It is a linear
// map of the logarithms of the probabilities (Dirichlet calibration; Kull et al. 2019), so that being too sure
// between two clients that look alike can be corrected without doubting the others. Smoothing then mixes in a share
// of "any class alike", for the certainty that no finite data supports. Package train fits it to blocks that the
// predictor did not see.
type Calibration struct {
	// Weights[j][k] is what the logarithm of class k's probability adds to the score of class j, Bias[j] is added.
	Weights   [][]float64 `json:"weights"`
	Bias      []float64   `json:"bias"`
	Smoothing float64     `json:"smoothing"`
}

// leastProbability stands for zero where a logarithm is needed.
const leastProbability = 1e-3

// Logarithms writes the logarithms of probabilities as a calibration takes them.
func Logarithms(dst, proba []float64) {
	for i, p := range proba {
		dst[i] = math.Log(max(p, leastProbability))
	}
}

// Apply corrects probabilities in place. A nil calibration leaves them as they are.
func (c *Calibration) Apply(proba []float64) {
	if c == nil {
		return
	}
	var room [16]float64
	logs := append(room[:0], proba...)
	Logarithms(logs, proba)
	for j := range proba {
		proba[j] = c.Bias[j]
		for k, v := range logs {
			proba[j] += c.Weights[j][k] * v
		}
	}
	algorithm.Softmax(proba)
	for j, v := range proba {
		proba[j] = (1-c.Smoothing)*v + c.Smoothing/float64(len(proba))
	}
}

// valid reports whether a calibration that was read from a file fits a part of so many classes.
func (c *Calibration) valid(classes int) bool {
	if c == nil {
		return true
	}
	finite := func(list []float64) bool {
		for _, v := range list {
			if math.IsNaN(v) || math.Abs(v) > 1e6 {
				return false
			}
		}
		return len(list) == classes
	}
	for _, row := range c.Weights {
		if !finite(row) {
			return false
		}
	}
	return len(c.Weights) == classes && finite(c.Bias) && c.Smoothing >= 0 && c.Smoothing <= 1
}
