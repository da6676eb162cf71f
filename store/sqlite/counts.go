package sqlite

import (
	"context"
	"database/sql"

	"blockprint"
)

// Epochs are summed in parts of 16, 256, ... epochs. Five levels above single epochs span 2^20 epochs, 13 years.
const (
	levelBits = 4
	topLevel  = 5
)

// countKey is a cell of the sums of single epochs.
type countKey struct {
	epoch  blockprint.Epoch
	single int64
}

// addCounts adds changes to the sums of all levels.
func addCounts(ctx context.Context, tx *transaction, changes map[countKey]int64) error {
	if len(changes) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, `INSERT INTO counts (level, part, single, blocks) VALUES (?, ?, ?, ?)
		ON CONFLICT (level, part, single) DO UPDATE SET blocks = blocks + excluded.blocks`)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }() // the transaction's end closes it too
	for level := range topLevel + 1 {
		sums := map[countKey]int64{}
		for k, n := range changes {
			sums[countKey{k.epoch >> (levelBits * level), k.single}] += n
		}
		for k, n := range sums {
			if n == 0 {
				continue
			}
			if _, err := stmt.ExecContext(ctx, level, int64(k.epoch), k.single, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// CountByClient implements store.Store.
func (s *Store) CountByClient(ctx context.Context, start, end blockprint.Epoch) (map[blockprint.Client]int64, error) {
	sums := map[int64]int64{}
	for _, p := range parts(start, end) {
		err := s.eachCount(ctx, p.level, p.first, p.last, func(_ blockprint.Epoch, single, blocks int64) { sums[single] += blocks })
		if err != nil {
			return nil, err
		}
	}
	out := map[blockprint.Client]int64{}
	for single, n := range sums {
		c, err := s.client(ctx, single)
		if err != nil {
			return nil, s.wrap("read clients of", err)
		}
		if n != 0 {
			out[c] = n
		}
	}
	return out, nil
}

// CountByEpoch implements store.Store.
func (s *Store) CountByEpoch(ctx context.Context, start, end blockprint.Epoch) (map[blockprint.Epoch]map[blockprint.Client]int64, error) {
	out := map[blockprint.Epoch]map[blockprint.Client]int64{}
	if end <= start {
		return out, nil
	}
	sums := map[countKey]int64{}
	err := s.eachCount(ctx, 0, start, end-1, func(e blockprint.Epoch, single, blocks int64) { sums[countKey{e, single}] = blocks })
	if err != nil {
		return nil, err
	}
	for k, n := range sums {
		c, err := s.client(ctx, k.single)
		if err != nil {
			return nil, s.wrap("read clients of", err)
		}
		if n == 0 {
			continue
		}
		if out[k.epoch] == nil {
			out[k.epoch] = map[blockprint.Client]int64{}
		}
		out[k.epoch][c] = n
	}
	return out, nil
}

func (s *Store) eachCount(ctx context.Context, level int, first, last blockprint.Epoch, each func(part blockprint.Epoch, single, blocks int64)) error {
	args := []any{level, clamp(blockprint.Slot(first)), clamp(blockprint.Slot(last))}
	return s.each(ctx, s.cheap, "SELECT part, single, blocks FROM counts WHERE level = ? AND part BETWEEN ? AND ?", args, func(rows *sql.Rows) error {
		var part, single, blocks int64
		if err := rows.Scan(&part, &single, &blocks); err != nil {
			return err
		}
		each(blockprint.Epoch(part), single, blocks)
		return nil
	})
}

// run is a run of parts of one level, both ends included.
type run struct {
	level       int
	first, last blockprint.Epoch
}

// parts cuts the epochs start to end-1 into the fewest runs: small parts at the edges, large ones between.
func parts(start, end blockprint.Epoch) []run {
	var out []run
	for level := 0; start < end; level++ {
		const size = 1 << levelBits
		if level == topLevel {
			return append(out, run{level, start, end - 1})
		}
		if up := min(end, (start+size-1)/size*size); start < up {
			out = append(out, run{level, start, up - 1})
			start = up
		}
		if down := max(start, end/size*size); down < end {
			out = append(out, run{level, down, end - 1})
			end = down
		}
		start, end = start/size, end/size
	}
	return out
}
