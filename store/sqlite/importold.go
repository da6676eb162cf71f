package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"

	"blockprint"
	"blockprint/store"
)

// importModel is the model name of imported labels.
const importModel = "imported"

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

// Import reads the blocks of an original database into s, in batches that may be repeated after an interruption.
// The original keeps no block roots, so the blocks get placeholders. progress, if not nil, is told the rows read.
func Import(ctx context.Context, path string, s store.Store, progress func(done, total int)) (report ImportReport, err error) {
	if _, err := os.Stat(path); err != nil {
		return report, blockprint.Errorf(blockprint.NotFound, "database %s: %w", path, err)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	columns, err := oldColumns(ctx, db, path)
	if err != nil {
		return report, err
	}
	query := "SELECT slot, parent_slot, proposer_index, best_guess_single, best_guess_multi"
	var present []blockprint.Client
	for _, c := range oldClients {
		if slices.Contains(columns, c.column) {
			present = append(present, c.client)
			query += ", " + c.column
		}
	}
	report.HadGrandine = slices.Contains(columns, "pr_grandine")
	graffiti := slices.Contains(columns, "graffiti_guess")
	if graffiti {
		query += ", graffiti_guess"
	}
	var total int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM blocks").Scan(&total); err != nil {
		return report, fmt.Errorf("read %s: %w", path, err)
	}
	rows, err := db.QueryContext(ctx, query+" FROM blocks ORDER BY slot, proposer_index")
	if err != nil {
		return report, fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var batch store.Batch
	flush := func() error {
		r, err := s.Apply(ctx, batch)
		report.Inserted += r.Inserted
		report.Known += r.Known
		batch.Blocks = batch.Blocks[:0]
		if progress != nil {
			progress(report.Rows, total)
		}
		return err
	}
	for rows.Next() {
		b, err := oldRow(rows, present, graffiti)
		if err != nil {
			return report, blockprint.Errorf(blockprint.Invalid, "%s, row %d in order of slot: %w", path, report.Rows+1, err)
		}
		report.Rows++
		batch.Blocks = append(batch.Blocks, b)
		if len(batch.Blocks) == 4096 {
			if err := flush(); err != nil {
				return report, err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return report, fmt.Errorf("read %s: %w", path, err)
	}
	return report, flush()
}

// oldColumns returns the columns of the original's table of blocks, and refuses other databases.
func oldColumns(ctx context.Context, db *sql.DB, path string) (columns []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_info('blocks')")
	if err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s is not a database of the original blockprint: %w", path, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		columns = append(columns, name)
	}
	for _, need := range []string{"slot", "parent_slot", "proposer_index", "best_guess_single", "best_guess_multi", "pr_lighthouse"} {
		if !slices.Contains(columns, need) {
			return nil, blockprint.Errorf(blockprint.Invalid, "%s is not a database of the original blockprint: its table blocks has no column %s", path, need)
		}
	}
	return columns, rows.Err()
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
		Root: store.PlaceholderRoot(uint64(proposer.Int64)), Model: importModel,
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
	b.Classification.Graffiti.Client = blockprint.Client(guess.String)
	return b, nil
}
