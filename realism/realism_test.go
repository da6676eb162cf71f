package realism_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blockprint"
	"blockprint/beacon"
	"blockprint/graffiti"
	"blockprint/realism"
	"blockprint/sim"
)

var update = flag.Bool("update", false, "measure the built-in shapes of real blocks anew")

// TestMainnet: the built-in shapes are those of the real blocks in testdata, and say what the blocks' makers and
// readers published about them.
func TestMainnet(t *testing.T) {
	var files []string
	for _, fork := range []string{"electra", "fulu"} {
		found, err := filepath.Glob("../testdata/blocks/mainnet-" + fork + "-*")
		if err != nil || len(found) == 0 {
			t.Fatalf("no blocks of %s: %v", fork, err)
		}
		files = append(files, found...)
	}
	list, skipped, err := realism.Read(t.Context(), files, graffiti.Default("mainnet"))
	if err != nil || len(skipped) > 0 {
		t.Fatalf("%v, skipped %v", err, skipped)
	}
	if *update {
		var text bytes.Buffer
		text.WriteString("[")
		for i, s := range list {
			line, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString(map[bool]string{true: "\n", false: ",\n"}[i == 0])
			text.Write(line)
		}
		text.WriteString("\n]\n")
		if err := os.WriteFile("mainnet.json", text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	built, _ := json.Marshal(realism.Mainnet())
	now, _ := json.Marshal(list)
	if !*update && !bytes.Equal(built, now) {
		t.Error("mainnet.json is not what the blocks give: run `go test ./realism -update`")
	}
	at := func(slot blockprint.Slot) *realism.Shape {
		i := slices.IndexFunc(list, func(s *realism.Shape) bool { return s.Slot == slot })
		if i < 0 {
			t.Fatalf("no block of slot %d", slot)
		}
		return list[i]
	}
	for slot, want := range map[blockprint.Slot]int{11650102: 8, 11900001: 6, 11678488: 1, 13204365: 8} {
		if got := at(slot).Attestations; got != want {
			t.Errorf("slot %d has %d attestations, not %d", slot, got, want)
		}
	}
	// Late committees that the first attestation of their slot holds already bring one to three new votes.
	for _, slot := range []blockprint.Slot{11649976, 11649977, 11650253} {
		s := at(slot)
		for i, half := range s.Half {
			if half && s.New[i] > 3 {
				t.Errorf("slot %d: %d of %d votes of a late committee are new", slot, s.New[i], s.Voters[i])
			}
		}
	}
	if c := at(11900001).Client; c != blockprint.Teku {
		t.Errorf("slot 11900001 is called %q", c)
	}
}

// block makes a block whose attestations have committees as the specification sizes them.
func block(l realism.Layout, active uint64, perSlot uint64, rng *rand.Rand) *beacon.Block {
	b := &beacon.Block{Fork: blockprint.Electra, Slot: 1000}
	for i := range 1 + rng.IntN(8) {
		a := beacon.Attestation{Data: blockprint.AttestationData{Slot: b.Slot - 1 - blockprint.Slot(i/2)}}
		a.Data.Target.Epoch = blockprint.Epoch(uint64(a.Data.Slot) / l.SlotsPerEpoch)
		for c := range perSlot {
			if i > 0 && rng.IntN(4) == 0 {
				continue
			}
			place, parts := uint64(a.Data.Slot)%l.SlotsPerEpoch*perSlot+c, l.SlotsPerEpoch*perSlot
			a.Committees = append(a.Committees, c)
			a.NumBits += int(active*(place+1)/parts - active*place/parts)
		}
		if len(a.Committees) == 0 {
			continue
		}
		a.Bits = make([]byte, a.NumBits/8+1)
		for n := range a.NumBits {
			if rng.IntN(10) > 0 {
				a.Bits[n/8] |= 1 << (n % 8)
			}
		}
		b.Attestations = append(b.Attestations, a)
	}
	return b
}

// TestInfer: the committees of networks of any size follow from the lengths of the bit lists.
func TestInfer(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, l := range []realism.Layout{{SlotsPerEpoch: 32, TargetCommitteeSize: 128}, {SlotsPerEpoch: 8, TargetCommitteeSize: 4}} {
		for range 60 {
			active := 64 + rng.Uint64N(uint64(1)<<(8+rng.IntN(12)))
			perSlot := max(1, min(64, active/l.SlotsPerEpoch/l.TargetCommitteeSize))
			b := block(l, active, perSlot, rng)
			s, err := realism.ShapeOf(b, l)
			if err != nil {
				t.Fatalf("%d validators, %d committees: %v", active, perSlot, err)
			}
			if !s.FirstWhole || s.Attestations != len(b.Attestations) || s.Absent > 0.5 {
				t.Errorf("%d validators: %+v", active, s)
			}
			b.Attestations[0].NumBits += 3 * int(perSlot)
			b.Attestations = append(b.Attestations, b.Attestations[0])
			b.Attestations[0].NumBits -= 3 * int(perSlot)
			if _, err := realism.ShapeOf(b, l); blockprint.CodeOf(err) != blockprint.Invalid {
				t.Errorf("two lengths of the same committees: %v", err)
			}
		}
	}
}

// TestSimulate: a world's blocks have shapes, and compared with themselves nothing differs.
func TestSimulate(t *testing.T) {
	c := sim.DefaultConfig(4)
	c.ElectraEpoch = 0
	list, err := realism.Simulate(t.Context(), c, 48)
	if err != nil || len(list) < 30 {
		t.Fatalf("%d blocks: %v", len(list), err)
	}
	labeled := realism.Clients(list)
	if len(labeled) < 4 {
		t.Errorf("clients %v", labeled)
	}
	all := realism.CompareAll(list, list, true)
	if len(all) != 1+len(labeled) {
		t.Errorf("%d tables for %d clients", len(all), len(labeled))
	}
	for _, same := range all {
		if out := same.Outside(); len(out) > 0 {
			t.Errorf("%q differs from itself in %v", same.Client, out)
		}
	}
	var text strings.Builder
	other := realism.Compare("", realism.Mainnet(), list)
	if err := other.Write(&text); err != nil || len(other.Outside()) < 5 || !strings.Contains(text.String(), "differs") {
		t.Errorf("small committees look like mainnet's: %v\n%s", err, text.String())
	}
}

// TestRefuses: what is no block of Electra is skipped with a reason, and it is an error if nothing remains.
func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rules := graffiti.Default("mainnet")
	if _, _, err := realism.Read(t.Context(), []string{dir}, rules); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("an empty folder: %v", err)
	}
	if _, _, err := realism.Read(t.Context(), []string{filepath.Join(dir, "none")}, rules); blockprint.CodeOf(err) != blockprint.NotFound {
		t.Errorf("a missing file: %v", err)
	}
	write("notes.txt", "not a block")
	write("half.json", `{"data":{"message":{"slot":"12"`)
	deneb := "../testdata/blocks/mainnet-deneb-11378687-KilnTK.ssz.gz"
	if _, _, err := realism.Read(t.Context(), []string{dir, deneb}, rules); blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), "the first of 3 files") {
		t.Errorf("no block of Electra: %v", err)
	}
	list, skipped, err := realism.Read(t.Context(), []string{dir, deneb, "../testdata/blocks/mainnet-electra-11650102.json.gz"}, rules)
	if err != nil || len(list) != 1 || len(skipped) != 3 {
		t.Errorf("%d blocks, skipped %v: %v", len(list), skipped, err)
	}
}
