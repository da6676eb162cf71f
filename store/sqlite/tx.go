package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"blockprint"
	"blockprint/store"
)

// reader reads settings and coverage, in a transaction or without.
type reader struct {
	s *Store
	q queryer
}

// transaction is a store.Tx.
type transaction struct {
	*sql.Tx
	reader
	made map[nameKey]int64 // names that it has added; they are cached once it is committed

	features []string // of the vector that was stored last
	set      int64    // their number
}

var _ store.Tx = (*transaction)(nil)

func (r reader) Name() string { return r.s.path }

func (r reader) Meta(ctx context.Context, key string) (value string, err error) {
	err = r.q.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// exec runs a statement.
func (tx *transaction) exec(ctx context.Context, statement string, args ...any) error {
	_, err := tx.ExecContext(ctx, statement, args...)
	return err
}

func (tx *transaction) SetMeta(ctx context.Context, key, value string) error {
	return tx.exec(ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
}

// clamp keeps slots inside SQLite's signed integers.
func clamp(s blockprint.Slot) int64 {
	const most = 1<<63 - 1
	return int64(min(s, most))
}

func (r reader) Covered(ctx context.Context, i blockprint.Interval) (out blockprint.Intervals, err error) {
	// The interval that begins last before i may reach into it; all others that matter begin inside.
	err = eachRow(ctx, r.q, `SELECT first, last FROM coverage
		WHERE first >= coalesce((SELECT max(first) FROM coverage WHERE first <= ?1), ?1) AND first <= ?2 ORDER BY first`,
		[]any{clamp(i.Start), clamp(i.End)}, func(rows *sql.Rows) error {
			var first, last int64
			err := rows.Scan(&first, &last)
			if c := (blockprint.Interval{Start: blockprint.Slot(max(first, 0)), End: blockprint.Slot(max(last, 0))}); c.End >= i.Start {
				out = append(out, c)
			}
			return err
		})
	return out, err
}

func (r reader) Newest(ctx context.Context) (block, covered blockprint.Slot, err error) {
	err = r.q.QueryRowContext(ctx, "SELECT coalesce((SELECT max(slot) FROM blocks), 0), coalesce((SELECT max(last) FROM coverage), 0)").Scan(&block, &covered)
	return block, covered, err
}

func (tx *transaction) ReplaceCovered(ctx context.Context, i blockprint.Interval, list blockprint.Intervals) error {
	if err := tx.exec(ctx, "DELETE FROM coverage WHERE first BETWEEN ? AND ?", clamp(i.Start), clamp(i.End)); err != nil {
		return err
	}
	for _, c := range list {
		if err := tx.exec(ctx, "INSERT INTO coverage (first, last) VALUES (?, ?)", clamp(c.Start), clamp(c.End)); err != nil {
			return err
		}
	}
	return nil
}

// Rows implements store.Tx. A label that cannot be read counts as Uncertain, as after a repair.
func (tx *transaction) Rows(ctx context.Context, i blockprint.Interval) (list []store.Row, err error) {
	err = tx.rows(ctx, "coalesce(c.name, 'Uncertain') FROM blocks LEFT JOIN clients c ON c.id = single WHERE slot BETWEEN ? AND ? ORDER BY slot, root",
		[]any{clamp(i.Start), clamp(i.End)}, func(r store.Row) { list = append(list, r) })
	return list, err
}

func (tx *transaction) Walk(ctx context.Context, each func(store.Row)) error {
	return tx.rows(ctx, "'' FROM blocks ORDER BY slot DESC", nil, each)
}

func (tx *transaction) First(ctx context.Context, i blockprint.Interval, final bool) (first *store.Row, err error) {
	query := "'' FROM blocks WHERE slot BETWEEN ? AND ?"
	if final {
		query += " AND canonical = 2"
	}
	err = tx.rows(ctx, query+" ORDER BY slot LIMIT 1", []any{clamp(i.Start), clamp(i.End)}, func(r store.Row) { first = &r })
	return first, err
}

// rows calls each with the rows of a query, which begins with a block's place in the chain; the caller gives the rest: its label
// and where to look.
func (tx *transaction) rows(ctx context.Context, query string, args []any, each func(store.Row)) error {
	return tx.s.each(ctx, tx, "SELECT slot, root, parent_slot, parent_root, proposer, canonical, "+query, args, func(rows *sql.Rows) error {
		var r store.Row
		var root, parent sql.RawBytes
		if err := rows.Scan(&r.Slot, &root, &r.ParentSlot, &parent, &r.Proposer, &r.Canonical, &r.Single); err != nil {
			return err
		}
		copy(r.Root[:], root)
		copy(r.ParentRoot[:], parent)
		each(r)
		return nil
	})
}

// label is a classification as it is stored.
type label struct {
	single, model int64
	graffiti      any // number of a client, or NULL
	probabilities []byte
}

func (tx *transaction) label(ctx context.Context, c *blockprint.Classification, says blockprint.Client, model string) (l label, err error) {
	if l.single, err = tx.idOf(ctx, "clients", string(c.Single)); err != nil {
		return l, err
	}
	if l.graffiti, err = tx.maybe(ctx, says); err != nil {
		return l, err
	}
	if l.model, err = tx.idOf(ctx, "models", model); err != nil {
		return l, err
	}
	l.probabilities, err = store.EncodeProbabilities(c.Probabilities, func(c blockprint.Client) (int64, error) { return tx.idOf(ctx, "clients", string(c)) })
	return l, err
}

// maybe returns the number of a client, or NULL for none.
func (tx *transaction) maybe(ctx context.Context, c blockprint.Client) (any, error) {
	if c == "" {
		return nil, nil
	}
	return tx.idOf(ctx, "clients", string(c))
}

func (tx *transaction) Insert(ctx context.Context, b *store.Block) error {
	l, err := tx.label(ctx, &b.Classification, b.Says.Client, b.Model)
	if err != nil {
		return err
	}
	var parent any
	if !b.ParentRoot.IsZero() {
		parent = b.ParentRoot[:]
	}
	err = tx.exec(ctx, `INSERT INTO blocks (slot, root, parent_slot, parent_root, proposer, canonical, single, multi,
		probabilities, graffiti, graffiti_client, execution, version, reason, model) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		clamp(b.Slot), b.Root[:], clamp(b.ParentSlot), parent, int64(b.Proposer), int(b.Canonical), l.single, b.Multi,
		l.probabilities, b.Graffiti, l.graffiti, b.Says.Execution, b.Says.Version, b.Reason, l.model)
	if err != nil || b.Features.Values == nil {
		return err
	}
	if v := b.Features; len(v.Values) != len(v.Names) {
		return blockprint.Errorf(blockprint.Internal, "block %s of slot %d comes with %d values for %d features", b.Root.Short(), b.Slot, len(v.Values), len(v.Names))
	}
	set, err := tx.featureSet(ctx, b.Features.Names)
	if err != nil {
		return err
	}
	err = tx.exec(ctx, "INSERT INTO features (slot, root, feature_set, vector) VALUES (?, ?, ?, ?)", clamp(b.Slot), b.Root[:], set, store.EncodeVector(b.Features.Values))
	return err
}

// featureSet returns the number of a list of feature names.
func (tx *transaction) featureSet(ctx context.Context, features []string) (int64, error) {
	if last := tx.features; len(features) > 0 && len(last) == len(features) && &last[0] == &features[0] {
		return tx.set, nil
	}
	text, err := json.Marshal(features)
	if err != nil {
		return 0, err
	}
	tx.features = features
	tx.set, err = tx.idOf(ctx, "feature_sets", string(text))
	return tx.set, err
}

func (tx *transaction) Delete(ctx context.Context, id store.BlockID) error {
	return tx.exec(ctx, "DELETE FROM blocks WHERE slot = ? AND root = ?", clamp(id.Slot), id.Root[:])
}

func (tx *transaction) SetParentRoot(ctx context.Context, id store.BlockID, parent blockprint.Root) error {
	return tx.exec(ctx, "UPDATE blocks SET parent_root = ? WHERE slot = ? AND root = ?", parent[:], clamp(id.Slot), id.Root[:])
}

func (tx *transaction) SetCanonical(ctx context.Context, id store.BlockID, to store.Canonical) error {
	return tx.exec(ctx, "UPDATE blocks SET canonical = ? WHERE slot = ? AND root = ?", int(to), clamp(id.Slot), id.Root[:])
}

func (tx *transaction) SetLabel(ctx context.Context, n *store.Label) error {
	l, err := tx.label(ctx, &n.Classification, n.Says.Client, n.Model)
	if err != nil {
		return err
	}
	return tx.exec(ctx, `UPDATE blocks SET single = ?, multi = ?, probabilities = ?, graffiti_client = ?, execution = ?, version = ?,
		reason = ?, model = ? WHERE slot = ? AND root = ?`, l.single, n.Multi, l.probabilities, l.graffiti, n.Says.Execution,
		n.Says.Version, n.Reason, l.model, clamp(n.Slot), n.Root[:])
}

func (tx *transaction) AddSums(ctx context.Context, changes []store.Sum) error {
	stmt, err := tx.PrepareContext(ctx, `INSERT INTO counts (level, part, single, blocks) VALUES (?, ?, ?, ?)
		ON CONFLICT (level, part, single) DO UPDATE SET blocks = blocks + excluded.blocks`)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }() // the transaction's end closes it too
	for _, c := range changes {
		single, err := tx.idOf(ctx, "clients", string(c.Single))
		if err != nil {
			return err
		}
		if _, err := stmt.ExecContext(ctx, c.Level, int64(c.Part), single, c.Blocks); err != nil {
			return err
		}
	}
	return nil
}

func (tx *transaction) KeepLatest(ctx context.Context, r *store.Row) error {
	single, err := tx.idOf(ctx, "clients", string(r.Single))
	if err != nil {
		return err
	}
	return tx.exec(ctx, `INSERT INTO latest (proposer, slot, single) VALUES (?, ?, ?)
		ON CONFLICT (proposer) DO UPDATE SET slot = excluded.slot, single = excluded.single WHERE excluded.slot >= slot`,
		int64(r.Proposer), clamp(r.Slot), single)
}

func (tx *transaction) FindLatest(ctx context.Context, proposer uint64) error {
	if err := tx.exec(ctx, "DELETE FROM latest WHERE proposer = ?", int64(proposer)); err != nil {
		return err
	}
	return tx.exec(ctx, `INSERT INTO latest (proposer, slot, single)
		SELECT proposer, slot, single FROM blocks WHERE proposer = ? AND canonical <> 1 ORDER BY slot DESC LIMIT 1`, int64(proposer))
}
