package reward_test

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"math"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/feature"
	"blockprint/reward"
)

// sepolia is a node that knows 47 consecutive blocks of the sepolia network (June 2025, after Electra) with the
// committees of their slots, and pretends empty blocks before them, so that the tracker can warm up.
type sepolia struct {
	network    blockprint.Network
	blocks     map[beacon.ID]*beacon.Block
	committees map[blockprint.Slot][]uint64
	validators beacon.Validators
	active     map[uint64]bool
	order      []*beacon.Block
}

func number[T ~uint64](t *testing.T, s string) T {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return T(n)
}

func root(t *testing.T, s string) (r blockprint.Root) {
	t.Helper()
	if err := r.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return r
}

func readSepolia(t *testing.T) *sepolia {
	t.Helper()
	f, err := os.Open("../testdata/blocks/sepolia-electra-7687982-7688028.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	type checkpoint struct{ Epoch, Root string }
	var file struct {
		Attestations map[string]struct {
			Data []struct {
				Bits       string `json:"aggregation_bits"`
				Committees string `json:"committee_bits"`
				Data       struct {
					Slot, Index    string
					Root           string `json:"beacon_block_root"`
					Source, Target checkpoint
				}
			}
		}
		Committees map[string]struct {
			Data []struct {
				Slot, Index string
				Validators  []string
			}
		}
		Headers map[string]struct {
			Data struct {
				Root   string
				Header struct {
					Message struct {
						Slot     string
						Proposer string `json:"proposer_index"`
						Parent   string `json:"parent_root"`
						State    string `json:"state_root"`
					}
				}
			}
		}
	}
	if err := json.NewDecoder(z).Decode(&file); err != nil {
		t.Fatal(err)
	}
	spec := blockprint.MainnetSpec()
	spec.ConfigName = "sepolia"
	spec.ForkEpochs = [blockprint.NumForks]blockprint.Epoch{0, 50, 100, 56832, 132608, 222464, blockprint.FarFuture}
	s := &sepolia{
		network:    blockprint.Network{Spec: spec, GenesisTime: time.Unix(1655733600, 0)},
		blocks:     map[beacon.ID]*beacon.Block{},
		committees: map[blockprint.Slot][]uint64{},
	}
	most := uint64(0)
	for _, list := range file.Committees {
		for _, c := range list.Data {
			var members []uint64
			for _, v := range c.Validators {
				n := number[uint64](t, v)
				members = append(members, n)
				most = max(most, n)
			}
			s.committees[number[blockprint.Slot](t, c.Slot)] = members
		}
	}
	s.active = s.activeSet(t, most+1)
	for v := range most + 1 {
		s.validators.EffectiveBalance = append(s.validators.EffectiveBalance, 32e9)
		exit := blockprint.Epoch(0)
		if s.active[v] {
			exit = blockprint.FarFuture
		}
		s.validators.Activation = append(s.validators.Activation, 0)
		s.validators.Exit = append(s.validators.Exit, exit)
		s.validators.Withdrawable = append(s.validators.Withdrawable, blockprint.FarFuture)
		s.validators.Slashed = append(s.validators.Slashed, false)
	}
	for slot := blockprint.Slot(7687982); slot <= 7688028; slot++ {
		key := strconv.FormatUint(uint64(slot), 10)
		h := file.Headers[key].Data
		b := &beacon.Block{
			Fork: blockprint.Electra, Root: root(t, h.Root), Slot: slot, ProposerIndex: number[uint64](t, h.Header.Message.Proposer),
			ParentRoot: root(t, h.Header.Message.Parent), StateRoot: root(t, h.Header.Message.State),
		}
		for _, a := range file.Attestations[key].Data {
			raw, err := hex.DecodeString(strings.TrimPrefix(a.Bits, "0x"))
			if err != nil {
				t.Fatal(err)
			}
			if a.Committees != "0x0100000000000000" {
				t.Fatalf("committees %s", a.Committees)
			}
			read := func(c checkpoint) blockprint.Checkpoint {
				return blockprint.Checkpoint{Epoch: number[blockprint.Epoch](t, c.Epoch), Root: root(t, c.Root)}
			}
			b.Attestations = append(b.Attestations, beacon.Attestation{
				Data: blockprint.AttestationData{
					Slot: number[blockprint.Slot](t, a.Data.Slot), Index: number[uint64](t, a.Data.Index), BeaconBlockRoot: root(t, a.Data.Root),
					Source: read(a.Data.Source), Target: read(a.Data.Target),
				},
				Committees: []uint64{0}, Bits: raw, NumBits: 8*len(raw) - bits.LeadingZeros8(raw[len(raw)-1]) - 1,
			})
		}
		s.add(b)
	}
	// The blocks before: the first one's parent, its parent, and so on back through the warm-up. What votes name as
	// target keeps its root.
	targets := map[blockprint.Slot]blockprint.Root{s.order[0].Slot - 1: s.order[0].ParentRoot}
	for _, b := range s.order {
		for _, a := range b.Attestations {
			targets[spec.StartOf(a.Data.Target.Epoch)] = a.Data.Target.Root
		}
	}
	made := func(slot blockprint.Slot) blockprint.Root {
		if r, ok := targets[slot]; ok {
			return r
		}
		return blockprint.Root{1, byte(slot)}
	}
	for slot := blockprint.Slot(7687930); slot < s.order[0].Slot; slot++ {
		b := &beacon.Block{Fork: blockprint.Electra, Root: made(slot), Slot: slot, ParentRoot: made(slot - 1)}
		s.blocks[beacon.AtRoot(b.Root)] = b
	}
	return s
}

// size returns how many members the committee of a slot has when so many validators are active.
func size(active uint64, slot blockprint.Slot) int {
	i := uint64(slot) % 32
	return int(active*(i+1)/32 - active*i/32)
}

// activeSet finds how many validators were active from the sizes of the recorded committees, and takes those who
// stand in them and as many others as are missing.
func (s *sepolia) activeSet(t *testing.T, all uint64) map[uint64]bool {
	t.Helper()
	var n uint64
search:
	for n = 32; n <= all; n++ {
		for slot, members := range s.committees {
			if size(n, slot) != len(members) {
				continue search
			}
		}
		break
	}
	active := map[uint64]bool{}
	for _, members := range s.committees {
		for _, v := range members {
			active[v] = true
		}
	}
	for v := uint64(0); uint64(len(active)) < n; v++ {
		active[v] = true
	}
	if uint64(len(active)) != n || n > all {
		t.Fatalf("%d validators are active, but the committees are of %d", len(active), n)
	}
	return active
}

func (s *sepolia) add(b *beacon.Block) {
	s.blocks[beacon.AtRoot(b.Root)] = b
	s.order = append(s.order, b)
}

func (s *sepolia) Verify(context.Context) error { return nil }

func (s *sepolia) Network(context.Context) (*blockprint.Network, error) { return &s.network, nil }

func (s *sepolia) Block(_ context.Context, id beacon.ID) (*beacon.Block, error) {
	if b := s.blocks[id]; b != nil {
		return b, nil
	}
	return nil, blockprint.Errorf(blockprint.NotFound, "no block %s", id)
}

func (s *sepolia) Header(ctx context.Context, id beacon.ID) (beacon.Header, error) {
	b, err := s.Block(ctx, id)
	if err != nil {
		return beacon.Header{}, err
	}
	return beacon.Header{Root: b.Root, Slot: b.Slot, ParentRoot: b.ParentRoot, StateRoot: b.StateRoot, Canonical: true}, nil
}

func (s *sepolia) Validators(context.Context, beacon.ID) (*beacon.Validators, error) {
	return &s.validators, nil
}

func (s *sepolia) Randao(context.Context, beacon.ID, blockprint.Epoch) (blockprint.Root, error) {
	return blockprint.Root{}, blockprint.Errorf(blockprint.NotFound, "no mix")
}

func (s *sepolia) Committees(_ context.Context, _ beacon.ID, epoch blockprint.Epoch) ([]beacon.Committee, error) {
	var out []beacon.Committee
	start := s.network.StartOf(epoch)
	free := map[uint64]bool{}
	for v := range s.active {
		free[v] = true
	}
	for slot := start; slot < start+32; slot++ {
		for _, v := range s.committees[slot] {
			delete(free, v)
		}
	}
	for slot := start; slot < start+32; slot++ {
		members := s.committees[slot]
		for v := uint64(0); len(members) < size(uint64(len(s.active)), slot); v++ { // not recorded: the blocks have no votes of it
			if free[v] {
				members = append(members, v)
				delete(free, v)
			}
		}
		out = append(out, beacon.Committee{Slot: slot, Validators: members})
	}
	return out, nil
}

// TestSepolia puts the blocks through the whole tracker: every voter of each block is new and is paid for source,
// target and head, as nearly all votes of that network were right and on time.
func TestSepolia(t *testing.T) {
	s := readSepolia(t)
	tracker, err := reward.NewTracker(t.Context(), s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e, err := feature.NewExtractor([]string{"num_attestations", "percent_worthless", "mono_marginal", "max_distance", "completeness"})
	if err != nil {
		t.Fatal(err)
	}
	total := float64(len(s.active)) * 32e9
	full := 32 * uint64(64e9/math.Floor(math.Sqrt(total))) * (14 + 26 + 14) / 512 // Lighthouse's rule
	n, voters, paidFull := 0, 0, 0
	for _, b := range s.order {
		list, err := tracker.Reach(t.Context(), b.Root)
		if err != nil {
			t.Fatal(err)
		}
		r := list[len(list)-1].Reward
		if r == nil {
			t.Fatalf("slot %d is not rated", b.Slot)
		}
		n++
		cast := 0
		for i, a := range b.Attestations {
			for j := range a.NumBits {
				if a.Bit(j) {
					cast++
				}
			}
			if c := r.Attestations.Committees[i]; len(c) != 1 || c[0].Size != uint64(a.NumBits) {
				t.Errorf("slot %d: committees %+v for %d bits", b.Slot, c, a.NumBits)
			}
		}
		got := 0
		for _, m := range r.Attestations.PerAttestation {
			got += len(m)
			for _, v := range m {
				if v.Gwei == full {
					paidFull++
				}
			}
		}
		if got != cast && len(b.Attestations) == 1 {
			t.Errorf("slot %d: %d of %d voters are new", b.Slot, got, cast)
		}
		voters += got
		if v := e.Extract(nil, r); v[0] != float64(len(b.Attestations)) || v[3] != 1 {
			t.Errorf("slot %d: features %v", b.Slot, v)
		}
	}
	if n != 47 || voters < 47*50 || 20*paidFull < 19*voters {
		t.Errorf("%d blocks, %d voters, %d of them paid %d gwei", n, voters, paidFull, full)
	}
	t.Logf("%d blocks, %d voters, %d of them paid for source, target and head", n, voters, paidFull)
}
