package store_test

import (
	"testing"
	"time"

	"blockprint"
	"blockprint/store"
)

func TestGate(t *testing.T) {
	id := store.Identity{GenesisTime: 1000, SlotSeconds: 2, SlotsPerEpoch: 8}
	clock := store.NewGate(&id, time.Unix(1000+2*100, 0)) // slot 100
	blind := store.NewGate(nil, time.Now())
	root := blockprint.Root{1}
	block := func(change func(*store.Block)) store.Batch {
		b := store.Block{Slot: 50, ParentSlot: 49, Root: root, Proposer: 7, Features: blockprint.Vector{Names: []string{"reward"}, Values: []float64{1}}}
		change(&b)
		return store.Batch{Blocks: []store.Block{b}}
	}
	span := func(start, end blockprint.Slot) blockprint.Interval {
		return blockprint.Interval{Start: start, End: end}
	}
	for _, c := range []struct {
		name         string
		batch        store.Batch
		clock, blind bool // whether it passes
	}{
		{"a block", block(func(*store.Block) {}), true, true},
		{"a block of a clock that is a slot ahead", block(func(b *store.Block) { b.Slot = 101 }), true, true},
		{"a block of the future", block(func(b *store.Block) { b.Slot = 102 }), false, true},
		{"a block beyond all numbers", block(func(b *store.Block) { b.Slot = 1<<64 - 1 }), false, false},
		{"a parent that is no earlier", block(func(b *store.Block) { b.ParentSlot = 50 }), false, false},
		{"genesis", block(func(b *store.Block) { b.Slot, b.ParentSlot = 0, 0 }), false, false},
		{"an impossible proposer", block(func(b *store.Block) { b.Proposer = 1 << 40 }), false, false},
		{"the last possible proposer", block(func(b *store.Block) { b.Proposer = 1<<40 - 1 }), true, true},
		{"no root", block(func(b *store.Block) { b.Root = blockprint.Root{}; b.Proposer = 0 }), false, false},
		{"a placeholder", block(func(b *store.Block) { b.Root = store.PlaceholderRoot(7); b.Features = blockprint.Vector{} }), true, true},
		{"another's placeholder", block(func(b *store.Block) { b.Root = store.PlaceholderRoot(8); b.Features = blockprint.Vector{} }), false, false},
		{"an unknown state", block(func(b *store.Block) { b.Canonical = 3 }), false, false},
		{"covered up to the clock", store.Batch{Covered: []blockprint.Interval{span(3, 101)}}, true, true},
		{"covered beyond the clock", store.Batch{Covered: []blockprint.Interval{span(3, 102)}}, false, true},
		{"covered for ever", store.Batch{Covered: []blockprint.Interval{span(0, 1<<63)}}, false, false},
		{"covered backwards", store.Batch{Covered: []blockprint.Interval{span(5, 4)}}, false, false},
		{"a chain", store.Batch{Chains: []store.Chain{{Slots: span(3, 5), Blocks: []store.BlockID{{Slot: 4, Root: root}}}}}, true, true},
		{"a chain of the future", store.Batch{Chains: []store.Chain{{Slots: span(3, 102)}}}, false, true},
		{"a block beside its chain", store.Batch{Chains: []store.Chain{{Slots: span(3, 5), Blocks: []store.BlockID{{Slot: 6, Root: root}}}}}, false, false},
		{"a chain of nothing", store.Batch{Chains: []store.Chain{{Slots: span(3, 5), Blocks: []store.BlockID{{Slot: 4}}}}}, false, false},
	} {
		for _, g := range []struct {
			name string
			gate store.Gate
			pass bool
		}{{"with a clock", clock, c.clock}, {"without", blind, c.blind}} {
			err := g.gate.Batch(&c.batch)
			if g.pass && err != nil || !g.pass && blockprint.CodeOf(err) != blockprint.Invalid {
				t.Errorf("%s, %s: %v", c.name, g.name, err)
			}
		}
	}
	for _, c := range []struct {
		slot, covered blockprint.Slot
		passes        bool
	}{{85, 100, true}, {86, 100, false}, {80, 79, false}, {8_000_000, 100, false}, {0, 0, true}} {
		if err := clock.Finalized(c.slot, c.covered); c.passes != (err == nil) {
			t.Errorf("slot %d final, %d covered, at slot 100: %v", c.slot, c.covered, err)
		}
	}
	early := store.NewGate(&id, time.Unix(5, 0))
	if err := early.Batch(&store.Batch{Blocks: []store.Block{{Slot: 2, Root: root}}}); err == nil {
		t.Error("a block of slot 2 passed before genesis")
	}
}
