package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"blockprint"
	"blockprint/store"
)

// Identify implements store.Store. The genesis says which network it is; all else that is kept of it (its name, clock and
// forks) follows the newest word.
func (s *Store) Identify(ctx context.Context, id store.Identity) error {
	if err := id.Check(); err != nil {
		return err
	}
	return s.inTransaction(ctx, "identify", func(tx *transaction) error {
		have, ok, err := readIdentity(ctx, tx, s.path)
		if err != nil {
			return err
		}
		if ok && (have.GenesisValidatorsRoot != id.GenesisValidatorsRoot || have.GenesisTime != id.GenesisTime) {
			return blockprint.Errorf(blockprint.Conflict, "database %s holds blocks of %s (genesis validators root %s, %s), but the node is of %s (%s, %s): use another --db",
				s.path, have.ConfigName, have.GenesisValidatorsRoot.Short(), time.Unix(have.GenesisTime, 0).UTC().Format(time.DateTime),
				id.ConfigName, id.GenesisValidatorsRoot.Short(), time.Unix(id.GenesisTime, 0).UTC().Format(time.DateTime))
		}
		counted := uint64(defaultSlotsPerEpoch)
		if ok {
			counted = have.SlotsPerEpoch
		}
		if counted != id.SlotsPerEpoch {
			var blocks bool
			if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM blocks)").Scan(&blocks); err != nil {
				return err
			}
			if blocks {
				return blockprint.Errorf(blockprint.Conflict, "database %s already counts its blocks in epochs of %d slots, but %s has %d: use another --db", s.path, counted, id.ConfigName, id.SlotsPerEpoch)
			}
		}
		if ok && have.SlotSeconds != id.SlotSeconds {
			slog.Warn("the database's slot time is corrected", "database", s.path, "seconds", have.SlotSeconds, "now", id.SlotSeconds)
		}
		if id.ForkEpochs == nil { // a follower of an earlier version does not know them
			id.ForkEpochs = have.ForkEpochs
		}
		text, err := json.Marshal(id)
		if err != nil {
			return err
		}
		return setMeta(ctx, tx, "identity", string(text))
	})
}

// Identity implements store.Store.
func (s *Store) Identity(ctx context.Context) (id store.Identity, ok bool, err error) {
	id, ok, err = readIdentity(ctx, s.cheap, s.path)
	return id, ok, s.wrap("read the identity of", err)
}

// readIdentity reads what Identify has written. One that lacks something is an error: to guess would sum blocks in epochs of
// the wrong length.
func readIdentity(ctx context.Context, q queryer, path string) (id store.Identity, ok bool, err error) {
	text, err := getMeta(ctx, q, "identity")
	if err != nil || text == "" {
		return id, false, err
	}
	if err = json.Unmarshal([]byte(text), &id); err == nil {
		err = id.Check()
	}
	if err != nil {
		return id, false, blockprint.Errorf(blockprint.Internal, "the identity of database %s is damaged: %w", path, err)
	}
	return id, true, nil
}

// defaultSlotsPerEpoch is mainnet's; it holds until the database is tied to a network.
const defaultSlotsPerEpoch = 32

// newGate returns the gate of this moment.
func (s *Store) newGate(ctx context.Context, tx *transaction) (g store.Gate, slotsPerEpoch uint64, err error) {
	id, ok, err := readIdentity(ctx, tx, s.path)
	if err != nil || !ok {
		return store.NewGate(nil, s.now()), defaultSlotsPerEpoch, err
	}
	return store.NewGate(&id, s.now()), id.SlotsPerEpoch, nil
}

// SetFloor implements store.Store.
func (s *Store) SetFloor(ctx context.Context, floor blockprint.Slot) error {
	return s.inTransaction(ctx, "set the floor of", func(tx *transaction) error {
		gate, _, err := s.newGate(ctx, tx)
		if err != nil {
			return err
		}
		if err := gate.Slot("beginning of history", floor); err != nil {
			return err
		}
		return setMeta(ctx, tx, "floor", strconv.FormatUint(uint64(floor), 10))
	})
}

func setMeta(ctx context.Context, tx *transaction, key, value string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value)
	return err
}

func getMeta(ctx context.Context, q queryer, key string) (string, error) {
	var value string
	err := q.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

func getSlot(ctx context.Context, q queryer, key string) (blockprint.Slot, error) {
	text, err := getMeta(ctx, q, key)
	if err != nil || text == "" {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return blockprint.Slot(n), err
}
