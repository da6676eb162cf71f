package greylist

import (
	"context"
	"sync"
	"time"
)

// Shelf keeps a book that others may write to at hand. When what it has is a few seconds old, it asks how long the log is and
// what its last event is. It reads the log again only if that has changed, or every few minutes. It is safe for concurrent
// use.
type Shelf struct {
	Open func(context.Context) (*Book, error)
	// Age is how old what readers get may be; 0 for two seconds.
	Age time.Duration
	// Now is the clock; nil for time.Now.
	Now func() time.Time

	mu      sync.Mutex
	book    *Book
	shot    *Snapshot
	opened  time.Time
	checked time.Time
}

// Unread is how long a log that seems to be the same is not read again.
const Unread = 5 * time.Minute

// Read hands the book to use, which must not change it and must not keep it.
func (s *Shelf) Read(ctx context.Context, use func(*Book) error) error {
	age := s.Age
	if age == 0 {
		age = 2 * time.Second
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fresh(ctx, age); err != nil {
		return err
	}
	return use(s.book)
}

// Write is Read for somebody who appends to the book: what others have written is read first.
func (s *Shelf) Write(ctx context.Context, use func(*Book) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fresh(ctx, 0); err != nil {
		return err
	}
	before := s.book.Len()
	defer func() {
		if s.book.Len() != before {
			s.shot = nil
		}
	}()
	return use(s.book)
}

// Snapshot returns what readers are shown.
func (s *Shelf) Snapshot(ctx context.Context) (shot *Snapshot, err error) {
	err = s.Read(ctx, func(b *Book) error {
		if s.shot == nil {
			s.shot = b.Snapshot()
		}
		shot = s.shot
		return nil
	})
	return shot, err
}

// fresh reads the book if it has changed; if it was looked at within age, it counts as the same.
func (s *Shelf) fresh(ctx context.Context, age time.Duration) error {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	at := now()
	if s.book != nil && at.Sub(s.checked) < age {
		return nil
	}
	if s.book != nil && at.Sub(s.opened) < Unread {
		current, err := s.book.Current(ctx)
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
