package store_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blockprint"
	"blockprint/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestWireForm: what lies on disk and goes between services of different versions keeps its keys.
func TestWireForm(t *testing.T) {
	root := blockprint.Root{0xab, 31: 0xcd}
	for _, c := range []struct {
		name       string
		value, out any
	}{
		{"identity", &store.Identity{ConfigName: "mainnet", GenesisTime: 1606824023, GenesisValidatorsRoot: root, SlotSeconds: 12, SlotsPerEpoch: 32, ForkEpochs: map[string]blockprint.Epoch{"altair": 74240}}, &store.Identity{}},
		{"status", &store.Status{Newest: 5, Empty: true, Covered: 4, Floor: 3, Finalized: 2}, &store.Status{}},
		{"chain", &store.Chain{Slots: blockprint.Interval{Start: 1, End: 5}, Blocks: []store.BlockID{{Slot: 5, Root: root}}, Final: true}, &store.Chain{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join("testdata", c.name+".json")
			text, err := json.MarshalIndent(c.value, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(golden), string(text)+"\n"); diff != "" {
				t.Errorf("the form has changed: %s", diff)
			}
			if err := json.Unmarshal(golden, c.out); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.value, c.out); diff != "" {
				t.Errorf("what is written is read differently: %s", diff)
			}
		})
	}
}

// TestIdentityWithoutClock: what is missing is an error, not mainnet's.
func TestIdentityWithoutClock(t *testing.T) {
	good := store.Identity{SlotSeconds: 12, SlotsPerEpoch: 32}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for _, text := range []string{`{}`, `{"SlotSeconds": 12}`, `{"SlotsPerEpoch": 32}`, `{"slot_seconds": 12, "slots_per_epoch": 32}`, `{"SlotSeconds": -1, "SlotsPerEpoch": 32}`, `{"SlotSeconds": 1e300, "SlotsPerEpoch": 32}`} {
		var id store.Identity
		if err := json.Unmarshal([]byte(text), &id); err != nil {
			t.Fatal(err)
		}
		if err := id.Check(); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
}
