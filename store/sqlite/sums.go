package sqlite

import (
	"context"
	"database/sql"

	"blockprint"
	"blockprint/store"
)

// CountByClient implements store.Store.
func (s *Store) CountByClient(ctx context.Context, start, end blockprint.Epoch) (map[blockprint.Client]int64, error) {
	out := map[blockprint.Client]int64{}
	for _, r := range store.SumRuns(start, end) {
		list, err := s.sums(ctx, r)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			out[c.Single] += c.Blocks
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
	list, err := s.sums(ctx, store.SumRun{First: start, Last: end - 1})
	for _, c := range list {
		if out[c.Part] == nil {
			out[c.Part] = map[blockprint.Client]int64{}
		}
		out[c.Part][c.Single] = c.Blocks
	}
	return out, err
}

// sums returns the sums of a run that are not 0.
func (s *Store) sums(ctx context.Context, r store.SumRun) (list []store.Sum, err error) {
	var ids []int64
	args := []any{r.Level, clamp(blockprint.Slot(r.First)), clamp(blockprint.Slot(r.Last))}
	err = s.each(ctx, s.cheap, "SELECT part, single, blocks FROM counts WHERE level = ? AND part BETWEEN ? AND ? AND blocks <> 0", args, func(rows *sql.Rows) error {
		var part, single, blocks int64
		err := rows.Scan(&part, &single, &blocks)
		if err == nil {
			list, ids = append(list, store.Sum{Part: blockprint.Epoch(part), Blocks: blocks}), append(ids, single)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, id := range ids { // now that the connection is given back, which names may need
		if list[i].Single, err = s.client(ctx, id); err != nil {
			return nil, s.wrap("read clients of", err)
		}
	}
	return list, nil
}
