package recording

import (
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
)

// maxCommittees is the number of committee bits of an attestation (MAX_COMMITTEES_PER_SLOT).
const maxCommittees = 64

// unhex reads hex with or without 0x.
func unhex(s string) ([]byte, error) { return hex.DecodeString(strings.TrimPrefix(s, "0x")) }

// split reads committee_bits and aggregation_bits, SSZ in hex; members are the slot's committees.
func split(committees, voters string, members [][]uint32) ([]Part, error) {
	cb, err := unhex(committees)
	if err != nil || len(cb) == 0 || len(cb) > maxCommittees/8 {
		return nil, fmt.Errorf("committee bits %q: expected hex of at most %d bytes", committees, maxCommittees/8)
	}
	ab, err := unhex(voters)
	if err != nil || len(ab) == 0 || ab[len(ab)-1] == 0 {
		return nil, fmt.Errorf("aggregation bits %.40q: expected an SSZ bit list in hex", voters)
	}
	size := 8*len(ab) - bits.LeadingZeros8(ab[len(ab)-1]) - 1 // the highest bit marks the end
	var parts []Part
	at := 0
	for c := range 8 * len(cb) {
		if cb[c/8]>>(c%8)&1 == 0 {
			continue
		}
		if c >= len(members) {
			return nil, fmt.Errorf("committee %d: the slot has %d", c, len(members))
		}
		n := len(members[c])
		if at+n > size {
			return nil, fmt.Errorf("aggregation bits of %d voters: too few for committees %s", size, committees)
		}
		words := make([]uint64, (n+63)/64)
		for i := range n {
			words[i/64] |= uint64(ab[(at+i)/8]>>((at+i)%8)&1) << (i % 64)
		}
		parts = append(parts, Part{c, words})
		at += n
	}
	if len(parts) == 0 || at != size {
		return nil, fmt.Errorf("aggregation bits of %d voters: committees %s have %d members", size, committees, at)
	}
	return parts, nil
}

// joinBits writes parts as committee_bits and aggregation_bits, SSZ in hex.
func joinBits(parts []Part, members [][]uint32) (committees, voters string) {
	var cb [maxCommittees / 8]byte
	var ab []byte
	at := 0
	set := func(bit uint64) {
		if at%8 == 0 {
			ab = append(ab, 0)
		}
		ab[at/8] |= byte(bit << (at % 8))
		at++
	}
	for _, p := range parts {
		cb[p.Committee/8] |= 1 << (p.Committee % 8)
		for i := range members[p.Committee] {
			set(p.Bits[i/64] >> (i % 64) & 1)
		}
	}
	set(1)
	return hex.EncodeToString(cb[:]), hex.EncodeToString(ab)
}
