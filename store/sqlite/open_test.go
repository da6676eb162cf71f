package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blockprint"
	"blockprint/store"
	"blockprint/store/storetest"
)

func fresh(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// chainOf is a batch of blocks of slots first to last, each the child of the one before.
func chainOf(first, last blockprint.Slot) (b store.Batch) {
	for slot := first; slot <= last; slot++ {
		b.Blocks = append(b.Blocks, storetest.Block(slot, slot-1, 0, 0, blockprint.Teku))
	}
	return b
}

func must(t *testing.T, s *Store, b store.Batch) {
	t.Helper()
	if _, err := s.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func mustExec(t *testing.T, s *Store, query string, args ...any) {
	t.Helper()
	if _, err := s.write.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// TestLostFile: a database that is deleted or replaced while it is open takes no more writes, and is not ready.
func TestLostFile(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"deleted": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			must(t, s, chainOf(1, 3))
			if err := s.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := lose(s.path); err != nil {
				t.Fatal(err)
			}
			_, err := s.Apply(t.Context(), chainOf(4, 5))
			for _, err := range []error{err, s.Ping(t.Context())} {
				if blockprint.CodeOf(err) != blockprint.Unavailable || !strings.Contains(err.Error(), name) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// TestFullDisk: on a full disk nothing is half written, the error says so in words, and the store is not ready until there is
// room again.
func TestFullDisk(t *testing.T) {
	s := fresh(t)
	must(t, s, chainOf(1, 10))
	var pages int
	if err := s.write.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	var before store.Status
	limit := func(n int) {
		t.Helper()
		var got int
		if err := s.write.QueryRowContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", n)).Scan(&got); err != nil || got != n {
			t.Fatal(got, err)
		}
	}
	limit(pages + 1)
	next := blockprint.Slot(11)
	var failure error
	for ; failure == nil; next += 100 {
		var err error
		if before, err = s.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, failure = s.Apply(t.Context(), chainOf(next, next+99))
	}
	if blockprint.CodeOf(failure) != blockprint.Unavailable || !strings.Contains(failure.Error(), "the disk is full") || strings.ContainsAny(failure.Error(), "()") {
		t.Errorf("%v", failure)
	}
	if after, err := s.Status(t.Context()); err != nil || after != before {
		t.Errorf("before %+v, after %+v (%v)", before, after, err)
	}
	sound(t, s)
	for range 2 { // the second time no write is tried
		if err := s.Ping(t.Context()); blockprint.CodeOf(err) != blockprint.Unavailable {
			t.Errorf("ready on a full disk: %v", err)
		}
	}
	limit(1 << 20)
	must(t, s, chainOf(next-100, next-1))
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("not ready after a write succeeded: %v", err)
	}
	sound(t, s)
}

// TestProbe: a database to which nobody writes any more becomes ready again by itself.
func TestProbe(t *testing.T) {
	s := fresh(t)
	s.health.Note(errors.New("as a write that failed leaves it"))
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	var left int
	if err := s.read.QueryRowContext(t.Context(), "SELECT count(*) FROM meta").Scan(&left); err != nil || left != 0 {
		t.Errorf("the probe left %d rows (%v)", left, err)
	}
}

// TestForeignFileIsLeftAlone: another program's database stays as it is, byte by byte, and nothing is made beside it.
func TestForeignFileIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "songs.db")
	db, err := connect(path, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE songs (name TEXT)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, store.Options{}); blockprint.CodeOf(err) != blockprint.Conflict {
		t.Errorf("%v", err)
	}
	after, err := os.ReadFile(path)
	files, listErr := os.ReadDir(dir)
	if err := errors.Join(err, listErr); err != nil || !bytes.Equal(before, after) || len(files) != 1 {
		t.Errorf("changed: %v, %d files, %v", !bytes.Equal(before, after), len(files), err)
	}
}

// TestOpen: what must be there is not made, and what is only read is not changed.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.db")
	for _, o := range []store.Options{{Existing: true}, {ReadOnly: true}, {Immutable: true}} {
		if _, err := Open(t.Context(), missing, o); blockprint.CodeOf(err) != blockprint.NotFound {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "nowhere", "x.db"), store.Options{}); blockprint.CodeOf(err) != blockprint.NotFound || !strings.Contains(err.Error(), "no directory") {
		t.Errorf("%v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%d files were made (%v)", len(files), err)
	}
	path := filepath.Join(dir, "test.db")
	s, err := Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	must(t, s, chainOf(1, 3))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, o := range []store.Options{{ReadOnly: true}, {Immutable: true}} {
		s, err := Open(t.Context(), path, o)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.CountByClient(t.Context(), 0, 1); err != nil || n[blockprint.Teku] != 3 {
			t.Errorf("%+v: %v (%v)", o, n, err)
		}
		if _, err := s.Apply(t.Context(), chainOf(4, 5)); blockprint.CodeOf(err) != blockprint.Unavailable || !strings.Contains(err.Error(), "reading only") {
			t.Errorf("%+v: %v", o, err)
		}
		if err := errors.Join(s.Ping(t.Context()), s.Close()); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
