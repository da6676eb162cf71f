// Package sqlite is the store for one machine: a single file, no server.
//
// Open creates or opens the file and brings its schema up to date. Writes go through one connection, reads through
// a pool, in write-ahead logging, so that readers never wait for writers. A transaction is on the disk when it is
// acknowledged (synchronous = FULL).
//
// These laws hold for every method:
//
//   - Whatever a writer claims passes store.Gate before it is stored; the clock is that of the database's network.
//   - A reader holds no connection while its caller works: iterators read a page of rows, give the connection back, and
//     only then hand out what they have read. So neither a slow caller nor one that makes another query can block the
//     others, and no old snapshot keeps the write-ahead log from being reused.
//   - Quick queries (Ping, status, gaps, sums, names) have connections that long queries cannot take.
//   - No query is made while a mutex is held.
//   - A row that cannot be read is left out and counted; it never ends a reader.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"blockprint"
	"blockprint/store"
)

// Store is a store.Store in a file.
type Store struct {
	path string
	file fs.FileInfo // of the file as it was opened
	now  func() time.Time

	write *sql.DB // one connection; nil if the file was opened for reading only
	read  *sql.DB
	// cheap is for short queries whose rows are all read at once, so that its connections are given back at once.
	cheap *sql.DB

	names       store.Names
	featureSets sync.Map // number -> []string
	health      store.Health
	skipped     store.Skipped
	closed      atomic.Bool
}

var _ store.Store = (*Store)(nil)

// Close implements store.Store.
func (s *Store) Close() error {
	s.closed.Store(true)
	var errs []error
	for _, db := range []*sql.DB{s.read, s.cheap, s.write} { // the writer last: it tidies up the write-ahead log
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// inTransaction runs f in a write transaction.
func (s *Store) inTransaction(ctx context.Context, doing string, f func(tx *transaction) error) (err error) {
	if s.write == nil {
		return blockprint.Errorf(blockprint.Unavailable, "%s database %s: it was opened for reading only", doing, s.path)
	}
	defer func() { s.health.Note(err) }()
	if err := s.present(); err != nil {
		return err
	}
	plain, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.wrap(doing, err)
	}
	tx := s.transaction(plain)
	if err := f(tx); err != nil {
		return errors.Join(s.wrap(doing, err), s.wrap(doing, ignoreDone(tx.Rollback())))
	}
	if err := tx.Commit(); err != nil {
		return s.wrap(doing, err)
	}
	for key, id := range tx.made {
		s.names.Add(key.table, key.name, id)
	}
	return nil
}

// exec runs a statement in a write transaction of its own.
func (s *Store) exec(ctx context.Context, doing, statement string, args ...any) error {
	return s.inTransaction(ctx, doing, func(tx *transaction) error { return tx.exec(ctx, statement, args...) })
}

func (s *Store) transaction(tx *sql.Tx) *transaction {
	return &transaction{Tx: tx, reader: reader{s, tx}, made: map[nameKey]int64{}}
}

// ignoreDone drops the error of a rollback that came too late: a context that ended, or SQLite itself (on a full disk, for
// instance), has rolled the transaction back already.
func ignoreDone(err error) error {
	var e *sqlite.Error
	if errors.Is(err, sql.ErrTxDone) || errors.As(err, &e) && e.Code() == sqlite3.SQLITE_ERROR {
		return nil
	}
	return err
}

// Apply implements store.Store.
func (s *Store) Apply(ctx context.Context, b store.Batch) (result store.Result, err error) {
	err = s.inTransaction(ctx, "write to", func(tx *transaction) error {
		result, err = store.Apply(ctx, tx, s.now(), b)
		return err
	})
	return result, err
}

// Relabel implements store.Store.
func (s *Store) Relabel(ctx context.Context, labels []store.Label) (changed int, err error) {
	err = s.inTransaction(ctx, "write to", func(tx *transaction) error {
		changed, err = store.Relabel(ctx, tx, s.now(), labels)
		return err
	})
	return changed, err
}

// Identify implements store.Store.
func (s *Store) Identify(ctx context.Context, id store.Identity) error {
	return s.inTransaction(ctx, "identify", func(tx *transaction) error { return store.Identify(ctx, tx, id) })
}

// SetFloor implements store.Store.
func (s *Store) SetFloor(ctx context.Context, floor blockprint.Slot) error {
	return s.inTransaction(ctx, "set the floor of", func(tx *transaction) error { return store.SetFloor(ctx, tx, s.now(), floor) })
}
