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
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"modernc.org/sqlite" // also registers the driver
	sqlite3 "modernc.org/sqlite/lib"

	"blockprint"
	"blockprint/file"
	"blockprint/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks our databases ("BPDB"), so that another program's file is not written to.
const applicationID = 0x42504442

func init() {
	store.Register("sqlite", func(ctx context.Context, address string, o store.Options) (store.Store, error) {
		s, err := Open(ctx, address, o)
		if err != nil {
			return nil, err // not a nil *Store in an interface
		}
		return s, nil
	})
}

// Open opens the database at path. A file of another program is refused and left as it is.
func Open(ctx context.Context, path string, o store.Options) (_ *Store, err error) {
	o.ReadOnly = o.ReadOnly || o.Immutable
	s := &Store{path: path, now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := look(ctx, path, o); err != nil {
		return nil, err
	}
	mode := "mode=ro"
	if o.Immutable {
		mode += "&immutable=1"
	}
	if !o.ReadOnly {
		mode = "_pragma=query_only(1)"
		if err := s.openWriter(ctx); err != nil {
			return nil, err
		}
	}
	if s.read, err = connect(path, mode+"&_pragma=cache_size(-65536)", max(4, runtime.GOMAXPROCS(0))); err != nil {
		return nil, err
	}
	if s.cheap, err = connect(path, mode, 4); err != nil {
		return nil, err
	}
	if o.ReadOnly {
		if err := s.checkVersion(ctx); err != nil {
			return nil, err
		}
	}
	for table := range nameTables {
		if err := s.loadNames(ctx, table); err != nil {
			return nil, s.wrap("open", err)
		}
	}
	if _, _, err := s.Identity(ctx); err != nil {
		return nil, err
	}
	s.file, err = os.Stat(path)
	return s, s.wrap("open", err)
}

// connect makes a pool of connections.
func connect(path, options string, most int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?_pragma=busy_timeout(10000)&"+options)
	if err != nil {
		return nil, wrap("open", path, err)
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db, nil
}

// look refuses what is not our database, without changing it: opening a file for writing would turn on write-ahead
// logging in it.
func look(ctx context.Context, path string, o store.Options) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && (o.Existing || o.ReadOnly):
		return blockprint.Errorf(blockprint.NotFound, "database %s does not exist: `blockprint follow`, `build-db` or `import-db` create one", path)
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return blockprint.Errorf(blockprint.NotFound, "database %s cannot be created: there is no directory %s", path, filepath.Dir(path))
		}
		if err := file.Access(filepath.Dir(path), true); err != nil {
			return blockprint.Errorf(blockprint.Unavailable, "database %s cannot be created: the directory %s cannot be written: %w", path, filepath.Dir(path), errors.Unwrap(err))
		}
		return nil
	case err != nil:
		return blockprint.Errorf(blockprint.Unavailable, "open database %s: %w", path, err)
	case info.IsDir():
		return blockprint.Errorf(blockprint.Invalid, "database %s is a directory", path)
	case !info.Mode().IsRegular():
		return blockprint.Errorf(blockprint.Invalid, "database %s is not a file", path)
	}
	if err := access(path, !o.ReadOnly); err != nil {
		return err
	}
	if info.Size() == 0 { // another process is creating it, or the user did
		return nil
	}
	return refuseForeign(ctx, path, o)
}

// access explains what the system would refuse. A database needs files beside it, so its directory must be writable, too.
func access(path string, write bool) error {
	err := file.Access(path, write)
	if err == nil && write {
		err = file.Access(filepath.Dir(path), true)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EROFS):
		return blockprint.Errorf(blockprint.Unavailable, "database %s lies on a read-only disk", path)
	case write:
		return blockprint.Errorf(blockprint.Unavailable, "database %s, or the directory that it lies in, cannot be written by this user: %w", path, errors.Unwrap(err))
	}
	return blockprint.Errorf(blockprint.Unavailable, "database %s cannot be read by this user: %w", path, errors.Unwrap(err))
}

