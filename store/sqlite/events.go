package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"blockprint"
	"blockprint/store"
)

// ChangeEvents implements store.Events.
func (s *Store) ChangeEvents(ctx context.Context, tenant string, seen, keep int, events, notices [][]byte) error {
	return s.inTransaction(ctx, "write events to", func(tx *transaction) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM events WHERE tenant = ?", tenant).Scan(&n); err != nil {
			return err
		}
		if n != seen {
			return blockprint.Errorf(blockprint.Conflict, "database %s has %d events of %s, not the %d that were read: another process has written to it, try again", s.path, n, tenant, seen)
		}
		if keep < 0 || keep > n {
			return blockprint.Errorf(blockprint.Internal, "%d of %d events are to be kept", keep, n)
		}
		if err := tx.exec(ctx, "DELETE FROM events WHERE tenant = ? AND place >= ?", tenant, keep); err != nil {
			return err
		}
		for i, e := range events {
			if err := tx.exec(ctx, "INSERT INTO events (tenant, place, event) VALUES (?, ?, ?)", tenant, keep+i, string(e)); err != nil {
				return err
			}
		}
		for _, n := range notices {
			if err := tx.exec(ctx, "INSERT INTO notices (tenant, notice) VALUES (?, ?)", tenant, string(n)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Notices implements store.Events.
func (s *Store) Notices(ctx context.Context, tenant string, after int64, limit int, newest bool) (ids []int64, texts [][]byte, err error) {
	order := "ASC"
	if newest {
		order = "DESC"
	}
	type notice struct {
		id   int64
		text []byte
	}
	query := "SELECT id, notice FROM notices WHERE tenant = ? AND id > ? ORDER BY id " + order + " LIMIT ?"
	list, err := collect(ctx, s, query, []any{tenant, after, limit}, func(r *sql.Rows, n *notice) error { return r.Scan(&n.id, &n.text) })
	for _, n := range list {
		ids, texts = append(ids, n.id), append(texts, n.text)
	}
	return ids, texts, s.wrap("read", err)
}

// Delivered implements store.Events.
func (s *Store) Delivered(ctx context.Context, tenant, receiver string) (id int64, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT coalesce(max(told), 0) FROM deliveries WHERE tenant = ? AND receiver = ?", tenant, receiver).Scan(&id)
	return id, s.wrap("read", err)
}

// LogDelivery implements store.Events.
func (s *Store) LogDelivery(ctx context.Context, tenant, receiver string, id, at int64, failure string) error {
	return s.inTransaction(ctx, "write a delivery to", func(tx *transaction) error {
		if err := tx.exec(ctx, "INSERT INTO delivery_log (tenant, receiver, notice, at, error) VALUES (?, ?, ?, ?, ?)", tenant, receiver, id, at, failure); err != nil {
			return err
		}
		err := tx.exec(ctx, `DELETE FROM delivery_log WHERE tenant = ?1 AND receiver = ?2 AND id <=
			(SELECT id FROM delivery_log WHERE tenant = ?1 AND receiver = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)`, tenant, receiver, store.DeliveriesKept)
		if err != nil || failure != "" {
			return err
		}
		return tx.exec(ctx, "INSERT INTO deliveries (tenant, receiver, told) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET told = max(told, excluded.told)", tenant, receiver, id)
	})
}

// Deliveries implements store.Events.
func (s *Store) Deliveries(ctx context.Context, tenant string, limit int) ([]store.Delivery, error) {
	return collect(ctx, s, `SELECT l.receiver, l.notice, n.notice, l.at, l.error FROM delivery_log AS l JOIN notices AS n ON n.id = l.notice
		WHERE l.tenant = ? ORDER BY l.id DESC LIMIT ?`, []any{tenant, limit}, func(r *sql.Rows, d *store.Delivery) error {
		return r.Scan(&d.Receiver, &d.ID, &d.Notice, &d.At, &d.Error)
	})
}

// LastEvent implements store.Events.
func (s *Store) LastEvent(ctx context.Context, tenant string) (n int, last []byte, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT place + 1, event FROM events WHERE tenant = ? ORDER BY place DESC LIMIT 1", tenant).Scan(&n, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	return n, last, s.wrap("read", err)
}

// Events implements store.Events. The log is read at once, since pages from different moments would not fit together.
func (s *Store) Events(ctx context.Context, tenant string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		store.Pages(yield, func() (list [][]byte, more bool, err error) {
			list, err = collect(ctx, s, "SELECT event FROM events WHERE tenant = ? ORDER BY place", []any{tenant}, func(r *sql.Rows, b *[]byte) error { return r.Scan(b) })
			return list, false, err
		})
	}
}
