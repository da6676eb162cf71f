package sqlite

import (
	"context"
	"database/sql"
	"iter"

	"blockprint"
)

// ChangeEvents implements store.Events.
func (s *Store) ChangeEvents(ctx context.Context, tenant string, keep int, events [][]byte) error {
	return s.inTransaction(ctx, "write events to", func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM events WHERE tenant = ?", tenant).Scan(&n); err != nil {
			return err
		}
		if keep < 0 || keep > n {
			return blockprint.Errorf(blockprint.Conflict, "database %s has %d events of %s, not the %d that are to be kept: another process has written to it", s.path, n, tenant, keep)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM events WHERE tenant = ? AND place >= ?", tenant, keep); err != nil {
			return err
		}
		for i, e := range events {
			if _, err := tx.ExecContext(ctx, "INSERT INTO events (tenant, place, event) VALUES (?, ?, ?)", tenant, keep+i, string(e)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Events implements store.Events.
func (s *Store) Events(ctx context.Context, tenant string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		rows, err := s.read.QueryContext(ctx, "SELECT event FROM events WHERE tenant = ? ORDER BY place", tenant)
		if err != nil {
			yield(nil, s.wrap("read", err))
			return
		}
		defer func() { _ = rows.Close() }() // the error is in Err
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				yield(nil, s.wrap("read", err))
				return
			}
			if !yield(b, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, s.wrap("read", err))
		}
	}
}
