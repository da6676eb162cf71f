package gbt

import (
	"encoding/binary"
	"math"

	"blockprint"
)

// The payload of a gradient-boosted model: four little-endian uint32 (features, classes, nodes, trees), the base
// scores (float64), the nodes (feature, left, right as int32, 4 zero bytes, value as float64) and the trees' roots
// (uint32). docs/model-format.md says more.
const (
	headSize = 16
	nodeSize = 24
)

// AppendBinary implements encoding.BinaryAppender.
func (c *Classifier) AppendBinary(b []byte) ([]byte, error) {
	le := binary.LittleEndian
	for _, n := range []int{c.features, c.classes, len(c.nodes), len(c.roots)} {
		b = le.AppendUint32(b, uint32(n))
	}
	for _, v := range c.base {
		b = le.AppendUint64(b, math.Float64bits(v))
	}
	for _, n := range c.nodes {
		b = le.AppendUint32(b, uint32(n.feature))
		b = le.AppendUint32(b, uint32(n.left))
		b = le.AppendUint32(b, uint32(n.right))
		b = le.AppendUint32(b, 0)
		b = le.AppendUint64(b, math.Float64bits(n.value))
	}
	for _, r := range c.roots {
		b = le.AppendUint32(b, uint32(r))
	}
	return b, nil
}

// Decode reads what AppendBinary wrote. It checks every index, so that a payload that passes cannot make a query
// fail or go on for ever.
func Decode(b []byte) (*Classifier, error) {
	bad := func(what string) error { return blockprint.Errorf(blockprint.Invalid, "gbt payload: %s", what) }
	if len(b) < headSize {
		return nil, bad("cut off")
	}
	le := binary.LittleEndian
	c := &Classifier{features: int(le.Uint32(b)), classes: int(le.Uint32(b[4:]))}
	nodes, trees := int(le.Uint32(b[8:])), int(le.Uint32(b[12:]))
	if c.features < 1 || c.features > 4096 || c.classes < 1 || c.classes > 255 || trees%c.classes != 0 {
		return nil, bad("impossible sizes")
	}
	if want := headSize + 8*c.classes + nodeSize*nodes + 4*trees; len(b) != want {
		return nil, bad("wrong length")
	}
	b = b[headSize:]
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	for range c.classes {
		v := math.Float64frombits(le.Uint64(b))
		if !finite(v) {
			return nil, bad("a base score is not a number")
		}
		c.base = append(c.base, v)
		b = b[8:]
	}
	c.nodes = make([]node, nodes)
	for i := range c.nodes {
		n := node{int32(le.Uint32(b)), int32(le.Uint32(b[4:])), int32(le.Uint32(b[8:])), math.Float64frombits(le.Uint64(b[16:]))}
		// Children lie behind their parent, so a walk always ends.
		if n.feature >= 0 && (int(n.feature) >= c.features || int(n.left) <= i || int(n.left) >= nodes || int(n.right) <= i || int(n.right) >= nodes) {
			return nil, bad("a node out of place")
		}
		if n.feature < 0 && !finite(n.value) || math.IsNaN(n.value) {
			return nil, bad("a node's value is not a number")
		}
		c.nodes[i] = n
		b = b[nodeSize:]
	}
	c.roots = make([]int32, trees)
	for i := range c.roots {
		r := le.Uint32(b[4*i:])
		if int(r) >= nodes {
			return nil, bad("a tree without a root")
		}
		c.roots[i] = int32(r)
	}
	return c, nil
}
