// Package ssz reads, writes, and hashes SSZ values whose types are described at run time.
//
// It is ours because Go's SSZ libraries generate code for fixed sizes. Here sizes depend on the preset that a node reports
// (mainnet, minimal, a devnet's own), and one description (Type) must serve JSON as well as SSZ. Check validates an
// encoding once; after that, View reads it without errors. FromJSON and AppendJSON translate between the Beacon
// API's JSON and SSZ. The format is specified in the consensus specification's ssz/simple-serialize.md.
package ssz

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// Kind says how a type is encoded.
type Kind int

// The kinds.
const (
	Uint64    Kind = iota // 8 bytes; a decimal in JSON
	Uint256               // 32 bytes; a decimal in JSON
	Bytes                 // Size bytes; hex in JSON
	ByteList              // up to Limit bytes; hex in JSON
	Bitvector             // Size bits; hex in JSON
	Bitlist               // up to Limit bits and a sentinel; hex in JSON
	Vector                // Size elements
	List                  // up to Limit elements
	Container             // fields one after another
)

// Type describes an SSZ type. The functions below make one.
type Type struct {
	Kind   Kind
	Size   uint64
	Limit  uint64
	Elem   *Type
	Fields []Field
	fixed  int // the length of the encoding, 0 if it varies
}

// Field is a named part of a container.
type Field struct {
	Name string
	Type *Type
}

var (
	typeUint64  = &Type{Kind: Uint64, fixed: 8}
	typeUint256 = &Type{Kind: Uint256, fixed: 32}
)

// U64 is an unsigned 64-bit integer.
func U64() *Type { return typeUint64 }

// U256 is an unsigned 256-bit integer.
func U256() *Type { return typeUint256 }

// BytesOf is a vector of n bytes.
func BytesOf(n uint64) *Type { return &Type{Kind: Bytes, Size: n, fixed: int(n)} }

// ByteListOf is a list of up to limit bytes.
func ByteListOf(limit uint64) *Type { return &Type{Kind: ByteList, Limit: limit} }

// BitvectorOf is a vector of n bits.
func BitvectorOf(n uint64) *Type { return &Type{Kind: Bitvector, Size: n, fixed: int(n+7) / 8} }

// BitlistOf is a list of up to limit bits.
func BitlistOf(limit uint64) *Type { return &Type{Kind: Bitlist, Limit: limit} }

// VectorOf is n elements.
func VectorOf(elem *Type, n uint64) *Type {
	return &Type{Kind: Vector, Elem: elem, Size: n, fixed: elem.fixed * int(n)}
}

// ListOf is up to limit elements.
func ListOf(elem *Type, limit uint64) *Type { return &Type{Kind: List, Elem: elem, Limit: limit} }

// ContainerOf is a container of the given fields.
func ContainerOf(fields ...Field) *Type {
	t := &Type{Kind: Container, Fields: fields}
	for _, f := range fields {
		if f.Type.fixed == 0 {
			t.fixed = 0
			return t
		}
		t.fixed += f.Type.fixed
	}
	return t
}

// With returns a copy of a container with additional fields, or with other types for existing fields. That is how forks
// change types.
func (t *Type) With(fields ...Field) *Type {
	all := slices.Clone(t.Fields)
	for _, f := range fields {
		if i := index(all, f.Name); i >= 0 {
			all[i] = f
		} else {
			all = append(all, f)
		}
	}
	return ContainerOf(all...)
}

// index returns a field's position, -1 if the container lacks it.
func index(fields []Field, name string) int {
	for i := range fields { // slices.IndexFunc copies each field, which decoding notices
		if fields[i].Name == name {
			return i
		}
	}
	return -1
}

// head returns how many bytes a value occupies in the fixed part of its container or list: itself, or an offset.
func (t *Type) head() int {
	if t.fixed > 0 {
		return t.fixed
	}
	return 4
}

// fieldIndex returns the index of a field. A name that the container lacks is a programmer's error.
func (t *Type) fieldIndex(name string) int {
	i := index(t.Fields, name)
	if i < 0 {
		panic("ssz: no field " + name)
	}
	return i
}

// Has reports whether a container has a field.
func (t *Type) Has(name string) bool { return index(t.Fields, name) >= 0 }

