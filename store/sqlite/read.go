package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"slices"

	"modernc.org/sqlite"

	"blockprint"
	"blockprint/feature"
	"blockprint/store"
)

// Status implements store.Store.
func (s *Store) Status(ctx context.Context) (st store.Status, err error) {
	var newest, covered sql.NullInt64
	err = s.cheap.QueryRowContext(ctx, "SELECT (SELECT max(slot) FROM blocks), (SELECT max(last) FROM coverage)").Scan(&newest, &covered)
	if err != nil {
		return st, s.wrap("read the status of", err)
	}
	st.Newest, st.Covered, st.Empty = blockprint.Slot(newest.Int64), blockprint.Slot(covered.Int64), !newest.Valid
	if st.Floor, err = getSlot(ctx, s.cheap, "floor"); err != nil {
		return st, s.wrap("read the status of", err)
	}
	st.Finalized, err = getSlot(ctx, s.cheap, "finalized")
	return st, s.wrap("read the status of", err)
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
	query += fmt.Sprintf(" ORDER BY b.slot, b.root LIMIT %d", pageSize)
	return func(yield func(store.Block, error) bool) {
		from, after := clamp(i.Start), []byte{}
		pages(yield, func() (list []store.Block, more bool, err error) {
			args := []any{from, clamp(i.End), after}
			if q.NotModel != "" {
				args = append(args, q.NotModel)
			}
			list, last, rows, err := s.blocks(ctx, query, args...)
			from, after = clamp(last.Slot), last.Root[:]
			return list, rows == pageSize, err
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
		pages(yield, func() (list []store.Latest, more bool, err error) {
			rows := 0
			err = s.each(ctx, s.read, query, []any{after, pageSize}, func(r *sql.Rows) (err error) {
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
			return list, rows == pageSize, err
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

// pageSize is how many rows an iterator reads at once.
const pageSize = 512

// pages gives yield what next returns, page by page, without holding a connection in between.
func pages[T any](yield func(T, error) bool, next func() (list []T, more bool, err error)) {
	for {
		list, more, err := next()
		for _, t := range list {
			if !yield(t, nil) {
				return
			}
		}
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		if !more {
			return
		}
	}
}

// each calls scan for every row of a query. A row of which scan says that it is damaged is left out and counted.
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
			s.skip(err)
		}
	}
	return s.wrap("read", rows.Err())
}

// skip counts a row that could not be read, and warns of the first one, the second, the fourth and so on.
func (s *Store) skip(err error) {
	if n := s.skipped.Add(1); n&(n-1) == 0 {
		slog.Warn("rows of the database cannot be read and are left out: `blockprint db check` lists them", "database", s.path, "rows", n, "error", err)
	}
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
	g := &b.Classification.Graffiti
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
	if b.Probabilities, err = s.decodeProbabilities(ctx, probabilities); err != nil {
		return b, err
	}
	if set.Valid {
		b.Features, err = s.decodeVector(ctx, set.Int64, vector)
	}
	return b, err
}

func encodeProbabilities(ctx context.Context, tx *transaction, list []blockprint.Probability) ([]byte, error) {
	out := []byte{}
	for _, p := range list {
		if p.P == 0 {
			continue
		}
		id, err := tx.idOf(ctx, "clients", string(p.Client))
		if err != nil {
			return nil, err
		}
		out = binary.AppendUvarint(out, uint64(id))
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(p.P))
	}
	return out, nil
}

func (s *Store) decodeProbabilities(ctx context.Context, b []byte) ([]blockprint.Probability, error) {
	var out []blockprint.Probability
	for len(b) > 0 {
		id, n := binary.Uvarint(b)
		if n <= 0 || len(b) < n+8 {
			return nil, fmt.Errorf("%w probabilities", errDamaged)
		}
		c, err := s.client(ctx, int64(id))
		if err != nil {
			return nil, err
		}
		out = append(out, blockprint.Probability{Client: c, P: math.Float64frombits(binary.LittleEndian.Uint64(b[n:]))})
		b = b[n+8:]
	}
	return out, nil
}

func encodeVector(v []float64) []byte {
	out := make([]byte, 0, 8*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint64(out, math.Float64bits(x))
	}
	return out
}

// decodeVector brings a stored vector into today's order of features; those that it lacks are NaN.
func (s *Store) decodeVector(ctx context.Context, set int64, b []byte) ([]float64, error) {
	text, err := s.textOf(ctx, "feature_sets", set)
	if err != nil {
		return nil, err
	}
	var names []string
	if err := json.Unmarshal([]byte(text), &names); err != nil {
		return nil, err
	}
	if len(b) != 8*len(names) {
		return nil, fmt.Errorf("a vector of %d bytes for %d features", len(b), len(names))
	}
	today := feature.Names()
	out := make([]float64, len(today))
	for i, name := range today {
		at := i
		if at >= len(names) || names[at] != name {
			at = slices.Index(names, name)
		}
		if at < 0 {
			out[i] = math.NaN()
			continue
		}
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*at:]))
	}
	return out, nil
}
