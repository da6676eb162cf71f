package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"blockprint"
	"blockprint/store"
)

// checker looks at a database in one transaction.
type checker struct {
	*transaction
	repair   bool
	gate     store.Gate
	perEpoch uint64
	store.Findings
}

// Check implements store.Store.
func (s *Store) Check(ctx context.Context, repair bool) (findings []store.Finding, err error) {
	look := func(tx *transaction) error {
		c := &checker{transaction: tx, repair: repair}
		err := c.run(ctx)
		findings = c.Findings
		return err
	}
	if repair {
		err = s.inTransaction(ctx, "repair", look)
		return findings, err
	}
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // one snapshot for all steps
	if err != nil {
		return nil, s.wrap("check", err)
	}
	defer func() { _ = tx.Rollback() }() // only read
	return findings, s.wrap("check", look(s.transaction(tx)))
}

func (c *checker) run(ctx context.Context) (err error) {
	if c.gate, c.perEpoch, err = store.GateOf(ctx, c, c.s.now()); err != nil {
		return err
	}
	sound, err := c.integrity(ctx)
	if err != nil || !sound {
		return err // whatever else was found would mean nothing
	}
	for _, step := range []func(context.Context) error{c.impossible, c.doubled, c.labels, c.features, c.chain, c.sums, c.latest} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// chain leaves to package store what is not SQL.
func (c *checker) chain(ctx context.Context) error {
	findings, err := store.CheckChain(ctx, c, &c.gate, c.repair)
	c.Findings = append(c.Findings, findings...)
	return err
}

// integrity asks SQLite whether the file is sound.
func (c *checker) integrity(ctx context.Context) (sound bool, err error) {
	var text string
	if err := c.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&text); err != nil {
		return false, err
	}
	if text == "ok" {
		return true, nil
	}
	c.Add("file", 1, false, "the file is damaged (%s): take a backup of it, or let `sqlite3 FILE .recover` save what can be saved", text)
	return false, nil
}

// rows handles rows of a table, b, that a condition finds: it names the first, and with repair runs a statement for them.
func (c *checker) rows(ctx context.Context, kind, what, table, condition, repair string, args ...any) error {
	var count int64
	var slot sql.NullInt64
	if err := c.QueryRowContext(ctx, "SELECT count(*), min(slot) FROM "+table+" AS b WHERE "+condition, args...).Scan(&count, &slot); err != nil || count == 0 {
		return err
	}
	c.Add(kind, count, c.repair, what, count, slot.Int64)
	if !c.repair {
		return nil
	}
	return c.exec(ctx, repair+" WHERE "+condition, args...)
}

// firstReal is greater than the roots of all placeholders and not greater than any other.
var firstReal = append(append(make([]byte, 23), 1), make([]byte, 8)...)

const deleteBlocks = "DELETE FROM blocks AS b"

// impossible finds blocks that the gate would refuse today.
func (c *checker) impossible(ctx context.Context) error {
	return c.rows(ctx, "impossible", "blocks of the future, or with a parent, proposer or root that cannot be: %d, the first of slot %d", "blocks",
		"slot > ? OR slot <= 0 OR parent_slot >= slot OR parent_slot < 0 OR proposer NOT BETWEEN 0 AND (1 << 40) - 1 OR length(root) <> 32 OR canonical NOT IN (0, 1, 2)",
		deleteBlocks, clamp(c.gate.Newest))
}

// doubled finds placeholders beside the block whose place they hold.
func (c *checker) doubled(ctx context.Context) error {
	return c.rows(ctx, "doubled", "blocks that are stored twice, once without a root by import-db: %d, the first of slot %d", "blocks",
		"root < ?1 AND EXISTS (SELECT 1 FROM blocks AS o WHERE o.slot = b.slot AND +o.proposer = b.proposer AND o.root >= ?1)", deleteBlocks, firstReal)
}

