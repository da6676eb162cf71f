package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"

	"modernc.org/sqlite"

	"blockprint"
	"blockprint/store"
)

// Identity implements store.Store.
func (s *Store) Identity(ctx context.Context) (id store.Identity, ok bool, err error) {
	id, ok, err = store.ReadIdentity(ctx, reader{s, s.cheap})
	return id, ok, s.wrap("read the identity of", err)
}

// Status implements store.Store.
func (s *Store) Status(ctx context.Context) (st store.Status, err error) {
	r := reader{s, s.cheap}
	if err = s.cheap.QueryRowContext(ctx, "SELECT NOT EXISTS (SELECT 1 FROM blocks)").Scan(&st.Empty); err == nil {
		if st.Newest, st.Covered, err = r.Newest(ctx); err == nil {
			if st.Floor, err = store.GetSlot(ctx, r, store.MetaFloor); err == nil {
				st.Finalized, err = store.GetSlot(ctx, r, store.MetaFinalized)
			}
		}
	}
	return st, s.wrap("read the status of", err)
}

// Gaps implements store.Store.
func (s *Store) Gaps(ctx context.Context, i blockprint.Interval) (blockprint.Intervals, error) {
	covered, err := reader{s, s.cheap}.Covered(ctx, i)
	return covered.Gaps(i), s.wrap("read coverage of", err)
}

const blockColumns = `b.slot, b.root, b.parent_slot, b.parent_root, b.proposer, b.canonical, b.single, b.multi, b.probabilities,
	b.graffiti, b.graffiti_client, b.execution, b.version, b.reason, b.model`

// Blocks implements store.Store.
func (s *Store) Blocks(ctx context.Context, i blockprint.Interval, q store.Query) iter.Seq2[store.Block, error] {
	query := "SELECT " + blockColumns + ", f.feature_set, f.vector FROM blocks b LEFT JOIN features f ON f.slot = b.slot AND f.root = b.root"
	if !q.Features {
		query = "SELECT " + blockColumns + ", NULL, NULL FROM blocks b"
	}
	query += " WHERE b.slot BETWEEN ?1 AND ?2 AND (b.slot, b.root) > (?1, ?3)"
	if !q.Orphaned {
		query += " AND b.canonical <> 1"
	}
	if q.NotModel != "" {
		query += " AND b.model <> coalesce((SELECT id FROM models WHERE name = ?4), -1)"
	}
	query += fmt.Sprintf(" ORDER BY b.slot, b.root LIMIT %d", store.PageSize)
	return func(yield func(store.Block, error) bool) {
		from, after := clamp(i.Start), []byte{}
		store.Pages(yield, func() (list []store.Block, more bool, err error) {
			args := []any{from, clamp(i.End), after}
			if q.NotModel != "" {
				args = append(args, q.NotModel)
			}
			list, last, rows, err := s.blocks(ctx, query, args...)
			from, after = clamp(last.Slot), last.Root[:]
			return list, rows == store.PageSize, err
		})
	}
}

// Block implements store.Store.
func (s *Store) Block(ctx context.Context, id store.BlockID) (store.Block, error) {
	query := "SELECT " + blockColumns + ", f.feature_set, f.vector FROM blocks b LEFT JOIN features f ON f.slot = b.slot AND f.root = b.root WHERE b.slot = ? AND b.root = ?"
	list, _, rows, err := s.blocks(ctx, query, clamp(id.Slot), id.Root[:])
	switch {
	case err != nil:
		return store.Block{}, err
	case len(list) > 0:
		return list[0], nil
	case rows > 0:
		return store.Block{}, blockprint.Errorf(blockprint.Internal, "block %s of slot %d is damaged in database %s: `blockprint db check` says how", id.Root.Short(), id.Slot, s.path)
	}
	return store.Block{}, blockprint.Errorf(blockprint.NotFound, "no block %s of slot %d", id.Root.Short(), id.Slot)
}

// ValidatorBlocks implements store.Store.
func (s *Store) ValidatorBlocks(ctx context.Context, proposer uint64, since blockprint.Slot) ([]store.Block, error) {
	if proposer > math.MaxInt64 {
		return nil, nil
	}
	query := "SELECT " + blockColumns + ", NULL, NULL FROM blocks b WHERE b.proposer = ? AND b.slot >= ? AND b.canonical <> 1 ORDER BY b.slot"
	list, _, _, err := s.blocks(ctx, query, int64(proposer), clamp(since))
	return list, err
}

