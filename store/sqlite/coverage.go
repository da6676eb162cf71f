package sqlite

import (
	"context"
	"errors"

	"blockprint"
	"blockprint/store"
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
func cover(ctx context.Context, tx queryer, i blockprint.Interval) error {
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

// newestCovered returns the newest covered slot; 0 if there is none.
func newestCovered(ctx context.Context, q queryer) (slot blockprint.Slot, err error) {
	err = q.QueryRowContext(ctx, "SELECT coalesce(max(last), 0) FROM coverage").Scan(&slot)
	return slot, err
}

// coverBlock marks a block's slot and the empty ones since its parent as covered. A parent that is not stored
// opens a gap at its slot, unless that slot is final: then the block is off the chain and nothing is missing.
// If more slots lie between them than may be believed, they are covered only if the parent is stored.
func (c *change) coverBlock(ctx context.Context, b *store.Block) error {
	first := b.ParentSlot + 1
	if b.ParentSlot == 0 {
		first = 0 // genesis has no proposer
	}
	there, err := c.stored(ctx, b.ParentSlot, b.ParentRoot)
	if err != nil {
		return err
	}
	if !there && uint64(b.Slot-first) > c.gate.Unproven {
		first = b.Slot
	}
	if err := cover(ctx, c.tx, blockprint.Interval{Start: first, End: b.Slot}); err != nil {
		return err
	}
	if there || b.ParentSlot == 0 || b.ParentSlot <= c.finalized {
		return nil
	}
	return uncover(ctx, c.tx, blockprint.Interval{Start: b.ParentSlot, End: b.ParentSlot})
}

// stored tells whether a block is there, or its placeholder; any of the slot if the root is not known.
func (c *change) stored(ctx context.Context, slot blockprint.Slot, root blockprint.Root) (there bool, err error) {
	if root.IsZero() {
		err = c.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM blocks WHERE slot = ?)", clamp(slot)).Scan(&there)
		return there, err
	}
	err = c.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM blocks WHERE slot = ? AND (root = ? OR root < ?))", clamp(slot), root[:], firstReal).Scan(&there)
	return there, err
}

// firstReal is greater than the roots of all placeholders and not greater than any other.
var firstReal = append(append(make([]byte, 23), 1), make([]byte, 8)...)

// coverProven covers what a batch says is covered. Of long runs without a block it wants a proof: that the next block's
// parent lies before them.
func (c *change) coverProven(ctx context.Context, i blockprint.Interval) error {
	if i.Len() <= c.gate.Unproven {
		return cover(ctx, c.tx, i)
	}
	proven, err := c.proven(ctx, i)
	if err != nil {
		return err
	}
	for _, part := range proven {
		if err := cover(ctx, c.tx, part); err != nil {
			return err
		}
	}
	return nil
}

// proven returns the parts of an interval of which the stored blocks show that nothing is missing, short runs of slots
// without a block included.
func (c *change) proven(ctx context.Context, i blockprint.Interval) (out blockprint.Intervals, err error) {
	rows, err := c.tx.QueryContext(ctx, `SELECT slot, min(parent_slot) FROM blocks WHERE slot BETWEEN ?1 AND ?2 GROUP BY slot
		UNION ALL SELECT slot, parent_slot FROM (SELECT slot, parent_slot FROM blocks WHERE slot > ?2 ORDER BY slot LIMIT 1) ORDER BY slot`, clamp(i.Start), clamp(i.End))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	next := i.Start // the first slot of the run without a block
	add := func(end blockprint.Slot, proven bool) {
		if end = min(end, i.End); end >= next && (proven || uint64(end-next) < c.gate.Unproven) {
			out = out.Add(blockprint.Interval{Start: next, End: end})
		}
	}
	for rows.Next() {
		var slot, parent blockprint.Slot
		if err := rows.Scan(&slot, &parent); err != nil {
			return nil, err
		}
		if slot > next {
			add(slot-1, parent < next || parent == 0)
		}
		if next = slot; slot <= i.End {
			add(slot, true)
		}
		next = slot + 1
	}
	if next <= i.End {
		add(i.End, false)
	}
	return out, rows.Err()
}

// uncover takes an interval out of the coverage.
func uncover(ctx context.Context, tx queryer, i blockprint.Interval) error {
	touched, err := coveredIn(ctx, tx, i)
	if err != nil {
		return err
	}
	for _, c := range touched {
		if _, err := tx.ExecContext(ctx, "DELETE FROM coverage WHERE first = ?", clamp(c.Start)); err != nil {
			return err
		}
		for _, part := range (blockprint.Intervals{i}).Gaps(c) {
			if _, err := tx.ExecContext(ctx, "INSERT INTO coverage (first, last) VALUES (?, ?)", clamp(part.Start), clamp(part.End)); err != nil {
				return err
			}
		}
	}
	return nil
}
