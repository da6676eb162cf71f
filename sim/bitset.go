package sim

import (
	"math/bits"
	"slices"
)

// bitset holds members of a committee by position. All bitsets of a committee have the same length.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitset) has(i int) bool { return b[i/64]>>(i%64)&1 == 1 }
func (b bitset) clone() bitset  { return append(bitset(nil), b...) }
func (b bitset) add(o bitset)   { forEach(b, o, func(x, y uint64) uint64 { return x | y }) }
func (b bitset) strike(o bitset) {
	forEach(b, o, func(x, y uint64) uint64 { return x &^ y })
}

func (b bitset) keep(o bitset) {
	forEach(b, o, func(x, y uint64) uint64 { return x & y })
}

func (b bitset) equal(o bitset) bool { return slices.Equal(b, o) }

func forEach(b, o bitset, f func(x, y uint64) uint64) {
	for i := range b {
		b[i] = f(b[i], o[i])
	}
}

func (b bitset) count() int {
	n := 0
	for _, x := range b {
		n += bits.OnesCount64(x)
	}
	return n
}

func (b bitset) overlaps(o bitset) bool {
	for i := range b {
		if b[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

// within tells whether o holds all of b.
func (b bitset) within(o bitset) bool {
	for i := range b {
		if b[i]&^o[i] != 0 {
			return false
		}
	}
	return true
}

// fresh counts the members of b that are not in o.
func (b bitset) fresh(o bitset) int {
	n := 0
	for i := range b {
		n += bits.OnesCount64(b[i] &^ o[i])
	}
	return n
}

// each calls f for each member.
func (b bitset) each(f func(i int)) {
	for w, x := range b {
		for ; x != 0; x &= x - 1 {
			f(64*w + bits.TrailingZeros64(x))
		}
	}
}
