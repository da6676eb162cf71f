package gossip

import (
	"math/bits"
	"slices"
)

// Bits are members of a committee by position. All Bits of a committee have the same length.
type Bits []uint64

// NewBits returns no members of a committee of n.
func NewBits(n int) Bits { return make(Bits, (n+63)/64) }

// Set adds the member at position i.
func (b Bits) Set(i int) { b[i/64] |= 1 << (i % 64) }

// Has reports whether the member at position i is in b.
func (b Bits) Has(i int) bool { return b[i/64]>>(i%64)&1 == 1 }

// Clone returns a copy.
func (b Bits) Clone() Bits { return slices.Clone(b) }

// Equal reports whether b and o have the same members.
func (b Bits) Equal(o Bits) bool { return slices.Equal(b, o) }

// Add adds the members of o to b.
func (b Bits) Add(o Bits) {
	for i := range b {
		b[i] |= o[i]
	}
}

// Remove removes the members of o from b.
func (b Bits) Remove(o Bits) {
	for i := range b {
		b[i] &^= o[i]
	}
}

// Keep removes the members of b that are not in o.
func (b Bits) Keep(o Bits) {
	for i := range b {
		b[i] &= o[i]
	}
}

// Count returns the number of members.
func (b Bits) Count() int {
	n := 0
	for _, x := range b {
		n += bits.OnesCount64(x)
	}
	return n
}

// Overlaps reports whether b and o have a member in common.
func (b Bits) Overlaps(o Bits) bool {
	for i := range b {
		if b[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

// Within reports whether o has all members of b.
func (b Bits) Within(o Bits) bool { return b.Fresh(o) == 0 }

// Fresh returns the number of members of b that o lacks.
func (b Bits) Fresh(o Bits) int {
	n := 0
	for i := range b {
		n += bits.OnesCount64(b[i] &^ o[i])
	}
	return n
}

// Each calls f with the position of each member in ascending order.
func (b Bits) Each(f func(i int)) {
	for w, x := range b {
		for ; x != 0; x &= x - 1 {
			f(64*w + bits.TrailingZeros64(x))
		}
	}
}
