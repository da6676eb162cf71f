package storetest

import (
	"reflect"
	"testing"
	"time"

	"blockprint"
	"blockprint/store"
)

// gate: a writer's claims pass store.Gate, and no more becomes covered than stored blocks prove.
func gate(t *testing.T, s store.Store) {
	ctx := t.Context()
	genesis := time.Now().Add(-2000 * 2 * time.Second)
	id := store.Identity{ConfigName: "x", GenesisTime: genesis.Unix(), SlotSeconds: 2, SlotsPerEpoch: 8} // now it is slot 2000
	check(t, s.Identify(ctx, id))
	first := Block(5, 0, 0, 0, blockprint.Teku)
	apply(t, s, store.Batch{Blocks: []store.Block{first}})
	before, err := s.Status(ctx)
	check(t, err)
	future, late, early := blockprint.Slot(3000), blockprint.Slot(1990), blockprint.Slot(6)
	for name, b := range map[string]store.Batch{
		"a block of the future":             {Blocks: []store.Block{Block(99_999_999_999, 5, 0, 0, blockprint.Teku)}},
		"a good block beside a false one":   {Blocks: []store.Block{Block(6, 5, 0, 0, blockprint.Teku), Block(1<<63, 6, 0, 0, blockprint.Teku)}},
		"covered slots of the future":       {Covered: []blockprint.Interval{{Start: 0, End: 3000}}},
		"a chain of the future":             {Chains: []store.Chain{{Slots: blockprint.Interval{Start: 5, End: 3000}}}},
		"finality of the future":            {Finalized: &future},
		"finality that is too young":        {Finalized: &late},
		"finality beyond what is there":     {Finalized: &early},
		"finality beside slots of no block": {Covered: []blockprint.Interval{{Start: 9, End: 9}}, Finalized: &future},
	} {
		if _, err := s.Apply(ctx, b); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.SetFloor(ctx, 999_999_999); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("a beginning in the future: %v", err)
	}
	if _, err := s.Observe(ctx, []store.Observation{{Slot: 3000, Node: "a", Label: "Teku", Guess: "Teku", Model: "m", Day: "2026-01-01"}}); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("an observation of the future: %v", err)
	}
	if err := s.AddOpinion(ctx, store.Opinion{BlockID: store.BlockID{Slot: 3000, Root: first.Root}}); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("an opinion of the future: %v", err)
	}
	if after, err := s.Status(ctx); err != nil || after != before {
		t.Errorf("what was refused left something: %+v, before %+v (%v)", after, before, err)
	}

	// A distant parent that is not stored proves nothing. Once it is stored, the slots between are known to be empty.
	apply(t, s, store.Batch{Blocks: []store.Block{Block(500, 300, 0, 0, blockprint.Teku)}})
	wantGaps(t, s, 5, 500, blockprint.Interval{Start: 6, End: 499})
	// A claim proves nothing either.
	apply(t, s, store.Batch{Covered: []blockprint.Interval{{Start: 6, End: 299}}})
	wantGaps(t, s, 5, 500, blockprint.Interval{Start: 6, End: 499})
	apply(t, s, store.Batch{Blocks: []store.Block{Block(300, 5, 0, 0, blockprint.Teku)}, Covered: []blockprint.Interval{{Start: 6, End: 499}}})
	wantGaps(t, s, 5, 500)
	// A few slots are believed.
	apply(t, s, store.Batch{Covered: []blockprint.Interval{{Start: 501, End: 520}}})
	wantGaps(t, s, 500, 521, blockprint.Interval{Start: 521, End: 521})
	// The mark of finality stops at a gap.
	apply(t, s, store.Batch{Blocks: []store.Block{Block(530, 522, 0, 0, blockprint.Teku)}})
	final := blockprint.Slot(530)
	apply(t, s, store.Batch{Finalized: &final})
	if st, err := s.Status(ctx); err != nil || st.Finalized != 520 {
		t.Errorf("final up to %d, slot 521 is missing (%v)", st.Finalized, err)
	}
}

// longChain: the blocks of a quiet network, with long stretches of empty slots between them, are covered if they come in order,
// with or without roots.
func longChain(t *testing.T, s store.Store) {
	parent := blockprint.Slot(0)
	for _, slot := range []blockprint.Slot{3, 1000, 1001, 5000} {
		b := Block(slot, parent, 0, 0, blockprint.Teku)
		if slot > 1000 { // as an original database has it
			b.Root, b.ParentRoot = store.PlaceholderRoot(b.Proposer), blockprint.Root{}
		}
		apply(t, s, store.Batch{Blocks: []store.Block{b}})
		parent = slot
	}
	wantGaps(t, s, 0, 5000)
}

// corrections: the same genesis is the same network, whatever else changes about it.
func corrections(t *testing.T, s store.Store) {
	ctx := t.Context()
	id := store.Identity{ConfigName: "x", GenesisTime: 5, GenesisValidatorsRoot: root(1, 1), SlotSeconds: 12, SlotsPerEpoch: 8}
	check(t, s.Identify(ctx, id))
	apply(t, s, store.Batch{Blocks: []store.Block{Block(15, 14, 0, 0, blockprint.Teku)}})
	id.ConfigName, id.SlotSeconds, id.ForkEpochs = "y", 2, map[string]blockprint.Epoch{"electra": 7}
	check(t, s.Identify(ctx, id))
	older := id
	older.ForkEpochs = nil // of a follower that does not know them: what is known stays
	check(t, s.Identify(ctx, older))
	if got, ok, err := s.Identity(ctx); err != nil || !ok || !reflect.DeepEqual(got, id) {
		t.Errorf("%+v (%v), want %+v", got, err, id)
	}
	for name, change := range map[string]func(*store.Identity){
		"another length of epochs": func(id *store.Identity) { id.SlotsPerEpoch = 32 },
		"another genesis time":     func(id *store.Identity) { id.GenesisTime++ },
	} {
		other := id
		change(&other)
		if err := s.Identify(ctx, other); blockprint.CodeOf(err) != blockprint.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*store.Identity){
		"no slot time":        func(id *store.Identity) { id.SlotSeconds = 0 },
		"no length of epochs": func(id *store.Identity) { id.SlotsPerEpoch = 0 },
	} {
		other := id
		change(&other)
		if err := s.Identify(ctx, other); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
