package storetest

import (
	"slices"
	"testing"

	"blockprint"
	"blockprint/store"
)

// relabel: new labels replace the old ones, and the sums follow, except for orphaned blocks.
func relabel(t *testing.T, s store.Store) {
	ctx := t.Context()
	a, b, c := Block(1, 0, 0, 0, "Prysm"), Block(2, 1, 0, 0, "Prysm"), Block(2, 1, 1, 0, "Prysm")
	c.Proposer = b.Proposer
	apply(t, s, store.Batch{
		Blocks: []store.Block{a, b, c},
		Chains: []store.Chain{{Slots: blockprint.Interval{Start: 1, End: 2}, Blocks: []store.BlockID{{Slot: 1, Root: a.Root}, {Slot: 2, Root: b.Root}}}},
	})
	label := func(b store.Block, client blockprint.Client) store.Label {
		l := store.Label{
			BlockID: store.BlockID{Slot: b.Slot, Root: b.Root}, Model: "new",
			Classification: blockprint.NewClassification([]blockprint.Probability{{Client: client, P: 0.9}, {Client: "Teku", P: 0.1}}),
		}
		l.Says = blockprint.Graffiti{Client: client, Execution: "Geth"}
		return l
	}
	changed, err := s.Relabel(ctx, []store.Label{label(b, "Nimbus"), label(c, "Nimbus"), label(Block(9, 8, 0, 0, "Prysm"), "Nimbus")})
	if err != nil || changed != 2 {
		t.Fatalf("%d changed, %v", changed, err)
	}
	counts, err := s.CountByClient(ctx, 0, 1)
	if err != nil || counts["Prysm"] != 1 || counts["Nimbus"] != 1 {
		t.Errorf("counts %v, %v", counts, err)
	}
	got, err := s.Block(ctx, store.BlockID{Slot: 2, Root: b.Root})
	if err != nil || got.Single != "Nimbus" || got.Multi != "Nimbus" || got.Model != "new" || got.ProbabilityMap()["Teku"] != 0.1 || got.Says.Execution != "Geth" {
		t.Errorf("relabeled block %+v, %v", got, err)
	}
	for _, l := range all(t, s.LatestBlocks(ctx)) {
		if l.Slot == 2 && l.Single != "Nimbus" {
			t.Errorf("the newest block of %d is %s", l.Proposer, l.Single)
		}
	}
	var rest []blockprint.Slot
	for _, b := range all(t, s.Blocks(ctx, blockprint.Interval{Start: 0, End: 100}, store.Query{Orphaned: true, NotModel: "new"})) {
		rest = append(rest, b.Slot)
	}
	if !slices.Equal(rest, []blockprint.Slot{1}) {
		t.Errorf("not labeled by the new model: %v", rest)
	}
	// The same again changes nothing; back again restores the sums.
	if changed, err = s.Relabel(ctx, []store.Label{label(b, "Nimbus")}); err != nil || changed != 0 {
		t.Errorf("again: %d changed, %v", changed, err)
	}
	if changed, err = s.Relabel(ctx, []store.Label{label(b, "Prysm")}); err != nil || changed != 1 {
		t.Errorf("back: %d changed, %v", changed, err)
	}
	if counts, err = s.CountByClient(ctx, 0, 1); err != nil || counts["Prysm"] != 2 || counts["Nimbus"] != 0 {
		t.Errorf("counts %v, %v", counts, err)
	}
}

// tally counts what is alike, and nothing that is orphaned.
func tally(t *testing.T, s store.Store) {
	var blocks []store.Block
	for i := range blockprint.Slot(6) {
		b := Block(i+1, i, 0, 0, "Prysm")
		if i%2 == 0 {
			b.Says = blockprint.Graffiti{Client: "Teku", Execution: "Besu", Version: "ab12"}
		}
		if i == 4 {
			b.Canonical = store.Orphaned
		}
		blocks = append(blocks, b)
	}
	apply(t, s, store.Batch{Blocks: blocks})
	got, err := s.Tally(t.Context(), blockprint.Interval{Start: 1, End: 5}, false)
	want := []store.Tally{
		{Single: "Prysm", Model: "test", Blocks: 2},
		{Graffiti: blockprint.Graffiti{Client: "Teku", Execution: "Besu", Version: "ab12"}, Single: "Prysm", Model: "test", Blocks: 2},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("tally %+v, %v", got, err)
	}
	each, err := s.Tally(t.Context(), blockprint.Interval{Start: 1, End: 5}, true)
	if err != nil || len(each) != 4 {
		t.Errorf("tally by proposer %+v, %v", each, err)
	}
	for _, b := range blocks[:len(each)] {
		if !slices.ContainsFunc(each, func(t store.Tally) bool {
			return t.Proposer == b.Proposer && t.Single == b.Single && t.Graffiti == b.Says && t.Blocks == 1
		}) {
			t.Errorf("no tally of validator %d in %+v", b.Proposer, each)
		}
	}
}
