package packer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"blockprint"
	"blockprint/gossip"
)

var voted = gossip.Group{Data: gossip.Data{AttestationData: blockprint.AttestationData{Slot: 9}}, Committee: 3}

func votes(bits ...uint64) gossip.Aggregate { return gossip.Aggregate{Group: voted, Bits: bits} }

// included is a block's attestation of the group.
func included(bits uint64) []gossip.Attestation {
	return []gossip.Attestation{{Data: voted.Data, Committees: []int{voted.Committee}, Bits: []gossip.Bits{{bits}}}}
}

func list(sets []gossip.Bits) (out []uint64) {
	for _, b := range sets {
		out = append(out, b[0])
	}
	return out
}

// TestPrysmPool: what Prysm keeps of a group, of aggregates and of single votes, in its order.
func TestPrysmPool(t *testing.T) {
	type pool = *prysm
	aggregate := func(bits uint64) func(pool) { return func(p pool) { p.Aggregate(votes(bits)) } }
	singles := func(bits uint64) func(pool) { return func(p pool) { p.Singles(votes(bits)) } }
	head := func(bits uint64) func(pool) { return func(p pool) { p.Imported(10, included(bits)) } }
	fold := pool.Tick
	for name, c := range map[string]struct {
		steps           []func(pool)
		stored, singles []uint64
	}{
		"subset ignored":                    {[]func(pool){aggregate(0b111), aggregate(0b11)}, []uint64{0b111}, nil},
		"disjoint merged":                   {[]func(pool){aggregate(0b11), aggregate(0b1100)}, []uint64{0b1111}, nil},
		"overlapping kept by size":          {[]func(pool){aggregate(0b11), aggregate(0b1110)}, []uint64{0b1110, 0b11}, nil},
		"singles wait":                      {[]func(pool){singles(0b101)}, nil, []uint64{0b1, 0b100}},
		"singles folded":                    {[]func(pool){singles(0b101), fold}, []uint64{0b101}, nil},
		"a lone single is not":              {[]func(pool){singles(0b100), fold}, nil, []uint64{0b100}},
		"a folded single is not taken":      {[]func(pool){singles(0b101), fold, singles(0b100)}, []uint64{0b101}, nil},
		"a known single is not taken":       {[]func(pool){aggregate(0b111), singles(0b100)}, []uint64{0b111}, nil},
		"folded into one that has it":       {[]func(pool){singles(0b101), aggregate(0b1101), fold}, []uint64{0b1101}, nil},
		"an aggregate of one is a single":   {[]func(pool){aggregate(0b100)}, nil, []uint64{0b100}},
		"on chain whole":                    {[]func(pool){aggregate(0b11), head(0b111)}, nil, nil},
		"on chain in part":                  {[]func(pool){aggregate(0b1011), head(0b111)}, []uint64{0b1011}, nil},
		"on chain whole, heard again":       {[]func(pool){aggregate(0b11), head(0b111), aggregate(0b110)}, nil, nil},
		"on chain in two parts, heard once": {[]func(pool){head(0b11), head(0b110), aggregate(0b111)}, []uint64{0b111}, nil},
		"single on chain in an aggregate":   {[]func(pool){singles(0b100), head(0b111)}, nil, nil},
	} {
		p := newPrysm(prysm2024)
		for _, step := range c.steps {
			step(p)
		}
		g := p.groups.of(voted)
		if got, alone := list(g.stored), singlesOf(g); !slices.Equal(got, c.stored) || !slices.Equal(alone, c.singles) {
			t.Errorf("%s: %b and single %b; want %b and %b", name, got, alone, c.stored, c.singles)
		}
	}
}

func singlesOf(g *prysmGroup) (out []uint64) {
	for _, a := range alone(voted, g.open()) {
		out = append(out, a.Bits[0])
	}
	return out
}

