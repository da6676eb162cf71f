package dataset_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"blockprint/dataset"
	"blockprint/graffiti"
)

// realBlocks returns the raw JSON of the 15 mainnet blocks.
func realBlocks(tb testing.TB) []json.RawMessage {
	tb.Helper()
	f, err := os.Open("../testdata/golden/mainnet-phase0.json.gz")
	if err != nil {
		tb.Fatal(err)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var cases []struct {
		Reward json.RawMessage `json:"block_reward"`
	}
	if err := json.NewDecoder(z).Decode(&cases); err != nil {
		tb.Fatal(err)
	}
	var out []json.RawMessage
	for _, c := range cases {
		out = append(out, c.Reward)
	}
	return out
}

// BenchmarkPrepare makes a feature file, all features of it, of 3,000 files with one of 15 real blocks each, as the
// original's training data is laid out. Processor time is compared with encoding/json reading the same bytes, and,
// under `make bench-original`, with the original reading the same files for its four default features.
func BenchmarkPrepare(b *testing.B) {
	raws := realBlocks(b)
	dir := b.TempDir()
	var paths []string
	const files = 3000
	for i := range files {
		path := filepath.Join(dir, fmt.Sprintf("%04d.json", i))
		if err := os.WriteFile(path, raws[i%len(raws)], 0o600); err != nil {
			b.Fatal(err)
		}
		paths = append(paths, path)
	}
	rules, err := graffiti.Load("", "mainnet")
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	for _, raw := range raws {
		var r struct {
			Rewards struct {
				PerAttestation []map[string]uint64 `json:"per_attestation_rewards"`
			} `json:"attestation_rewards"`
		}
		if err := json.Unmarshal(raw, &r); err != nil {
			b.Fatal(err)
		}
	}
	plain := time.Since(began) / time.Duration(len(raws))
	n := 0
	used := processorTime(b)
	for b.Loop() {
		out := filepath.Join(dir, fmt.Sprintf("%d.features", n))
		report, err := dataset.PrepareFeatures(context.Background(), paths, out, dataset.PrepareOptions{Labels: dataset.Labels{Rules: rules}, Network: "mainnet"})
		if err != nil || report.Blocks != files {
			b.Fatal(report, err)
		}
		n++
	}
	perCore := (processorTime(b) - used) / time.Duration(n*files)
	b.ReportMetric(float64(perCore.Nanoseconds())/1000, "core_us/block")
	b.ReportMetric(float64(plain)/float64(perCore), "x_encoding/json_alone")
	if original, err := strconv.ParseFloat(os.Getenv("ORIGINAL_BLOCK_US"), 64); err == nil {
		b.ReportMetric(original*1000/float64(perCore.Nanoseconds()), "x_original")
	}
}

// processorTime returns what this process has used of all cores.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