// LatestBlocks implements store.Store.
func (s *Store) LatestBlocks(ctx context.Context) iter.Seq2[store.Latest, error] {
	const query = "SELECT proposer, slot, single FROM latest WHERE proposer > ? ORDER BY proposer LIMIT ?"
	return func(yield func(store.Latest, error) bool) {
		after := int64(-1)
		store.Pages(yield, func() (list []store.Latest, more bool, err error) {
			rows := 0
			err = s.each(ctx, s.read, query, []any{after, store.PageSize}, func(r *sql.Rows) (err error) {
				var l store.Latest
				var single int64
				rows++
				if err := r.Scan(&after, &l.Slot, &single); err != nil {
					return err
				}
				l.Proposer = uint64(after)
				if l.Single, err = s.client(ctx, single); err == nil {
					list = append(list, l)
				}
				return err
			})
			return list, rows == store.PageSize, err
		})
	}
}

// Tally implements store.Store.
func (s *Store) Tally(ctx context.Context, i blockprint.Interval) (out []store.Tally, err error) {
	query := `SELECT graffiti_client, execution, version, single, model, count(*) FROM blocks
		WHERE slot BETWEEN ? AND ? AND canonical <> 1 GROUP BY graffiti_client, execution, version, single, model
		ORDER BY graffiti_client, execution, version, single, model`
	err = s.each(ctx, s.read, query, []any{clamp(i.Start), clamp(i.End)}, func(rows *sql.Rows) (err error) {
		var t store.Tally
		var graffiti sql.NullInt64
		var single, model int64
		if err := rows.Scan(&graffiti, &t.Graffiti.Execution, &t.Graffiti.Version, &single, &model, &t.Blocks); err != nil {
			return err
		}
		if graffiti.Valid {
			if t.Graffiti.Client, err = s.client(ctx, graffiti.Int64); err != nil {
				return err
			}
		}
		if t.Single, err = s.client(ctx, single); err != nil {
			return err
		}
		if t.Model, err = s.textOf(ctx, "models", model); err != nil {
			return err
		}
		out = append(out, t)
		return nil
	})
	return out, err
}

// each calls scan for every row of a query. A row that scan cannot read is left out and counted.
func (s *Store) each(ctx context.Context, q queryer, query string, args []any, scan func(*sql.Rows) error) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return s.wrap("read", err)
	}
	defer func() { err = errors.Join(err, s.wrap("read", rows.Close())) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			var own *sqlite.Error
			if errors.As(err, &own) || ctx.Err() != nil { // not the row, but the database or the caller
				return s.wrap("read", err)
			}
			s.skipped.Skip(s.path, err)
		}
	}
	return s.wrap("read", rows.Err())
}

// blocks reads the rows of a query for blockColumns, feature set and vector. It also returns the number of rows and the
// last of them, whether it could be read or not.
func (s *Store) blocks(ctx context.Context, query string, args ...any) (list []store.Block, last store.BlockID, rows int, err error) {
	err = s.each(ctx, s.read, query, args, func(r *sql.Rows) error {
		rows++
		b, err := s.scanBlock(ctx, r)
		last = store.BlockID{Slot: b.Slot, Root: b.Root}
		if err == nil {
			list = append(list, b)
		}
		return err
	})
	return list, last, rows, err
}

// scanBlock reads a block. Where it fails, slot and root are set.
func (s *Store) scanBlock(ctx context.Context, rows *sql.Rows) (b store.Block, err error) {
	var root, parent, probabilities, vector sql.RawBytes
	var single, model int64
	var graffiti, set sql.NullInt64
	g := &b.Says
	err = rows.Scan(&b.Slot, &root, &b.ParentSlot, &parent, &b.Proposer, &b.Canonical, &single, &b.Multi, &probabilities,
		&b.Graffiti, &graffiti, &g.Execution, &g.Version, &b.Reason, &model, &set, &vector)
	copy(b.Root[:], root)
	copy(b.ParentRoot[:], parent)
	if err != nil {
		return b, err
	}
	if b.Single, err = s.client(ctx, single); err != nil {
		return b, err
	}
	if graffiti.Valid {
		if g.Client, err = s.client(ctx, graffiti.Int64); err != nil {
			return b, err
		}
	}
	if b.Model, err = s.textOf(ctx, "models", model); err != nil {
		return b, err
	}
	if b.Probabilities, err = store.DecodeProbabilities(probabilities, func(id int64) (blockprint.Client, error) { return s.client(ctx, id) }); err != nil {
		return b, err
	}
	if !set.Valid {
		return b, nil
	}
	names, err := s.featureNames(ctx, set.Int64)
	if err != nil {
		return b, err
	}
	b.Features, err = store.DecodeVector(vector, names)
	return b, err
}
