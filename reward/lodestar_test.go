package reward_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/protolambda/zrnt/eth2/beacon/altair"
	"github.com/protolambda/zrnt/eth2/configs"
	"github.com/protolambda/ztyp/codec"

	"blockprint"
	"blockprint/beacon"
	"blockprint/nodetest"
	"blockprint/reward"
)

// TestLodestarBalances holds the exact reward of every block of a real chain against the node's own states: the
// proposer's balance change in the block, without its own part in the sync committee.
func TestLodestarBalances(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real node")
	}
	const slots = 28 // three epochs and a half
	url := nodetest.Lodestar(t, nodetest.LodestarOptions{Validators: 256, SecondsPerSlot: 3, GenesisIn: 8 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c, err := beacon.New([]string{url}, beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		h, err := c.Header(ctx, beacon.Head)
		if err == nil && h.Slot >= slots {
			break
		}
		if ctx.Err() != nil {
			t.Fatal("the node makes no blocks: ", err)
		}
		time.Sleep(time.Second)
	}
	checked := 0
	err = reward.Walk(ctx, c, slog.Default(), blockprint.Interval{Start: 1, End: slots}, reward.Walker{Block: func(r reward.Rated) error {
		checked++
		want := proposerGain(t, ctx, c, r)
		got := r.Reward.Exact.Total
		t.Logf("slot %2d  proposer %3d  exact total %7d  balance change %7d  Lighthouse's figure %7d", r.Block.Slot, r.Block.ProposerIndex, got, want, r.Reward.Total)
		if int64(got) != want {
			t.Errorf("slot %d: exact total %d, but the balance changed by %d", r.Block.Slot, got, want)
		}
		header, err := c.Header(ctx, beacon.AtSlot(r.Block.Slot))
		if err != nil || header.Root != r.Block.Root {
			t.Errorf("slot %d: root %s, the node says %s (%v)", r.Block.Slot, r.Block.Root, header.Root, err)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if checked < slots-4 {
		t.Errorf("only %d blocks in %d slots", checked, slots)
	}
}

// proposerGain returns the proposer's balance change in a block, without its own sync committee part.
func proposerGain(t *testing.T, ctx context.Context, c *beacon.Client, r reward.Rated) int64 {
	t.Helper()
	parent, err := c.Header(ctx, beacon.AtRoot(r.Block.ParentRoot))
	if err != nil {
		t.Fatalf("header of the parent of slot %d: %v", r.Block.Slot, err)
	}
	before, after := lodestarState(t, ctx, c, parent.Slot), lodestarState(t, ctx, c, r.Block.Slot)
	network, err := c.Network(ctx)
	if err != nil {
		t.Fatal(err)
	}
	bits := syncBits(t, ctx, c, r.Block.Slot)
	participant := syncParticipantReward(&network.Spec, after, network.EpochOf(r.Block.Slot))
	change := func(v uint64) int64 {
		d := int64(after.Balances[v]) - int64(before.Balances[v])
		for i, key := range after.CurrentSyncCommittee.Pubkeys {
			switch {
			case key != after.Validators[v].Pubkey:
			case bits[i/8]>>(i%8)&1 == 1:
				d -= participant
			default:
				d += participant
			}
		}
		return d
	}
	proposer := r.Block.ProposerIndex
	gain := change(proposer)
	if network.EpochOf(parent.Slot) != network.EpochOf(r.Block.Slot) {
		// Between the two states lies an epoch's end, which pays every validator of the same balance and the same
		// flags alike: what another one got is not from this block.
		gain -= change(twin(t, before, proposer))
	}
	return gain
}

// twin returns a validator whom the end of the epoch treats as it does v.
func twin(t *testing.T, s *altair.BeaconState, v uint64) uint64 {
	t.Helper()
	for i := range s.Validators {
		if uint64(i) != v && s.Validators[i].EffectiveBalance == s.Validators[v].EffectiveBalance &&
			s.PreviousEpochParticipation[i] == s.PreviousEpochParticipation[v] && s.InactivityScores[i] == s.InactivityScores[v] {
			return uint64(i)
		}
	}
	t.Fatal("no validator with the same participation")
	return 0
}

func lodestarState(t *testing.T, ctx context.Context, c *beacon.Client, slot blockprint.Slot) *altair.BeaconState {
	t.Helper()
	raw, err := c.RawState(ctx, beacon.AtSlot(slot))
	if err != nil {
		t.Fatalf("state of slot %d: %v", slot, err)
	}
	s := new(altair.BeaconState)
	if err := s.Deserialize(configs.Minimal, codec.NewDecodingReader(bytes.NewReader(raw), uint64(len(raw)))); err != nil {
		t.Fatalf("state of slot %d: %v", slot, err)
	}
	return s
}

func syncBits(t *testing.T, ctx context.Context, c *beacon.Client, slot blockprint.Slot) []byte {
	t.Helper()
	var reply struct {
		Message struct {
			Body struct {
				Sync altair.SyncAggregate `json:"sync_aggregate"`
			} `json:"body"`
		} `json:"message"`
	}
	if err := c.Raw(ctx, "/eth/v2/beacon/blocks/"+string(beacon.AtSlot(slot)), &reply); err != nil {
		t.Fatal(err)
	}
	return reply.Message.Body.Sync.SyncCommitteeBits
}

// syncParticipantReward is the specification's reward of a sync committee member for one slot, written apart from
// the tracker's.
func syncParticipantReward(spec *blockprint.Spec, s *altair.BeaconState, epoch blockprint.Epoch) int64 {
	var active uint64
	for _, v := range s.Validators {
		if uint64(v.ActivationEpoch) <= uint64(epoch) && uint64(epoch) < uint64(v.ExitEpoch) {
			active += uint64(v.EffectiveBalance)
		}
	}
	root := uint64(0)
	for bit := uint64(1) << 31; bit > 0; bit >>= 1 {
		if (root|bit)*(root|bit) <= active {
			root |= bit
		}
	}
	perIncrement := 1_000_000_000 * 64 / root
	return int64(perIncrement * (active / 1_000_000_000) * 2 / 64 / spec.SlotsPerEpoch / spec.SyncCommitteeSize)
}