// refuseForeign opens an existing file for reading and refuses another program's.
func refuseForeign(ctx context.Context, path string, o store.Options) (err error) {
	mode := "mode=ro"
	if o.Immutable {
		mode += "&immutable=1"
	}
	db, err := connect(path, mode, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var id, tables, original int
	err = db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id), count(*),
		(SELECT count(*) FROM pragma_table_info('blocks') WHERE name IN ('best_guess_single', 'pr_lighthouse'))
		FROM sqlite_master WHERE type = 'table'`).Scan(&id, &tables, &original)
	var e *sqlite.Error
	switch {
	case errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_NOTADB:
		return blockprint.Errorf(blockprint.Invalid, "database %s is not an SQLite file", path)
	case errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_CANTOPEN || e.Code()&0xff == sqlite3.SQLITE_READONLY) && !o.Immutable:
		return &blockprint.Error{Code: blockprint.Unavailable, Cause: err, Text: fmt.Sprintf(
			"database %s cannot be opened for reading: the files beside it that end in -wal and -shm cannot be opened or created. If nothing writes to it, `blockprint serve --immutable` serves it as it is; or copy it to where it can be written", path)}
	case err != nil:
		return wrap("open", path, err)
	case tables > 0 && id != applicationID && original == 2:
		return blockprint.Errorf(blockprint.Conflict, "database %s belongs to the original blockprint: import it into a new one with `blockprint import-db %s --db NEW`", path, path)
	case tables > 0 && id != applicationID:
		return blockprint.Errorf(blockprint.Conflict, "database %s belongs to another program", path)
	}
	return nil
}

// openWriter opens the connection for writing and brings the schema up to date. Processes that open a new database at
// the same time wait for each other: the first one's transaction migrates, and the others find nothing to do.
func (s *Store) openWriter(ctx context.Context) (err error) {
	s.write, err = connect(s.path, "_txlock=immediate&_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=foreign_keys(1)&_pragma=cache_size(-65536)", 1)
	if err != nil {
		return err
	}
	const patience = time.Minute
	for deadline := time.Now().Add(patience); ; {
		err := s.migrate(ctx)
		var e *sqlite.Error
		if err == nil || !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_BUSY || time.Now().After(deadline) {
			return s.wrap("open", err)
		}
		// Turning on write-ahead logging does not wait for others, whatever busy_timeout says.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// migration is a step of the schema.
type migration struct {
	version int64
	up      string
}

// schema returns the steps in order. Their files have the form of github.com/pressly/goose, whose table keeps the version.
func schema() ([]migration, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var out []migration
	for _, name := range names { // sorted
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		_, up, _ := strings.Cut(string(text), "-- +goose Up")
		up, _, _ = strings.Cut(up, "-- +goose Down")
		out = append(out, migration{version, up})
	}
	return out, nil
}

// versionOf returns the version of the schema; 0 for a new file.
func versionOf(ctx context.Context, q queryer) (version int64, err error) {
	var tables int
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE name = 'goose_db_version'").Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	err = q.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version)
	return version, err
}

// checkVersion is migrate for a file that is only read.
func (s *Store) checkVersion(ctx context.Context) error {
	steps, err := schema()
	if err != nil {
		return err
	}
	version, err := versionOf(ctx, s.cheap)
	if err != nil {
		return s.wrap("open", err)
	}
	if newest := steps[len(steps)-1].version; version < newest {
		return blockprint.Errorf(blockprint.Conflict, "database %s has schema version %d and needs version %d, but it is open for reading only: run `blockprint db check` once where the file can be written", s.path, version, newest)
	}
	return s.refuseNewer(version, steps)
}

func (s *Store) refuseNewer(version int64, steps []migration) error {
	if newest := steps[len(steps)-1].version; version > newest {
		return blockprint.Errorf(blockprint.Conflict, "database %s has schema version %d, this program knows up to %d: use a newer blockprint", s.path, version, newest)
	}
	return nil
}

// migrate checks the version and applies the missing steps, in one transaction that holds the write lock from its beginning.
func (s *Store) migrate(ctx context.Context) error {
	steps, err := schema()
	if err != nil {
		return err
	}
	newest := steps[len(steps)-1].version
	if version, err := versionOf(ctx, s.write); err != nil || version == newest {
		return err // nothing to do, so nothing to wait for
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing to take back
	version, err := versionOf(ctx, tx)
	if err != nil {
		return err
	}
	if err := s.refuseNewer(version, steps); err != nil {
		return err
	}
	if version == 0 {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d;
			CREATE TABLE IF NOT EXISTS goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL,
				is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));
			INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)`, applicationID)); err != nil {
			return err
		}
	}
	for _, step := range steps {
		if step.version <= version {
			continue
		}
		if _, err := tx.ExecContext(ctx, step.up); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, 1)", step.version); err != nil {
			return err
		}
	}
	return tx.Commit()
}
