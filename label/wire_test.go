package label_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"blockprint"
	"blockprint/label"
	"blockprint/store"
)

var update = flag.Bool("update", false, "write the golden file of the wire anew")

// TestWire pins what a follower sends to a server of another machine, and of another version: every request with its
// body.
func TestWire(t *testing.T) {
	var wire bytes.Buffer
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(&wire, "%s %s\n%s\n", r.Method, r.URL.Path, body)
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, "null") // a client that is gone says so itself
	}))
	defer server.Close()
	remote, err := label.NewRemote(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	root := blockprint.Root{1, 2, 3}
	finalized := blockprint.Slot(64)
	reward := &blockprint.BlockReward{
		Total: 12, BlockRoot: root, SyncCommittee: 2,
		Meta: blockprint.BlockMeta{Slot: 97, ParentSlot: 95, ProposerIndex: 7, Graffiti: "Lighthouse/v5"},
		Attestations: blockprint.AttestationRewards{
			Total: 10, PrevEpoch: 3, CurrEpoch: 7, PerAttestation: [][]blockprint.VoterReward{{{Validator: 5, Gwei: 3}, {Validator: 6, Gwei: 7}}, {}},
			Data:       []blockprint.AttestationData{{Slot: 96, BeaconBlockRoot: blockprint.Root{8}}, {Slot: 95, Index: 1}},
			Committees: [][]blockprint.CommitteeVotes{{{}}, {}},
			Worth:      []blockprint.AttestationWorth{{Alone: 10, Marginal: 10, Unseen: 2, UnseenBalance: 64_000_000_000}, {Overlap: 1}},
		},
		Exact: &blockprint.ExactReward{},
	}
	for _, err := range []error{
		remote.Identify(t.Context(), store.Identity{
			ConfigName: "mainnet", GenesisTime: 1606824023, GenesisValidatorsRoot: blockprint.Root{4}, SlotSeconds: 12, SlotsPerEpoch: 32, ForkEpochs: map[string]blockprint.Epoch{"electra": 364032},
		}),
		remote.SetFloor(t.Context(), 95),
		remote.Record(t.Context(), label.Batch{
			Rewards: []*blockprint.BlockReward{reward}, Covered: blockprint.Intervals{{Start: 96, End: 97}}, Uncovered: blockprint.Intervals{{Start: 95, End: 95}},
			Chains: []store.Chain{{Slots: blockprint.Interval{Start: 96, End: 97}, Blocks: []store.BlockID{{Slot: 97, Root: root}}}}, Finalized: &finalized,
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := remote.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Gaps(t.Context(), blockprint.Interval{Start: 1, End: 9}); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Undecided(t.Context(), blockprint.Interval{Start: 1, End: 9}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := remote.Ancestors(t.Context(), store.BlockID{Slot: 97, Root: root}, 3); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "wire.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, wire.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, wire.Bytes()) {
		t.Errorf("the wire has changed; servers of another version do not understand it:\n%s\nwant:\n%s", &wire, want)
	}
}