// Check returns an error unless b is a complete, canonical encoding of t. All other functions that take an encoding
// require that.
func (t *Type) Check(b []byte) error {
	if t.fixed > 0 && len(b) != t.fixed {
		return fmt.Errorf("%d bytes, expected %d", len(b), t.fixed)
	}
	switch t.Kind {
	case Bitvector:
		if r := t.Size % 8; r != 0 && b[len(b)-1]>>r != 0 {
			return fmt.Errorf("bits are set beyond the end of a bitvector of %d", t.Size)
		}
	case ByteList:
		if uint64(len(b)) > t.Limit {
			return fmt.Errorf("%d bytes, at most %d are allowed", len(b), t.Limit)
		}
	case Bitlist:
		if len(b) == 0 || b[len(b)-1] == 0 {
			return fmt.Errorf("the bitlist lacks its end mark")
		}
		if n := bitlistLen(b); n > t.Limit {
			return fmt.Errorf("%d bits, at most %d are allowed", n, t.Limit)
		}
	case Vector, List:
		return t.checkElements(b)
	case Container:
		return t.checkFields(b)
	}
	return nil
}

func (t *Type) checkElements(b []byte) error {
	if t.Kind == List && len(b) == 0 {
		return nil
	}
	if t.Elem.fixed == 0 {
		if len(b) < 4 {
			return fmt.Errorf("the list is truncated")
		}
		first := binary.LittleEndian.Uint32(b)
		if first == 0 || first%4 != 0 || uint64(first) > uint64(len(b)) {
			return fmt.Errorf("the list begins with the impossible offset %d", first)
		}
	} else if len(b)%t.Elem.fixed != 0 {
		return fmt.Errorf("%d bytes are not a whole number of elements of %d", len(b), t.Elem.fixed)
	}
	n := t.count(b)
	if t.Kind == Vector && uint64(n) != t.Size {
		return fmt.Errorf("%d elements, expected %d", n, t.Size)
	}
	if t.Kind == List && uint64(n) > t.Limit {
		return fmt.Errorf("%d elements, at most %d are allowed", n, t.Limit)
	}
	if t.Elem.fixed == 0 {
		last := uint32(4 * n)
		for i := range n {
			o := binary.LittleEndian.Uint32(b[4*i:])
			if o < last || uint64(o) > uint64(len(b)) {
				return fmt.Errorf("element %d has the impossible offset %d", i, o)
			}
			last = o
		}
	}
	for i := range n {
		if err := t.Elem.Check(t.element(b, i)); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}

func (t *Type) checkFields(b []byte) error {
	if t.fixed == 0 {
		size := 0
		for _, f := range t.Fields {
			size += f.Type.head()
		}
		if len(b) < size {
			return fmt.Errorf("truncated: %d bytes, expected at least %d", len(b), size)
		}
		at, last := 0, uint32(size)
		for first, i := true, 0; i < len(t.Fields); i++ {
			f := t.Fields[i]
			if f.Type.fixed == 0 {
				o := binary.LittleEndian.Uint32(b[at:])
				if first && o != last || o < last || uint64(o) > uint64(len(b)) {
					return fmt.Errorf("field %s has the impossible offset %d", f.Name, o)
				}
				first, last = false, o
			}
			at += f.Type.head()
		}
	}
	for i, f := range t.Fields {
		if err := f.Type.Check(t.field(b, i)); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func (t *Type) count(b []byte) int {
	switch {
	case len(b) == 0:
		return 0
	case t.Elem.fixed == 0:
		return int(binary.LittleEndian.Uint32(b)) / 4
	}
	return len(b) / t.Elem.fixed
}

func (t *Type) element(b []byte, i int) []byte {
	if n := t.Elem.fixed; n > 0 {
		return b[i*n : (i+1)*n : (i+1)*n]
	}
	start, end := binary.LittleEndian.Uint32(b[4*i:]), uint32(len(b))
	if 4*(i+1) < int(binary.LittleEndian.Uint32(b)) {
		end = binary.LittleEndian.Uint32(b[4*(i+1):])
	}
	return b[start:end:end]
}

func (t *Type) field(b []byte, i int) []byte {
	at := 0
	for _, f := range t.Fields[:i] {
		at += f.Type.head()
	}
	if n := t.Fields[i].Type.fixed; n > 0 {
		return b[at : at+n : at+n]
	}
	start, end := binary.LittleEndian.Uint32(b[at:]), uint32(len(b))
	at += 4
	for _, f := range t.Fields[i+1:] {
		if f.Type.fixed == 0 {
			end = binary.LittleEndian.Uint32(b[at:])
			break
		}
		at += f.Type.fixed
	}
	return b[start:end:end]
}

// bitlistLen returns the number of bits of a checked bitlist.
func bitlistLen(b []byte) uint64 {
	return uint64(8*(len(b)-1) + bits.Len8(b[len(b)-1]) - 1)
}
