package storetest

import (
	"slices"
	"testing"

	"blockprint"
	"blockprint/store"
)

// ancestors: parents are followed by their roots, on one branch, as long as they are stored.
func ancestors(t *testing.T, s store.Store) {
	var b store.Batch
	for _, slot := range []blockprint.Slot{2, 3, 5, 6, 8} { // 1, 4 and 7 are empty; the parent of 2 is not stored
		parent := slot - 1
		if slot == 5 || slot == 8 {
			parent--
		}
		b.Blocks = append(b.Blocks, Block(slot, parent, 0, 0, blockprint.Teku))
	}
	b.Blocks = append(b.Blocks, Block(6, 5, 1, 1, blockprint.Teku), Block(7, 6, 1, 1, blockprint.Teku)) // a branch whose beginning is not stored
	apply(t, s, b)
	id := func(slot blockprint.Slot, branch byte) store.BlockID {
		return store.BlockID{Slot: slot, Root: root(slot, branch)}
	}
	ask := func(from store.BlockID, down blockprint.Slot, wantNext store.BlockID, want ...store.BlockID) {
		t.Helper()
		list, next, err := s.Ancestors(t.Context(), from, down)
		if err != nil || next != wantNext || !slices.Equal(list, want) {
			t.Errorf("ancestors of %v down to slot %d: %v, then %v, %v; want %v, then %v", from, down, list, next, err, want, wantNext)
		}
	}
	ask(id(8, 0), 0, id(1, 0), id(8, 0), id(6, 0), id(5, 0), id(3, 0), id(2, 0))
	ask(id(8, 0), 4, id(3, 0), id(8, 0), id(6, 0), id(5, 0))
	ask(id(7, 1), 0, id(5, 1), id(7, 1), id(6, 1))
	ask(id(5, 1), 0, id(5, 1)) // not stored
	ask(id(8, 0), 9, id(8, 0)) // before down
	none := store.BlockID{Slot: 3}
	ask(none, 0, none) // nothing is final yet
	apply(t, s, store.Batch{Chains: []store.Chain{{Slots: blockprint.Interval{Start: 5, End: 6}, Blocks: []store.BlockID{id(5, 0), id(6, 0)}, Final: true}}})
	ask(none, 3, id(2, 0), id(5, 0), id(3, 0))
	ask(store.BlockID{Slot: 7}, 0, store.BlockID{Slot: 7})

	unknown := Block(10, 8, 0, 0, blockprint.Teku)
	unknown.ParentRoot = blockprint.Root{} // as rewards from elsewhere
	apply(t, s, store.Batch{Blocks: []store.Block{unknown}})
	ask(id(10, 0), 0, store.BlockID{Slot: 8}, id(10, 0))
}

// uncovered: slots can be removed from the coverage at its edges, in the middle, and where there is none.
func uncovered(t *testing.T, s store.Store) {
	type span = blockprint.Interval
	apply(t, s, store.Batch{Covered: []span{{Start: 0, End: 20}, {Start: 30, End: 40}}})
	apply(t, s, store.Batch{Uncovered: []span{{Start: 5, End: 6}, {Start: 18, End: 31}, {Start: 40, End: 50}}})
	wantGaps(t, s, 0, 60, span{Start: 5, End: 6}, span{Start: 18, End: 31}, span{Start: 40, End: 60})
	// The rest of a batch comes after.
	apply(t, s, store.Batch{Uncovered: []span{{Start: 0, End: 60}}, Covered: []span{{Start: 10, End: 12}}})
	wantGaps(t, s, 0, 60, span{Start: 0, End: 9}, span{Start: 13, End: 60})
}
