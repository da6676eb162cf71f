package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"blockprint"
	"blockprint/feature"
	"blockprint/store"
)

// Identify implements store.Store.
func (s *Store) Identify(ctx context.Context, id store.Identity) error {
	have, ok, err := s.Identity(ctx)
	if err != nil {
		return err
	}
	if ok {
		if have.GenesisValidatorsRoot != id.GenesisValidatorsRoot || have.GenesisTime != id.GenesisTime {
			return blockprint.Errorf(blockprint.Conflict, "database %s holds blocks of %s (genesis validators root %s, %s), but the node is of %s (%s, %s): use another --db",
				s.path, have.ConfigName, have.GenesisValidatorsRoot.Short(), time.Unix(have.GenesisTime, 0).UTC().Format(time.DateTime),
				id.ConfigName, id.GenesisValidatorsRoot.Short(), time.Unix(id.GenesisTime, 0).UTC().Format(time.DateTime))
		}
		return nil
	}
	if st, err := s.Status(ctx); err != nil || !st.Empty && id.SlotsPerEpoch != defaultSlotsPerEpoch {
		if err != nil {
			return err
		}
		return blockprint.Errorf(blockprint.Conflict, "database %s already counts its blocks in epochs of %d slots, but %s has %d: use another --db", s.path, defaultSlotsPerEpoch, id.ConfigName, id.SlotsPerEpoch)
	}
	text, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return s.inTransaction(ctx, "identify", func(tx *transaction) error { return setMeta(ctx, tx, "identity", string(text)) })
}

// Identity implements store.Store.
func (s *Store) Identity(ctx context.Context) (id store.Identity, ok bool, err error) {
	text, err := getMeta(ctx, s.cheap, "identity")
	if err != nil || text == "" {
		return id, false, s.wrap("read", err)
	}
	return id, true, s.wrap("read the identity of", json.Unmarshal([]byte(text), &id))
}

