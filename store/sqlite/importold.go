package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"blockprint"
	"blockprint/store"
)

// oldClients are the probability columns of the original's database; pr_grandine is missing before its migration.
var oldClients = []struct {
	column string
	client blockprint.Client
}{
	{"pr_grandine", blockprint.Grandine},
	{"pr_lighthouse", blockprint.Lighthouse},
	{"pr_lodestar", blockprint.Lodestar},
	{"pr_nimbus", blockprint.Nimbus},
	{"pr_prysm", blockprint.Prysm},
	{"pr_teku", blockprint.Teku},
}

// ImportReport counts what Import did.
type ImportReport struct {
	Rows, Inserted, Known int
	HadGrandine           bool
}

// Original is a database of the original blockprint, opened for reading.
type Original struct {
	path    string
	db      *sql.DB
	columns []string
}

// OpenOriginal opens a database of the original blockprint, and refuses other files.
func OpenOriginal(ctx context.Context, path string) (_ *Original, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, blockprint.Errorf(blockprint.NotFound, "database %s does not exist", path)
	case err != nil:
		return nil, blockprint.Errorf(blockprint.Unavailable, "open database %s: %w", path, err)
	case info.IsDir():
		return nil, blockprint.Errorf(blockprint.Invalid, "database %s is a directory", path)
	}
	db, err := connect(path, "mode=ro", 1)
	if err != nil {
		return nil, err
	}
	old := &Original{path: path, db: db}
	if old.columns, err = oldColumns(ctx, db, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return old, nil
}

// Close closes the file.
func (o *Original) Close() error { return o.db.Close() }

// Import reads the blocks of the original into s, in batches that may be repeated after an interruption.
// The original keeps no block roots, so the blocks get placeholders. History begins with the first of them, unless it already
// begins earlier. progress, if not nil, receives the number of rows read.
func (o *Original) Import(ctx context.Context, s store.Store, progress func(done, total int)) (report ImportReport, err error) {
	query, present, graffiti := o.query()
	report.HadGrandine = slices.Contains(present, blockprint.Grandine)
	var total int
	if err := o.db.QueryRowContext(ctx, "SELECT count(*) FROM blocks").Scan(&total); err != nil {
		return report, wrap("read", o.path, err)
	}
	var batch store.Batch
	flush := func() error {
		if len(batch.Blocks) == 0 {
			return nil
		}
		if report.Rows == len(batch.Blocks) {
			if err := lowerFloor(ctx, s, batch.Blocks[0].Slot); err != nil {
				return err
			}
		}
		r, err := s.Apply(ctx, batch)
		report.Inserted += r.Inserted
		report.Known += r.Known
		batch.Blocks = batch.Blocks[:0]
		if progress != nil {
			progress(report.Rows, total)
		}
		return err
	}
	if err := eachRow(ctx, o.db, query, nil, func(rows *sql.Rows) error {
		b, err := oldRow(rows, present, graffiti)
		if err != nil {
			return blockprint.Errorf(blockprint.Invalid, "%s, row %d in order of slot: %w", o.path, report.Rows+1, err)
		}
		report.Rows++
		if batch.Blocks = append(batch.Blocks, b); len(batch.Blocks) == 4096 {
			return flush()
		}
		return nil
	}); err != nil {
		return report, wrap("read", o.path, err)
	}
	return report, flush()
}

// query reads all blocks, with the clients that have a column of probabilities and, in newer databases, the graffiti's guess.
func (o *Original) query() (query string, present []blockprint.Client, graffiti bool) {
	query = "SELECT slot, parent_slot, proposer_index, best_guess_single, best_guess_multi"
	for _, c := range oldClients {
		if slices.Contains(o.columns, c.column) {
			present = append(present, c.client)
			query += ", " + c.column
		}
	}
	if graffiti = slices.Contains(o.columns, "graffiti_guess"); graffiti {
		query += ", graffiti_guess"
	}
	return query + " FROM blocks ORDER BY slot, proposer_index", present, graffiti
}

// lowerFloor makes history begin with a slot, unless it begins earlier.
func lowerFloor(ctx context.Context, s store.Store, first blockprint.Slot) error {
	st, err := s.Status(ctx)
	if err != nil {
		return err
	}
	if fresh := st.Empty && st.Floor == 0 && st.Covered == 0; fresh || st.Floor > first {
		return s.SetFloor(ctx, first)
	}
	return nil
}

// oldColumns returns the columns of the original's table of blocks, and refuses other databases.
func oldColumns(ctx context.Context, db *sql.DB, path string) (columns []string, err error) {
	if err := eachRow(ctx, db, "SELECT name FROM pragma_table_info('blocks')", nil, func(rows *sql.Rows) error {
		columns = append(columns, "")
		return rows.Scan(&columns[len(columns)-1])
	}); err != nil {
		return nil, wrap("open", path, err)
	}
	for _, need := range []string{"slot", "parent_slot", "proposer_index", "best_guess_single", "best_guess_multi", "pr_lighthouse"} {
		if !slices.Contains(columns, need) {
			return nil, blockprint.Errorf(blockprint.Invalid, "%s is not a database of the original blockprint: its table blocks has no column %s", path, need)
		}
	}
	return columns, nil
}

func oldRow(rows *sql.Rows, present []blockprint.Client, graffiti bool) (b store.Block, err error) {
	var slot, parent, proposer sql.NullInt64
	var single, multi, guess sql.NullString
	probabilities := make([]sql.NullFloat64, len(present))
	into := []any{&slot, &parent, &proposer, &single, &multi}
	for i := range probabilities {
		into = append(into, &probabilities[i])
	}
	if graffiti {
		into = append(into, &guess)
	}
	if err := rows.Scan(into...); err != nil {
		return b, err
	}
	if !slot.Valid || !parent.Valid || !proposer.Valid || slot.Int64 <= parent.Int64 || parent.Int64 < 0 || proposer.Int64 < 0 {
		return b, fmt.Errorf("slot %d, parent_slot %d, proposer_index %d cannot be", slot.Int64, parent.Int64, proposer.Int64)
	}
	b = store.Block{
		Slot: blockprint.Slot(slot.Int64), ParentSlot: blockprint.Slot(parent.Int64), Proposer: uint64(proposer.Int64),
		Root: store.PlaceholderRoot(uint64(proposer.Int64)), Model: store.ImportedModel,
	}
	b.Single, b.Multi = blockprint.Client(single.String), multi.String
	if !single.Valid || single.String == "" {
		b.Single = blockprint.Uncertain
	}
	for i, c := range present {
		if p := probabilities[i]; p.Valid && p.Float64 != 0 {
			b.Probabilities = append(b.Probabilities, blockprint.Probability{Client: c, P: p.Float64})
		}
	}
	b.Says.Client = blockprint.Client(guess.String)
	return b, nil
}
