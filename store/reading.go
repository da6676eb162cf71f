package store

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"blockprint"
)

// PageSize is how many rows an iterator reads at once.
const PageSize = 512

// Pages gives yield what next returns, page by page. So a reader holds no connection while its caller works.
func Pages[T any](yield func(T, error) bool, next func() (list []T, more bool, err error)) {
	for {
		list, more, err := next()
		for _, t := range list {
			if !yield(t, nil) {
				return
			}
		}
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		if !more {
			return
		}
	}
}

// Skipped counts rows that could not be read, which readers leave out.
type Skipped struct{ atomic.Int64 }

// Skip counts a row, and warns about the first one, the second, the fourth and so on.
func (s *Skipped) Skip(database string, err error) {
	if n := s.Add(1); n&(n-1) == 0 {
		slog.Warn("rows of the database cannot be read and are left out: `blockprint db check` lists them", "database", database, "rows", n, "error", err)
	}
}

// Health remembers how the last write ended.
type Health struct {
	mu      sync.Mutex
	failure error // of the last write; nil if it succeeded
	probed  time.Time
}

// Note keeps how a write ended. What the caller did wrong, or called off, says nothing about the database.
func (h *Health) Note(err error) {
	switch blockprint.CodeOf(err) {
	case blockprint.Unavailable, blockprint.Internal:
	default:
		return
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = err
}

// Ping returns how the last write ended. So that a database to which nobody writes any more can recover after a failure, it
// tries a write of its own then, every five seconds at most.
func (h *Health) Ping(ctx context.Context, write func(context.Context) error) error {
	failure, probe := h.last(time.Now())
	if !probe {
		return failure
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := write(ctx); err != nil {
		return failure
	}
	return nil
}

// last returns how the last write ended, and whether it is time to try another.
func (h *Health) last(now time.Time) (failure error, probe bool) {
	const pause = 5 * time.Second
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failure != nil && now.Sub(h.probed) >= pause {
		h.probed, probe = now, true
	}
	return h.failure, probe
}
