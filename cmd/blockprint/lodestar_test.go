package main_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/protolambda/zrnt/eth2/beacon/altair"
	"github.com/protolambda/zrnt/eth2/configs"
	"github.com/protolambda/ztyp/codec"

	"blockprint"
	"blockprint/beacon"
	"blockprint/nodetest"
	"blockprint/reward"
	"blockprint/store"
)

// TestLodestar follows a real Lodestar with the real program for four epochs, the first of them of phase 0, killing
// it in the middle. Then every slot must be covered, every label be Lodestar by the block's graffiti, and the exact
// reward of every block since Altair be the proposer's balance change between the node's own states. Meanwhile the
// node dreams a block in every slot, which is rated and gauged.
func TestLodestar(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real node")
	}
	const slots, killAt, restartAt, altairEpoch = 32, 11, 15, 1
	program := buildProgram(t)
	model := goldenModels(t, program)[0]
	slotTime := nodetest.SlotTime(t, 3*time.Second)
	startup := nodetest.Startup(t, 9*time.Second)
	url := nodetest.Lodestar(t, nodetest.LodestarOptions{Validators: 256, SecondsPerSlot: int(slotTime.Seconds()), AltairEpoch: altairEpoch, GenesisIn: startup})
	ctx, cancel := context.WithTimeout(t.Context(), startup+(slots+60)*slotTime)
	defer cancel()
	c, err := beacon.New([]string{url}, beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dreamt := dreamOf(t, url, model)
	states := stateCollector{}
	db := filepath.Join(t.TempDir(), "lodestar.db")
	follower := startFollower(t, program, url, db, model)
	awaitSlot(t, ctx, c, killAt, states)
	if err := follower.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	_ = follower.Wait() // it was killed
	awaitSlot(t, ctx, c, restartAt, states)
	follower = startFollower(t, program, url, db, model)
	awaitSlot(t, ctx, c, slots, states)
	checkDatabase(t, ctx, db, slots)
	if err := follower.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := follower.Wait(); err != nil {
		t.Errorf("after SIGINT the follower ended with %v", err)
	}

	dreamt.check(t, ctx, c, slots)
	checked := 0
	err = reward.Walk(ctx, c, slog.Default(), blockprint.Interval{Start: 1, End: slots}, reward.Walker{Block: func(r reward.Rated) error {
		header, err := c.Header(ctx, beacon.AtSlot(r.Block.Slot))
		if err != nil || header.Root != r.Block.Root {
			t.Errorf("slot %d: root %s, the node says %s (%v)", r.Block.Slot, r.Block.Root, header.Root, err)
		}
		if r.Block.Slot <= altairEpoch*8 || r.Reward.Meta.ParentSlot < altairEpoch*8 { // phase 0 pays at the end of the epoch, and its states have another form
			return nil
		}
		checked++
		want := proposerGain(t, ctx, c, r, states)
		got := r.Reward.Exact.Total
		t.Logf("slot %2d  proposer %3d  exact total %7d  balance change %7d  Lighthouse's figure %7d", r.Block.Slot, r.Block.ProposerIndex, got, want, r.Reward.Total)
		if int64(got) != want {
			t.Errorf("slot %d: exact total %d, but the balance changed by %d", r.Block.Slot, got, want)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if checked < slots-altairEpoch*8-4 {
		t.Errorf("only %d blocks in %d slots", checked, slots)
	}
}

// stateCollector keeps the state after each block while the node still has it.
type stateCollector map[blockprint.Slot][]byte

// awaitSlot waits for the node's head, collecting the states on the way.
func awaitSlot(t *testing.T, ctx context.Context, c *beacon.Client, slot blockprint.Slot, states stateCollector) {
	t.Helper()
	for {
		h, err := c.Header(ctx, beacon.Head)
		if err == nil && states[h.Slot] == nil {
			raw, err := c.RawState(ctx, beacon.AtSlot(h.Slot))
			if err != nil {
				t.Fatalf("state of slot %d: %v", h.Slot, err)
			}
			states[h.Slot] = raw
		}
		if err == nil && h.Slot >= slot {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the node makes no block of slot %d: %v", slot, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func startFollower(t *testing.T, program, url, db, model string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, "follow", "--beacon", url, "--db", db, "--model", model, "--since", "genesis")
	log := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // if it still runs
		if t.Failed() {
			t.Logf("the follower's log:\n%s", log)
		}
	})
	return cmd
}

// checkDatabase waits until slots 1 to last are covered, and looks at every block.
func checkDatabase(t *testing.T, ctx context.Context, db string, last blockprint.Slot) {
	t.Helper()
	s, err := store.Open(ctx, db, store.Options{Existing: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	span := blockprint.Interval{Start: 1, End: last}
	for deadline := time.Now().Add(nodetest.Patience); ; time.Sleep(100 * time.Millisecond) {
		gaps, err := s.Gaps(ctx, span)
		if err == nil && len(gaps) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("slots %v are missing (%v)", gaps, err)
		}
	}
	blocks := 0
	for b, err := range s.Blocks(ctx, span, store.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		blocks++
		if g := b.Says; b.Single != blockprint.Lodestar || g.Client != blockprint.Lodestar || g.Version != "v1.5.1" {
			t.Errorf("slot %d: label %s, graffiti %q read as %+v", b.Slot, b.Single, b.Graffiti, g)
		}
	}
	t.Logf("%d blocks in slots %s, no gaps after the follower was killed and started again", blocks, span)
	if blocks < int(last)-4 {
		t.Errorf("only %d blocks", blocks)
	}
}

// proposerGain returns the proposer's balance change in a block, without its own sync committee part.
func proposerGain(t *testing.T, ctx context.Context, c *beacon.Client, r reward.Rated, states stateCollector) int64 {
	t.Helper()
	parent := r.Reward.Meta.ParentSlot
	before, after := states.at(t, parent), states.at(t, r.Block.Slot)
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
	if network.EpochOf(parent) != network.EpochOf(r.Block.Slot) {
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

func (c stateCollector) at(t *testing.T, slot blockprint.Slot) *altair.BeaconState {
	t.Helper()
	raw := c[slot]
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
