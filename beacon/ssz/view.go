package ssz

import (
	"encoding/binary"
	"math/bits"
)

// View reads a value from its checked encoding.
type View struct {
	t *Type
	b []byte
}

// View returns a view of b, which must pass Check.
func (t *Type) View(b []byte) View { return View{t, b} }

// Type returns the type of the value.
func (v View) Type() *Type { return v.t }

// Bytes returns the encoding itself.
func (v View) Bytes() []byte { return v.b }

// Field returns a container's field. A name that the container lacks is a programmer's error.
func (v View) Field(name string) View {
	i := v.t.fieldIndex(name)
	return View{v.t.Fields[i].Type, v.t.field(v.b, i)}
}

// Has reports whether the container has a field.
func (v View) Has(name string) bool { return v.t.Has(name) }

// Len returns the number of elements, or of bits of a bitlist or bitvector.
func (v View) Len() int {
	switch v.t.Kind {
	case Bitlist:
		return int(bitlistLen(v.b))
	case Bitvector:
		return int(v.t.Size)
	}
	return v.t.count(v.b)
}

// At returns an element of a vector or list.
func (v View) At(i int) View { return View{v.t.Elem, v.t.element(v.b, i)} }

// Uint64 returns a number.
func (v View) Uint64() uint64 { return binary.LittleEndian.Uint64(v.b) }

// Root returns 32 bytes.
func (v View) Root() (r [32]byte) {
	copy(r[:], v.b)
	return r
}

// Bit reports whether bit i of a bitlist or bitvector is set.
func (v View) Bit(i int) bool { return v.b[i/8]>>(i%8)&1 == 1 }

// Count returns how many bits of a bitlist or bitvector are set.
func (v View) Count() int {
	n := 0
	for _, x := range v.b {
		n += bits.OnesCount8(x)
	}
	if v.t.Kind == Bitlist {
		n-- // the end mark
	}
	return n
}
