// Package storetest is the conformance suite of store.Store: what every implementation must do.
package storetest

import (
	"iter"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"blockprint"
	"blockprint/store"
)

// Run tests an implementation. open opens the store in a directory and makes it if there is none; the suite closes it.
func Run(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"insert and read", insertAndRead},
		{"repeats and conflicts", repeats},
		{"coverage", coverage},
		{"missing parent", missingParent},
		{"ancestors", ancestors},
		{"uncovered", uncovered},
		{"orphans", orphans},
		{"finality", finality},
		{"placeholders", placeholders},
		{"counts", counts},
		{"relabel", relabel},
		{"tally", tally},
		{"gauge", gauge},
		{"opinions", opinions},
		{"events", events},
		{"identity", identity},
		{"random coverage", randomCoverage},
		{"gate", gate},
		{"long stretches of empty slots", longChain},
		{"corrections of the identity", corrections},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			defer closed(t, s)
			c.test(t, s)
		})
	}
	for _, c := range []struct {
		name string
		test func(t *testing.T, open func() store.Store)
	}{
		{"readers of a store just opened", coldReaders},
		{"readers that stand still", slowReaders},
		{"a store that is closed", closedUnderneath},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.test(t, func() store.Store { return open(t, dir) })
		})
	}
}

func closed(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Block makes a block whose root encodes its slot and branch.
func Block(slot, parent blockprint.Slot, branch byte, parentBranch byte, label blockprint.Client) store.Block {
	b := store.Block{
		Slot: slot, ParentSlot: parent, Root: root(slot, branch), Proposer: uint64(slot) % 7, Model: "test",
		Classification: blockprint.NewClassification([]blockprint.Probability{{Client: label, P: 1}}),
	}
	if parent > 0 {
		b.ParentRoot = root(parent, parentBranch)
	}
	return b
}

func root(slot blockprint.Slot, branch byte) (r blockprint.Root) {
	r[0], r[1], r[2], r[31] = byte(slot>>16), byte(slot>>8), byte(slot), branch
	return r
}

// check ends the test after an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// all reads a sequence to its end.
func all[T any](t *testing.T, seq iter.Seq2[T, error]) (list []T) {
	t.Helper()
	for v, err := range seq {
		check(t, err)
		list = append(list, v)
	}
	return list
}

func apply(t *testing.T, s store.Store, b store.Batch) store.Result {
	t.Helper()
	r, err := s.Apply(t.Context(), b)
	check(t, err)
	return r
}

func gaps(t *testing.T, s store.Store, start, end blockprint.Slot) blockprint.Intervals {
	t.Helper()
	g, err := s.Gaps(t.Context(), blockprint.Interval{Start: start, End: end})
	check(t, err)
	return g
}

func wantGaps(t *testing.T, s store.Store, start, end blockprint.Slot, want ...blockprint.Interval) {
	t.Helper()
	if got := gaps(t, s, start, end); !slices.Equal(got, want) {
		t.Errorf("gaps in %d to %d are %v, want %v", start, end, got, want)
	}
}

func count(t *testing.T, s store.Store, start, end blockprint.Epoch) map[blockprint.Client]int64 {
	t.Helper()
	m, err := s.CountByClient(t.Context(), start, end)
	check(t, err)
	return m
}

func insertAndRead(t *testing.T, s store.Store) {
	b := Block(5, 4, 0, 0, blockprint.Teku)
	b.Classification = blockprint.NewClassification([]blockprint.Probability{{Client: "Prysm", P: 0.25}, {Client: "Teku", P: 0.75}})
	b.Says = blockprint.Graffiti{Client: blockprint.Nimbus, Execution: "Geth", Version: "v1"}
	b.Graffiti = "Nimbus/v1 ☕"
	b.Features = blockprint.Vector{Names: []string{"first", "second", "third"}, Values: []float64{math.Pi, math.NaN(), 0}}
	apply(t, s, store.Batch{Blocks: []store.Block{b}})
	got, err := s.Block(t.Context(), store.BlockID{Slot: 5, Root: b.Root})
	check(t, err)
	if got.Single != blockprint.Teku || got.Multi != "Prysm or Teku" || !slices.Equal(got.Probabilities, b.Probabilities) ||
		got.Says != b.Says || got.Graffiti != b.Graffiti || got.Model != "test" ||
		got.ParentRoot != b.ParentRoot || !slices.Equal(got.Features.Names, b.Features.Names) || got.Features.Values[0] != math.Pi || !math.IsNaN(got.Features.Values[1]) {
		t.Errorf("stored %+v, read %+v", b, got)
	}
	list, err := s.ValidatorBlocks(t.Context(), 5, 0)
	if err != nil || len(list) != 1 || list[0].Root != b.Root {
		t.Errorf("blocks of validator 5: %v, %v", list, err)
	}
	if list, err := s.ValidatorBlocks(t.Context(), 5, 6); err != nil || len(list) != 0 {
		t.Errorf("blocks of validator 5 since slot 6: %v, %v", list, err)
	}
	if _, err := s.Block(t.Context(), store.BlockID{Slot: 5}); blockprint.CodeOf(err) != blockprint.NotFound {
		t.Errorf("a block that is not there: %v", err)
	}
	for l, err := range s.LatestBlocks(t.Context()) {
		if err != nil || l != (store.Latest{Proposer: 5, Slot: 5, Single: blockprint.Teku}) {
			t.Errorf("latest: %v, %v", l, err)
		}
	}
	tally, err := s.Tally(t.Context(), blockprint.Interval{End: 10}, false)
	if err != nil || len(tally) != 1 || tally[0].Single != blockprint.Teku || tally[0].Graffiti.Client != b.Says.Client || tally[0].Blocks != 1 {
		t.Errorf("tally: %+v, %v", tally, err)
	}
}

func repeats(t *testing.T, s store.Store) {
	b := Block(5, 4, 0, 0, blockprint.Teku)
	apply(t, s, store.Batch{Blocks: []store.Block{b}})
	if r := apply(t, s, store.Batch{Blocks: []store.Block{Block(6, 5, 0, 0, blockprint.Teku), b}}); r != (store.Result{Inserted: 1, Known: 1}) {
		t.Errorf("a batch with a known block: %+v", r)
	}
	bad := b
	bad.Proposer = 99
	_, err := s.Apply(t.Context(), store.Batch{Blocks: []store.Block{Block(7, 6, 0, 0, blockprint.Teku), bad}})
	if blockprint.CodeOf(err) != blockprint.Conflict {
		t.Fatalf("a contradicting block gave %v", err)
	}
	if got := count(t, s, 0, 10)[blockprint.Teku]; got != 2 {
		t.Errorf("after a refused batch there are %d blocks, want 2", got)
	}
	wantGaps(t, s, 5, 7, blockprint.Interval{Start: 7, End: 7})
	// Two blocks of one slot and proposer, on two branches, are both kept.
	apply(t, s, store.Batch{Blocks: []store.Block{Block(6, 5, 1, 0, blockprint.Prysm)}})
	if got := count(t, s, 0, 1); got[blockprint.Teku] != 2 || got[blockprint.Prysm] != 1 {
		t.Errorf("counts %v", got)
	}
}

func coverage(t *testing.T, s store.Store) {
	wantGaps(t, s, 0, 9, blockprint.Interval{Start: 0, End: 9})
	apply(t, s, store.Batch{Blocks: []store.Block{Block(1, 0, 0, 0, blockprint.Teku), Block(4, 1, 0, 0, blockprint.Teku)}})
	wantGaps(t, s, 0, 4)
	apply(t, s, store.Batch{Covered: []blockprint.Interval{{Start: 8, End: 9}, {Start: 6, End: 6}}})
	wantGaps(t, s, 0, 12, blockprint.Interval{Start: 5, End: 5}, blockprint.Interval{Start: 7, End: 7}, blockprint.Interval{Start: 10, End: 12})
	apply(t, s, store.Batch{Covered: []blockprint.Interval{{Start: 3, End: 20}}})
	wantGaps(t, s, 0, 20)
	st, err := s.Status(t.Context())
	if err != nil || st.Newest != 4 || st.Covered != 20 || st.Empty {
		t.Errorf("status %+v, %v", st, err)
	}
}

// missingParent: a block whose parent is missing opens a gap at the parent's slot, even if that slot counted as covered, and the
// parent closes it.
func missingParent(t *testing.T, s store.Store) {
	apply(t, s, store.Batch{Blocks: []store.Block{Block(1, 0, 0, 0, blockprint.Teku), Block(9, 5, 0, 0, blockprint.Teku)}})
	wantGaps(t, s, 0, 9, blockprint.Interval{Start: 2, End: 5})
	apply(t, s, store.Batch{Blocks: []store.Block{Block(5, 1, 0, 0, blockprint.Teku)}})
	wantGaps(t, s, 0, 9)
	apply(t, s, store.Batch{Blocks: []store.Block{Block(10, 8, 1, 1, blockprint.Teku)}})
	wantGaps(t, s, 0, 10, blockprint.Interval{Start: 8, End: 8})
	apply(t, s, store.Batch{Covered: []blockprint.Interval{{Start: 8, End: 8}}})
	wantGaps(t, s, 0, 10)
	apply(t, s, store.Batch{Blocks: []store.Block{Block(10, 8, 1, 1, blockprint.Teku)}})
	wantGaps(t, s, 0, 10) // a repeat opens nothing
}

func orphans(t *testing.T, s store.Store) {
	a := Block(6, 5, 0, 0, blockprint.Teku)
	apply(t, s, store.Batch{Blocks: []store.Block{Block(5, 4, 0, 0, blockprint.Nimbus), a}})
	id := store.BlockID{Slot: 6, Root: a.Root}
	for range 2 { // a second time changes nothing
		apply(t, s, store.Batch{Chains: []store.Chain{{Slots: blockprint.Interval{Start: 6, End: 7}}}})
		if got := count(t, s, 0, 1); got[blockprint.Teku] != 0 || got[blockprint.Nimbus] != 1 {
			t.Errorf("counts with an orphan: %v", got)
		}
	}
	wantGaps(t, s, 5, 6)
	for _, q := range []struct {
		orphaned bool
		want     int
	}{{false, 1}, {true, 2}} {
		n := 0
		for _, b := range all(t, s.Blocks(t.Context(), blockprint.Interval{End: 10}, store.Query{Orphaned: q.orphaned})) {
			if n++; b.Slot == 6 && b.Canonical != store.Orphaned {
				t.Error("the orphan is not marked")
			}
		}
		if n != q.want {
			t.Errorf("%d blocks with orphaned=%v, want %d", n, q.orphaned, q.want)
		}
	}
	for l, err := range s.LatestBlocks(t.Context()) {
		if err != nil || l.Proposer == 6 {
			t.Error("an orphaned block is the latest of its proposer")
		}
	}
	apply(t, s, store.Batch{Chains: []store.Chain{{Slots: blockprint.Interval{Start: 6, End: 7}, Blocks: []store.BlockID{id}}}})
	if got := count(t, s, 0, 1)[blockprint.Teku]; got != 1 {
		t.Errorf("%d blocks after the orphan was restored", got)
	}
}

func finality(t *testing.T, s store.Store) {
	// Slot 7's block has a parent at slot 6 that nobody has: a reorganization removed it before we saw it.
	blocks := []store.Block{Block(4, 0, 0, 0, blockprint.Teku), Block(5, 4, 0, 0, blockprint.Teku), Block(7, 6, 1, 1, blockprint.Prysm), Block(8, 5, 0, 0, blockprint.Teku)}
	apply(t, s, store.Batch{Blocks: blocks[:3]})
	wantGaps(t, s, 4, 7, blockprint.Interval{Start: 6, End: 6})
	apply(t, s, store.Batch{Blocks: blocks[3:]})
	finalized := blockprint.Slot(8)
	apply(t, s, store.Batch{
		Covered: []blockprint.Interval{{Start: 6, End: 7}}, Finalized: &finalized,
		Chains: []store.Chain{{Slots: blockprint.Interval{Start: 1, End: 8}, Final: true, Blocks: []store.BlockID{
			{Slot: 4, Root: blocks[0].Root}, {Slot: 5, Root: blocks[1].Root}, {Slot: 8, Root: blocks[3].Root},
		}}},
	})
	wantGaps(t, s, 4, 8)
	if ids, err := s.Undecided(t.Context(), blockprint.Interval{End: 10}); err != nil || len(ids) != 0 {
		t.Errorf("undecided after finality: %v, %v", ids, err)
	}
	for _, b := range all(t, s.Blocks(t.Context(), blockprint.Interval{End: 10}, store.Query{Orphaned: true})) {
		if want := map[bool]store.Canonical{true: store.Orphaned, false: store.Final}[b.Slot == 7]; b.Canonical != want {
			t.Errorf("block of slot %d is %d, want %d", b.Slot, b.Canonical, want)
		}
	}
	if got := count(t, s, 0, 1); got[blockprint.Prysm] != 0 || got[blockprint.Teku] != 3 {
		t.Errorf("counts %v", got)
	}
	st, err := s.Status(t.Context())
	if err != nil || st.Finalized != 8 {
		t.Errorf("status %+v, %v", st, err)
	}
	// A late block of the dead branch opens no gap in final slots.
	apply(t, s, store.Batch{Blocks: []store.Block{Block(8, 6, 2, 2, blockprint.Prysm)}})
	wantGaps(t, s, 4, 8)
}

func placeholders(t *testing.T, s store.Store) {
	b := Block(6, 5, 0, 0, blockprint.Teku)
	old := b
	old.Root, old.ParentRoot = store.PlaceholderRoot(b.Proposer), blockprint.Root{}
	old.Classification = blockprint.NewClassification([]blockprint.Probability{{Client: blockprint.Prysm, P: 1}})
	apply(t, s, store.Batch{Blocks: []store.Block{Block(5, 0, 0, 0, blockprint.Teku), old}})
	apply(t, s, store.Batch{Chains: []store.Chain{{Slots: blockprint.Interval{Start: 6, End: 6}}}})
	if got := count(t, s, 0, 1); got[blockprint.Prysm] != 1 {
		t.Errorf("a chain orphaned a placeholder: %v", got)
	}
	apply(t, s, store.Batch{Blocks: []store.Block{b}})
	if got := count(t, s, 0, 1); got[blockprint.Prysm] != 0 || got[blockprint.Teku] != 2 {
		t.Errorf("counts after the block took its placeholder's place: %v", got)
	}
}

func counts(t *testing.T, s store.Store) {
	rng := rand.New(rand.NewPCG(1, 2))
	labels := []blockprint.Client{blockprint.Teku, blockprint.Prysm, blockprint.Uncertain}
	want := map[blockprint.Epoch]map[blockprint.Client]int64{}
	var batch store.Batch
	for range 400 {
		slot := blockprint.Slot(1 + rng.IntN(32*10000))
		label := labels[rng.IntN(3)]
		b := Block(slot, slot-1, 0, 0, label)
		if slices.ContainsFunc(batch.Blocks, func(o store.Block) bool { return o.Slot == slot }) {
			continue
		}
		batch.Blocks = append(batch.Blocks, b)
		e := blockprint.Epoch(slot / 32)
		if want[e] == nil {
			want[e] = map[blockprint.Client]int64{}
		}
		want[e][label]++
	}
	apply(t, s, batch)
	for range 200 {
		start := blockprint.Epoch(rng.IntN(10000))
		end := start + blockprint.Epoch(rng.IntN(10000))
		got := count(t, s, start, end)
		for _, l := range labels {
			sum := int64(0)
			for e, m := range want {
				if start <= e && e < end {
					sum += m[l]
				}
			}
			if got[l] != sum {
				t.Fatalf("epochs %d to %d: %d blocks of %s, want %d", start, end, got[l], l, sum)
			}
		}
	}
	byEpoch, err := s.CountByEpoch(t.Context(), 0, 10001)
	if err != nil || len(byEpoch) != len(want) {
		t.Errorf("%d epochs with blocks, want %d (%v)", len(byEpoch), len(want), err)
	}
}

func identity(t *testing.T, s store.Store) {
	ctx := t.Context()
	id := store.Identity{ConfigName: "one", GenesisTime: 5, GenesisValidatorsRoot: root(1, 1), SlotsPerEpoch: 8, SlotSeconds: 3}
	if _, ok, err := s.Identity(ctx); ok || err != nil {
		t.Fatalf("a new store has an identity (%v)", err)
	}
	for range 2 {
		check(t, s.Identify(ctx, id))
	}
	if got, ok, err := s.Identity(ctx); !ok || !reflect.DeepEqual(got, id) {
		t.Errorf("identity %+v, %v", got, err)
	}
	other := id
	other.GenesisValidatorsRoot = root(2, 2)
	if err := s.Identify(ctx, other); blockprint.CodeOf(err) != blockprint.Conflict {
		t.Errorf("another network gave %v", err)
	}
	apply(t, s, store.Batch{Blocks: []store.Block{Block(15, 14, 0, 0, blockprint.Teku)}})
	if got := count(t, s, 1, 2)[blockprint.Teku]; got != 1 {
		t.Error("slot 15 is not in epoch 1 of a network with 8 slots an epoch")
	}
	check(t, s.SetFloor(ctx, 12))
	if st, err := s.Status(ctx); err != nil || st.Floor != 12 {
		t.Errorf("status %+v, %v", st, err)
	}
}

// randomCoverage compares the store's intervals with a set of slots.
func randomCoverage(t *testing.T, s store.Store) {
	rng := rand.New(rand.NewPCG(3, 4))
	covered := map[blockprint.Slot]bool{}
	for range 150 {
		start := blockprint.Slot(rng.IntN(300))
		i := blockprint.Interval{Start: start, End: start + blockprint.Slot(rng.IntN(6))}
		apply(t, s, store.Batch{Covered: []blockprint.Interval{i}})
		for n := i.Start; n <= i.End; n++ {
			covered[n] = true
		}
		var want blockprint.Intervals
		for n := range blockprint.Slot(310) {
			if !covered[n] {
				want = want.Add(blockprint.Interval{Start: n, End: n})
			}
		}
		if got := gaps(t, s, 0, 309); !slices.Equal(got, want) {
			t.Fatalf("gaps %v, want %v", got, want)
		}
	}
}
