package gbt

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"blockprint/classify/algorithm"
)

// Fit grows trees.
func Fit(d algorithm.Data, o Options) (*Classifier, error) {
	if err := d.Check("gbt", true); err != nil {
		return nil, err
	}
	b := newBooster(d, o.withDefaults(len(d.Y)))
	b.grow()
	return b.c, nil
}

// booster is the state of growing.
type booster struct {
	o    Options
	c    *Classifier
	bins *binner
	cols [][]uint8 // of each feature, the bin of each row
	y    []uint8

	learn, hold []int32     // rows that trees are grown on, and those that say when to stop
	score       [][]float64 // of each class and row
	grad        [][]gradient
}

// gradient is the first and second derivative of the loss of a row by its class's score.
type gradient struct{ g, h float32 }

func newBooster(d algorithm.Data, o Options) *booster {
	b := &booster{o: o, y: d.Y, bins: newBinner(d.X, d.Features), c: &Classifier{features: d.Features, classes: d.Classes}}
	b.cols = b.bins.columns(d.X)
	b.learn, b.hold = algorithm.Divide[int32](d.Y, d.Classes, o.Holdout, rand.New(rand.NewPCG(o.Seed, 0x9b7)))
	counts := make([]float64, d.Classes)
	for _, i := range b.learn {
		counts[d.Y[i]]++
	}
	for _, n := range counts {
		// One imagined row per class keeps the score of a class without rows finite.
		b.c.base = append(b.c.base, math.Log((n+1)/float64(len(b.learn)+d.Classes)))
	}
	for c := range d.Classes {
		b.score = append(b.score, slices.Repeat([]float64{b.c.base[c]}, len(d.Y)))
		b.grad = append(b.grad, make([]gradient, len(d.Y)))
	}
	return b
}

// leastGain is the smallest improvement of the mean loss that counts as one.
const leastGain = 1e-4

// grow adds rounds of trees until the loss on the held-back rows stops falling, and forgets the rounds after
// the best.
func (b *booster) grow() {
	best, bestRound, bestNodes := b.loss(), 0, 0
	for round := range b.o.Rounds {
		b.gradients()
		trees := make([]*tree, b.c.classes)
		algorithm.InParallel(b.c.classes, func(c int) {
			trees[c] = b.tree(c, rand.New(rand.NewPCG(b.o.Seed+1, uint64(round*b.c.classes+c))))
		})
		grown := false
		for _, t := range trees {
			grown = grown || len(t.nodes) > 1
			b.add(t)
		}
		if !grown {
			break // nothing is left to learn
		}
		if len(b.hold) == 0 {
			bestRound, bestNodes = round+1, len(b.c.nodes)
			continue
		}
		// If every row is classified right already, the loss falls forever, by less and less.
		if loss := b.loss(); loss < best-leastGain {
			best, bestRound, bestNodes = loss, round+1, len(b.c.nodes)
		} else if round+1-bestRound >= b.o.Patience {
			break
		}
	}
	b.c.roots = slices.Clip(b.c.roots[:bestRound*b.c.classes])
	b.c.nodes = slices.Clip(b.c.nodes[:bestNodes])
}

// add appends a tree's nodes to the classifier's.
func (b *booster) add(t *tree) {
	base := int32(len(b.c.nodes))
	b.c.roots = append(b.c.roots, base)
	for _, n := range t.nodes {
		if n.feature >= 0 {
			n.left += base
			n.right += base
		}
		b.c.nodes = append(b.c.nodes, n)
	}
}

// gradients computes the derivatives of the multinomial loss for all learning rows. The second derivative carries
// the factor K/(K-1) of Friedman's update for K classes that share one softmax.
func (b *booster) gradients() {
	classes := b.c.classes
	factor := 1.0
	if classes > 1 {
		factor = float64(classes) / float64(classes-1)
	}
	const block = 8192
	algorithm.InParallel((len(b.learn)+block-1)/block, func(part int) {
		p := make([]float64, classes)
		for _, i := range b.learn[part*block : min((part+1)*block, len(b.learn))] {
			for c := range p {
				p[c] = b.score[c][i]
			}
			algorithm.Softmax(p)
			for c, v := range p {
				target := 0.0
				if int(b.y[i]) == c {
					target = 1
				}
				b.grad[c][i] = gradient{float32(v - target), float32(max(factor*v*(1-v), 1e-12))}
			}
		}
	})
}

// loss returns the mean negative log-likelihood of the held-back rows.
func (b *booster) loss() float64 {
	total := 0.0
	p := make([]float64, b.c.classes)
	for _, i := range b.hold {
		for c := range p {
			p[c] = b.score[c][i]
		}
		algorithm.Softmax(p)
		total -= math.Log(max(p[b.y[i]], 1e-300))
	}
	return total / float64(max(1, len(b.hold)))
}

// tree is one class's tree of a round, with its own numbering.
type tree struct {
	nodes []node
	bins  []uint8 // of each node that is a question: rows of this bin and below go left
}

// leaf is a node that may still be split.
type leaf struct {
	node  int32
	rows  []int32
	hist  []bucket // features x 256
	split split
}

// bucket sums the gradients of a leaf's rows in one bin.
type bucket struct {
	g, h float64
	n    int32
}

func (a *bucket) add(o bucket) {
	a.g += o.g
	a.h += o.h
	a.n += o.n
}

// split is the best division of a leaf.
type split struct {
	gain    float64
	feature int
	bin     uint8 // rows of this bin and below go left
	total   bucket
}

const binsPerFeature = 256

