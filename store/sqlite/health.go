package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"blockprint"
	"blockprint/store"
)

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.present(); err != nil {
		return err
	}
	if _, err := (reader{s, s.cheap}).Meta(ctx, store.MetaFloor); err != nil {
		return s.wrap("ask", err)
	}
	return s.health.Ping(ctx, s.probe)
}

// probe writes as much as a small batch would, and removes it again.
func (s *Store) probe(ctx context.Context) error {
	for _, query := range []string{
		"INSERT INTO meta (key, value) VALUES ('probe', hex(randomblob(65536))) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		"DELETE FROM meta WHERE key = 'probe'",
	} {
		if err := s.exec(ctx, "try to write to", query); err != nil {
			return err
		}
	}
	return nil
}

// present makes sure that the path still leads to the file that was opened: SQLite itself continues with a deleted file as
// if nothing had happened, and everything that it writes is lost.
func (s *Store) present() error {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return blockprint.Errorf(blockprint.Unavailable, "database %s was deleted while it was open: put it back and start again", s.path)
	case err != nil:
		return blockprint.Errorf(blockprint.Unavailable, "database %s: %w", s.path, err)
	case !os.SameFile(info, s.file):
		return blockprint.Errorf(blockprint.Unavailable, "database %s was replaced by another file while it was open: start again to use that one", s.path)
	}
	return nil
}

// wrap says which database an error is about, in plain words.
func (s *Store) wrap(doing string, err error) error {
	if err != nil && s.closed.Load() {
		return blockprint.Errorf(blockprint.Unavailable, "%s database %s: it is closed", doing, s.path)
	}
	return wrap(doing, s.path, err)
}

func wrap(doing, path string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var coded *blockprint.Error
	if errors.As(err, &coded) {
		return err
	}
	code, words := blockprint.Internal, err.Error()
	var e *sqlite.Error
	switch {
	case errors.As(err, &e):
		code, words = explain(e)
	case errors.Is(err, context.DeadlineExceeded):
		code = blockprint.Unavailable
	}
	return &blockprint.Error{Code: code, Text: fmt.Sprintf("%s database %s: %s", doing, path, words), Cause: err}
}

// explain says in plain words what SQLite's result codes mean (https://www.sqlite.org/rescode.html).
func explain(e *sqlite.Error) (blockprint.Code, string) {
	if e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE {
		return blockprint.Unavailable, "there is no room for the file beside it that ends in -shm: the disk is full"
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return blockprint.Unavailable, "another process has locked it for too long"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return blockprint.Unavailable, "the file, or the directory that it lies in, cannot be written by this user"
	case sqlite3.SQLITE_FULL:
		return blockprint.Unavailable, "the disk is full"
	case sqlite3.SQLITE_IOERR:
		return blockprint.Unavailable, "the disk reported an input/output error"
	case sqlite3.SQLITE_CANTOPEN:
		return blockprint.Unavailable, "the file, or one of those beside it that end in -wal and -shm, cannot be opened or created"
	case sqlite3.SQLITE_INTERRUPT:
		return blockprint.Unavailable, "it took too long and was canceled"
	case sqlite3.SQLITE_NOTADB:
		return blockprint.Invalid, "it is not an SQLite file"
	case sqlite3.SQLITE_CORRUPT:
		return blockprint.Internal, "the file is damaged: `blockprint db check` says where"
	}
	return blockprint.Internal, e.Error()
}
