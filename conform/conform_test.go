package conform

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"blockprint"
	"blockprint/recording"
)

// run replays a recording of testdata. These are the beginnings of longer recordings, with other numbers for the validators and
// without what the replay does not need.
func run(t *testing.T, name, variant string) *Report {
	t.Helper()
	r, err := recording.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	report, err := Run(context.Background(), r, variant)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestRecordings holds the packers against what their clients' own code packed.
func TestRecordings(t *testing.T) {
	for _, c := range []struct {
		name, variant string
		blocks        int
	}{
		{"prysm.jsonl.gz", "prysm/2024", 5},
		{"prysm.jsonl.gz", "prysm/marginal", 5},
		{"lodestar.jsonl.gz", "lodestar/electra-weight", 16},
	} {
		report := run(t, c.name, "")
		found := false
		for _, row := range report.Rows {
			if row.Variant != c.variant {
				continue
			}
			found = true
			if row.UpToTies < 0.98 || row.Blocks != c.blocks {
				t.Errorf("%s, %s: %+v, first %+v; want %d blocks, 98 %% the same up to ties", c.name, c.variant, row, row.First, c.blocks)
			}
		}
		if !found {
			t.Errorf("%s: no row of %s in %+v", c.name, c.variant, report.Rows)
		}
	}
}

// TestOtherVariant: a packer of another client does not make a client's blocks, and the report says where they differ.
func TestOtherVariant(t *testing.T) {
	report := run(t, "lodestar.jsonl.gz", "nimbus/2026")
	row := report.Rows[0]
	if len(report.Rows) != 1 || row.Client != blockprint.Lodestar || row.Variant != "nimbus/2026" || row.UpToTies > 0.5 || row.First == nil {
		t.Fatalf("%+v", report)
	}
	if row.First.Node != "lodestar" || !strings.Contains(row.First.Words, "the client has") || row.Same+row.Ties+row.Attestations+row.Committees+row.Different != row.Blocks {
		t.Errorf("%+v, first %+v", row, row.First)
	}
}

// rewritten is a recording of testdata with one text in place of another, everywhere.
func rewritten(t *testing.T, name, from, to string) *recording.Reader {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(from)) {
		t.Fatalf("%s has no %s", name, from)
	}
	r, err := recording.NewReader(name, bytes.NewReader(bytes.ReplaceAll(text, []byte(from), []byte(to))))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBadRecordings: what cannot be replayed is refused, and what cannot be compared is counted.
func TestBadRecordings(t *testing.T) {
	for name, c := range map[string]struct{ old, new, variant, want string }{
		"unknown variant": {`"seed"`, `"seed"`, "lodestar/1999", "unknown client variant"},
		"unknown client":  {`"client":"Lodestar","version":"1.44.0","variant":"lodestar/electra-weight"`, `"client":"Caplin"`, "", "no packer models Caplin"},
	} {
		_, err := Run(context.Background(), rewritten(t, "lodestar.jsonl.gz", c.old, c.new), c.variant)
		if c.want == "" && err != nil || c.want != "" && (blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	// Without the variant, the client's newest packer is taken; without all votes, nothing is known of the pool.
	report, err := Run(context.Background(), rewritten(t, "lodestar.jsonl.gz", `"variant":"lodestar/electra-weight","fed_all":true`, `"fed_all":false`), "")
	if err != nil || len(report.Rows) != 1 || report.Rows[0].Variant != "lodestar/electra-weight" || report.Rows[0].Unknown != 16 || report.Rows[0].Blocks != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	// A pool that was read seconds after the block was asked for is another pool.
	report, err = Run(context.Background(), rewritten(t, "prysm.jsonl.gz", `"type":"pool",`, `"t":2,"type":"pool",`), "")
	if err != nil || report.Rows[0].Slow != 5 || report.Rows[0].Blocks != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, rewritten(t, "lodestar.jsonl.gz", `"seed"`, `"seed"`), ""); err == nil {
		t.Error("a canceled replay ends without an error")
	}
}
