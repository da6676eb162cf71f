package ssz

import (
	"encoding/binary"
	"fmt"
)

// Zero returns the encoding of the type's default value.
func (t *Type) Zero() []byte {
	switch t.Kind {
	case Bitlist:
		return []byte{1}
	case ByteList, List:
		return nil
	case Vector:
		parts := make([][]byte, t.Size)
		for i := range parts {
			parts[i] = t.Elem.Zero()
		}
		return t.Join(parts)
	case Container:
		return t.Build(nil)
	}
	return make([]byte, t.fixed)
}

// Build encodes a container from the encodings of its fields. Fields that are left out get their default value. A name
// that the container lacks is a programmer's error.
func (t *Type) Build(fields map[string][]byte) []byte {
	for name := range fields {
		t.fieldIndex(name)
	}
	parts := make([][]byte, len(t.Fields))
	for i, f := range t.Fields {
		if b, ok := fields[f.Name]; ok {
			parts[i] = b
		} else {
			parts[i] = f.Type.Zero()
		}
	}
	return t.Join(parts)
}

// Join encodes a vector, list, or container from the encodings of its parts. A part of fixed size that has another
// length is a programmer's error.
func (t *Type) Join(parts [][]byte) []byte {
	elem := func(i int) *Type {
		if t.Kind == Container {
			return t.Fields[i].Type
		}
		return t.Elem
	}
	head, total := 0, 0
	for i, p := range parts {
		head += elem(i).head()
		total += len(p)
	}
	out := make([]byte, 0, head+total)
	offset := head
	for i, p := range parts {
		if n := elem(i).fixed; n > 0 {
			if len(p) != n {
				panic(fmt.Sprintf("ssz: part %d has %d bytes instead of %d", i, len(p), n))
			}
			out = append(out, p...)
			continue
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(offset))
		offset += len(p)
	}
	for i, p := range parts {
		if elem(i).fixed == 0 {
			out = append(out, p...)
		}
	}
	return out
}

// Uint64Bytes encodes a Uint64.
func Uint64Bytes(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// BitsBytes encodes n bits as a bitvector, or, with an end mark, as a bitlist.
func BitsBytes(n int, set func(int) bool, bitlist bool) []byte {
	size := (n + 7) / 8
	if bitlist {
		size = n/8 + 1
	}
	b := make([]byte, size)
	for i := range n {
		if set(i) {
			b[i/8] |= 1 << (i % 8)
		}
	}
	if bitlist {
		b[n/8] |= 1 << (n % 8)
	}
	return b
}
