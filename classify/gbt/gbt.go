// Package gbt is a classifier of gradient-boosted decision trees: each round adds one small tree per class that
// corrects what the trees before it got wrong (Friedman 2001, multinomial deviance), grown best leaf first on
// histograms of the features (as LightGBM does; Ke et al. 2017).
//
// Fit grows it from rows, PredictProba asks it. Trees see only the order of a feature's values, so that features
// need no scaling, and a missing value (NaN) is less than every number. Results depend on data, options and seed, not
// on the number of cores. It is ours because it is small and must do without C.
package gbt

import (
	"cmp"

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
	o.Rounds = cmp.Or(o.Rounds, 400)
	o.Leaves = cmp.Or(o.Leaves, 31)
	o.MinRows = cmp.Or(o.MinRows, min(max(rows/100, 3), 20))
	o.Rate = cmp.Or(o.Rate, 0.1)
	o.L2 = cmp.Or(o.L2, 1)
	o.Columns = cmp.Or(o.Columns, 0.8)
	o.Patience = cmp.Or(o.Patience, 25)
	o.Holdout = cmp.Or(o.Holdout, 0.1)
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

// Missing reports that rows may hold NaN.
func (c *Classifier) Missing() bool { return true }

// Rounds returns how many trees each class has.
func (c *Classifier) Rounds() int { return len(c.roots) / c.classes }
