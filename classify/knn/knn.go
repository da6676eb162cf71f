// Package knn is a k-nearest-neighbor classifier with weights of one over distance, exact, on a flat k-d tree.
//
// Fit builds it from rows, PredictProba asks it. Equal rows are stored once with their classes, so thousands of
// blocks with the same features cost no more than one. Of rows at the same distance the one that came first in
// the training data is nearer: results depend on nothing but the data.
//
// The tree is ours because gonum's holds an interface value for each point and lets the shape of the tree break ties; this
// one keeps millions of points in a few slices that a model file holds as they are.
package knn

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"blockprint"
	"blockprint/classify/algorithm"
)

// leafSize is the number of distinct points from which on a cell is split.
const leafSize = 24

// Classifier is a fitted set of rows. It is safe for concurrent use.
type Classifier struct {
	k, dims, classes int

	points   []float64 // distinct points in leaf order, dims numbers each
	rowStart []uint32  // rows of point i: rowNum[rowStart[i]:rowStart[i+1]], ascending
	rowNum   []uint32  // position in the training data
	rowClass []uint8
	nodes    []node

	pool sync.Pool
}

// node is a cell of the tree. A leaf (dim < 0) holds the points lo to hi; the children of others are lo and hi.
type node struct {
	dim    int32
	lo, hi int32
	split  float64
}

// Fit builds a classifier that asks k neighbors.
func Fit(d algorithm.Data, k int) (*Classifier, error) {
	if err := d.Check("kNN", false); err != nil {
		return nil, err
	}
	if k < 1 || k > len(d.Y) {
		return nil, blockprint.Errorf(blockprint.Invalid, "kNN: k = %d, but there are %d rows", k, len(d.Y))
	}
	clean := make([]float64, len(d.X))
	for i, v := range d.X {
		clean[i] = v + 0 // -0 becomes 0, so that equal rows are equal bit by bit
	}
	c := &Classifier{k: k, dims: d.Features, classes: d.Classes}
	c.build(clean, d.Y)
	return c, nil
}

func (c *Classifier) build(x []float64, y []uint8) {
	// Bring equal rows together; ties by number keep the rows of a point ascending.
	perm := make([]uint32, len(y))
	for i := range perm {
		perm[i] = uint32(i)
	}
	row := func(i uint32) []float64 { return x[int(i)*c.dims : (int(i)+1)*c.dims] }
	sortInParallel(perm, func(a, b uint32) int {
		ra, rb := row(a), row(b)
		for d, v := range ra {
			switch w := rb[d]; {
			case v < w:
				return -1
			case v > w:
				return 1
			}
		}
		return cmp.Compare(a, b)
	})
	b := builder{c: c}
	isNew := func(i int) bool { return i == 0 || !slices.Equal(row(perm[i-1]), row(perm[i])) }
	distinct := 0 // counted first: growing slices of hundreds of megabytes costs more than looking twice
	for i := range perm {
		if isNew(i) {
			distinct++
		}
	}
	b.starts = make([]uint32, 0, distinct+1)
	b.points = make([]float64, 0, distinct*c.dims)
	for i, r := range perm {
		if isNew(i) {
			b.starts = append(b.starts, uint32(i))
			b.points = append(b.points, row(r)...)
		}
	}
	b.starts = append(b.starts, uint32(len(perm)))
	b.order = make([]int32, distinct)
	for i := range b.order {
		b.order[i] = int32(i)
	}
	c.nodes = b.split(make([]node, 0, 4*(distinct/leafSize+1)), 0, distinct)

	c.points = make([]float64, 0, distinct*c.dims)
	c.rowStart = make([]uint32, 0, distinct+1)
	c.rowNum = make([]uint32, 0, len(perm))
	c.rowClass = make([]uint8, 0, len(perm))
	for _, p := range b.order {
		c.points = append(c.points, b.points[int(p)*c.dims:(int(p)+1)*c.dims]...)
		c.rowStart = append(c.rowStart, uint32(len(c.rowNum)))
		for _, r := range perm[b.starts[p]:b.starts[p+1]] {
			c.rowNum = append(c.rowNum, r)
			c.rowClass = append(c.rowClass, y[r])
		}
	}
	c.rowStart = append(c.rowStart, uint32(len(c.rowNum)))
}

