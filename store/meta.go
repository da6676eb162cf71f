package store

import (
	"context"
	"strconv"
	"time"

	"blockprint"
)

// Keys of a database's settings.
const (
	metaIdentity  = "identity" // JSON
	MetaFloor     = "floor"
	MetaFinalized = "finalized"
)

// Settings is what settings are read from: a Tx, or a backend's reader.
type Settings interface {
	Name() string
	Meta(ctx context.Context, key string) (string, error)
}

// GetSlot reads a setting that is a slot; 0 if it is not set.
func GetSlot(ctx context.Context, s Settings, key string) (blockprint.Slot, error) {
	text, err := s.Meta(ctx, key)
	if err != nil || text == "" {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return blockprint.Slot(n), err
}

// SetSlot writes a setting that is a slot.
func SetSlot(ctx context.Context, tx Tx, key string, slot blockprint.Slot) error {
	return tx.SetMeta(ctx, key, strconv.FormatUint(uint64(slot), 10))
}

// GateOf returns a database's gate of the present moment, and the length of the epochs that its blocks are summed in.
func GateOf(ctx context.Context, s Settings, now time.Time) (g Gate, slotsPerEpoch uint64, err error) {
	id, ok, err := ReadIdentity(ctx, s)
	if err != nil || !ok {
		return NewGate(nil, now), defaultSlotsPerEpoch, err
	}
	return NewGate(&id, now), id.SlotsPerEpoch, nil
}

// SetFloor sets the slot at which history begins, in a backend's transaction.
func SetFloor(ctx context.Context, tx Tx, now time.Time, floor blockprint.Slot) error {
	gate, _, err := GateOf(ctx, tx, now)
	if err != nil {
		return err
	}
	if err := gate.Slot("beginning of history", floor); err != nil {
		return err
	}
	return SetSlot(ctx, tx, MetaFloor, floor)
}