// SetFloor implements store.Store.
func (s *Store) SetFloor(ctx context.Context, floor blockprint.Slot) error {
	return s.inTransaction(ctx, "set the floor of", func(tx *transaction) error {
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

// change is a batch in the course of being applied.
type change struct {
	s             *Store
	tx            *transaction
	slotsPerEpoch uint64
	finalized     blockprint.Slot
	counts        map[countKey]int64
	stale         map[uint64]bool // validators whose latest block must be looked up again
	result        store.Result
}

// Apply implements store.Store.
func (s *Store) Apply(ctx context.Context, b store.Batch) (result store.Result, err error) {
	err = s.change(ctx, func(c *change) error {
		if err := c.apply(ctx, b); err != nil {
			return err
		}
		result = c.result
		return nil
	})
	return result, err
}

// change makes a change in a transaction, and brings the sums and the newest blocks of validators up to date.
func (s *Store) change(ctx context.Context, do func(*change) error) error {
	c := &change{s: s, counts: map[countKey]int64{}, stale: map[uint64]bool{}}
	return s.inTransaction(ctx, "write to", func(tx *transaction) (err error) {
		c.tx = tx
		if c.slotsPerEpoch, err = s.slotsPerEpoch(ctx, tx); err != nil {
			return err
		}
		if c.finalized, err = getSlot(ctx, tx, "finalized"); err != nil {
			return err
		}
		if err := do(c); err != nil {
			return err
		}
		if err := addCounts(ctx, c.tx, c.counts); err != nil {
			return err
		}
		for v := range c.stale {
			if err := c.renewLatest(ctx, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// defaultSlotsPerEpoch is mainnet's; it holds until the database is tied to a network.
const defaultSlotsPerEpoch = 32

func (s *Store) slotsPerEpoch(ctx context.Context, q queryer) (uint64, error) {
	text, err := getMeta(ctx, q, "identity")
	if err != nil || text == "" {
		return defaultSlotsPerEpoch, err
	}
	var id store.Identity
	if err := json.Unmarshal([]byte(text), &id); err != nil || id.SlotsPerEpoch == 0 {
		return defaultSlotsPerEpoch, err
	}
	return id.SlotsPerEpoch, nil
}

func (c *change) apply(ctx context.Context, b store.Batch) error {
	for i := range b.Blocks {
		if err := c.insert(ctx, &b.Blocks[i]); err != nil {
			return err
		}
	}
	for _, i := range b.Covered {
		if err := cover(ctx, c.tx, i); err != nil {
			return err
		}
	}
	for i := range b.Chains {
		if err := c.settle(ctx, &b.Chains[i]); err != nil {
			return err
		}
	}
	if b.Finalized != nil && *b.Finalized > c.finalized {
		if err := setMeta(ctx, c.tx, "finalized", strconv.FormatUint(uint64(*b.Finalized), 10)); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) insert(ctx context.Context, b *store.Block) error {
	known, err := c.known(ctx, b)
	if err != nil || known {
		return err
	}
	if err := c.replacePlaceholder(ctx, b); err != nil {
		return err
	}
	single, err := c.tx.idOf(ctx, "clients", string(b.Single))
	if err != nil {
		return err
	}
	var graffiti any
	if b.Classification.Graffiti.Client != "" {
		if graffiti, err = c.tx.idOf(ctx, "clients", string(b.Classification.Graffiti.Client)); err != nil {
			return err
		}
	}
	model, err := c.tx.idOf(ctx, "models", b.Model)
	if err != nil {
		return err
	}
	probabilities, err := encodeProbabilities(ctx, c.tx, b.Probabilities)
	if err != nil {
		return err
	}
	var parent any
	if !b.ParentRoot.IsZero() {
		parent = b.ParentRoot[:]
	}
	_, err = c.tx.ExecContext(ctx, `INSERT INTO blocks (slot, root, parent_slot, parent_root, proposer, canonical, single, multi,
		probabilities, graffiti, graffiti_client, execution, version, reason, model) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		clamp(b.Slot), b.Root[:], clamp(b.ParentSlot), parent, int64(b.Proposer), int(b.Canonical), single, b.Multi,
		probabilities, b.Graffiti, graffiti, b.Classification.Graffiti.Execution, b.Classification.Graffiti.Version, b.Reason, model)
	if err != nil {
		return err
	}
	if b.Features != nil {
		set, err := c.tx.featureSet(ctx, feature.Names())
		if err != nil {
			return err
		}
		if _, err := c.tx.ExecContext(ctx, "INSERT INTO features (slot, root, feature_set, vector) VALUES (?, ?, ?, ?)", clamp(b.Slot), b.Root[:], set, encodeVector(b.Features)); err != nil {
			return err
		}
	}
	c.result.Inserted++
	if b.Canonical != store.Orphaned {
		c.counts[countKey{blockprint.Epoch(uint64(b.Slot) / c.slotsPerEpoch), single}]++
		if _, err := c.tx.ExecContext(ctx, `INSERT INTO latest (proposer, slot, single) VALUES (?, ?, ?)
			ON CONFLICT (proposer) DO UPDATE SET slot = excluded.slot, single = excluded.single WHERE excluded.slot >= slot`,
			int64(b.Proposer), clamp(b.Slot), single); err != nil {
			return err
		}
	}
	return c.coverBlock(ctx, b)
}

// replacePlaceholder removes the imported row of a block that now comes with its root.
func (c *change) replacePlaceholder(ctx context.Context, b *store.Block) error {
	if store.IsPlaceholder(b.Root) {
		return nil
	}
	root := store.PlaceholderRoot(b.Proposer)
	var single int64
	err := c.tx.QueryRowContext(ctx, "DELETE FROM blocks WHERE slot = ? AND root = ? RETURNING single", clamp(b.Slot), root[:]).Scan(&single)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	c.counts[countKey{blockprint.Epoch(uint64(b.Slot) / c.slotsPerEpoch), single}]--
	c.stale[b.Proposer] = true
	return err
}

// known tells whether a block is stored already, and refuses one that contradicts what is stored. A parent's root
// that was not known before is filled in.
func (c *change) known(ctx context.Context, b *store.Block) (bool, error) {
	var parentSlot blockprint.Slot
	var proposer uint64
	var parentRoot []byte
	err := c.tx.QueryRowContext(ctx, "SELECT parent_slot, parent_root, proposer FROM blocks WHERE slot = ? AND root = ?", clamp(b.Slot), b.Root[:]).Scan(&parentSlot, &parentRoot, &proposer)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	differs := parentSlot != b.ParentSlot || proposer != b.Proposer || parentRoot != nil && !b.ParentRoot.IsZero() && !bytes.Equal(parentRoot, b.ParentRoot[:])
	if differs {
		return false, blockprint.Errorf(blockprint.Conflict, "block %s of slot %d is stored already with another parent or proposer (parent slot %d, proposer %d; now %d, %d)",
			b.Root.Short(), b.Slot, parentSlot, proposer, b.ParentSlot, b.Proposer)
	}
	if parentRoot == nil && !b.ParentRoot.IsZero() {
		if _, err := c.tx.ExecContext(ctx, "UPDATE blocks SET parent_root = ? WHERE slot = ? AND root = ?", b.ParentRoot[:], clamp(b.Slot), b.Root[:]); err != nil {
			return false, err
		}
	}
	c.result.Known++
	return true, nil
}

// coverBlock marks a block's slot and the empty ones since its parent as covered. A parent that is not stored
// opens a gap at its slot, unless that slot is final: then the block is off the chain and nothing is missing.
func (c *change) coverBlock(ctx context.Context, b *store.Block) error {
	first := b.ParentSlot + 1
	if b.ParentSlot == 0 {
		first = 0 // genesis has no proposer
	}
	if err := cover(ctx, c.tx, blockprint.Interval{Start: first, End: b.Slot}); err != nil {
		return err
	}
	if b.ParentSlot == 0 || b.ParentSlot <= c.finalized {
		return nil
	}
	var there int
	query, args := "SELECT count(*) FROM blocks WHERE slot = ?", []any{clamp(b.ParentSlot)}
	if !b.ParentRoot.IsZero() {
		query, args = query+" AND root = ?", append(args, b.ParentRoot[:])
	}
	if err := c.tx.QueryRowContext(ctx, query, args...).Scan(&there); err != nil {
		return err
	}
	if there == 0 {
		return uncover(ctx, c.tx, b.ParentSlot)
	}
	return nil
}

// setCanonical changes what is known of a block's place in the chain, and the sums with it. Blocks that are not
// stored are passed over.
func (c *change) setCanonical(ctx context.Context, id store.BlockID, to store.Canonical) error {
	var was store.Canonical
	var single int64
	var proposer uint64
	err := c.tx.QueryRowContext(ctx, "SELECT canonical, single, proposer FROM blocks WHERE slot = ? AND root = ?", clamp(id.Slot), id.Root[:]).Scan(&was, &single, &proposer)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil || was == to || was == store.Final && to == store.Undecided {
		return err
	}
	if _, err := c.tx.ExecContext(ctx, "UPDATE blocks SET canonical = ? WHERE slot = ? AND root = ?", int(to), clamp(id.Slot), id.Root[:]); err != nil {
		return err
	}
	key := countKey{blockprint.Epoch(uint64(id.Slot) / c.slotsPerEpoch), single}
	switch {
	case was != store.Orphaned && to == store.Orphaned:
		c.counts[key]--
		c.stale[proposer] = true
	case was == store.Orphaned:
		c.counts[key]++
		c.stale[proposer] = true
	}
	return nil
}

// settle marks the blocks of a piece of the chain as on it and all others of its slots as orphaned.
func (c *change) settle(ctx context.Context, chain *store.Chain) error {
	on := map[blockprint.Root]bool{}
	for _, id := range chain.Blocks {
		on[id.Root] = true
	}
	ids, err := blocksIn(ctx, c.tx, "SELECT slot, root FROM blocks WHERE slot BETWEEN ? AND ?", chain.Slots)
	if err != nil {
		return err
	}
	for _, id := range ids {
		to := store.Orphaned
		switch {
		case store.IsPlaceholder(id.Root):
			continue
		case on[id.Root] && chain.Final:
			to = store.Final
		case on[id.Root]:
			to = store.Undecided
		}
		if err := c.setCanonical(ctx, id, to); err != nil {
			return err
		}
	}
	return nil
}

// blocksIn returns the blocks that a query for slot and root finds in an interval.
func blocksIn(ctx context.Context, q queryer, query string, i blockprint.Interval) (ids []store.BlockID, err error) {
	rows, err := q.QueryContext(ctx, query, clamp(i.Start), clamp(i.End))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id store.BlockID
		var root []byte
		if err := rows.Scan(&id.Slot, &root); err != nil {
			return nil, err
		}
		copy(id.Root[:], root)
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// Undecided implements store.Store.
func (s *Store) Undecided(ctx context.Context, i blockprint.Interval) ([]store.BlockID, error) {
	ids, err := blocksIn(ctx, s.read, "SELECT slot, root FROM blocks INDEXED BY blocks_undecided WHERE canonical = 0 AND slot BETWEEN ? AND ? ORDER BY slot", i)
	ids = slices.DeleteFunc(ids, func(id store.BlockID) bool { return store.IsPlaceholder(id.Root) })
	return ids, s.wrap("read", err)
}

func (c *change) renewLatest(ctx context.Context, proposer uint64) error {
	if _, err := c.tx.ExecContext(ctx, "DELETE FROM latest WHERE proposer = ?", int64(proposer)); err != nil {
		return err
	}
	_, err := c.tx.ExecContext(ctx, `INSERT INTO latest (proposer, slot, single)
		SELECT proposer, slot, single FROM blocks WHERE proposer = ? AND canonical <> 1 ORDER BY slot DESC LIMIT 1`, int64(proposer))
	return err
}
