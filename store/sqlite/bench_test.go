package sqlite

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"blockprint"
	"blockprint/store"
)

// mainnetSums makes a store with the sums and coverage of 15 million slots, without the blocks themselves, which
// neither query reads.
func mainnetSums(b *testing.B) *Store {
	b.Helper()
	ctx := context.Background()
	s, err := Open(ctx, filepath.Join(b.TempDir(), "sums.db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	const epochs, labels, gaps = 468_750, 7, 1000
	err = s.inTransaction(ctx, "fill", func(tx *transaction) error {
		var sums []store.Sum
		for level := range store.TopSum + 1 {
			for part := range blockprint.Epoch(epochs)>>(store.SumBits*level) + 1 {
				for l := range int64(labels) {
					sums = append(sums, store.Sum{Level: level, Part: part, Single: blockprint.OriginalKeys()[l], Blocks: int64(part)%5 + l})
				}
			}
		}
		if err := tx.AddSums(ctx, sums); err != nil {
			return err
		}
		for g := range blockprint.Slot(gaps) {
			if err := store.Cover(ctx, tx, blockprint.Interval{Start: g * 15000, End: g*15000 + 14990}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkAllEpochs counts the labels of all of mainnet's epochs; the ratio is to summing the rows of single epochs,
// which is already far less than the original's scan of all blocks.
func BenchmarkAllEpochs(b *testing.B) {
	s := mainnetSums(b)
	ctx := context.Background()
	began := time.Now()
	var n int64
	if err := s.read.QueryRowContext(ctx, "SELECT sum(blocks) FROM counts WHERE level = 0").Scan(&n); err != nil {
		b.Fatal(err)
	}
	baseline := time.Since(began)
	b.Run("counts", func(b *testing.B) {
		rounds := 0
		for b.Loop() {
			if _, err := s.CountByClient(ctx, 3, 468_747); err != nil {
				b.Fatal(err)
			}
			rounds++
		}
		b.ReportMetric(float64(baseline)/float64(b.Elapsed()/time.Duration(rounds)), "x_sum_of_epochs")
	})
	b.Run("gaps in two weeks", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Gaps(ctx, blockprint.Interval{Start: 7_000_000, End: 7_100_800}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("all 1000 gaps", func(b *testing.B) {
		for b.Loop() {
			if gaps, err := s.Gaps(ctx, blockprint.Interval{Start: 0, End: 15_000_000}); err != nil || len(gaps) < 999 {
				b.Fatal(len(gaps), err)
			}
		}
	})
}
