// Package mlp is a classifier of one multi-layer perceptron: standardised inputs, layers of rectified linear units,
// a softmax, trained by Adam on the cross-entropy with early stopping. It is the original's second classifier, whose
// layers were 390 and 870 wide.
//
// Fit trains it on rows, PredictProba asks it. Arithmetic is in 32 bits. The same data, options and seed give the
// same network on any number of cores of one kind of machine; kinds with other vector units may differ in the last
// digits. It is ours because it is small and must do without C; vek multiplies the matrices.
package mlp

import (
	"cmp"
	"sync"

	"github.com/viterin/vek/vek32"

	"blockprint/classify/algorithm"
)

// Options say how the network is trained. The zero value of a field is its default.
type Options struct {
	Hidden   []int   // widths of the hidden layers (64, 64)
	Epochs   int     // passes over the rows at most (200)
	Batch    int     // rows per step (200)
	Rate     float64 // of Adam (0.001)
	L2       float64 // weight decay in the loss (0.0001)
	Patience int     // epochs without a better validation score after which training ends (10)
	Holdout  float64 // share of the rows that decide when to stop (0.1)
	Seed     uint64
}

func (o Options) withDefaults() Options {
	if len(o.Hidden) == 0 {
		o.Hidden = []int{64, 64}
	}
	o.Epochs = cmp.Or(o.Epochs, 200)
	o.Batch = cmp.Or(o.Batch, 200)
	o.Rate = cmp.Or(o.Rate, 1e-3)
	o.L2 = cmp.Or(o.L2, 1e-4)
	o.Patience = cmp.Or(o.Patience, 10)
	o.Holdout = cmp.Or(o.Holdout, 0.1)
	return o
}

// Classifier is a trained network. It is safe for concurrent use.
type Classifier struct {
	features, classes int
	// A feature v goes in as (v-mean)/scale.
	mean, scale []float64
	layers      []layer
	scratch     sync.Pool
}

// layer maps in numbers to out: y = x W + b, with W in rows of out numbers.
type layer struct {
	in, out int
	w, b    []float32
}

// Shape returns the number of features of a row and of classes.
func (c *Classifier) Shape() (features, classes int) { return c.features, c.classes }

// Missing reports that rows must not hold NaN.
func (c *Classifier) Missing() bool { return false }

// PredictProba writes the probability of each class for the row x, one finite number per feature, into dst.
func (c *Classifier) PredictProba(dst, x []float64) {
	s, _ := c.scratch.Get().(*[][]float32)
	if s == nil {
		buffers := [][]float32{make([]float32, c.features)}
		for _, l := range c.layers {
			buffers = append(buffers, make([]float32, l.out))
		}
		s = &buffers
	}
	defer c.scratch.Put(s)
	buffers := *s
	c.standardise(buffers[0], x)
	for i, l := range c.layers {
		l.forward(buffers[i+1], buffers[i], i+1 < len(c.layers))
	}
	probabilities(dst, buffers[len(c.layers)])
}

// standardise writes a row as the first layer takes it. Values are bounded, so that one that is far outside of all
// that was seen in training cannot overflow.
func (c *Classifier) standardise(dst []float32, x []float64) {
	for i, v := range x {
		dst[i] = float32(min(max((v-c.mean[i])/c.scale[i], -100), 100))
	}
}

// forward computes the layer for as many rows as dst has room for.
func (l *layer) forward(dst, x []float32, rectify bool) {
	vek32.MatMul_Into(dst, x, l.w, l.in)
	for row := dst; len(row) > 0; row = row[l.out:] {
		vek32.Add_Inplace(row[:l.out], l.b)
	}
	if rectify {
		vek32.MaximumNumber_Inplace(dst, 0)
	}
}

// probabilities turns scores into probabilities.
func probabilities(dst []float64, scores []float32) {
	for i, v := range scores {
		dst[i] = float64(v)
	}
	algorithm.Softmax(dst[:len(scores)])
}

// Hidden returns the widths of the hidden layers.
func (c *Classifier) Hidden() []int {
	var widths []int
	for _, l := range c.layers[:len(c.layers)-1] {
		widths = append(widths, l.out)
	}
	return widths
}
