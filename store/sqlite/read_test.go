package sqlite

import (
	"path/filepath"
	"slices"
	"testing"

	"blockprint"
	"blockprint/store"
	"blockprint/store/storetest"
)

// TestUnreadableRows: a row that cannot be read is left out and counted, whatever is wrong with it; the rest is there.
func TestUnreadableRows(t *testing.T) {
	s := fresh(t)
	b := chainOf(1, 600)
	for i := range b.Blocks {
		b.Blocks[i].Features = blockprint.Vector{Names: []string{"a", "b"}, Values: []float64{1, 2}}
	}
	must(t, s, b)
	damages := []string{
		"UPDATE blocks SET single = 99 WHERE slot = ?",
		"UPDATE blocks SET model = 99 WHERE slot = ?",
		"UPDATE blocks SET graffiti_client = 99 WHERE slot = ?",
		"UPDATE blocks SET proposer = -7 WHERE slot = ?",
		"UPDATE blocks SET parent_slot = -1 WHERE slot = ?",
		"UPDATE blocks SET canonical = 'x' WHERE slot = ?",
		"UPDATE blocks SET probabilities = x'0102' WHERE slot = ?",
		"UPDATE features SET vector = x'01' WHERE slot = ?",
		"UPDATE features SET feature_set = 99 WHERE slot = ?",
	}
	mustExec(t, s, "PRAGMA foreign_keys = 0")
	const first = store.PageSize - 4 // on both sides of the end of a page
	for i, damage := range damages {
		mustExec(t, s, damage, first+i)
	}
	var got []blockprint.Slot
	for block, err := range s.Blocks(t.Context(), blockprint.Interval{Start: 1, End: 600}, store.Query{Features: true, Orphaned: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, block.Slot)
	}
	if len(got) != 600-len(damages) || !slices.IsSorted(got) || s.skipped.Load() != int64(len(damages)) {
		t.Errorf("%d blocks, %d rows left out", len(got), s.skipped.Load())
	}
	for i, damage := range damages {
		if slices.Contains(got, blockprint.Slot(first+i)) {
			t.Errorf("%s: it was read", damage)
		}
		block := b.Blocks[first+i-1]
		if _, err := s.Block(t.Context(), store.BlockID{Slot: block.Slot, Root: block.Root}); blockprint.CodeOf(err) != blockprint.Internal {
			t.Errorf("%s: the block itself: %v", damage, err)
		}
		if _, err := s.ValidatorBlocks(t.Context(), block.Proposer, 0); err != nil {
			t.Error(err)
		}
	}
}

// TestWrongVectorIsRefused: a vector that no model could read is not stored.
func TestWrongVectorIsRefused(t *testing.T) {
	s := fresh(t)
	b := chainOf(1, 2)
	b.Blocks[1].Features = blockprint.Vector{Names: []string{"a", "b", "c"}, Values: []float64{1, 2}}
	if _, err := s.Apply(t.Context(), b); err == nil {
		t.Error("a vector of two features was stored")
	}
	if st, err := s.Status(t.Context()); err != nil || !st.Empty {
		t.Errorf("%+v (%v)", st, err)
	}
}

// TestBrokenDiskIsUnavailable: errors of the disk can be tried again, whichever method meets them.
func TestBrokenDiskIsUnavailable(t *testing.T) {
	s := &Store{path: filepath.Join(t.TempDir(), "nowhere", "x.db")}
	var err error
	if s.read, err = connect(s.path, "", 1); err != nil {
		t.Fatal(err)
	}
	s.cheap = s.read
	defer func() { _ = s.read.Close() }() // nothing was opened
	ctx := t.Context()
	for name, ask := range storetest.Questions(ctx, s) {
		if err := ask(); blockprint.CodeOf(err) != blockprint.Unavailable || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
