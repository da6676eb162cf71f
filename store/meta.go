package store

import (
	"context"
	"encoding/json"
	"log/slog"
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

// ReadIdentity reads what Identify has written. One that lacks something is an error: to guess would sum blocks in epochs of
// the wrong length.
func ReadIdentity(ctx context.Context, s Settings) (id Identity, ok bool, err error) {
	text, err := s.Meta(ctx, metaIdentity)
	if err != nil || text == "" {
		return id, false, err
	}
	if err = json.Unmarshal([]byte(text), &id); err == nil {
		err = id.Check()
	}
	if err != nil {
		return id, false, blockprint.Errorf(blockprint.Internal, "the identity of database %s is damaged: %w", s.Name(), err)
	}
	return id, true, nil
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

// Identify ties a database to a network, in a backend's transaction. The genesis says which network it is; all else that is
// kept about it (its name, clock and forks) follows the newest word.
func Identify(ctx context.Context, tx Tx, id Identity) error {
	if err := id.Check(); err != nil {
		return err
	}
	have, ok, err := ReadIdentity(ctx, tx)
	if err != nil {
		return err
	}
	if ok && (have.GenesisValidatorsRoot != id.GenesisValidatorsRoot || have.GenesisTime != id.GenesisTime) {
		return blockprint.Errorf(blockprint.Conflict, "database %s holds blocks of %s (genesis validators root %s, %s), but the node is of %s (%s, %s): use another --db",
			tx.Name(), have.ConfigName, have.GenesisValidatorsRoot.Short(), time.Unix(have.GenesisTime, 0).UTC().Format(time.DateTime),
			id.ConfigName, id.GenesisValidatorsRoot.Short(), time.Unix(id.GenesisTime, 0).UTC().Format(time.DateTime))
	}
	counted := uint64(defaultSlotsPerEpoch)
	if ok {
		counted = have.SlotsPerEpoch
	}
	if counted != id.SlotsPerEpoch {
		block, err := tx.First(ctx, blockprint.Interval{End: newestSlot}, false)
		if err != nil {
			return err
		}
		if block != nil {
			return blockprint.Errorf(blockprint.Conflict, "database %s already counts its blocks in epochs of %d slots, but %s has %d: use another --db", tx.Name(), counted, id.ConfigName, id.SlotsPerEpoch)
		}
	}
	if ok && have.SlotSeconds != id.SlotSeconds {
		slog.Warn("the database's slot time is corrected", "database", tx.Name(), "seconds", have.SlotSeconds, "now", id.SlotSeconds)
	}
	if id.ForkEpochs == nil { // a follower of an earlier version does not know them
		id.ForkEpochs = have.ForkEpochs
	}
	text, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return tx.SetMeta(ctx, metaIdentity, string(text))
}