// TestPrysmUnions: places decide ties, so a union and the last of the list go where Prysm puts them.
func TestPrysmUnions(t *testing.T) {
	bits := func(in ...uint64) (out []gossip.Bits) {
		for _, x := range in {
			out = append(out, gossip.Bits{x})
		}
		return out
	}
	for _, c := range []struct{ in, unions, kept []uint64 }{
		{[]uint64{0b1}, []uint64{0b1}, []uint64{0b1}},
		{[]uint64{0b0011, 0b1100}, []uint64{0b1111}, []uint64{0b0011, 0b1100}},
		// The largest overlaps with both others: nothing is joined, although these two are disjoint.
		{[]uint64{0b01110, 0b00011, 0b11000}, []uint64{0b01110, 0b00011, 0b11000}, []uint64{0b01110, 0b00011, 0b11000}},
		// The union takes the place of the first part, then the first place; the last fills the hole.
		{[]uint64{0b11, 0b11100, 0b110, 0b100010}, []uint64{0b11111, 0b100010, 0b110}, []uint64{0b11, 0b11100, 0b110, 0b100010}},
		{[]uint64{0b0011, 0b1111, 0b0001, 0b0100}, []uint64{0b1111}, []uint64{0b1111}},
	} {
		if got := list(disjointUnions(bits(c.in...))); !slices.Equal(got, c.unions) {
			t.Errorf("unions of %b: %b, want %b", c.in, got, c.unions)
		}
		if got := list(dropSubsets(bits(c.in...))); !slices.Equal(got, c.kept) {
			t.Errorf("%b without subsets: %b, want %b", c.in, got, c.kept)
		}
	}
}

// TestLodestarPool: what Lodestar keeps of a group, in its order, and what it refuses.
func TestLodestarPool(t *testing.T) {
	for name, c := range map[string]struct {
		heard  []uint64
		block  uint64
		more   []uint64
		stored []uint64
	}{
		"arrival decides the order":      {[]uint64{0b11, 0b1110, 0b11110010}, 0, nil, []uint64{0b11, 0b1110, 0b11110010}},
		"subset refused":                 {[]uint64{0b1111, 0b11}, 0, nil, []uint64{0b1111}},
		"superset replaces":              {[]uint64{0b11, 0b110, 0b111}, 0, nil, []uint64{0b111}},
		"first disjoint one grows":       {[]uint64{0b11, 0b110, 0b1000}, 0, nil, []uint64{0b1011, 0b110}},
		"what grew refuses more":         {[]uint64{0b11, 0b1100, 0b1001}, 0, nil, []uint64{0b1111}},
		"a byte is empty in one only":    {[]uint64{0xff01, 0x01}, 0, nil, []uint64{0xff01, 0x01}},
		"on chain, so refused":           {nil, 0b1111, []uint64{0b11}, nil},
		"on chain later, so it stays":    {[]uint64{0b11}, 0b1111, nil, []uint64{0b11}},
		"beyond the limit the small go":  {[]uint64{0b11, 0b101, 0b11001, 0b11100001, 0x101}, 0, nil, []uint64{0b11100001, 0b11001, 0b11, 0b101}},
		"none too many, none are sorted": {[]uint64{0b11, 0b101, 0b11001, 0b11100001}, 0, nil, []uint64{0b11, 0b101, 0b11001, 0b11100001}},
	} {
		p := newLodestar(lodestar2024)
		for _, b := range c.heard {
			p.Aggregate(votes(b))
		}
		if c.block != 0 {
			p.Imported(10, included(c.block))
		}
		for _, b := range c.more {
			p.Aggregate(votes(b))
		}
		var got []uint64
		for _, a := range p.groups.of(voted).stored {
			got = append(got, a.bits[0])
		}
		if !slices.Equal(got, c.stored) {
			t.Errorf("%s: %b, want %b", name, got, c.stored)
		}
	}
	p := newLodestar(lodestar2024)
	p.Imported(10, included(0b1111))
	p.Post(votes(0b11))
	if n := len(p.groups.of(voted).stored); n != 1 {
		t.Errorf("%d aggregates after a subset of a block's was posted, want 1", n)
	}
}

