package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"blockprint"
	"blockprint/feature"
	"blockprint/store"
)

// Status implements store.Store.
func (s *Store) Status(ctx context.Context) (st store.Status, err error) {
	var newest, covered sql.NullInt64
	err = s.read.QueryRowContext(ctx, "SELECT (SELECT max(slot) FROM blocks), (SELECT max(last) FROM coverage)").Scan(&newest, &covered)
	if err != nil {
		return st, s.wrap("read the status of", err)
	}
	st.Newest, st.Covered, st.Empty = blockprint.Slot(newest.Int64), blockprint.Slot(covered.Int64), !newest.Valid
	if st.Floor, err = getSlot(ctx, s.read, "floor"); err != nil {
		return st, s.wrap("read the status of", err)
	}
	st.Finalized, err = getSlot(ctx, s.read, "finalized")
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
	query += " WHERE b.slot BETWEEN ? AND ?"
	if !q.Orphaned {
		query += " AND b.canonical <> 1"
	}
	args := []any{clamp(i.Start), clamp(i.End)}
	if q.NotModel != "" {
		query += " AND b.model <> coalesce((SELECT id FROM models WHERE name = ?), -1)"
		args = append(args, q.NotModel)
	}
	return s.blocks(ctx, query+" ORDER BY b.slot, b.root", args...)
}

// Block implements store.Store.
func (s *Store) Block(ctx context.Context, id store.BlockID) (store.Block, error) {
	query := "SELECT " + blockColumns + ", f.feature_set, f.vector FROM blocks b LEFT JOIN features f ON f.slot = b.slot AND f.root = b.root WHERE b.slot = ? AND b.root = ?"
	for b, err := range s.blocks(ctx, query, clamp(id.Slot), id.Root[:]) {
		return b, err
	}
	return store.Block{}, blockprint.Errorf(blockprint.NotFound, "no block %s of slot %d", id.Root.Short(), id.Slot)
}

