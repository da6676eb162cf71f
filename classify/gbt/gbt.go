// Package gbt is a classifier of gradient-boosted decision trees: each round adds one small tree per class that
// corrects what the trees before it got wrong (Friedman 2001, multinomial deviance), grown best leaf first on
// histograms of the features (as LightGBM does; Ke et al. 2017).
//
// Fit grows it from rows, PredictProba asks it. Trees see only the order of a feature's values, so that features
// need no scaling, and a missing value (NaN) is less than every number. Results depend on data, options and seed, not
// on the number of cores.
package gbt

import (
	"math"

	"blockprint"
	"blockprint/classify/algorithm"
)

// Options say how trees are grown. The zero value of a field is its default.
type Options struct {
	Rounds   int     // at most so many trees per class (400)
	Leaves   int     // of a tree (31)
	MinRows  int     // in a leaf (a hundredth of the rows, 3 to 20)
	Rate     float64 // of what a tree adds to the score (0.1)
	L2       float64 // pulls the leaves' values to zero (1)
	Columns  float64 // share of the features that a tree may use (0.8)
	Patience int     // rounds without a better validation loss after which growing ends (25)
	Holdout  float64 // share of the rows that decide when to stop; 0.1; negative for none
	Seed     uint64
}

func (o Options) withDefaults(rows int) Options {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	defFloat := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Rounds, 400)
	def(&o.Leaves, 31)
	def(&o.MinRows, min(max(rows/100, 3), 20))
	def(&o.Patience, 25)
	defFloat(&o.Rate, 0.1)
	defFloat(&o.L2, 1)
	defFloat(&o.Columns, 0.8)
	defFloat(&o.Holdout, 0.1)
	return o
}

// Classifier is a fitted set of trees. It is safe for concurrent use.
type Classifier struct {
	features, classes int
	base              []float64 // score of each class before any tree
	nodes             []node
	roots             []int32 // root of the tree of round r and class c at r*classes+c
}

// node is a question or, with feature < 0, an answer. A row goes left if its value is at most the node's, or NaN.
type node struct {
	feature     int32
	left, right int32
	value       float64 // threshold, or what is added to the score
}

// PredictProba writes the probability of each class for the row x, one number per feature, into dst.
func (c *Classifier) PredictProba(dst, x []float64) {
	copy(dst, c.base)
	for i, at := range c.roots {
		n := &c.nodes[at]
		for n.feature >= 0 {
			if v := x[n.feature]; v > n.value { // false for NaN
				n = &c.nodes[n.right]
			} else {
				n = &c.nodes[n.left]
			}
		}
		dst[i%c.classes] += n.value
	}
	algorithm.Softmax(dst)
}

// Shape returns the number of features of a row and of classes.
func (c *Classifier) Shape() (features, classes int) { return c.features, c.classes }

// Missing tells that rows may hold NaN.
func (c *Classifier) Missing() bool { return true }

// Rounds returns how many trees each class has.
func (c *Classifier) Rounds() int { return len(c.roots) / c.classes }

// checkInput refuses data that no tree can be grown on.
func checkInput(x []float64, y []uint8, features, classes int) error {
	switch {
	case features < 1 || len(x) != len(y)*features:
		return blockprint.Errorf(blockprint.Invalid, "gbt: %d numbers do not make %d rows of %d", len(x), len(y), features)
	case len(y) == 0:
		return blockprint.Errorf(blockprint.Invalid, "gbt: no rows to learn from")
	case len(y) > math.MaxInt32:
		return blockprint.Errorf(blockprint.TooLarge, "gbt: %d rows are too many", len(y))
	case classes < 1 || classes > 255:
		return blockprint.Errorf(blockprint.Invalid, "gbt: %d classes", classes)
	}
	for i, v := range x {
		if math.IsInf(v, 0) {
			return blockprint.Errorf(blockprint.Invalid, "gbt: row %d, column %d is infinite", i/features, i%features)
		}
	}
	for i, c := range y {
		if int(c) >= classes {
			return blockprint.Errorf(blockprint.Invalid, "gbt: row %d has class %d of %d", i, c, classes)
		}
	}
	return nil
}
