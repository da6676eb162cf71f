package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"blockprint"
	"blockprint/store"
)

// Relabel implements store.Store.
func (s *Store) Relabel(ctx context.Context, labels []store.Label) (changed int, err error) {
	err = s.change(ctx, func(c *change) error {
		changed = 0
		for i := range labels {
			different, err := c.relabel(ctx, &labels[i])
			if err != nil {
				return err
			}
			if different {
				changed++
			}
		}
		return nil
	})
	return changed, err
}

// relabel changes one block's label and tells whether its client is another one now.
func (c *change) relabel(ctx context.Context, l *store.Label) (bool, error) {
	var canonical store.Canonical
	var was int64
	var proposer uint64
	err := c.tx.QueryRowContext(ctx, "SELECT canonical, single, proposer FROM blocks WHERE slot = ? AND root = ?", clamp(l.Slot), l.Root[:]).Scan(&canonical, &was, &proposer)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	single, err := c.tx.idOf(ctx, "clients", string(l.Single))
	if err != nil {
		return false, err
	}
	var graffiti any
	if client := l.Classification.Graffiti.Client; client != "" {
		if graffiti, err = c.tx.idOf(ctx, "clients", string(client)); err != nil {
			return false, err
		}
	}
	model, err := c.tx.idOf(ctx, "models", l.Model)
	if err != nil {
		return false, err
	}
	probabilities, err := encodeProbabilities(ctx, c.tx, l.Probabilities)
	if err != nil {
		return false, err
	}
	if _, err := c.tx.ExecContext(ctx, `UPDATE blocks SET single = ?, multi = ?, probabilities = ?, graffiti_client = ?, execution = ?, version = ?,
		reason = ?, model = ? WHERE slot = ? AND root = ?`, single, l.Multi, probabilities, graffiti, l.Classification.Graffiti.Execution,
		l.Classification.Graffiti.Version, l.Reason, model, clamp(l.Slot), l.Root[:]); err != nil {
		return false, err
	}
	if single == was {
		return false, nil
	}
	if canonical != store.Orphaned {
		epoch := blockprint.Epoch(uint64(l.Slot) / c.slotsPerEpoch)
		c.counts[countKey{epoch, was}]--
		c.counts[countKey{epoch, single}]++
		c.stale[proposer] = true
	}
	return true, nil
}