// labels finds labels that cannot be read.
func (c *checker) labels(ctx context.Context) error {
	if c.repair {
		if err := c.exec(ctx, "INSERT INTO clients (name) VALUES (?) ON CONFLICT DO NOTHING", string(blockprint.Uncertain)); err != nil {
			return err
		}
		if err := c.exec(ctx, "INSERT INTO models (name) VALUES (?) ON CONFLICT DO NOTHING", store.ImportedModel); err != nil {
			return err
		}
	}
	for _, r := range []struct{ condition, repair string }{
		{"single NOT IN (SELECT id FROM clients)", "UPDATE blocks AS b SET probabilities = x'', multi = '" + string(blockprint.Uncertain) + "', single = (SELECT id FROM clients WHERE name = '" + string(blockprint.Uncertain) + "')"},
		{"model NOT IN (SELECT id FROM models)", "UPDATE blocks AS b SET model = (SELECT id FROM models WHERE name = '" + store.ImportedModel + "')"},
		{"graffiti_client NOT IN (SELECT id FROM clients)", "UPDATE blocks AS b SET graffiti_client = NULL"},
	} {
		if err := c.rows(ctx, "labels", "blocks whose label, model or graffiti refers to a name that is not there: %d, the first of slot %d", "blocks", r.condition, r.repair); err != nil {
			return err
		}
	}
	client := func(id int64) (blockprint.Client, error) { return c.s.client(ctx, id) }
	var bad []store.BlockID
	err := c.s.each(ctx, c, "SELECT slot, root, probabilities FROM blocks", nil, func(rows *sql.Rows) error {
		var id store.BlockID
		var root, probabilities sql.RawBytes
		if err := rows.Scan(&id.Slot, &root, &probabilities); err != nil {
			return err
		}
		if _, err := store.DecodeProbabilities(probabilities, client); errors.Is(err, store.ErrDamaged) {
			copy(id.Root[:], root)
			bad = append(bad, id)
		}
		return nil
	})
	if err != nil || len(bad) == 0 {
		return err
	}
	c.Add("labels", int64(len(bad)), c.repair, "blocks with probabilities that cannot be read: %d, the first of slot %d; `blockprint reclassify` computes them again", len(bad), bad[0].Slot)
	for _, id := range bad {
		if !c.repair {
			break
		}
		if err := c.exec(ctx, "UPDATE blocks SET probabilities = x'' WHERE slot = ? AND root = ?", clamp(id.Slot), id.Root[:]); err != nil {
			return err
		}
	}
	return nil
}

// features finds vectors that no model can use.
func (c *checker) features(ctx context.Context) error {
	return c.rows(ctx, "features", "feature vectors of the wrong length or without a block: %d, the first of slot %d; the labels stay", "features",
		`NOT EXISTS (SELECT 1 FROM blocks AS o WHERE o.slot = b.slot AND o.root = b.root)
		OR NOT EXISTS (SELECT 1 FROM feature_sets AS s WHERE s.id = b.feature_set AND length(b.vector) = 8 * json_array_length(s.names))`,
		"DELETE FROM features AS b")
}

// differing counts the rows that only one of two queries returns.
func (c *checker) differing(ctx context.Context, a, b string, args ...any) (n int64, err error) {
	err = c.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM ("+a+" EXCEPT "+b+")) + (SELECT count(*) FROM ("+b+" EXCEPT "+a+"))", args...).Scan(&n)
	return n, err
}

// sums compares the sums with the table.
func (c *checker) sums(ctx context.Context) error {
	var wrong int64
	for level := range store.TopSum + 1 {
		n, err := c.differing(ctx, "SELECT (slot / ?2) >> (4 * ?1), single, count(*) FROM blocks WHERE canonical <> 1 GROUP BY 1, 2",
			"SELECT part, single, blocks FROM counts WHERE level = ?1 AND blocks <> 0", level, int64(c.perEpoch))
		if err != nil {
			return err
		}
		wrong += n
	}
	c.Add("sums", wrong, c.repair, "sums that differ from the table of blocks: %d", wrong)
	if !c.repair || wrong == 0 {
		return nil
	}
	if err := c.exec(ctx, "DELETE FROM counts"); err != nil {
		return err
	}
	if err := c.exec(ctx, "INSERT INTO counts SELECT 0, slot / ?, single, count(*) FROM blocks WHERE canonical <> 1 GROUP BY 2, 3", int64(c.perEpoch)); err != nil {
		return err
	}
	for level := range store.TopSum {
		if err := c.exec(ctx, "INSERT INTO counts SELECT ?1 + 1, part >> 4, single, sum(blocks) FROM counts WHERE level = ?1 GROUP BY 2, 3", level); err != nil {
			return err
		}
	}
	return nil
}

// latest compares the newest blocks of validators with the table.
func (c *checker) latest(ctx context.Context) error {
	wrong, err := c.differing(ctx, "SELECT proposer, max(slot) FROM blocks WHERE canonical <> 1 GROUP BY proposer", "SELECT proposer, slot FROM latest")
	if err != nil {
		return err
	}
	c.Add("latest", wrong, c.repair, "newest blocks of validators that differ from the table of blocks: %d", wrong)
	if !c.repair || wrong == 0 {
		return nil
	}
	if err := c.exec(ctx, "DELETE FROM latest"); err != nil {
		return err
	}
	return c.exec(ctx, "INSERT INTO latest SELECT proposer, max(slot), single FROM blocks WHERE canonical <> 1 GROUP BY proposer")
}
