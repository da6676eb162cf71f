package dataset_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"blockprint"
	"blockprint/dataset"
	"blockprint/dataset/featurefile"
)

// TestBalance: directories and feature files, from the real blocks.
func TestBalance(t *testing.T) {
	dir := t.TempDir()
	raws := realBlocks(t)
	for i, raw := range raws {
		client := "Prysm"
		if i%5 == 0 {
			client = "Teku"
		}
		path := filepath.Join(dir, "in", client, string(rune('a'+i))+".json")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := filepath.Join(dir, "in")
	paths, err := filepath.Glob(filepath.Join(in, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	features := filepath.Join(dir, "in.features")
	if _, err := dataset.PrepareFeatures(t.Context(), paths, features, dataset.PrepareOptions{Labels: dataset.Labels{Directory: true}}); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{in, features} {
		out := filepath.Join(dir, "out-"+filepath.Base(from))
		report, err := dataset.Balance(t.Context(), from, out, dataset.BalanceOptions{MaxImbalance: 2, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		if report.Before["Prysm"] != 12 || report.After["Prysm"] != 6 || report.After["Teku"] != 3 {
			t.Errorf("%s: %+v", from, report)
		}
		set, bad, err := dataset.Read(context.Background(), out, []string{"reward"})
		if err != nil || len(bad) > 0 || set.Counts()["Prysm"] != 6 || set.Counts()["Teku"] != 3 {
			t.Errorf("%s: read %v, %v, %v", from, set, bad, err)
		}
		if _, err := dataset.Balance(t.Context(), from, out, dataset.BalanceOptions{MaxImbalance: 2}); blockprint.CodeOf(err) != blockprint.Conflict {
			t.Errorf("%s: a second time: %v", from, err)
		}
	}
	if _, err := dataset.Balance(t.Context(), in, filepath.Join(dir, "x"), dataset.BalanceOptions{MaxImbalance: 0.5}); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("half: %v", err)
	}
}

// TestReadAgrees: a directory and the feature file of the same blocks are the same set.
func TestReadAgrees(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for i, raw := range realBlocks(t) {
		path := filepath.Join(dir, "in", "Prysm", string(rune('a'+i))+".json")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	broken := filepath.Join(dir, "in", "Prysm", "z.json")
	if err := os.WriteFile(broken, []byte(`[{"block_root": "0x`), 0o600); err != nil {
		t.Fatal(err)
	}
	paths = append(paths, broken)
	out := filepath.Join(dir, "x.features")
	report, err := dataset.PrepareFeatures(t.Context(), paths, out, dataset.PrepareOptions{Labels: dataset.Labels{Directory: true}})
	if err != nil || len(report.Bad) != 1 || report.Bad[0].Path != broken || report.Blocks != 15 {
		t.Fatalf("%+v, %v", report, err)
	}
	fromDir, bad, err := dataset.Read(t.Context(), filepath.Join(dir, "in"), nil)
	if err != nil || len(bad) != 1 {
		t.Fatal(bad, err)
	}
	fromFile, _, err := dataset.Read(t.Context(), out, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fromDir.Features, fromFile.Features) || !slices.Equal(fromDir.Roots, fromFile.Roots) || !slices.Equal(fromDir.Labels, fromFile.Labels) || !slices.Equal(fromDir.Slots, fromFile.Slots) {
		t.Error("the sets differ")
	}
	if !slices.EqualFunc(fromDir.Rows, fromFile.Rows, func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }) {
		t.Error("the values differ")
	}
	// A second run has nothing to read but the broken file.
	report, err = dataset.PrepareFeatures(t.Context(), paths, out, dataset.PrepareOptions{Labels: dataset.Labels{Directory: true}})
	if err != nil || report.Skipped != 15 || len(report.Bad) != 1 || report.InFile["Prysm"] != 15 {
		t.Errorf("%+v, %v", report, err)
	}
	// Strictness makes it the end.
	if _, err = dataset.PrepareFeatures(t.Context(), paths, out, dataset.PrepareOptions{Labels: dataset.Labels{Directory: true}, Strict: true}); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("strict: %v", err)
	}
}

// TestGroups: each simulated network of a file is a group, and so is each of several files; a file of a real network has
// no groups.
func TestGroups(t *testing.T) {
	dir := t.TempDir()
	write := func(network string, sources ...int) string {
		path := filepath.Join(dir, network+".features")
		w, err := featurefile.Resume(path, featurefile.NewHeader("test", network, "test", []string{"reward"}))
		if err != nil {
			t.Fatal(err)
		}
		for s, blocks := range sources {
			w.Begin()
			rows := featurefile.NewRows(1)
			for i := range blocks {
				rows.Add(blockprint.Slot(i), 1, blockprint.Root{}, 0, []float64{1})
			}
			if err := w.Append(rows); err != nil {
				t.Fatal(err)
			}
			w.End(featurefile.Source{Path: string(rune('a' + s)), Blocks: blocks, Labelled: blocks})
		}
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	simulated, mainnet := write(featurefile.Simulated, 2, 0, 3), write("mainnet", 1, 1)
	for _, c := range []struct {
		paths []string
		want  []int
	}{
		{[]string{simulated}, []int{0, 0, 2, 2, 2}},
		{[]string{mainnet}, nil},
		{[]string{mainnet, simulated, mainnet}, []int{0, 0, 1, 1, 3, 3, 3, 4, 4}},
	} {
		set, _, err := dataset.ReadAll(t.Context(), c.paths, nil)
		if err != nil || !slices.Equal(set.Groups, c.want) {
			t.Errorf("%v: groups %v, want %v (%v)", c.paths, set.Groups, c.want, err)
		}
	}
}
