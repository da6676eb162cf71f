package storetest

import (
	"context"
	"iter"
	"sync"
	"testing"
	"time"

	"blockprint"
	"blockprint/store"
)

// fill stores a chain of blocks of slots 1 to n.
func fill(t *testing.T, s store.Store, n blockprint.Slot) {
	t.Helper()
	var b store.Batch
	for slot := blockprint.Slot(1); slot <= n; slot++ {
		b.Blocks = append(b.Blocks, Block(slot, slot-1, 0, 0, blockprint.Teku))
	}
	apply(t, s, b)
}

// coldReaders: many concurrent readers of a store that has not looked up a single name yet do not wait for each other forever.
func coldReaders(t *testing.T, open func() store.Store) {
	s := open()
	fill(t, s, 400)
	closed(t, s)
	for range 5 {
		s := open()
		// The time is only there to end a test that would hang.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var wg sync.WaitGroup
		start := make(chan struct{})
		for n := range 16 {
			wg.Go(func() {
				<-start
				if n%4 == 3 {
					if err := firstError(s.LatestBlocks(ctx)); err != nil {
						t.Error(err)
					}
					return
				}
				read := 0
				for _, err := range s.Blocks(ctx, blockprint.Interval{End: 1000}, store.Query{}) {
					if err != nil {
						t.Error(err)
						return
					}
					read++
				}
				if read != 400 {
					t.Errorf("%d blocks, want 400", read)
				}
			})
		}
		close(start)
		wg.Wait()
		cancel()
		closed(t, s)
		if t.Failed() {
			return
		}
	}
}

// slowReaders: callers that stop in the middle of a sequence hold up nobody else, neither readers nor writers.
func slowReaders(t *testing.T, open func() store.Store) {
	s := open()
	defer closed(t, s)
	fill(t, s, 1500)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 64 { // more than any pool holds
		next, stop := iter.Pull2(s.Blocks(ctx, blockprint.Interval{End: 2000}, store.Query{}))
		defer stop()
		if _, err, ok := next(); err != nil || !ok {
			t.Fatal("no first block", err)
		}
		nextLatest, stopLatest := iter.Pull2(s.LatestBlocks(ctx))
		defer stopLatest()
		if _, err, ok := nextLatest(); err != nil || !ok {
			t.Fatal("no latest block", err)
		}
	}
	if err := s.Ping(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Status(ctx); err != nil {
		t.Error(err)
	}
	apply(t, s, store.Batch{Blocks: []store.Block{Block(1501, 1500, 0, 0, blockprint.Teku)}})
	read := len(all(t, s.Blocks(ctx, blockprint.Interval{End: 2000}, store.Query{})))
	if read != 1501 {
		t.Errorf("%d blocks beside readers that stand still, want 1501", read)
	}
}
