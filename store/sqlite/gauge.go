package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"blockprint"
	"blockprint/store"
)

// Observe implements store.Gauge.
func (s *Store) Observe(ctx context.Context, list []store.Observation) (added int, err error) {
	err = s.inTransaction(ctx, "observe in", func(tx *transaction) error {
		added = 0
		gate, _, err := store.GateOf(ctx, tx, s.now())
		if err != nil {
			return err
		}
		for i := range list {
			if err := gate.Slot("observation", list[i].Slot); err != nil {
				return err
			}
			isNew, err := observe(ctx, tx, &list[i])
			if err != nil {
				return err
			}
			if isNew {
				added++
			}
		}
		return nil
	})
	return added, err
}

func observe(ctx context.Context, tx *transaction, o *store.Observation) (bool, error) {
	node, err := gaugeNode(ctx, tx, o.Node, o.Label)
	if err != nil {
		return false, err
	}
	guess, err := tx.idOf(ctx, "clients", string(o.Guess))
	if err != nil {
		return false, err
	}
	model, err := tx.idOf(ctx, "models", o.Model)
	if err != nil {
		return false, err
	}
	res, err := tx.ExecContext(ctx, "INSERT INTO gauge_observations (slot, node, guess, model) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", clamp(o.Slot), node, guess, model)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	if err := tx.exec(ctx, `INSERT INTO gauge_counts (part, node, model, guess, blocks, latest) VALUES (?, ?, ?, ?, 1, ?)
		ON CONFLICT DO UPDATE SET blocks = blocks + 1, latest = max(latest, excluded.latest)`, clamp(o.Slot/store.GaugePart), node, model, guess, clamp(o.Slot)); err != nil {
		return false, err
	}
	err = tx.exec(ctx, `INSERT INTO gauge_days (day, node, model, guess, blocks) VALUES (?, ?, ?, ?, 1)
		ON CONFLICT DO UPDATE SET blocks = blocks + 1`, o.Day, node, model, guess)
	return true, err
}

// gaugeNode returns the number of a node, giving it one if it is new.
func gaugeNode(ctx context.Context, tx *transaction, name string, label blockprint.Client) (int64, error) {
	client, err := tx.idOf(ctx, "clients", string(label))
	if err != nil {
		return 0, err
	}
	var id int64
	err = tx.QueryRowContext(ctx, "SELECT id FROM gauge_nodes WHERE name = ? AND label = ?", name, client).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, "INSERT INTO gauge_nodes (name, label) VALUES (?, ?) RETURNING id", name, client).Scan(&id)
	}
	return id, err
}

// Observed implements store.Gauge.
func (s *Store) Observed(ctx context.Context, since blockprint.Slot) ([]store.NodeCount, error) {
	return s.nodeCounts(ctx, "sum(c.blocks), max(c.latest) FROM gauge_counts c", "c.part >= ?", clamp(since/store.GaugePart))
}

// ObservedIn implements store.Gauge.
func (s *Store) ObservedIn(ctx context.Context, i blockprint.Interval) ([]store.NodeCount, error) {
	return s.nodeCounts(ctx, "count(*), max(c.slot) FROM gauge_observations c", "c.slot BETWEEN ? AND ?", clamp(i.Start), clamp(i.End))
}

// gaugeNames joins a table of the gauge, c, with the names that it has the numbers of.
const gaugeNames = " JOIN gauge_nodes n ON n.id = c.node JOIN clients l ON l.id = n.label JOIN clients g ON g.id = c.guess JOIN models m ON m.id = c.model WHERE "

func (s *Store) nodeCounts(ctx context.Context, sums, where string, args ...any) ([]store.NodeCount, error) {
	return collect(ctx, s, "SELECT n.name, l.name, g.name, m.name, "+sums+gaugeNames+where+" GROUP BY c.node, c.model, c.guess ORDER BY l.name, n.name, m.name, g.name",
		args, func(r *sql.Rows, c *store.NodeCount) error {
			return r.Scan(&c.Node, &c.Label, &c.Guess, &c.Model, &c.Blocks, &c.Latest)
		})
}

// ObservedDays implements store.Gauge.
func (s *Store) ObservedDays(ctx context.Context, first, last string) ([]store.DayCount, error) {
	return collect(ctx, s, "SELECT c.day, n.name, l.name, g.name, m.name, c.blocks FROM gauge_days c"+gaugeNames+"c.day BETWEEN ? AND ? ORDER BY c.day, l.name, n.name, m.name, g.name",
		[]any{first, last}, func(r *sql.Rows, c *store.DayCount) error {
			return r.Scan(&c.Day, &c.Node, &c.Label, &c.Guess, &c.Model, &c.Blocks)
		})
}

// ForgetObservations implements store.Gauge.
func (s *Store) ForgetObservations(ctx context.Context, before blockprint.Slot) error {
	return s.exec(ctx, "forget observations in", "DELETE FROM gauge_observations WHERE slot < ?", clamp(before))
}

// AddOpinion implements store.Gauge.
func (s *Store) AddOpinion(ctx context.Context, o store.Opinion) error {
	return s.inTransaction(ctx, "write an opinion to", func(tx *transaction) error {
		gate, _, err := store.GateOf(ctx, tx, s.now())
		if err != nil {
			return err
		}
		if err := gate.Slot("opinion", o.Slot); err != nil {
			return err
		}
		likely, err := tx.maybe(ctx, o.Likely)
		if err != nil {
			return err
		}
		return tx.exec(ctx, `INSERT INTO verdicts (slot, root, likely, details) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET likely = excluded.likely, details = excluded.details`, clamp(o.Slot), o.Root[:], likely, string(o.Details))
	})
}

// Opinions implements store.Gauge.
func (s *Store) Opinions(ctx context.Context, i blockprint.Interval) iter.Seq2[store.Opinion, error] {
	const query = `SELECT v.slot, v.root, coalesce(c.name, ''), v.details FROM verdicts v LEFT JOIN clients c ON c.id = v.likely
		WHERE v.slot BETWEEN ?1 AND ?2 AND (v.slot, v.root) > (?1, ?3) ORDER BY v.slot, v.root LIMIT ?4`
	return pages(ctx, s, query, []any{clamp(i.Start), clamp(i.End), []byte{}, store.PageSize}, func(r *sql.Rows, o *store.Opinion) error {
		var root []byte
		err := r.Scan(&o.Slot, &root, &o.Likely, &o.Details)
		copy(o.Root[:], root)
		return err
	}, func(args []any, last *store.Opinion) { args[0], args[2] = clamp(last.Slot), last.Root[:] })
}
