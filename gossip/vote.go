package gossip

import (
	"cmp"
	"slices"

	"blockprint"
)

// Data is what a validator votes for.
type Data struct {
	blockprint.AttestationData // with index 0: the committee stands in the Group
	// DependentRoot is the block that the shuffling of the target's epoch depends on, as in the Beacon API's duties. It
	// tells the committees of two branches apart, and may be zero where there is only one.
	DependentRoot blockprint.Root
}

// Group is a group of votes that can be aggregated: one Data, one committee.
type Group struct {
	Data      Data
	Committee int
}

// Aggregate is a set of votes of one group.
type Aggregate struct {
	Group
	Bits Bits
}

// Attestation is an attestation of a block. Before Electra it has one committee; since then, it may have several in
// ascending order.
type Attestation struct {
	Data       Data
	Committees []int
	Bits       []Bits // by committee
}

// Join makes an attestation of aggregates with the same Data and different committees. It sorts the parts.
func Join(parts ...Aggregate) Attestation {
	slices.SortFunc(parts, func(a, b Aggregate) int { return cmp.Compare(a.Committee, b.Committee) })
	out := Attestation{Data: parts[0].Data}
	for _, a := range parts {
		out.Committees = append(out.Committees, a.Committee)
		out.Bits = append(out.Bits, a.Bits)
	}
	return out
}

// Part returns the votes of the attestation's committee number i.
func (a *Attestation) Part(i int) Aggregate {
	return Aggregate{Group{a.Data, a.Committees[i]}, a.Bits[i]}
}

// Count returns the number of votes in an attestation.
func (a *Attestation) Count() int {
	n := 0
	for _, b := range a.Bits {
		n += b.Count()
	}
	return n
}

// Equal reports whether two attestations have the same data, committees, and votes.
func (a *Attestation) Equal(o *Attestation) bool {
	return a.Data == o.Data && slices.Equal(a.Committees, o.Committees) && slices.EqualFunc(a.Bits, o.Bits, Bits.Equal)
}

// SameSet reports whether two lists hold the same attestations in any order, where same is what makes two of them equal.
func SameSet(a, b []Attestation, same func(a, b Attestation) bool) bool {
	rest := slices.Clone(b)
	for _, x := range a {
		at := slices.IndexFunc(rest, func(y Attestation) bool { return same(x, y) })
		if at < 0 {
			return false
		}
		rest = slices.Delete(rest, at, at+1)
	}
	return len(rest) == 0
}
