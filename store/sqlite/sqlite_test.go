package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blockprint"
	"blockprint/store"
	"blockprint/store/sqlite"
	"blockprint/store/storetest"
)

func open(t *testing.T, dir string) store.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "test.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) { storetest.Run(t, open) }

func TestRefusesForeignFiles(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(dir, "original.sqlite")
	execute(t, original, "CREATE TABLE blocks (slot INT, best_guess_single TEXT, pr_lighthouse FLOAT)")
	other := filepath.Join(dir, "other.sqlite")
	execute(t, other, "CREATE TABLE songs (name TEXT)")
	newer := filepath.Join(dir, "newer.db")
	s, err := sqlite.Open(context.Background(), newer, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, newer, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	for _, c := range []struct{ path, want string }{
		{text, "not an SQLite file"},
		{original, "import-db"},
		{other, "another program"},
		{newer, "newer blockprint"},
		{dir, "is a directory"},
	} {
		_, err := sqlite.Open(context.Background(), c.path, store.Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", filepath.Base(c.path), err, c.want)
		}
	}
}

func execute(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkApplyBatch(b *testing.B) {
	s, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "bench.db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	slot := blockprint.Slot(1)
	for b.Loop() {
		var batch store.Batch
		for range 2048 {
			batch.Blocks = append(batch.Blocks, storetest.Block(slot, slot-1, 0, 0, blockprint.Teku))
			slot++
		}
		if _, err := s.Apply(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(slot)/b.Elapsed().Seconds(), "blocks/s")
}
