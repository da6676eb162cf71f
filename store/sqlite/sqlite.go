// Package sqlite is the store for one machine: a single file, no server.
//
// Open creates or opens the file and brings its schema up to date. Writes go through one connection, reads through
// a pool, in write-ahead logging, so that readers never wait. A transaction is on the disk when it is acknowledged
// (synchronous = FULL).
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"sync"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite" // also registers the driver

	"blockprint"
	"blockprint/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks our databases ("BPDB"), so that another program's file is not written to.
const applicationID = 0x42504442

// Store is a store.Store in a file.
type Store struct {
	path        string
	write, read *sql.DB

	mu    sync.Mutex
	names names
}

var _ store.Store = (*Store)(nil)

// Open opens the database at path, which is made if it does not exist.
func Open(ctx context.Context, path string) (*Store, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, blockprint.Errorf(blockprint.Invalid, "database %s is a directory", path)
	}
	s := &Store{path: path}
	var err error
	if s.write, err = open(path, "_txlock=immediate"); err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	if s.read, err = open(path, "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	s.read.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	s.names = newNames()
	return s, nil
}

// OpenExisting is Open for a file that must be there already.
func OpenExisting(ctx context.Context, path string) (*Store, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, blockprint.Errorf(blockprint.NotFound, "database %s does not exist: `blockprint follow`, `build-db` or `import-db` make one", path)
	}
	return Open(ctx, path)
}

func open(path, options string) (*sql.DB, error) {
	const pragmas = "_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=foreign_keys(1)&_pragma=cache_size(-65536)"
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+pragmas+"&"+options)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return db, nil
}

// migrate refuses files of other programs and of newer versions, and brings older ones up to date.
func (s *Store) migrate(ctx context.Context) error {
	var id, tables int
	err := s.write.QueryRowContext(ctx, "SELECT (SELECT application_id FROM pragma_application_id), count(*) FROM sqlite_master WHERE type = 'table'").Scan(&id, &tables)
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == 26 { // SQLITE_NOTADB
		return blockprint.Errorf(blockprint.Invalid, "database %s is not an SQLite file", s.path)
	}
	if err != nil {
		return s.wrap("open", err)
	}
	switch {
	case tables > 0 && id != applicationID && s.isOriginal(ctx):
		return blockprint.Errorf(blockprint.Conflict, "database %s is of the original blockprint: read it into a new one with `blockprint import-db %s --db NEW`", s.path, s.path)
	case tables > 0 && id != applicationID:
		return blockprint.Errorf(blockprint.Conflict, "database %s belongs to another program", s.path)
	case tables == 0:
		if _, err := s.write.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return s.wrap("mark", err)
		}
	}
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.write, sub)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return s.wrap("read the version of", err)
	}
	if version > newest {
		return blockprint.Errorf(blockprint.Conflict, "database %s has schema version %d, this program knows up to %d: use a newer blockprint", s.path, version, newest)
	}
	if _, err := p.Up(ctx); err != nil {
		return s.wrap("migrate", err)
	}
	return nil
}

func (s *Store) isOriginal(ctx context.Context) bool {
	var n int
	err := s.write.QueryRowContext(ctx, "SELECT count(*) FROM pragma_table_info('blocks') WHERE name IN ('best_guess_single', 'pr_lighthouse')").Scan(&n)
	return err == nil && n == 2
}

// wrap says which database an error is about.
func (s *Store) wrap(doing string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var coded *blockprint.Error
	if errors.As(err, &coded) {
		return err
	}
	code := blockprint.Internal
	var e *sqlite.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case 5, 6, 10, 13, 14: // busy, locked, I/O error, disk full, cannot open
			code = blockprint.Unavailable
		}
	}
	return blockprint.Errorf(code, "%s database %s: %w", doing, s.path, err)
}

// Ping implements store.Store.
func (s *Store) Ping(ctx context.Context) error {
	return s.wrap("ping", s.read.PingContext(ctx))
}

// Close implements store.Store.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// queryer is a database or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// inTransaction runs f in a write transaction.
func (s *Store) inTransaction(ctx context.Context, doing string, f func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.wrap(doing, err)
	}
	if err := f(tx); err != nil {
		s.forgetNames() // those that the transaction made are gone
		return errors.Join(s.wrap(doing, err), ignoreDone(tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		s.forgetNames()
		return s.wrap(doing, err)
	}
	return nil
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}
