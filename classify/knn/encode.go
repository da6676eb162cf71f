package knn

import (
	"encoding/binary"
	"math"

	"blockprint"
)

// The payload of a kNN model: eight little-endian uint32 (k, dims, classes, distinct points, rows, nodes, 0, 0),
// then points (float64), rowStart (uint32, points+1), rowNum (uint32), nodes (dim, lo, hi as uint32, 4 zero bytes,
// split as float64), rowClass (uint8). docs/model-format.md says more.
const (
	headSize = 32
	nodeSize = 24
	maxDepth = 1 << 12 // a tree that Fit makes has some 30 levels
)

// AppendBinary implements encoding.BinaryAppender.
func (c *Classifier) AppendBinary(b []byte) ([]byte, error) {
	le := binary.LittleEndian
	for _, n := range []int{c.k, c.dims, c.classes, len(c.rowStart) - 1, len(c.rowNum), len(c.nodes), 0, 0} {
		b = le.AppendUint32(b, uint32(n))
	}
	for _, v := range c.points {
		b = le.AppendUint64(b, math.Float64bits(v))
	}
	for _, v := range c.rowStart {
		b = le.AppendUint32(b, v)
	}
	for _, v := range c.rowNum {
		b = le.AppendUint32(b, v)
	}
	for _, n := range c.nodes {
		b = le.AppendUint32(b, uint32(n.dim))
		b = le.AppendUint32(b, uint32(n.lo))
		b = le.AppendUint32(b, uint32(n.hi))
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, math.Float64bits(n.split))
	}
	return append(b, c.rowClass...), nil
}

// Decode reads what AppendBinary wrote. It checks every index, so that a payload that passes cannot make a query
// fail.
func Decode(b []byte) (*Classifier, error) {
	bad := func(what string) error { return blockprint.Errorf(blockprint.Invalid, "kNN payload: %s", what) }
	if len(b) < headSize {
		return nil, bad("cut off")
	}
	le := binary.LittleEndian
	var head [6]int
	for i := range head {
		head[i] = int(le.Uint32(b[4*i:]))
	}
	c := &Classifier{k: head[0], dims: head[1], classes: head[2]}
	points, rows, nodes := head[3], head[4], head[5]
	if c.k < 1 || c.k > rows || c.dims < 1 || c.dims > 4096 || c.classes < 1 || c.classes > 255 || points < 1 || points > rows || nodes < 1 {
		return nil, bad("impossible sizes")
	}
	if want := headSize + 8*points*c.dims + 4*(points+1) + 4*rows + nodeSize*nodes + rows; len(b) != want {
		return nil, bad("wrong length")
	}
	b = b[headSize:]
	c.points = make([]float64, points*c.dims)
	for i := range c.points {
		v := math.Float64frombits(le.Uint64(b[8*i:]))
		if v-v != 0 { // NaN or infinite: it has no distance to anything
			return nil, bad("a point is not a number")
		}
		c.points[i] = v
	}
	b = b[8*len(c.points):]
	c.rowStart, b = uint32s(b, points+1)
	c.rowNum, b = uint32s(b, rows)
	c.nodes = make([]node, nodes)
	for i := range c.nodes {
		n := b[nodeSize*i:]
		c.nodes[i] = node{int32(le.Uint32(n)), int32(le.Uint32(n[4:])), int32(le.Uint32(n[8:])), math.Float64frombits(le.Uint64(n[16:]))}
	}
	c.rowClass = append([]uint8(nil), b[nodeSize*nodes:]...)
	return c, c.check(points, rows)
}

func uint32s(b []byte, n int) (out []uint32, rest []byte) {
	out = make([]uint32, n)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return out, b[4*n:]
}

func (c *Classifier) check(points, rows int) error {
	bad := func(what string) error { return blockprint.Errorf(blockprint.Invalid, "kNN payload: %s", what) }
	if c.rowStart[0] != 0 || c.rowStart[points] != uint32(rows) {
		return bad("rows are not all used")
	}
	for i := range points {
		if c.rowStart[i] >= c.rowStart[i+1] {
			return bad("a point without rows")
		}
	}
	for _, class := range c.rowClass {
		if int(class) >= c.classes {
			return bad("a row of an unknown class")
		}
	}
	depth := make([]uint16, len(c.nodes))
	next := 0 // leaves must cover the points in order
	for i, n := range c.nodes {
		if n.dim < 0 {
			if int(n.lo) != next || n.hi <= n.lo || int(n.hi) > points {
				return bad("a leaf out of place")
			}
			next = int(n.hi)
			continue
		}
		// Children lie behind their parent, so a walk always ends.
		if int(n.dim) >= c.dims || int(n.lo) != i+1 || int(n.hi) <= i+1 || int(n.hi) >= len(c.nodes) {
			return bad("a node out of place")
		}
		if depth[i] == maxDepth { // a search goes down by recursion
			return bad("its tree is too deep")
		}
		depth[n.lo], depth[n.hi] = depth[i]+1, max(depth[n.hi], depth[i]+1)
	}
	if next != points {
		return bad("points without a leaf")
	}
	return nil
}