// histograms are reused: a tree needs one per leaf. What is in them is left over; fill clears what it needs.
var histograms sync.Pool

func newHistogram(n int) []bucket {
	if h, _ := histograms.Get().(*[]bucket); h != nil && len(*h) == n {
		return *h
	}
	return make([]bucket, n)
}

// tree grows the tree of a class: the leaf whose split gains most is split first.
func (b *booster) tree(class int, rng *rand.Rand) *tree {
	features := b.someFeatures(rng)
	t := &tree{nodes: []node{{feature: -1}}, bins: []uint8{0}}
	root := &leaf{rows: slices.Clone(b.learn), hist: newHistogram(b.c.features * binsPerFeature)}
	b.fill(root, class, features)
	b.findSplit(root, features)
	leaves := []*leaf{root}
	for len(leaves) < b.o.Leaves {
		best := 0
		for i, l := range leaves {
			if l.split.gain > leaves[best].split.gain {
				best = i
			}
		}
		l := leaves[best]
		if l.split.gain <= 1e-9 {
			break
		}
		left, right := b.divideLeaf(t, l, class, features)
		leaves[best] = left
		leaves = append(leaves, right)
	}
	for _, l := range leaves {
		value := -b.o.Rate * l.split.total.g / (l.split.total.h + b.o.L2)
		t.nodes[l.node].value = value
		for _, i := range l.rows {
			b.score[class][i] += value
		}
		histograms.Put(&l.hist)
	}
	for _, i := range b.hold {
		b.score[class][i] += b.evaluate(t, i)
	}
	return t
}

// someFeatures draws the features that a tree may use.
func (b *booster) someFeatures(rng *rand.Rand) []int {
	n := int(math.Ceil(b.o.Columns * float64(b.c.features)))
	features := rng.Perm(b.c.features)[:min(max(n, 1), b.c.features)]
	slices.Sort(features)
	return features
}

// divideLeaf splits a leaf. The smaller half's histogram is summed, the other's is the difference.
func (b *booster) divideLeaf(t *tree, l *leaf, class int, features []int) (left, right *leaf) {
	s := l.split
	col := b.cols[s.feature]
	// In place and stable on the left; the right half is gathered apart and copied behind it.
	var other []int32
	n := 0
	for _, i := range l.rows {
		if col[i] <= s.bin {
			l.rows[n] = i
			n++
		} else {
			other = append(other, i)
		}
	}
	copy(l.rows[n:], other)
	left = &leaf{node: int32(len(t.nodes)), rows: l.rows[:n:n]}
	right = &leaf{node: left.node + 1, rows: l.rows[n:]}
	t.nodes = append(t.nodes, node{feature: -1}, node{feature: -1})
	t.bins = append(t.bins, 0, 0)
	t.bins[l.node] = s.bin
	t.nodes[l.node] = node{feature: int32(s.feature), left: left.node, right: right.node, value: b.bins.threshold(s.feature, s.bin)}

	small, large := left, right
	if len(small.rows) > len(large.rows) {
		small, large = large, small
	}
	small.hist = newHistogram(len(l.hist))
	b.fill(small, class, features)
	large.hist = l.hist
	for _, f := range features {
		at := f * binsPerFeature
		for i := at; i < at+len(b.bins.cuts[f])+2; i++ {
			large.hist[i].g -= small.hist[i].g
			large.hist[i].h -= small.hist[i].h
			large.hist[i].n -= small.hist[i].n
		}
	}
	b.findSplit(left, features)
	b.findSplit(right, features)
	return left, right
}

// fill sums a leaf's histogram.
func (b *booster) fill(l *leaf, class int, features []int) {
	grads := make([]gradient, len(l.rows))
	for k, i := range l.rows {
		grads[k] = b.grad[class][i]
	}
	for _, f := range features {
		col := b.cols[f]
		hist := (*[binsPerFeature]bucket)(l.hist[f*binsPerFeature:])
		clear(hist[:len(b.bins.cuts[f])+2])
		for k, i := range l.rows {
			at := &hist[col[i]]
			at.g += float64(grads[k].g)
			at.h += float64(grads[k].h)
			at.n++
		}
	}
}

// findSplit looks for a leaf's best split and sums its gradients.
func (b *booster) findSplit(l *leaf, features []int) {
	best := split{feature: -1}
	first := l.hist[features[0]*binsPerFeature:]
	for _, a := range first[:len(b.bins.cuts[features[0]])+2] {
		best.total.add(a)
	}
	value := func(a bucket) float64 { return a.g * a.g / (a.h + b.o.L2) }
	whole := value(best.total)
	for _, f := range features {
		var left bucket
		hist := l.hist[f*binsPerFeature:]
		for bin := range len(b.bins.cuts[f]) + 1 {
			left.add(hist[bin])
			right := bucket{best.total.g - left.g, best.total.h - left.h, best.total.n - left.n}
			if int(left.n) < b.o.MinRows || int(right.n) < b.o.MinRows {
				continue
			}
			if gain := value(left) + value(right) - whole; gain > best.gain {
				best.gain, best.feature, best.bin = gain, f, uint8(bin)
			}
		}
	}
	l.split = best
}

// evaluate returns what a tree says of a binned row.
func (b *booster) evaluate(t *tree, row int32) float64 {
	at := int32(0)
	for t.nodes[at].feature >= 0 {
		if b.cols[t.nodes[at].feature][row] <= t.bins[at] {
			at = t.nodes[at].left
		} else {
			at = t.nodes[at].right
		}
	}
	return t.nodes[at].value
}
