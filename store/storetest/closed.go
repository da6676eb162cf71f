package storetest

import (
	"context"
	"iter"
	"testing"

	"blockprint"
	"blockprint/store"
)

// closedUnderneath: every question to a closed store gets an error that may pass.
func closedUnderneath(t *testing.T, open func() store.Store) {
	s := open()
	fill(t, s, 5)
	closed(t, s)
	for name, ask := range Questions(t.Context(), s) {
		if err := ask(); blockprint.CodeOf(err) != blockprint.Unavailable || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Apply(t.Context(), store.Batch{}); blockprint.CodeOf(err) != blockprint.Unavailable || err == nil {
		t.Errorf("apply: %v", err)
	}
}

// Questions are one call of each method that reads a store.
func Questions(ctx context.Context, s store.Store) map[string]func() error {
	return map[string]func() error{
		"status":     func() error { _, err := s.Status(ctx); return err },
		"gaps":       func() error { _, err := s.Gaps(ctx, blockprint.Interval{End: 5}); return err },
		"identity":   func() error { _, _, err := s.Identity(ctx); return err },
		"ping":       func() error { return s.Ping(ctx) },
		"counts":     func() error { _, err := s.CountByClient(ctx, 0, 5); return err },
		"undecided":  func() error { _, err := s.Undecided(ctx, blockprint.Interval{End: 5}); return err },
		"validator":  func() error { _, err := s.ValidatorBlocks(ctx, 1, 0); return err },
		"tally":      func() error { _, err := s.Tally(ctx, blockprint.Interval{End: 5}, false); return err },
		"observed":   func() error { _, err := s.Observed(ctx, 0); return err },
		"days":       func() error { _, err := s.ObservedDays(ctx, "", "z"); return err },
		"notices":    func() error { _, _, err := s.Notices(ctx, "a", 0, 5, false); return err },
		"deliveries": func() error { _, err := s.Deliveries(ctx, "a", 5); return err },
		"delivered":  func() error { _, err := s.Delivered(ctx, "a", "b"); return err },
		"block":      func() error { _, err := s.Block(ctx, store.BlockID{Slot: 1}); return err },
		"ancestors":  func() error { _, _, err := s.Ancestors(ctx, store.BlockID{Slot: 5}, 1); return err },
		"epochs":     func() error { _, err := s.CountByEpoch(ctx, 0, 5); return err },
		"observedin": func() error { _, err := s.ObservedIn(ctx, blockprint.Interval{End: 5}); return err },
		"last event": func() error { _, _, err := s.LastEvent(ctx, "a"); return err },
		"check":      func() error { _, err := s.Check(ctx, false); return err },
		"blocks":     func() error { return firstError(s.Blocks(ctx, blockprint.Interval{End: 5}, store.Query{})) },
		"latest":     func() error { return firstError(s.LatestBlocks(ctx)) },
		"opinions":   func() error { return firstError(s.Opinions(ctx, blockprint.Interval{End: 5})) },
		"events":     func() error { return firstError(s.Events(ctx, "a")) },
	}
}

func firstError[T any](seq iter.Seq2[T, error]) (first error) {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}