// ValidatorBlocks implements store.Store.
func (s *Store) ValidatorBlocks(ctx context.Context, proposer uint64, since blockprint.Slot) ([]store.Block, error) {
	if proposer > math.MaxInt64 {
		return nil, nil
	}
	var out []store.Block
	query := "SELECT " + blockColumns + ", NULL, NULL FROM blocks b WHERE b.proposer = ? AND b.slot >= ? AND b.canonical <> 1 ORDER BY b.slot"
	for b, err := range s.blocks(ctx, query, int64(proposer), clamp(since)) {
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// LatestBlocks implements store.Store.
func (s *Store) LatestBlocks(ctx context.Context) iter.Seq2[store.Latest, error] {
	return func(yield func(store.Latest, error) bool) {
		rows, err := s.read.QueryContext(ctx, "SELECT proposer, slot, single FROM latest ORDER BY proposer")
		if err != nil {
			yield(store.Latest{}, s.wrap("read", err))
			return
		}
		defer func() { _ = rows.Close() }() // rows.Err tells what matters
		for rows.Next() {
			var l store.Latest
			var single int64
			err := rows.Scan(&l.Proposer, &l.Slot, &single)
			if err == nil {
				l.Single, err = s.client(ctx, s.read, single)
			}
			if !yield(l, s.wrap("read", err)) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(store.Latest{}, s.wrap("read", err))
		}
	}
}

// ConfusionByGraffiti implements store.Store.
func (s *Store) ConfusionByGraffiti(ctx context.Context, c blockprint.Client, i blockprint.Interval) (out store.Confusion, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT
			count(*) FILTER (WHERE s.name = ?1 AND g.name = ?1), count(*) FILTER (WHERE s.name <> ?1 AND g.name <> ?1),
			count(*) FILTER (WHERE s.name = ?1 AND g.name <> ?1), count(*) FILTER (WHERE s.name <> ?1 AND g.name = ?1)
		FROM blocks b JOIN clients s ON s.id = b.single JOIN clients g ON g.id = b.graffiti_client
		WHERE b.slot BETWEEN ?2 AND ?3 AND b.canonical <> 1`, string(c), clamp(i.Start), clamp(i.End)).
		Scan(&out.TruePos, &out.TrueNeg, &out.FalsePos, &out.FalseNeg)
	return out, s.wrap("read", err)
}

// Tally implements store.Store.
func (s *Store) Tally(ctx context.Context, i blockprint.Interval) (out []store.Tally, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT graffiti_client, execution, version, single, model, count(*) FROM blocks
		WHERE slot BETWEEN ? AND ? AND canonical <> 1 GROUP BY graffiti_client, execution, version, single, model
		ORDER BY graffiti_client, execution, version, single, model`, clamp(i.Start), clamp(i.End))
	if err != nil {
		return nil, s.wrap("read", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var t store.Tally
		var graffiti sql.NullInt64
		var single, model int64
		if err := rows.Scan(&graffiti, &t.Graffiti.Execution, &t.Graffiti.Version, &single, &model, &t.Blocks); err != nil {
			return nil, s.wrap("read", err)
		}
		if graffiti.Valid {
			if t.Graffiti.Client, err = s.client(ctx, s.read, graffiti.Int64); err != nil {
				return nil, s.wrap("read", err)
			}
		}
		if t.Single, err = s.client(ctx, s.read, single); err != nil {
			return nil, s.wrap("read", err)
		}
		if t.Model, err = s.textOf(ctx, s.read, "models", model); err != nil {
			return nil, s.wrap("read", err)
		}
		out = append(out, t)
	}
	return out, s.wrap("read", rows.Err())
}

// blocks gives the rows of a query for blockColumns, feature set and vector.
func (s *Store) blocks(ctx context.Context, query string, args ...any) iter.Seq2[store.Block, error] {
	return func(yield func(store.Block, error) bool) {
		rows, err := s.read.QueryContext(ctx, query, args...)
		if err != nil {
			yield(store.Block{}, s.wrap("read", err))
			return
		}
		defer func() { _ = rows.Close() }() // rows.Err tells what matters
		for rows.Next() {
			b, err := s.scanBlock(ctx, rows)
			if !yield(b, s.wrap("read", err)) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(store.Block{}, s.wrap("read", err))
		}
	}
}

func (s *Store) scanBlock(ctx context.Context, rows *sql.Rows) (b store.Block, err error) {
	var root, parent, probabilities, vector sql.RawBytes
	var single, model int64
	var graffiti, set sql.NullInt64
	g := &b.Classification.Graffiti
	if err := rows.Scan(&b.Slot, &root, &b.ParentSlot, &parent, &b.Proposer, &b.Canonical, &single, &b.Multi, &probabilities,
		&b.Graffiti, &graffiti, &g.Execution, &g.Version, &b.Reason, &model, &set, &vector); err != nil {
		return b, err
	}
	copy(b.Root[:], root)
	copy(b.ParentRoot[:], parent)
	if b.Single, err = s.client(ctx, s.read, single); err != nil {
		return b, err
	}
	if graffiti.Valid {
		if g.Client, err = s.client(ctx, s.read, graffiti.Int64); err != nil {
			return b, err
		}
	}
	if b.Model, err = s.textOf(ctx, s.read, "models", model); err != nil {
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

func (s *Store) encodeProbabilities(ctx context.Context, tx *sql.Tx, list []blockprint.Probability) ([]byte, error) {
	out := []byte{}
	for _, p := range list {
		if p.P == 0 {
			continue
		}
		id, err := s.idOf(ctx, tx, "clients", string(p.Client))
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
			return nil, errors.New("damaged probabilities")
		}
		c, err := s.client(ctx, s.read, int64(id))
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
	text, err := s.textOf(ctx, s.read, "feature_sets", set)
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
