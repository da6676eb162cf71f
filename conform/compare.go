package conform

import (
	"fmt"
	"slices"

	"blockprint"
	"blockprint/gossip"
)

// Class says how much a packer's block agrees with the client's.
type Class int

// The classes, the best first. Blocks of the first two are the same up to ties.
const (
	// Same: the attestations are the same and in the same order.
	Same Class = iota
	// Ties: in every place is an attestation that earns as much, and the packer could choose from all of the client's.
	Ties
	// SameAttestations: the attestations are the same, but no tie explains their order.
	SameAttestations
	// SameCommittees: data and committees are the same, but the voters differ.
	SameCommittees
	// Different: anything else.
	Different
	numClasses
)

var classNames = [numClasses]string{"same", "ties", "attestations", "committees", "different"}

func (c Class) String() string { return classNames[c] }

// Packed is a block's attestations with the numerators of what they earn the proposer.
type Packed struct {
	List     []gossip.Attestation
	Alone    []uint64 // each against the state before the block
	Marginal []uint64 // each after those before it
}

// Compare compares a packer's attestations with the client's for a block of a slot. candidates are all attestations that
// the packer could have chosen. The words say where the two lists first differ; they are empty if the lists are the same.
func Compare(client, ours *Packed, candidates []gossip.Attestation, slot blockprint.Slot) (Class, string) {
	at := firstDifference(client.List, ours.List)
	if at < 0 {
		return Same, ""
	}
	words := describe(client.List, ours.List, at, slot)
	has := func(list []gossip.Attestation, a *gossip.Attestation) bool {
		return slices.ContainsFunc(list, func(b gossip.Attestation) bool { return a.Equal(&b) })
	}
	all := true
	for i := range client.List {
		all = all && (has(ours.List, &client.List[i]) || has(candidates, &client.List[i]))
	}
	switch {
	case all && (slices.Equal(client.Alone, ours.Alone) || slices.Equal(client.Marginal, ours.Marginal)):
		return Ties, words
	case gossip.SameSet(client.List, ours.List, func(a, b gossip.Attestation) bool { return a.Equal(&b) }):
		return SameAttestations, words
	case gossip.SameSet(client.List, ours.List, func(a, b gossip.Attestation) bool {
		return a.Data == b.Data && slices.Equal(a.Committees, b.Committees)
	}):
		return SameCommittees, words
	}
	return Different, words
}

// firstDifference returns the first place at which two lists differ, or -1.
func firstDifference(a, b []gossip.Attestation) int {
	for i := range min(len(a), len(b)) {
		if !a[i].Equal(&b[i]) {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

// describe says in words what two lists have at a place.
func describe(client, ours []gossip.Attestation, at int, slot blockprint.Slot) string {
	one := func(list []gossip.Attestation) string {
		if at >= len(list) {
			return fmt.Sprintf("has no more than %d", len(list))
		}
		a := &list[at]
		return fmt.Sprintf("has %d voters in %d committees for block %s at distance %d", a.Count(), len(a.Committees), a.Data.BeaconBlockRoot.Short(), slot-a.Data.Slot)
	}
	words := fmt.Sprintf("attestation %d: the client %s, the packer %s", at+1, one(client), one(ours))
	if at < min(len(client), len(ours)) {
		words += committeeDifference(&client[at], &ours[at])
	}
	return words
}

// committeeDifference says where two attestations of the same data first have other voters.
func committeeDifference(client, ours *gossip.Attestation) string {
	if client.Data != ours.Data {
		return ""
	}
	theirs := map[int]gossip.Bits{}
	for i, c := range client.Committees {
		theirs[c] = client.Bits[i]
	}
	for i, c := range ours.Committees {
		b := theirs[c]
		switch {
		case b == nil:
			return fmt.Sprintf("; committee %d is the packer's only", c)
		case !b.Equal(ours.Bits[i]):
			return fmt.Sprintf("; in committee %d, %d voters are the client's only and %d the packer's", c, b.Fresh(ours.Bits[i]), ours.Bits[i].Fresh(b))
		}
		delete(theirs, c)
	}
	for _, c := range client.Committees {
		if theirs[c] != nil {
			return fmt.Sprintf("; committee %d is the client's only", c)
		}
	}
	return ""
}
