package train

import (
	"math"

	"gonum.org/v1/gonum/optimize"

	"blockprint/classify"
	"blockprint/classify/algorithm"
)

// calibrationRows bounds how many answers a calibration is fitted to.
const calibrationRows = 20_000

// fitCalibration finds the calibration under which the answers proba, classes numbers each, give the truth y the
// highest likelihood. With little data it does almost nothing: a normal prior with deviation 1/2 draws
// the weights to the identity.
func fitCalibration(classes int, y []uint8, proba []float64) *classify.Calibration {
	c := &classify.Calibration{Bias: make([]float64, classes)}
	for j := range classes {
		c.Weights = append(c.Weights, make([]float64, classes))
		c.Weights[j][j] = 1
	}
	if classes < 2 || len(y) == 0 {
		return c
	}
	// The rule of succession: n blocks of a class that were all right leave one chance in n + 2.
	c.Smoothing = 1 / (float64(len(y))/float64(classes) + 2)

	p := newCalibrationProblem(classes, y, proba)
	start := make([]float64, classes*(classes+1))
	for j := range classes {
		start[j*(classes+1)+j] = 1
	}
	result, err := optimize.Minimize(optimize.Problem{Func: p.loss, Grad: p.gradient}, start,
		&optimize.Settings{GradientThreshold: 1e-6, MajorIterations: 200}, &optimize.LBFGS{})
	if result == nil || err != nil && math.IsNaN(result.F) {
		return c // as it is; the loss is convex, so that this means numbers out of range
	}
	for j := range classes {
		row := result.X[j*(classes+1) : (j+1)*(classes+1)]
		for k := range classes {
			c.Weights[j][k] = rounded(row[k])
		}
		c.Bias[j] = rounded(row[classes])
	}
	return c
}

// rounded drops digits that say nothing and would make model files differ.
func rounded(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// calibrationProblem is the penalized negative log-likelihood of a calibration's weights and biases, class by class
// (weights, then bias).
type calibrationProblem struct {
	classes int
	y       []uint8
	logs    []float64
	penalty float64
	p       []float64
}

func newCalibrationProblem(classes int, y []uint8, proba []float64) *calibrationProblem {
	step := max(1, len(y)/calibrationRows)
	q := &calibrationProblem{classes: classes, p: make([]float64, classes)}
	logs := make([]float64, classes)
	for i := 0; i < len(y); i += step {
		classify.Logarithms(logs, proba[i*classes:(i+1)*classes])
		q.y = append(q.y, y[i])
		q.logs = append(q.logs, logs...)
	}
	q.penalty = 2 / float64(len(q.y))
	return q
}

// scores computes the probabilities of row i.
func (q *calibrationProblem) scores(x []float64, i int) (logs []float64) {
	k := q.classes
	logs = q.logs[i*k : (i+1)*k]
	for j := range q.p {
		row := x[j*(k+1) : (j+1)*(k+1)]
		v := row[k]
		for c, l := range logs {
			v += row[c] * l
		}
		q.p[j] = v
	}
	algorithm.Softmax(q.p)
	return logs
}

func (q *calibrationProblem) loss(x []float64) float64 {
	sum := 0.0
	for i, y := range q.y {
		q.scores(x, i)
		sum -= math.Log(max(q.p[y], 1e-300))
	}
	sum /= float64(len(q.y))
	for i, v := range x {
		d := v - q.identity(i)
		sum += q.penalty * d * d
	}
	return sum
}

// identity returns where parameter i is drawn to.
func (q *calibrationProblem) identity(i int) float64 {
	if i/(q.classes+1) == i%(q.classes+1) {
		return 1
	}
	return 0
}

func (q *calibrationProblem) gradient(grad, x []float64) {
	clear(grad)
	k := q.classes
	for i, y := range q.y {
		logs := q.scores(x, i)
		q.p[y]--
		for j, d := range q.p {
			d /= float64(len(q.y))
			row := grad[j*(k+1) : (j+1)*(k+1)]
			for c, l := range logs {
				row[c] += d * l
			}
			row[k] += d
		}
	}
	for i, v := range x {
		grad[i] += 2 * q.penalty * (v - q.identity(i))
	}
}
