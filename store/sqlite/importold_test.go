package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blockprint"
	"blockprint/store"
	"blockprint/store/sqlite"
)

// The original's table, before and after its migration.
const (
	oldSchema = `CREATE TABLE blocks (slot INT, parent_slot INTEGER, proposer_index INT, best_guess_single TEXT, best_guess_multi TEXT,
		pr_lighthouse FLOAT, pr_lodestar FLOAT, pr_nimbus FLOAT, pr_prysm FLOAT, pr_teku FLOAT, graffiti_guess TEXT, UNIQUE(slot, proposer_index))`
	newSchema = `CREATE TABLE blocks (slot INT, parent_slot INTEGER, proposer_index INT, best_guess_single TEXT, best_guess_multi TEXT,
		pr_grandine FLOAT DEFAULT 0.0, pr_lighthouse FLOAT, pr_lodestar FLOAT, pr_nimbus FLOAT, pr_prysm FLOAT, pr_teku FLOAT,
		graffiti_guess TEXT, UNIQUE(slot, proposer_index))`
)

// oldDatabase makes a database as the original would have: with skipped slots, gaps, orphans beside canonical
// blocks, and NULLs.
func oldDatabase(t *testing.T, schema string, seed uint64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "old.sqlite")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(schema); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	clients := []string{"Lighthouse", "Lodestar", "Nimbus", "Prysm", "Teku"}
	insert := func(slot, parent, proposer int) {
		single := clients[rng.IntN(len(clients))]
		other := clients[rng.IntN(len(clients))]
		probabilities := map[string]float64{}
		for _, c := range clients {
			probabilities["pr_"+strings.ToLower(c)] = 0
		}
		probabilities["pr_"+strings.ToLower(other)] = 1. / 3
		probabilities["pr_"+strings.ToLower(single)] = 2. / 3
		var graffiti any
		if rng.IntN(2) == 0 {
			graffiti = other
		}
		if _, err := tx.Exec(`INSERT INTO blocks (slot, parent_slot, proposer_index, best_guess_single, best_guess_multi, pr_lighthouse, pr_lodestar, pr_nimbus, pr_prysm, pr_teku, graffiti_guess)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, slot, parent, proposer, single, single+" or "+other, probabilities["pr_lighthouse"], probabilities["pr_lodestar"],
			probabilities["pr_nimbus"], probabilities["pr_prysm"], probabilities["pr_teku"], graffiti); err != nil {
			t.Fatal(err)
		}
	}
	parent := 999
	for slot := 1000; slot < 4000; slot++ {
		switch {
		case slot >= 2000 && slot < 2100, slot == 3000: // never loaded, but proposed
			parent = slot
			continue
		case rng.IntN(50) == 0: // skipped
			continue
		}
		insert(slot, parent, rng.IntN(500))
		if rng.IntN(100) == 0 && slot%500 > 5 { // an orphan of the same slot
			insert(slot, parent, 500+rng.IntN(10))
		}
		parent = slot
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return path
}

// originalGaps finds gaps as the original does: for each block whose parent's slot has no block, the slots between
// the newest block before it and itself.
func originalGaps(t *testing.T, path string) (gaps blockprint.Intervals) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Query(`SELECT b.slot, (SELECT max(slot) FROM blocks WHERE slot < b.slot) FROM blocks b
		WHERE NOT EXISTS (SELECT 1 FROM blocks p WHERE p.slot = b.parent_slot) AND b.slot <> 1 ORDER BY b.slot`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var slot int64
		var before sql.NullInt64
		if err := rows.Scan(&slot, &before); err != nil {
			t.Fatal(err)
		}
		start := int64(0)
		if before.Valid {
			start = before.Int64 + 1
		}
		gaps = append(gaps, blockprint.Interval{Start: blockprint.Slot(start), End: blockprint.Slot(slot - 1)})
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return gaps
}

func importFrom(ctx context.Context, path string, s store.Store) (report sqlite.ImportReport, err error) {
	old, err := sqlite.OpenOriginal(ctx, path)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	return old.Import(ctx, s, nil)
}

func TestImport(t *testing.T) {
	for name, schema := range map[string]string{"before the migration": oldSchema, "after": newSchema} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			path := oldDatabase(t, schema, 5)
			s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "new.db"), store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			report, err := importFrom(ctx, path, s)
			if err != nil {
				t.Fatal(err)
			}
			if report.Rows < 2800 || report.Inserted != report.Rows || report.HadGrandine != (schema == newSchema) {
				t.Errorf("report %+v", report)
			}
			compareWithOld(t, path, s)
			if st, err := s.Status(ctx); err != nil || st.Floor != 1000 {
				t.Errorf("history begins at slot %d, the first block is of slot 1000 (%v)", st.Floor, err)
			}
			again, err := importFrom(ctx, path, s)
			if err != nil || again.Inserted != 0 || again.Known != report.Rows {
				t.Errorf("a second time: %+v, %v", again, err)
			}

			// Gaps begin and end where the original's do, but for empty slots at their edges, which we know to be empty.
			ours, err := s.Gaps(ctx, blockprint.Interval{Start: 0, End: 3999})
			if err != nil {
				t.Fatal(err)
			}
			theirs := originalGaps(t, path)
			if len(ours) != len(theirs) {
				t.Fatalf("gaps %v, the original has %v", ours, theirs)
			}
			for i := range ours {
				if ours[i].Start != theirs[i].Start || ours[i].End > theirs[i].End || ours[i].End+5 < theirs[i].End {
					t.Errorf("gap %v, the original's is %v", ours[i], theirs[i])
				}
			}
		})
	}
}

// compareWithOld asks both databases the same questions.
func compareWithOld(t *testing.T, path string, s store.Store) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, epochs := range [][2]int{{0, 200}, {31, 32}, {40, 93}, {62, 66}} {
		got, err := s.CountByClient(t.Context(), blockprint.Epoch(epochs[0]), blockprint.Epoch(epochs[1]))
		if err != nil {
			t.Fatal(err)
		}
		want := oldCounts(t, db, epochs[0], epochs[1])
		if !maps.Equal(got, want) {
			t.Errorf("epochs %v: %v, want %v", epochs, got, want)
		}
	}
	var proposer, n int
	var slots string
	if err := db.QueryRow("SELECT proposer_index, count(*), group_concat(slot) FROM (SELECT * FROM blocks ORDER BY slot) GROUP BY 1 ORDER BY 2 DESC LIMIT 1").Scan(&proposer, &n, &slots); err != nil {
		t.Fatal(err)
	}
	list, err := s.ValidatorBlocks(t.Context(), uint64(proposer), 0)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, b := range list {
		have = append(have, fmt.Sprint(b.Slot))
		if len(b.Probabilities) == 0 || !strings.Contains(b.Multi, string(b.Single)) {
			t.Errorf("block %+v", b)
		}
	}
	if want := strings.Split(slots, ","); !slices.Equal(have, want) {
		t.Errorf("slots of validator %d: %v, want %v", proposer, have, want)
	}
	var c [4]int64
	if err := db.QueryRow(`SELECT sum(best_guess_single = 'Teku' AND graffiti_guess = 'Teku'), sum(best_guess_single <> 'Teku' AND graffiti_guess <> 'Teku'),
		sum(best_guess_single = 'Teku' AND graffiti_guess <> 'Teku'), sum(best_guess_single <> 'Teku' AND graffiti_guess = 'Teku') FROM blocks`).Scan(&c[0], &c[1], &c[2], &c[3]); err != nil {
		t.Fatal(err)
	}
	tally, err := s.Tally(t.Context(), blockprint.Interval{End: 10000}, false)
	if err != nil {
		t.Fatal(err)
	}
	var got [4]int64
	for _, n := range tally {
		switch teku := n.Single == blockprint.Teku; {
		case n.Graffiti.Client == "":
		case teku && n.Graffiti.Client == blockprint.Teku:
			got[0] += n.Blocks
		case teku:
			got[2] += n.Blocks
		case n.Graffiti.Client == blockprint.Teku:
			got[3] += n.Blocks
		default:
			got[1] += n.Blocks
		}
	}
	if got != c {
		t.Errorf("labels against graffiti %v, want %v", got, c)
	}
}

// oldCounts counts as the original's API does.
func oldCounts(t *testing.T, db *sql.DB, start, end int) map[blockprint.Client]int64 {
	t.Helper()
	rows, err := db.Query("SELECT best_guess_single, count(*) FROM blocks WHERE slot >= ? AND slot < ? GROUP BY 1", 32*start, 32*end)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	out := map[blockprint.Client]int64{}
	for rows.Next() {
		var name blockprint.Client
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		out[name] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImportRefuses(t *testing.T) {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "new.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	other := filepath.Join(t.TempDir(), "other.sqlite")
	execute(t, other, "CREATE TABLE blocks (slot INT)")
	bad := filepath.Join(t.TempDir(), "bad.sqlite")
	execute(t, bad, oldSchema+"; INSERT INTO blocks (slot, parent_slot, proposer_index) VALUES (5, 7, 1)")
	for path, want := range map[string]string{"/does/not/exist": "does not exist", other: "has no column parent_slot", bad: "row 1"} {
		if _, err := importFrom(ctx, path, s); err == nil || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if st, err := s.Status(ctx); err != nil || !st.Empty {
		t.Errorf("a refused import left something: %+v, %v", st, err)
	}
}