// TestTekuSingles: the second pool packs data of which it has single votes only inside their slot, fills up what it packs with
// those that are not on the chain, and adds committees for them.
func TestTekuSingles(t *testing.T) {
	spec := blockprint.MainnetSpec()
	spec.ForkEpochs = [blockprint.NumForks]blockprint.Epoch{}
	data := func(slot blockprint.Slot, root byte) gossip.Data {
		return gossip.Data{AttestationData: blockprint.AttestationData{Slot: slot, BeaconBlockRoot: blockprint.Root{root}}}
	}
	p := newTeku(tekuV2)
	put := func(add func(gossip.Aggregate), slot blockprint.Slot, root byte, committee int, bits uint64) {
		add(gossip.Aggregate{Group: gossip.Group{Data: data(slot, root), Committee: committee}, Bits: gossip.Bits{bits}})
	}
	put(p.Aggregate, 9, 1, 0, 0b0111)
	put(p.Singles, 9, 1, 0, 0b1001)
	put(p.Singles, 9, 1, 2, 0b0010)
	put(p.Singles, 9, 2, 1, 0b0001)
	put(p.Singles, 9, 2, 2, 0b0100)
	put(p.Aggregate, 8, 3, 0, 0b0011)
	put(p.Singles, 8, 3, 0, 0b1100)
	p.Imported(9, []gossip.Attestation{{Data: data(8, 3), Committees: []int{0}, Bits: []gossip.Bits{{0b0101}}}})
	v := viewOf(&spec, 10)
	var got []string
	for _, a := range p.Pack(v) {
		got = append(got, fmt.Sprintf("%d/%d %v %b", a.Data.Slot, a.Data.BeaconBlockRoot[0], a.Committees, list(a.Bits)))
	}
	slices.Sort(got[:2]) // in the order of a hash map
	want := []string{"9/1 [0 2] [1111 10]", "9/2 [1 2] [1 100]", "8/3 [0] [1011]"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// viewOf is a view of a chain on which nobody has voted yet and everything may be included.
func viewOf(spec *blockprint.Spec, slot blockprint.Slot) *View {
	const validators = 64
	return &View{
		Slot: slot, Head: slot - 1, Spec: spec, Rand: rand.New(rand.NewPCG(1, 2)),
		State:   GenesisState(slices.Repeat([]uint64{32_000_000_000}, validators), blockprint.ZeroRoot),
		RootAt:  func(blockprint.Slot) blockprint.Root { return blockprint.ZeroRoot },
		Members: func(g gossip.Group) []uint32 { return []uint32{uint32(4 * g.Committee), 1, 2, 3} },
		Valid:   func(*gossip.Data) bool { return true },
	}
}

// TestPrysmHeadTargets: if an epoch begins with an empty slot, the votes of the epoch before come last in the next block.
func TestPrysmHeadTargets(t *testing.T) {
	spec := blockprint.MainnetSpec()
	head := blockprint.Root{7}
	vote := func(slot blockprint.Slot, root blockprint.Root, target blockprint.Epoch, targetRoot blockprint.Root) gossip.Attestation {
		a := gossip.Attestation{Data: gossip.Data{AttestationData: blockprint.AttestationData{Slot: slot, BeaconBlockRoot: root}}}
		a.Data.Target = blockprint.Checkpoint{Epoch: target, Root: targetRoot}
		return a
	}
	before, start, other := vote(63, head, 1, head), vote(64, head, 2, head), vote(64, blockprint.Root{8}, 2, blockprint.Root{8})
	for _, c := range []struct {
		head blockprint.Slot
		want []gossip.Attestation
	}{
		{63, []gossip.Attestation{start, before, other}},
		{64, []gossip.Attestation{before, start, other}},
	} {
		v := viewOf(&spec, 65)
		v.Head = c.head
		v.RootAt = func(blockprint.Slot) blockprint.Root { return head }
		got := v.headTargetsFirst([]gossip.Attestation{before, other, start})
		for i := range got {
			if !got[i].Equal(&c.want[i]) {
				t.Errorf("head of slot %d: place %d has the vote of slot %d for %s", c.head, i, got[i].Data.Slot, got[i].Data.BeaconBlockRoot.Short())
			}
		}
	}
}
