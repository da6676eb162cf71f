package sqlite

import (
	"context"

	"blockprint"
	"blockprint/store"
)

// Apply implements store.Store.
func (s *Store) Apply(ctx context.Context, b store.Batch) (result store.Result, err error) {
	err = s.inTransaction(ctx, "write to", func(tx *transaction) error {
		result, err = store.Apply(ctx, tx, s.now(), b)
		return err
	})
	return result, err
}

// Relabel implements store.Store.
func (s *Store) Relabel(ctx context.Context, labels []store.Label) (changed int, err error) {
	err = s.inTransaction(ctx, "write to", func(tx *transaction) error {
		changed, err = store.Relabel(ctx, tx, s.now(), labels)
		return err
	})
	return changed, err
}

// Identify implements store.Store.
func (s *Store) Identify(ctx context.Context, id store.Identity) error {
	return s.inTransaction(ctx, "identify", func(tx *transaction) error { return store.Identify(ctx, tx, id) })
}

// SetFloor implements store.Store.
func (s *Store) SetFloor(ctx context.Context, floor blockprint.Slot) error {
	return s.inTransaction(ctx, "set the floor of", func(tx *transaction) error { return store.SetFloor(ctx, tx, s.now(), floor) })
}
