package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/dataset/featurefile"
	"blockprint/nodetest"
	"blockprint/recording"
)

// TestLodestar packs blocks with a real Lodestar from votes of ours, in two runs of which the second continues the first's
// recording. The node must take every vote, so our signatures are right. What our features say that its blocks earned
// must be what the node itself says.
func TestLodestar(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real node")
	}
	for _, fork := range []blockprint.Fork{blockprint.Electra, blockprint.Fulu} {
		t.Run(fork.String(), func(t *testing.T) { testLodestar(t, fork) })
	}
}

func testLodestar(t *testing.T, fork blockprint.Fork) {
	const first, total = 4, 6
	slot, startup := nodetest.SlotTime(t, 6*time.Second), nodetest.Startup(t, 15*time.Second)
	_, dir := testGenesis(t, func(o *GenesisOptions) {
		o.Validators, o.CommitteeSize, o.SlotDuration, o.Fork, o.Start = 4096, 32, slot, fork, time.Now().Add(startup)
	})
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	engine := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	url := nodetest.Lodestar2026(t, dir, "http://"+engine)
	all := -1
	c := &Config{
		Network: dir, Output: t.TempDir(), Listen: engine, Slots: first, Seed: 1,
		Knobs: map[string]any{"empty": 0., "late-rate": 0., "late-votes": 0.05},
		Nodes: []Node{{Name: "one", URL: url, Client: "Lodestar", Subnets: &all}},
	}
	ctx, cancel := context.WithTimeout(t.Context(), nodetest.Patience)
	defer cancel()
	for _, c.Slots = range []uint64{first, total} {
		if err := c.check(); err != nil {
			t.Fatal(err)
		}
		r, err := Run(ctx, c, Options{Tool: "a test", Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", *r)
		if r.Slots != int(c.Slots) || len(r.Refused) > 0 {
			t.Errorf("%d slots instead of %d; refused votes: %v", r.Slots, c.Slots, r.Refused)
		}
	}
	path := filepath.Join(c.Output, recordingFile)
	packed := checkRecording(t, path)
	if packed == 0 {
		t.Error("the node packed nothing of ours")
	}
	features := filepath.Join(t.TempDir(), "real.features")
	report, err := WriteFeatures(ctx, features, []string{path}, "a test", slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	if report.Unrated > 0 || report.Blocks[blockprint.Lodestar] == 0 {
		t.Errorf("features: %+v", report)
	}
	f, err := featurefile.Open(features)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	if got := f.Counts()[blockprint.Lodestar]; got != report.Blocks[blockprint.Lodestar] {
		t.Errorf("%d rows of Lodestar, %d blocks", got, report.Blocks[blockprint.Lodestar])
	}
	compareRewards(t, ctx, url, path)
}

// checkRecording reads a recording to its end and returns how many attestations its blocks have.
func checkRecording(t *testing.T, path string) (packed int) {
	t.Helper()
	in, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }() // only read
	votes := 0
	for {
		s, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		votes += len(s.Votes)
		for _, b := range s.Blocks {
			packed += len(b.Attestations)
		}
	}
	if in.Cut != "" || in.Skipped > 0 || votes == 0 {
		t.Errorf("the recording has %d votes, is cut (%s), and lacks %d slots", votes, in.Cut, in.Skipped)
	}
	return packed
}

// compareRewards compares what published blocks earned by attestations with what the node says.
func compareRewards(t *testing.T, ctx context.Context, url, path string) {
	t.Helper()
	client, err := beacon.New([]string{url}, beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	compared := 0
	_, _, err = rateRecording(ctx, path, slog.Default(), func(_ blockprint.Client, r *blockprint.BlockReward) error {
		var said struct {
			Attestations blockprint.Quoted `json:"attestations"`
		}
		if err := client.Raw(ctx, fmt.Sprintf("/eth/v1/beacon/rewards/blocks/%s", r.BlockRoot), &said); err != nil {
			return nil //nolint:nilerr // a block that was not published, or an older state than the node keeps
		}
		compared++
		if uint64(said.Attestations) != r.Exact.Attestations {
			t.Errorf("slot %d: attestations earned %d, the node says %d", r.Meta.Slot, r.Exact.Attestations, said.Attestations)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if compared == 0 {
		t.Error("the node told the reward of no block")
	}
}
