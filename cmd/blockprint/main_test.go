package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"blockprint/file"
)

// buildProgram builds the real program.
func buildProgram(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blockprint")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// goldenKNN is testdata/golden/knn.json.gz.
type goldenKNN struct {
	Training map[string][]json.RawMessage `json:"training"`
	Queries  []struct {
		Reward        json.RawMessage    `json:"block_reward"`
		Single        string             `json:"best_guess_single"`
		Multi         string             `json:"best_guess_multi"`
		Probabilities map[string]float64 `json:"probability_map"`
	} `json:"queries"`
}

func readGolden(t testing.TB, name string, into any) {
	t.Helper()
	text, err := file.ReadAll(filepath.Join("..", "..", "testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// writeTraining lays golden blocks out as a prepared directory.
func writeTraining(t testing.TB, g goldenKNN, dir string) {
	t.Helper()
	for client, blocks := range g.Training {
		folder := filepath.Join(dir, client)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks {
			var head struct {
				Root string `json:"block_root"`
			}
			if err := json.Unmarshal(b, &head); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(folder, head.Root+".json"), b)
		}
	}
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// goldenModels trains models on the golden set by the real program: on the directory, and on a feature file of it.
func goldenModels(t testing.TB, program string) []string {
	t.Helper()
	var g goldenKNN
	readGolden(t, "knn.json.gz", &g)
	dir := t.TempDir()
	training, features := filepath.Join(dir, "training"), filepath.Join(dir, "golden.features")
	writeTraining(t, g, training)
	var models []string
	for i, args := range [][]string{{"prepare", training, "-o", features, "--labels", "directory"}, {"train", "--type", "knn", "--graffiti-only", "Lodestar", training}, {"train", "--type", "knn", "--graffiti-only", "Lodestar", features}} {
		if i > 0 {
			models = append(models, filepath.Join(dir, fmt.Sprintf("%d.model", i)))
			args = append(args, "-o", models[i-1])
		}
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return models
}

// TestGoldenKNN: the original's training set and queries through the real program give the original's labels and
// probabilities.
func TestGoldenKNN(t *testing.T) {
	program := buildProgram(t)
	for _, model := range goldenModels(t, program) {
		testGoldenQueries(t, program, model)
	}
}

func testGoldenQueries(t *testing.T, program, model string) {
	t.Helper()
	var g goldenKNN
	readGolden(t, "knn.json.gz", &g)
	var rewards []json.RawMessage
	for _, q := range g.Queries {
		rewards = append(rewards, q.Reward)
	}
	list, err := json.Marshal(rewards)
	if err != nil {
		t.Fatal(err)
	}
	queries := filepath.Join(t.TempDir(), "queries.json")
	writeFile(t, queries, list)
	out, err := exec.Command(program, "classify", "--model", model, "--json", queries).Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	for i, q := range g.Queries {
		var got struct {
			Single        string             `json:"best_guess_single"`
			Multi         string             `json:"best_guess_multi"`
			Probabilities map[string]float64 `json:"probability_map"`
		}
		if err := dec.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got.Single != q.Single || got.Multi != q.Multi || len(got.Probabilities) != len(q.Probabilities) {
			t.Errorf("query %d: %+v, want %s, %s", i, got, q.Single, q.Multi)
		}
		for c, p := range q.Probabilities {
			if math.Abs(got.Probabilities[c]-p) > 1e-9 {
				t.Errorf("query %d: probability of %s is %v, want %v", i, c, got.Probabilities[c], p)
			}
		}
	}
	if len(g.Queries) < 30 {
		t.Errorf("only %d queries", len(g.Queries))
	}
}
