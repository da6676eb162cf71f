package sqlite

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blockprint"
	"blockprint/store"
	"blockprint/store/storetest"
)

// dump is what a database says of the chain: blocks, sums, newest blocks, coverage and marks.
func dump(t *testing.T, s *Store) (lines []string) {
	t.Helper()
	for _, query := range []string{
		"SELECT 'block', slot, hex(root), parent_slot, coalesce(hex(parent_root), ''), proposer, canonical, (SELECT name FROM clients WHERE id = single) FROM blocks ORDER BY slot, root",
		"SELECT 'count', level, part, (SELECT name FROM clients WHERE id = single), blocks, '', '', '' FROM counts WHERE blocks <> 0 ORDER BY 2, 3, 4",
		"SELECT 'latest', proposer, slot, (SELECT name FROM clients WHERE id = single), '', '', '', '' FROM latest ORDER BY proposer",
		"SELECT 'covered', first, last, '', '', '', '', '' FROM coverage ORDER BY first",
		"SELECT key, value, '', '', '', '', '', '' FROM meta ORDER BY key",
	} {
		lines = append(lines, dumpRows(t, s, query)...)
	}
	return lines
}

func dumpRows(t *testing.T, s *Store, query string) (lines []string) {
	t.Helper()
	rows, err := s.read.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // its error is Err's
	for rows.Next() {
		values := make([]any, 8)
		into := make([]any, 8)
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(values...))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// history makes a chain of slots 1 to n with empty slots and orphans, as three writers give it: an old database, a follower, and
// somebody who records rewards.
type history struct {
	blocks []store.Block // the chain and its orphans, in order of slot
	chain  map[blockprint.Root]bool
}

func newHistory(rng *rand.Rand, n blockprint.Slot) *history {
	h := &history{chain: map[blockprint.Root]bool{}}
	parent, branch := blockprint.Slot(0), byte(0)
	for slot := blockprint.Slot(1); slot <= n; slot++ {
		if rng.IntN(6) == 0 && slot != n {
			continue
		}
		b := storetest.Block(slot, parent, 0, 0, blockprint.Clients()[rng.IntN(6)])
		b.Proposer = rng.Uint64N(9)
		h.blocks = append(h.blocks, b)
		h.chain[b.Root] = true
		if rng.IntN(8) == 0 {
			branch++
			o := storetest.Block(slot, parent, branch, 0, blockprint.Caplin)
			o.Proposer = 20 + rng.Uint64N(3)
			h.blocks = append(h.blocks, o)
		}
		parent = slot
	}
	return h
}

// follower is what a follower records of some slots: the blocks of the chain, what is covered, and what is final.
func (h *history) follower(i blockprint.Interval, finalized bool) (b store.Batch) {
	b.Covered = []blockprint.Interval{i}
	chain := store.Chain{Slots: i, Final: true}
	for _, block := range h.blocks {
		if block.Slot >= i.Start && block.Slot <= i.End && h.chain[block.Root] {
			b.Blocks = append(b.Blocks, block)
			chain.Blocks = append(chain.Blocks, store.BlockID{Slot: block.Slot, Root: block.Root})
		}
	}
	b.Chains = []store.Chain{chain}
	if finalized {
		b.Finalized = &i.End
	}
	return b
}

// imported is what an original database says of the chain.
func (h *history) imported() (b store.Batch) {
	for _, block := range h.blocks {
		if h.chain[block.Root] {
			old := store.Block{Slot: block.Slot, ParentSlot: block.ParentSlot, Proposer: block.Proposer, Root: store.PlaceholderRoot(block.Proposer), Model: store.ImportedModel}
			old.Single, old.Multi = blockprint.Uncertain, string(blockprint.Uncertain)
			b.Blocks = append(b.Blocks, old)
		}
	}
	return b
}

// recorded is what somebody records: all blocks, orphans too, without their parents' roots.
func (h *history) recorded() (b store.Batch) {
	for _, block := range h.blocks {
		block.ParentRoot = blockprint.Root{}
		b.Blocks = append(b.Blocks, block)
	}
	return b
}

// TestOrder: an old database that is imported, a follower and somebody who records may write in any order, and again: the database
// becomes the same.
func TestOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for round := range 12 {
		const n = 40
		h := newHistory(rng, n)
		half := blockprint.Slot(10 + rng.IntN(20))
		steps := []store.Batch{h.imported(), h.recorded(), h.follower(blockprint.Interval{Start: 1, End: half}, true), h.follower(blockprint.Interval{Start: half + 1, End: n}, true)}
		var want []string
		for try := range 6 {
			order := rng.Perm(len(steps))
			if try == 0 {
				order = []int{0, 1, 2, 3}
			}
			order = append(order, rng.IntN(len(steps))) // something again
			s := fresh(t)
			for _, k := range order {
				must(t, s, steps[k])
			}
			final := blockprint.Slot(n)
			must(t, s, store.Batch{Finalized: &final}) // which the follower tells again and again
			sound(t, s)
			got := dump(t, s)
			if want == nil {
				want = got
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("round %d, order %v: %s", round, order, diff)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDoubledRowsAreMendedOnOpening: a database in which an earlier version has stored imported blocks beside the real ones.
func TestDoubledRowsAreMendedOnOpening(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	h := newHistory(rng, 60)
	s := fresh(t)
	if err := s.Identify(t.Context(), store.Identity{ConfigName: "x", SlotSeconds: 1, SlotsPerEpoch: 8}); err != nil {
		t.Fatal(err)
	}
	must(t, s, h.recorded())
	want := dump(t, s)
	double(t, s, h)
	if found, err := s.Check(t.Context(), false); err != nil || !slices.ContainsFunc(found, func(f store.Finding) bool { return f.Kind == "doubled" }) {
		t.Fatalf("%+v (%v)", found, err)
	}
	mustExec(t, s, "DELETE FROM goose_db_version WHERE version_id >= 6")
	path := s.path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if diff := cmp.Diff(want, dump(t, s)); diff != "" {
		t.Error(diff)
	}
	sound(t, s)
}

// double stores placeholders beside blocks, and counts them, as earlier versions did.
func double(t *testing.T, s *Store, h *history) {
	t.Helper()
	err := s.inTransaction(t.Context(), "double", func(tx *transaction) error {
		_, perEpoch, err := store.GateOf(t.Context(), tx, s.now())
		if err != nil {
			return err
		}
		for _, b := range h.imported().Blocks {
			if err := tx.Insert(t.Context(), &b); err != nil {
				return err
			}
			for level := range store.TopSum + 1 {
				part := blockprint.Epoch(uint64(b.Slot)/perEpoch) >> (store.SumBits * level)
				if err := tx.AddSums(t.Context(), []store.Sum{{Level: level, Part: part, Single: b.Single, Blocks: 1}}); err != nil {
					return err
				}
			}
			if err := tx.FindLatest(t.Context(), b.Proposer); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestCheck: every kind of damage is found, nothing else is, and it is repaired to what was there before, or to a gap.
func TestCheck(t *testing.T) {
	const last = 40
	for _, c := range []struct {
		kind   string
		damage string
		gap    blockprint.Interval // that the repair leaves, if it cannot bring back what was there
	}{
		{kind: "impossible", damage: "INSERT INTO blocks SELECT (1 << 62), root, parent_slot, NULL, 3, 1, single, '', x'', '', NULL, '', '', '', model FROM blocks WHERE slot = 5"},
		{kind: "impossible", damage: "INSERT INTO blocks SELECT 9, x'0102', 8, NULL, 3, 1, single, '', x'', '', NULL, '', '', '', model FROM blocks WHERE slot = 5"},
		{kind: "labels", damage: "UPDATE blocks SET probabilities = x'0102' WHERE slot = 5"},
		{kind: "features", damage: "INSERT INTO features VALUES (5, (SELECT root FROM blocks WHERE slot = 5), 1, x'0102')"},
		{kind: "features", damage: "INSERT INTO features VALUES (5, x'07', 1, x'')"},
		{kind: "coverage", damage: "UPDATE coverage SET last = 99999999998"},
		{kind: "coverage", damage: "INSERT INTO coverage VALUES (7, 9)"},
		{kind: "orphans", damage: "UPDATE blocks SET canonical = 1 WHERE slot = 5"},
		{kind: "canonical", damage: "UPDATE blocks SET canonical = 2 WHERE slot = 6 AND canonical = 1"},
		{kind: "undecided", damage: "UPDATE blocks SET canonical = 0 WHERE slot = 5"},
		{kind: "finality", damage: "UPDATE meta SET value = '8000000' WHERE key = 'finalized'"},
		{kind: "sums", damage: "UPDATE counts SET blocks = blocks + 1 WHERE level = 2"},
		{kind: "latest", damage: "UPDATE latest SET slot = 3"},
		{kind: "empty", damage: "UPDATE coverage SET last = 9; INSERT INTO coverage VALUES (11, 40)"},
		{kind: "parents", damage: "DELETE FROM blocks WHERE slot = 20", gap: blockprint.Interval{Start: 20, End: 20}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			s := fresh(t)
			b := store.Batch{}
			chain := store.Chain{Slots: blockprint.Interval{Start: 1, End: last}, Final: true}
			parent := blockprint.Slot(0)
			for slot := blockprint.Slot(1); slot <= last; slot++ {
				if slot == 10 {
					continue // empty
				}
				block := storetest.Block(slot, parent, 0, 0, blockprint.Teku)
				b.Blocks = append(b.Blocks, block)
				chain.Blocks = append(chain.Blocks, store.BlockID{Slot: slot, Root: block.Root})
				parent = slot
			}
			b.Blocks = append(b.Blocks, storetest.Block(6, 5, 1, 0, blockprint.Prysm))
			b.Chains = []store.Chain{chain}
			final := blockprint.Slot(last)
			b.Finalized = &final
			must(t, s, b)
			mustExec(t, s, `INSERT INTO feature_sets (id, names) VALUES (1, '["a"]')`)
			sound(t, s)
			want := dump(t, s)
			mustExec(t, s, "PRAGMA foreign_keys = 0; "+c.damage)
			kinds := func(repair bool) map[string]bool {
				t.Helper()
				found, err := s.Check(t.Context(), repair)
				if err != nil {
					t.Fatal(err)
				}
				out := map[string]bool{}
				for _, f := range found {
					out[f.Kind] = f.Repaired
				}
				return out
			}
			damaged := dump(t, s)
			if got := kinds(false); got[c.kind] || len(got) == 0 {
				t.Errorf("found %v", got)
			} else if _, ok := got[c.kind]; !ok {
				t.Errorf("found %v", got)
			}
			if diff := cmp.Diff(damaged, dump(t, s)); diff != "" {
				t.Errorf("looking has changed something: %s", diff)
			}
			if got := kinds(true); !got[c.kind] || slices.Contains(slices.Collect(maps.Values(got)), false) {
				t.Errorf("repaired %v", got)
			}
			sound(t, s)
			if c.gap.End > 0 {
				if gaps, err := s.Gaps(t.Context(), blockprint.Interval{Start: 1, End: last}); err != nil || !slices.Equal(gaps, blockprint.Intervals{c.gap}) {
					t.Errorf("gaps %v (%v), want %v", gaps, err, c.gap)
				}
			} else if diff := cmp.Diff(want, dump(t, s)); diff != "" && c.kind != "coverage" {
				t.Error(diff)
			}
			// A reader gets through in any case.
			for _, err := range s.Blocks(t.Context(), blockprint.Interval{End: last}, store.Query{Features: true, Orphaned: true}) {
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}
