package sim

import (
	"slices"

	"blockprint/gossip"
)

// Agreement is how often two packers make the same block.
type Agreement struct {
	A, B string // variants
	// Slots were compared: in Same of them, the attestations were equal and in the same order; in SameSet, they were equal
	// in any order.
	Slots, Same, SameSet int
}

// Compare asks, for the next slot, one node of each variant that receives all subnets for a block on the head, and counts
// for each pair of variants whether the blocks have the same attestations. Packing may change a pool, as it would if the
// node proposed.
func (w *World) Compare(into map[[2]string]*Agreement) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slot := w.slot + 1
	type packing struct {
		variant string
		list    []gossip.Attestation
	}
	var all []packing
	for _, n := range w.nodes {
		if !n.all || slices.ContainsFunc(all, func(p packing) bool { return p.variant == n.variant }) {
			continue
		}
		b, _ := w.build(n, w.head, slot, 0)
		all = append(all, packing{n.variant, b.attestations})
	}
	same := func(a, b gossip.Attestation) bool { return a.Equal(&b) }
	for i, a := range all {
		for _, b := range all[i+1:] {
			key := [2]string{a.variant, b.variant}
			g := into[key]
			if g == nil {
				g = &Agreement{A: a.variant, B: b.variant}
				into[key] = g
			}
			g.Slots++
			if slices.EqualFunc(a.list, b.list, same) {
				g.Same++
			}
			if gossip.SameSet(a.list, b.list, same) {
				g.SameSet++
			}
		}
	}
}
