package label_test

import (
	"context"
	"encoding/binary"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"blockprint"
	"blockprint/classify"
	"blockprint/dataset"
	"blockprint/feature"
	"blockprint/graffiti"
	"blockprint/label"
	"blockprint/label/labeltest"
	"blockprint/store"
	_ "blockprint/store/sqlite"
)

// twoModels are fitted to the same rows, the second with other names for them.
func twoModels(t *testing.T) (a, b *classify.Model) {
	return labeltest.Model(t, "first", blockprint.Prysm, blockprint.Teku, blockprint.Nimbus),
		labeltest.Model(t, "second", blockprint.Grandine, blockprint.Teku, blockprint.Lighthouse)
}

// row returns a vector of all features, of which values are the default ones.
func row(values []float64) blockprint.Vector {
	out := make([]float64, len(feature.Names()))
	for k, name := range feature.Default() {
		out[slices.Index(feature.Names(), name)] = values[k]
	}
	return blockprint.Vector{Names: feature.Names(), Values: out}
}

func root(i int) (r blockprint.Root) {
	binary.BigEndian.PutUint64(r[:], uint64(i+1))
	return r
}

func open(t *testing.T) store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fill stores blocks of a chain labeled by a model; every tenth without features, every seventh orphaned.
func fill(t *testing.T, s store.Store, m *classify.Model, n int) {
	t.Helper()
	var b store.Batch
	for i := range n {
		values := row(labeltest.Row(i))
		slot := blockprint.Slot(10 * (i + 1))
		c := m.Classify(slot, values, blockprint.Graffiti{})
		block := store.Block{Slot: slot, Root: root(i), ParentSlot: blockprint.Slot(10 * i), Proposer: uint64(i % 50), Classification: c, Features: values, Model: m.Name}
		if i%10 == 0 {
			block.Features = blockprint.Vector{}
		}
		if i%7 == 0 {
			block.Canonical = store.Orphaned
		}
		b.Blocks = append(b.Blocks, block)
	}
	if _, err := s.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// TestReclassify: after an interruption in the middle and a second run, all is as if the new model had been there
// from the start, but for blocks without features; readers get whole answers all the time.
func TestReclassify(t *testing.T) {
	first, second := twoModels(t)
	rules, err := graffiti.Load("", "mainnet")
	if err != nil {
		t.Fatal(err)
	}
	const n = 1000
	s, want := open(t), open(t)
	fill(t, s, first, n)
	fill(t, want, second, n)
	all := blockprint.Interval{End: 1 << 40}

	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	report, err := label.Reclassify(ctx, s, second, rules, all, func(int, int) {
		counts, err := s.CountByClient(t.Context(), 0, 1<<20)
		if err != nil {
			t.Error(err)
		}
		total := int64(0)
		for _, c := range counts {
			total += c
		}
		if total != n-(n+6)/7 {
			t.Errorf("%d blocks are counted in the middle", total)
		}
		if steps++; steps == 3 {
			cancel()
		}
	})
	if err == nil || report.Blocks == 0 || report.Blocks > n/2 {
		t.Fatalf("interrupted: %+v, %v", report, err)
	}
	again, err := label.Reclassify(t.Context(), s, second, rules, all, nil)
	if err != nil || report.Blocks+again.Blocks != n-n/10 || again.NoFeatures == 0 {
		t.Fatalf("after %d blocks: %+v, %v", report.Blocks, again, err)
	}
	third, err := label.Reclassify(t.Context(), s, second, rules, all, nil)
	if err != nil || third.Blocks != 0 || third.NoFeatures != n/10 {
		t.Fatalf("once more: %+v, %v", third, err)
	}
	counts := map[blockprint.Client]int64{}
	for b, err := range s.Blocks(t.Context(), all, store.Query{Orphaned: true, Features: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if b.Canonical != store.Orphaned {
			counts[b.Single]++
		}
		if b.Features.Values == nil {
			continue
		}
		w, err := want.Block(t.Context(), store.BlockID{Slot: b.Slot, Root: b.Root})
		if err != nil {
			t.Fatal(err)
		}
		if b.Single != w.Single || b.Multi != w.Multi || b.Model != "second" || !maps.Equal(b.ProbabilityMap(), w.ProbabilityMap()) {
			t.Fatalf("slot %d is %s by %s, want %s", b.Slot, b.Multi, b.Model, w.Multi)
		}
	}
	sums, err := s.CountByClient(t.Context(), 0, 1<<20)
	maps.DeleteFunc(sums, func(_ blockprint.Client, n int64) bool { return n == 0 })
	if err != nil || !maps.Equal(sums, counts) {
		t.Errorf("sums %v, blocks %v, %v", sums, counts, err)
	}
}

// TestFromStore: blocks that say who built them become training data, the others do not; those whose packing says
// something else are found.
func TestFromStore(t *testing.T) {
	first, _ := twoModels(t)
	rules, err := graffiti.Load("", "mainnet")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t)
	fill(t, s, first, 100)
	values := []float64{0.25, 1.25, 2.25, 3.25}
	var b store.Batch
	for i, graffiti := range []string{"teku/v24.1.0", "NMPM", "Grandine/1.0"} {
		c := blockprint.NewClassification([]blockprint.Probability{{Client: "Grandine", P: 0.001}, {Client: "Prysm", P: 0.002}, {Client: "Teku", P: 0.997}})
		b.Blocks = append(b.Blocks, store.Block{Slot: blockprint.Slot(5001 + i), ParentSlot: blockprint.Slot(5000 + i), Root: root(i), Proposer: 7, Graffiti: graffiti, Says: rules.Guess(graffiti), Classification: c, Features: row(values), Model: "first"})
	}
	if _, err := s.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got, _, err := dataset.FromStore(t.Context(), s, &dataset.Labels{Rules: rules}, blockprint.Interval{End: 1 << 40}, feature.Default())
	if err != nil {
		t.Fatal(err)
	}
	if want := []blockprint.Client{"Teku", "Prysm", "Grandine"}; !slices.Equal(got.Labels, want) || !slices.Equal(got.Row(2), values) || got.Proposers[0] != 7 {
		t.Errorf("%v, want %v: %v", got.Labels, want, got.Rows)
	}
	var spoofs []blockprint.Client
	if err := label.Spoofs(t.Context(), s, blockprint.Interval{End: 1 << 40}, func(p label.Spoof) error {
		spoofs = append(spoofs, p.Says)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []blockprint.Client{"Prysm", "Grandine"}; !slices.Equal(spoofs, want) {
		t.Errorf("spoofs %v, want %v", spoofs, want)
	}
	if _, _, err := dataset.FromStore(t.Context(), s, &dataset.Labels{Rules: rules}, blockprint.Interval{End: 10}, nil); blockprint.CodeOf(err) != blockprint.NotFound {
		t.Errorf("nothing: %v", err)
	}
}
