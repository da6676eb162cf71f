package sqlite

import (
	"context"
	"errors"

	"blockprint"
)

// Gaps implements store.Store.
func (s *Store) Gaps(ctx context.Context, i blockprint.Interval) (blockprint.Intervals, error) {
	covered, err := coveredIn(ctx, s.cheap, i)
	if err != nil {
		return nil, s.wrap("read coverage of", err)
	}
	return covered.Gaps(i), nil
}

// coveredIn returns the covered intervals that touch i.
func coveredIn(ctx context.Context, q queryer, i blockprint.Interval) (_ blockprint.Intervals, err error) {
	// The interval that begins last before i may reach into it; all others that matter begin inside.
	rows, err := q.QueryContext(ctx, `SELECT first, last FROM coverage
		WHERE first >= coalesce((SELECT max(first) FROM coverage WHERE first <= ?1), ?1) AND first <= ?2 ORDER BY first`,
		clamp(i.Start), clamp(i.End))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var out blockprint.Intervals
	for rows.Next() {
		var c blockprint.Interval
		if err := rows.Scan(&c.Start, &c.End); err != nil {
			return nil, err
		}
		if c.End >= i.Start {
			out = append(out, c)
		}
	}
	return out, rows.Err()
}

// clamp keeps slots inside SQLite's signed integers.
func clamp(s blockprint.Slot) int64 {
	const most = 1<<63 - 1
	return int64(min(s, most))
}

// cover adds an interval to the coverage, joining it with those that it touches.
func cover(ctx context.Context, tx *transaction, i blockprint.Interval) error {
	if i.End < i.Start {
		return nil
	}
	wide := blockprint.Interval{Start: i.Start - min(i.Start, 1), End: i.End + 1}
	touched, err := coveredIn(ctx, tx, wide)
	if err != nil {
		return err
	}
	if touched.Contains(i) {
		return nil
	}
	joined := touched.Add(i)[0] // all that touch i become one with it
	if _, err := tx.ExecContext(ctx, "DELETE FROM coverage WHERE first BETWEEN ? AND ?", clamp(joined.Start), clamp(joined.End)); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO coverage (first, last) VALUES (?, ?)", clamp(joined.Start), clamp(joined.End))
	return err
}

// uncover takes one slot out of the coverage.
func uncover(ctx context.Context, tx *transaction, slot blockprint.Slot) error {
	one := blockprint.Interval{Start: slot, End: slot}
	touched, err := coveredIn(ctx, tx, one)
	if err != nil || len(touched) == 0 {
		return err
	}
	c := touched[0]
	if _, err := tx.ExecContext(ctx, "DELETE FROM coverage WHERE first = ?", clamp(c.Start)); err != nil {
		return err
	}
	for _, part := range []blockprint.Interval{{Start: c.Start, End: slot - 1}, {Start: slot + 1, End: c.End}} {
		if part.Start > part.End || part.End == ^blockprint.Slot(0) {
			continue
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO coverage (first, last) VALUES (?, ?)", clamp(part.Start), clamp(part.End)); err != nil {
			return err
		}
	}
	return nil
}
