package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

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
	args := []any{clamp(i.Start), clamp(i.End), []byte{}}
	if q.NotModel != "" {
		args = append(args, q.NotModel)
	}
	return pages(ctx, s, query, args, s.scanBlock(ctx), func(args []any, last *store.Block) { args[0], args[2] = clamp(last.Slot), last.Root[:] })
}

// Block implements store.Store.
func (s *Store) Block(ctx context.Context, id store.BlockID) (store.Block, error) {
	query := "SELECT " + blockColumns + ", f.feature_set, f.vector FROM blocks b LEFT JOIN features f ON f.slot = b.slot AND f.root = b.root WHERE b.slot = ? AND b.root = ?"
	list, last, _, err := page(ctx, s, query, []any{clamp(id.Slot), id.Root[:]}, s.scanBlock(ctx))
	switch {
	case err != nil:
		return store.Block{}, err
	case len(list) > 0:
		return list[0], nil
	case last != nil:
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
	return collect(ctx, s, query, []any{int64(proposer), clamp(since)}, s.scanBlock(ctx))
}

// LatestBlocks implements store.Store.
func (s *Store) LatestBlocks(ctx context.Context) iter.Seq2[store.Latest, error] {
	const query = "SELECT proposer, slot, single FROM latest WHERE proposer > ?1 ORDER BY proposer LIMIT ?2"
	return pages(ctx, s, query, []any{int64(-1), store.PageSize}, func(rows *sql.Rows, l *store.Latest) (err error) {
		var single int64
		if err := rows.Scan(&l.Proposer, &l.Slot, &single); err != nil {
			return err
		}
		l.Single, err = s.client(ctx, single)
		return err
	}, func(args []any, last *store.Latest) { args[0] = int64(last.Proposer) })
}

// Tally implements store.Store.
func (s *Store) Tally(ctx context.Context, i blockprint.Interval, byProposer bool) ([]store.Tally, error) {
	by, proposer := "graffiti_client, execution, version, single, model", "0"
	if byProposer {
		by, proposer = by+", proposer", "proposer"
	}
	query := `SELECT graffiti_client, execution, version, single, model, ` + proposer + `, count(*) FROM blocks
		WHERE slot BETWEEN ? AND ? AND canonical <> 1 GROUP BY ` + by + ` ORDER BY ` + by
	return collect(ctx, s, query, []any{clamp(i.Start), clamp(i.End)}, func(rows *sql.Rows, t *store.Tally) error {
		var graffiti sql.NullInt64
		var single, model int64
		if err := rows.Scan(&graffiti, &t.Graffiti.Execution, &t.Graffiti.Version, &single, &model, &t.Proposer, &t.Blocks); err != nil {
			return err
		}
		return s.named(ctx, names{single, model, graffiti}, &t.Single, &t.Model, &t.Graffiti.Client)
	})
}

// eachRow calls scan for every row of a query, and stops at an error.
func eachRow(ctx context.Context, q queryer, query string, args []any, scan func(*sql.Rows) error) (err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// each is eachRow, but leaves out and counts a row that scan cannot read.
func (s *Store) each(ctx context.Context, q queryer, query string, args []any, scan func(*sql.Rows) error) error {
	return s.wrap("read", eachRow(ctx, q, query, args, func(rows *sql.Rows) error {
		err := scan(rows)
		var own *sqlite.Error
		if err == nil || errors.As(err, &own) || ctx.Err() != nil { // not the row, but the database or the caller
			return err
		}
		s.skipped.Skip(s.path, err)
		return nil
	}))
}

// page reads the rows of a query as far as scan can read them. It also returns how many rows there are and the last one,
// whether it could be read or not.
func page[T any](ctx context.Context, s *Store, query string, args []any, scan func(*sql.Rows, *T) error) (list []T, last *T, rows int, err error) {
	err = s.each(ctx, s.read, query, args, func(r *sql.Rows) error {
		var t T
		last, rows = &t, rows+1
		err := scan(r, &t)
		if err == nil {
			list = append(list, t)
		}
		return err
	})
	return list, last, rows, err
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, s *Store, query string, args []any, scan func(*sql.Rows, *T) error) ([]T, error) {
	list, _, _, err := page(ctx, s, query, args, scan)
	return list, err
}

// pages gives the rows of a query that returns at most store.PageSize of them. next sets its arguments to what comes after
// a page's last row, of which scan sets as much as that takes even where it fails.
func pages[T any](ctx context.Context, s *Store, query string, first []any, scan func(*sql.Rows, *T) error, next func(args []any, last *T)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		args := slices.Clone(first)
		store.Pages(yield, func() ([]T, bool, error) {
			list, last, rows, err := page(ctx, s, query, args, scan)
			if last != nil {
				next(args, last)
			}
			return list, rows == store.PageSize, err
		})
	}
}

// scanBlock reads a row of blockColumns, feature set and vector. Where it fails, slot and root are set.
func (s *Store) scanBlock(ctx context.Context) func(*sql.Rows, *store.Block) error {
	return func(rows *sql.Rows, b *store.Block) error {
		var root, parent, probabilities, vector sql.RawBytes
		var n names
		var set sql.NullInt64
		g := &b.Says
		err := rows.Scan(&b.Slot, &root, &b.ParentSlot, &parent, &b.Proposer, &b.Canonical, &n.single, &b.Multi, &probabilities,
			&b.Graffiti, &n.graffiti, &g.Execution, &g.Version, &b.Reason, &n.model, &set, &vector)
		copy(b.Root[:], root)
		copy(b.ParentRoot[:], parent)
		if err != nil {
			return err
		}
		if err := s.named(ctx, n, &b.Single, &b.Model, &g.Client); err != nil {
			return err
		}
		if b.Probabilities, err = store.DecodeProbabilities(probabilities, func(id int64) (blockprint.Client, error) { return s.client(ctx, id) }); err != nil || !set.Valid {
			return err
		}
		features, err := s.featureNames(ctx, set.Int64)
		if err == nil {
			b.Features, err = store.DecodeVector(vector, features)
		}
		return err
	}
}
