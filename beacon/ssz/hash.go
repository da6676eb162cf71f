package ssz

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// zeroHashes[i] is the root of a tree of depth i whose leaves are all zero.
var zeroHashes = func() (z [65][32]byte) {
	for i := 1; i < len(z); i++ {
		z[i] = pair(z[i-1], z[i-1])
	}
	return z
}()

func pair(a, b [32]byte) [32]byte {
	var both [64]byte
	copy(both[:32], a[:])
	copy(both[32:], b[:])
	return sha256.Sum256(both[:])
}

// Root returns the hash tree root of a checked encoding.
func (t *Type) Root(b []byte) [32]byte {
	switch t.Kind {
	case Uint64, Uint256, Bytes, Bitvector:
		return merkleBytes(b, chunks(t.fixed))
	case ByteList:
		return mixIn(merkleBytes(b, chunks(int(t.Limit))), uint64(len(b)))
	case Bitlist:
		n := bitlistLen(b)
		data := append([]byte(nil), b[:(n+7)/8]...)
		if n%8 != 0 {
			data[len(data)-1] &^= 1 << (n % 8)
		}
		return mixIn(merkleBytes(data, chunks(int((t.Limit+7)/8))), n)
	case Container:
		leaves := make([][32]byte, len(t.Fields))
		for i, f := range t.Fields {
			leaves[i] = f.Type.Root(t.field(b, i))
		}
		return merkle(leaves, uint64(len(leaves)))
	case Vector:
		return t.elementsRoot(b, t.Size)
	default: // List
		return mixIn(t.elementsRoot(b, t.Limit), uint64(t.count(b)))
	}
}

func (t *Type) elementsRoot(b []byte, limit uint64) [32]byte {
	if t.Elem.Kind == Uint64 || t.Elem.Kind == Uint256 {
		return merkleBytes(b, chunks(t.Elem.fixed*int(limit)))
	}
	leaves := make([][32]byte, t.count(b))
	for i := range leaves {
		leaves[i] = t.Elem.Root(t.element(b, i))
	}
	return merkle(leaves, limit)
}

func chunks(n int) uint64 { return uint64(n+31) / 32 }

// merkleBytes packs bytes into chunks and hashes them as a tree with room for limit chunks.
func merkleBytes(b []byte, limit uint64) [32]byte {
	leaves := make([][32]byte, chunks(len(b)))
	for i := range leaves {
		copy(leaves[i][:], b[32*i:])
	}
	return merkle(leaves, limit)
}

// merkle hashes leaves as a tree with room for limit leaves. It overwrites them.
func merkle(leaves [][32]byte, limit uint64) [32]byte {
	depth := 0
	if limit > 1 {
		depth = bits.Len64(limit - 1)
	}
	if len(leaves) == 0 {
		return zeroHashes[depth]
	}
	for d := range depth {
		n := len(leaves)
		for i := 0; i+1 < n; i += 2 {
			leaves[i/2] = pair(leaves[i], leaves[i+1])
		}
		if n%2 == 1 {
			leaves[n/2] = pair(leaves[n-1], zeroHashes[d])
		}
		leaves = leaves[:(n+1)/2]
	}
	return leaves[0]
}

func mixIn(root [32]byte, length uint64) [32]byte {
	var n [32]byte
	binary.LittleEndian.PutUint64(n[:], length)
	return pair(root, n)
}
