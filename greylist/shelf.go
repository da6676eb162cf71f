package greylist

import (
	"context"
	"sync"
	"time"
)

// Shelf keeps a book that others may write to at hand for readers. When it is a few seconds old, it asks whether the log has
// grown, and reads it again only then, or every few minutes. It is safe for concurrent use.
type Shelf struct {
	Open func(context.Context) (*Book, error)
	// Age is how old what is shown may be; 0 for two seconds.
	Age time.Duration
	// Now is the clock; nil for time.Now.
	Now func() time.Time

	mu      sync.Mutex
	book    *Book
	shot    *Snapshot
	opened  time.Time
	checked time.Time
}

// unread is how long a log that seems to be the same is not read again.
const unread = 5 * time.Minute

// Book hands the book to use, which must not change it and must not keep it.
func (s *Shelf) Book(ctx context.Context, use func(*Book) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fresh(ctx); err != nil {
		return err
	}
	return use(s.book)
}

// Snapshot returns what readers are shown.
func (s *Shelf) Snapshot(ctx context.Context) (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	if s.shot == nil {
		s.shot = s.book.Snapshot()
	}
	return s.shot, nil
}

// Forget makes the next reader read it again: after one's own writing.
func (s *Shelf) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book = nil
}

func (s *Shelf) fresh(ctx context.Context) error {
	age, now := s.Age, time.Now
	if age == 0 {
		age = 2 * time.Second
	}
	if s.Now != nil {
		now = s.Now
	}
	at := now()
	if s.book != nil && at.Sub(s.checked) < age {
		return nil
	}
	if s.book != nil && at.Sub(s.opened) < unread {
		current, err := s.book.current(ctx)
		if err != nil {
			return err
		}
		if current {
			s.checked = at
			return nil
		}
	}
	b, err := s.Open(ctx)
	if err != nil {
		return err
	}
	if s.book == nil || !s.book.same(b) {
		s.shot = nil
	}
	s.book, s.opened, s.checked = b, at, at
	return nil
}