// sortInParallel sorts the halves of a long list at the same time and merges them. compare is 0 for equals only, so
// that there is one result.
func sortInParallel(list []uint32, compare func(a, b uint32) int) {
	if len(list) < parallelFrom {
		slices.SortFunc(list, compare)
		return
	}
	mid := len(list) / 2
	done := make(chan struct{})
	go func() {
		defer close(done)
		sortInParallel(list[:mid], compare)
	}()
	sortInParallel(list[mid:], compare)
	<-done
	left, right := slices.Clone(list[:mid]), list[mid:]
	for i := range list { // what is written never passes what is still to be read of the right half
		if len(right) == 0 || len(left) > 0 && compare(left[0], right[0]) < 0 {
			list[i], left = left[0], left[1:]
		} else {
			list[i], right = right[0], right[1:]
		}
	}
}

// builder arranges distinct points into cells.
type builder struct {
	c      *Classifier
	points []float64 // distinct points in lexical order
	starts []uint32  // where the rows of each begin
	order  []int32   // points in the order of the tree's leaves
}

func (b *builder) coord(point int32, dim int) float64 { return b.points[int(point)*b.c.dims+dim] }

// parallelFrom is the number of points from which on the halves of a cell are made at the same time.
const parallelFrom = 50_000

// split appends the cell of the points order[lo:hi], and all cells in it, to nodes.
func (b *builder) split(nodes []node, lo, hi int) []node {
	at := len(nodes)
	nodes = append(nodes, node{dim: -1, lo: int32(lo), hi: int32(hi)})
	if hi-lo <= leafSize {
		slices.Sort(b.order[lo:hi])
		return nodes
	}
	dim := b.widest(b.order[lo:hi])
	mid := (lo + hi) / 2
	b.selectMedian(b.order[lo:hi], mid-lo, dim)
	value := b.coord(b.order[mid], dim)
	var right []node
	if hi-lo >= parallelFrom {
		done := make(chan struct{})
		go func() {
			defer close(done)
			right = b.split(nil, mid, hi)
		}()
		nodes = b.split(nodes, lo, mid)
		<-done
	} else {
		nodes = b.split(nodes, lo, mid)
	}
	nodes[at] = node{dim: int32(dim), lo: int32(at + 1), hi: int32(len(nodes)), split: value}
	if right == nil {
		return b.split(nodes, mid, hi)
	}
	offset := int32(len(nodes))
	for _, n := range right {
		if n.dim >= 0 { // a leaf's bounds are points
			n.lo += offset
			n.hi += offset
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// widest returns the dimension in which points lie furthest apart.
func (b *builder) widest(points []int32) int {
	dim, width := 0, -1.0
	for d := range b.c.dims {
		least, most := math.Inf(1), math.Inf(-1)
		for _, p := range points {
			v := b.coord(p, d)
			least, most = min(least, v), max(most, v)
		}
		if most-least > width {
			dim, width = d, most-least
		}
	}
	return dim
}

// selectMedian moves the points so that the n-th in order of (coordinate, number) is in its place, with all before
// it before it: Hoare's quickselect, with the median of three as pivot.
func (b *builder) selectMedian(p []int32, n, dim int) {
	less := func(i, j int32) bool {
		x, y := b.coord(i, dim), b.coord(j, dim)
		return x < y || x == y && i < j
	}
	for lo, hi := 0, len(p)-1; lo < hi; {
		mid := (lo + hi) / 2
		for _, pair := range [][2]int{{lo, mid}, {lo, hi}, {mid, hi}} {
			if less(p[pair[1]], p[pair[0]]) {
				p[pair[0]], p[pair[1]] = p[pair[1]], p[pair[0]]
			}
		}
		pivot := p[mid]
		i, j := lo, hi
		for i <= j {
			for less(p[i], pivot) {
				i++
			}
			for less(pivot, p[j]) {
				j--
			}
			if i <= j {
				p[i], p[j] = p[j], p[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case n <= j:
			hi = j
		case n >= i:
			lo = i
		default:
			return
		}
	}
}

// Neighbor is a training row found by a query.
type Neighbor struct {
	Row      uint32 // position in the training data
	Class    uint8
	Distance float64
}

// search is the state of one query.
type search struct {
	c     *Classifier
	k     int
	x     []float64
	off   []float64 // distance of x to the present cell in each dimension
	found []Neighbor
}

// Neighbors appends the k nearest rows of x to dst, nearest first. x must not hold NaN.
func (c *Classifier) Neighbors(dst []Neighbor, x []float64) []Neighbor {
	s, _ := c.pool.Get().(*search)
	if s == nil {
		s = &search{c: c, k: c.k, off: make([]float64, c.dims), found: make([]Neighbor, 0, c.k+1)}
	}
	s.x, s.found = x, s.found[:0]
	clear(s.off)
	s.visit(0, 0)
	for _, f := range s.found {
		f.Distance = math.Sqrt(f.Distance)
		dst = append(dst, f)
	}
	s.x = nil
	c.pool.Put(s)
	return dst
}

// visit looks through a cell at squared distance d from x (Arya and Mount's incremental distance).
func (s *search) visit(at int32, d float64) {
	n := &s.c.nodes[at]
	if n.dim < 0 {
		s.scan(int(n.lo), int(n.hi))
		return
	}
	diff := s.x[n.dim] - n.split
	near, far := n.lo, n.hi
	if diff >= 0 {
		near, far = far, near
	}
	s.visit(near, d)
	old := s.off[n.dim]
	d += diff*diff - old*old
	// A tie at the k-th place may be won by an earlier row, so cells at exactly that distance are looked at; the
	// small allowance is for the rounding of the incremental sum.
	if len(s.found) < s.k || d*(1-1e-12) <= s.found[len(s.found)-1].Distance {
		s.off[n.dim] = diff
		s.visit(far, d)
		s.off[n.dim] = old
	}
}

// scan offers the points lo to hi. Distances are squared here.
func (s *search) scan(lo, hi int) {
	c := s.c
	for p := lo; p < hi; p++ {
		var d float64
		for i, v := range c.points[p*c.dims : (p+1)*c.dims] {
			diff := s.x[i] - v
			d += diff * diff
		}
		for r := c.rowStart[p]; r < c.rowStart[p+1]; r++ {
			if !s.offer(Neighbor{c.rowNum[r], c.rowClass[r], d}) {
				break // the point's other rows come later still
			}
		}
	}
}

// offer inserts a row in its place and reports whether it belongs to the k nearest so far.
func (s *search) offer(n Neighbor) bool {
	nearer := func(a, b Neighbor) bool {
		return a.Distance < b.Distance || a.Distance == b.Distance && a.Row < b.Row
	}
	full := len(s.found) == s.k
	if full && !nearer(n, s.found[len(s.found)-1]) {
		return false
	}
	if full {
		s.found = s.found[:len(s.found)-1]
	}
	i := len(s.found)
	s.found = append(s.found, n)
	for ; i > 0 && nearer(n, s.found[i-1]); i-- {
		s.found[i] = s.found[i-1]
	}
	s.found[i] = n
	return true
}

// PredictProba writes the probability of each class for the row x into dst, which has one place per class. If any
// of the k nearest rows coincide with x, those alone count.
func (c *Classifier) PredictProba(dst, x []float64) {
	var room [16]Neighbor
	vote(dst, c.Neighbors(room[:0], x))
}

// vote turns neighbors, nearest first, into probabilities.
func vote(dst []float64, nearest []Neighbor) {
	clear(dst)
	if len(nearest) == 0 {
		return
	}
	coincide := nearest[0].Distance == 0
	total := 0.0
	for _, n := range nearest {
		weight := 1.0
		if coincide {
			if n.Distance > 0 {
				break
			}
		} else {
			weight = 1 / n.Distance
		}
		dst[n.Class] += weight
		total += weight
	}
	for i := range dst {
		dst[i] /= total
	}
}

// K returns the number of neighbors that are asked.
func (c *Classifier) K() int { return c.k }

// Rows returns the number of training rows.
func (c *Classifier) Rows() int { return len(c.rowNum) }

// Shape returns the number of features of a row and of classes.
func (c *Classifier) Shape() (features, classes int) { return c.dims, c.classes }

// Missing reports that rows must not hold NaN.
func (c *Classifier) Missing() bool { return false }
