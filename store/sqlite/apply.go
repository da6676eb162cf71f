package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"

	"blockprint"
	"blockprint/feature"
	"blockprint/store"
)

// change is a batch in the course of being applied.
type change struct {
	s             *Store
	tx            *transaction
	gate          store.Gate
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
		if c.gate, c.slotsPerEpoch, err = s.newGate(ctx, tx); err != nil {
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

func (c *change) apply(ctx context.Context, b store.Batch) error {
	if err := c.gate.Batch(&b); err != nil {
		return err
	}
	for _, i := range b.Uncovered {
		if err := uncover(ctx, c.tx, i); err != nil {
			return err
		}
	}
	blocks := make([]*store.Block, len(b.Blocks))
	for i := range b.Blocks {
		blocks[i] = &b.Blocks[i]
	}
	// Parents first, so that they prove what lies between them and their children.
	slices.SortStableFunc(blocks, func(a, b *store.Block) int { return cmp.Compare(a.Slot, b.Slot) })
	for _, block := range blocks {
		if err := c.insert(ctx, block); err != nil {
			return err
		}
	}
	for _, i := range b.Covered {
		if err := c.coverProven(ctx, i); err != nil {
			return err
		}
	}
	for i := range b.Chains {
		if err := c.settle(ctx, &b.Chains[i]); err != nil {
			return err
		}
	}
	if b.Finalized != nil {
		return c.finalize(ctx, *b.Finalized)
	}
	return nil
}

// finalize moves the mark of what is settled, at most up to the first gap.
func (c *change) finalize(ctx context.Context, slot blockprint.Slot) error {
	covered, err := newestCovered(ctx, c.tx)
	if err != nil {
		return err
	}
	if err := c.gate.Finalized(slot, covered); err != nil {
		return err
	}
	floor, err := getSlot(ctx, c.tx, "floor")
	if err != nil {
		return err
	}
	from := max(c.finalized+1, floor)
	if slot < from {
		return nil
	}
	span := blockprint.Interval{Start: from, End: slot}
	known, err := coveredIn(ctx, c.tx, span)
	if err != nil {
		return err
	}
	if gaps := known.Gaps(span); len(gaps) > 0 {
		if gaps[0].Start == from {
			return nil
		}
		slot = gaps[0].Start - 1
	}
	return setMeta(ctx, c.tx, "finalized", strconv.FormatUint(uint64(slot), 10))
}

func (c *change) insert(ctx context.Context, b *store.Block) error {
	known, err := c.known(ctx, b)
	if err != nil {
		return err
	}
	if err := c.replacePlaceholder(ctx, b); err != nil || known {
		return err
	}
	if store.IsPlaceholder(b.Root) {
		// Whichever comes first, the block and what an original database says of it are one.
		var there bool
		err := c.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM blocks WHERE slot = ? AND +proposer = ?)", clamp(b.Slot), int64(b.Proposer)).Scan(&there)
		if err != nil || there {
			c.result.Known++
			return err
		}
	}
	canonical, err := c.place(ctx, b)
	if err != nil {
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
		clamp(b.Slot), b.Root[:], clamp(b.ParentSlot), parent, int64(b.Proposer), int(canonical), single, b.Multi,
		probabilities, b.Graffiti, graffiti, b.Classification.Graffiti.Execution, b.Classification.Graffiti.Version, b.Reason, model)
	if err != nil {
		return err
	}
	if b.Features != nil {
		names := feature.Names()
		if len(b.Features) != len(names) {
			return blockprint.Errorf(blockprint.Internal, "block %s of slot %d comes with %d features, not with the %d that this version knows", b.Root.Short(), b.Slot, len(b.Features), len(names))
		}
		set, err := c.tx.featureSet(ctx, names)
		if err != nil {
			return err
		}
		if _, err := c.tx.ExecContext(ctx, "INSERT INTO features (slot, root, feature_set, vector) VALUES (?, ?, ?, ?)", clamp(b.Slot), b.Root[:], set, encodeVector(b.Features)); err != nil {
			return err
		}
	}
	c.result.Inserted++
	if canonical != store.Orphaned {
		c.counts[countKey{blockprint.Epoch(uint64(b.Slot) / c.slotsPerEpoch), single}]++
		if _, err := c.tx.ExecContext(ctx, `INSERT INTO latest (proposer, slot, single) VALUES (?, ?, ?)
			ON CONFLICT (proposer) DO UPDATE SET slot = excluded.slot, single = excluded.single WHERE excluded.slot >= slot`,
			int64(b.Proposer), clamp(b.Slot), single); err != nil {
			return err
		}
	}
	return c.coverBlock(ctx, b)
}

// place returns where a new block belongs in the chain. Where that is settled already, a block that comes late, beside the
// final block of its slot or between a final block and its parent, is off it.
func (c *change) place(ctx context.Context, b *store.Block) (store.Canonical, error) {
	if b.Canonical != store.Undecided || store.IsPlaceholder(b.Root) {
		return b.Canonical, nil
	}
	var slot, parent blockprint.Slot
	err := c.tx.QueryRowContext(ctx, "SELECT slot, parent_slot FROM blocks WHERE slot BETWEEN ?1 AND ?1 + ?2 AND canonical = 2 ORDER BY slot LIMIT 1",
		clamp(b.Slot), int64(c.gate.Unproven)).Scan(&slot, &parent)
	if errors.Is(err, sql.ErrNoRows) {
		return b.Canonical, nil
	}
	if err == nil && (slot == b.Slot || parent < b.Slot) {
		return store.Orphaned, nil
	}
	return b.Canonical, err
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
	// Placeholders begin with 24 zero bytes. There may be millions of them, so the index alone must tell.
	ids, err := blocksIn(ctx, s.read, `SELECT slot, root FROM blocks INDEXED BY blocks_undecided
		WHERE canonical = 0 AND slot BETWEEN ? AND ? AND root >= x'000000000000000000000000000000000000000000000001' ORDER BY slot`, i)
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
