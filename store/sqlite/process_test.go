package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"blockprint"
	"blockprint/store"
	"blockprint/store/storetest"
)

// TestMain runs the tests, or plays another process that one of them needs.
func TestMain(m *testing.M) {
	path, role := os.Getenv("BLOCKPRINT_TEST_DB"), os.Getenv("BLOCKPRINT_TEST_ROLE")
	var err error
	switch role {
	case "":
		goleak.VerifyTestMain(m)
		return
	case "open":
		err = openAndClose(path)
	case "write":
		err = writeForEver(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process is this test binary in another role.
func process(ctx context.Context, role, path string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // the test itself
	cmd.Env = append(os.Environ(), "BLOCKPRINT_TEST_ROLE="+role, "BLOCKPRINT_TEST_DB="+path)
	return cmd
}

func openAndClose(path string) error {
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // all begin at once: when their input is closed
	s, err := Open(context.Background(), path, store.Options{})
	if err != nil {
		return err
	}
	return s.Close()
}

// TestOpenAtOnce: processes that open a new database at once wait for each other.
func TestOpenAtOnce(t *testing.T) {
	for range 3 {
		path := filepath.Join(t.TempDir(), "new.db")
		start, hold, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 10 {
			cmd := process(t.Context(), "open", path)
			cmd.Stdin = start
			var text strings.Builder
			cmd.Stderr = &text
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if err := cmd.Wait(); err != nil {
					t.Errorf("%v: %s", err, text.String())
				}
			})
		}
		if err := errors.Join(start.Close(), hold.Close()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		s, err := Open(t.Context(), path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		sound(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killedBatch is batch n of the writer that is killed: eight blocks, of which every third batch orphans one of the batch before.
func killedBatch(n int) (b store.Batch) {
	first := blockprint.Slot(8*n + 1)
	for slot := first; slot < first+8; slot++ {
		b.Blocks = append(b.Blocks, storetest.Block(slot, slot-1, 0, 0, blockprint.Clients()[int(slot)%5]))
	}
	if n > 0 && n%3 == 0 {
		rival := storetest.Block(first-1, first-3, 1, 0, blockprint.Nimbus)
		id := store.BlockID{Slot: rival.Slot, Root: rival.Root}
		b.Blocks = append(b.Blocks, rival)
		b.Chains = []store.Chain{{Slots: blockprint.Interval{Start: first - 1, End: first - 1}, Blocks: []store.BlockID{id}}}
	}
	return b
}

// writeForEver writes batches and says which of them are acknowledged.
func writeForEver(path string) error {
	ctx := context.Background()
	s, err := Open(ctx, path, store.Options{})
	if err != nil {
		return err
	}
	st, err := s.Status(ctx)
	if err != nil {
		return err
	}
	for n := int(st.Newest) / 8; ; n++ {
		if _, err := s.Apply(ctx, killedBatch(n)); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestKilled: a writer that is killed at any moment, again and again, loses nothing that it has acknowledged, and leaves sums that
// agree with the table.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "killed.db")
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	acknowledged := -1
	kills := 25
	if testing.Short() {
		kills = 5
	}
	for range kills {
		cmd := process(t.Context(), "write", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := rng.IntN(12); n >= 0 && lines.Scan(); n-- { // then somewhere in the next batch
			acknowledged, err = strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
		}
		// How far into the batch does not matter for the outcome, only for how much is tried.
		time.Sleep(time.Duration(rng.IntN(5000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it has acknowledged until then
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				acknowledged = n
			}
		}
		_ = cmd.Wait() // killed
		s, err := Open(t.Context(), path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for n := range acknowledged + 1 {
			for _, b := range killedBatch(n).Blocks {
				if _, err := s.Block(t.Context(), store.BlockID{Slot: b.Slot, Root: b.Root}); err != nil {
					t.Fatalf("batch %d was acknowledged: %v", n, err)
				}
			}
		}
		sound(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if acknowledged < kills {
		t.Errorf("only %d batches were acknowledged", acknowledged+1)
	}
}

// sound expects that Check finds nothing.
func sound(t *testing.T, s *Store) {
	t.Helper()
	found, err := s.Check(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Errorf("%s: %s", f.Kind, f.Text)
	}
}
