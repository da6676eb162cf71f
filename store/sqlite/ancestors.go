package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"blockprint"
	"blockprint/store"
)

// Undecided implements store.Store.
func (s *Store) Undecided(ctx context.Context, i blockprint.Interval) (ids []store.BlockID, err error) {
	// Placeholders begin with 24 zero bytes. There may be millions of them, so the index alone must decide.
	return collect(ctx, s, `SELECT slot, root FROM blocks INDEXED BY blocks_undecided
		WHERE canonical = 0 AND slot BETWEEN ? AND ? AND root >= x'000000000000000000000000000000000000000000000001' ORDER BY slot`,
		[]any{clamp(i.Start), clamp(i.End)}, func(rows *sql.Rows, id *store.BlockID) error {
			var root sql.RawBytes
			err := rows.Scan(&id.Slot, &root)
			copy(id.Root[:], root)
			return err
		})
}

// Ancestors implements store.Store.
func (s *Store) Ancestors(ctx context.Context, from store.BlockID, down blockprint.Slot) (list []store.BlockID, next store.BlockID, err error) {
	if from.Root.IsZero() {
		var root []byte
		err := s.cheap.QueryRowContext(ctx, "SELECT slot, root FROM blocks WHERE slot >= ? AND canonical = ? ORDER BY slot LIMIT 1", clamp(from.Slot), int(store.Final)).Scan(&from.Slot, &root)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, from, nil
		}
		if err != nil {
			return nil, next, s.wrap("read", err)
		}
		copy(from.Root[:], root)
	}
	next = from
	err = eachRow(ctx, s.cheap, `WITH RECURSIVE line (slot, root, parent_slot, parent_root) AS (
			SELECT slot, root, parent_slot, parent_root FROM blocks WHERE slot = ?1 AND root = ?2 AND slot >= ?3
			UNION ALL
			SELECT b.slot, b.root, b.parent_slot, b.parent_root FROM line
			JOIN blocks b ON b.slot = line.parent_slot AND b.root = line.parent_root
			WHERE b.slot >= ?3 AND b.slot < line.slot
			LIMIT ?4)
		SELECT * FROM line`, []any{clamp(from.Slot), from.Root[:], clamp(down), store.MaxAncestors}, func(rows *sql.Rows) error {
		var id store.BlockID
		var root, parent sql.RawBytes
		next = store.BlockID{}
		err := rows.Scan(&id.Slot, &root, &next.Slot, &parent)
		copy(id.Root[:], root)
		copy(next.Root[:], parent)
		list = append(list, id)
		return err
	})
	return list, next, s.wrap("read", err)
}
