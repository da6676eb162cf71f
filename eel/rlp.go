package eel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash"
	"sync"

	"golang.org/x/crypto/sha3"
)

// Recursive length prefix (appendix B of the Ethereum yellow paper) and the roots of ordered tries (appendix D). Ours, because
// go-ethereum's package would bring its whole module for 170 lines.

// appendString appends an encoded byte string.
func appendString(out, s []byte) []byte {
	if len(s) == 1 && s[0] < 0x80 {
		return append(out, s[0])
	}
	return append(appendHead(out, 0x80, len(s)), s...)
}

// appendHead appends what precedes n bytes.
func appendHead(out []byte, base byte, n int) []byte {
	if n < 56 {
		return append(out, base+byte(n))
	}
	digits := digitsOf(uint64(n))
	return append(append(out, base+55+byte(len(digits))), digits...)
}

// digitsOf returns a number without leading zeros.
func digitsOf(n uint64) []byte { return bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, n), "\x00") }

// encodeList makes a list of encoded items.
func encodeList(items []byte) []byte { return append(appendHead(nil, 0xc0, len(items)), items...) }

// encodeStrings makes a list of byte strings.
func encodeStrings(list ...[]byte) []byte {
	var items []byte
	for _, s := range list {
		items = appendString(items, s)
	}
	return encodeList(items)
}

var errRLP = errors.New("bad RLP")

// splitItem takes the first item off b: its content, whether it is a list, and what follows.
func splitItem(b []byte) (content []byte, list bool, rest []byte, err error) {
	if len(b) == 0 {
		return nil, false, nil, errRLP
	}
	first := b[0]
	if first < 0x80 {
		return b[:1], false, b[1:], nil
	}
	list = first >= 0xc0
	n := int(first &^ 0x80)
	if list {
		n = int(first &^ 0xc0)
	}
	b = b[1:]
	if n > 55 { // so many bytes of length follow
		digits := n - 55
		if digits > 4 || len(b) < digits {
			return nil, false, nil, errRLP
		}
		n = 0
		for _, d := range b[:digits] {
			n = n<<8 | int(d)
		}
		b = b[digits:]
	}
	if len(b) < n {
		return nil, false, nil, errRLP
	}
	return b[:n], list, b[n:], nil
}

var hashers = sync.Pool{New: func() any { return sha3.NewLegacyKeccak256() }}

// keccak is Keccak-256, which differs from SHA3-256 in its padding.
func keccak(b []byte) (out [32]byte) {
	h := hashers.Get().(hash.Hash)
	defer hashers.Put(h)
	h.Reset()
	_, _ = h.Write(b) // never fails
	h.Sum(out[:0])
	return out
}

// leaf is an entry of a trie. Its key is a list of nibbles.
type leaf struct {
	key   []byte
	value []byte
}

// orderedRoot returns the root of a trie whose keys are the indices of the values.
func orderedRoot(values [][]byte) [32]byte {
	if len(values) == 0 {
		return keccak([]byte{0x80})
	}
	leaves := make([]leaf, len(values))
	zero := min(len(values), 128) - 1 // the keys' order: 1 to 127 encode to themselves, 0 to 0x80, larger ones to more bytes
	for at := range leaves {
		i := at
		switch {
		case at < zero:
			i = at + 1
		case at == zero:
			i = 0
		}
		for _, b := range appendString(nil, digitsOf(uint64(i))) {
			leaves[at].key = append(leaves[at].key, b>>4, b&15)
		}
		leaves[at].value = values[i]
	}
	return keccak(trieNode(leaves, 0))
}

// trieNode encodes the node of leaves that share the first depth nibbles of their keys.
func trieNode(leaves []leaf, depth int) []byte {
	first := leaves[0].key
	if len(leaves) == 1 {
		return encodeStrings(compact(first[depth:], true), leaves[0].value)
	}
	last := leaves[len(leaves)-1].key // they are sorted: what these two share, all do
	shared := depth
	for shared < len(first) && shared < len(last) && first[shared] == last[shared] {
		shared++
	}
	if shared > depth {
		items := appendString(nil, compact(first[depth:shared], false))
		return encodeList(appendReference(items, trieNode(leaves, shared)))
	}
	var items []byte
	for nibble := range byte(16) {
		n := 0
		for n < len(leaves) && leaves[n].key[depth] == nibble {
			n++
		}
		if n == 0 {
			items = append(items, 0x80)
			continue
		}
		items = appendReference(items, trieNode(leaves[:n], depth+1))
		leaves = leaves[n:]
	}
	return encodeList(append(items, 0x80)) // no key is the beginning of another one
}

// appendReference appends a node to its parent: the node itself if it is short, otherwise its hash.
func appendReference(out, node []byte) []byte {
	if len(node) < 32 {
		return append(out, node...)
	}
	h := keccak(node)
	return appendString(out, h[:])
}

// compact packs nibbles into bytes. The first nibble encodes their parity and whether they end at a leaf.
func compact(nibbles []byte, isLeaf bool) []byte {
	var flag byte
	if isLeaf {
		flag = 2
	}
	out := make([]byte, 0, len(nibbles)/2+1)
	if len(nibbles)%2 == 1 {
		out = append(out, (flag+1)<<4|nibbles[0])
		nibbles = nibbles[1:]
	} else {
		out = append(out, flag<<4)
	}
	for i := 0; i < len(nibbles); i += 2 {
		out = append(out, nibbles[i]<<4|nibbles[i+1])
	}
	return out
}
