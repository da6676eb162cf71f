package greylist

import (
	"context"
	"sync"
	"time"
)

// Shelf keeps a book that others may write to at hand for readers, and reads it again when it is a few seconds old. It is
// safe for concurrent use.
type Shelf struct {
	Open func(context.Context) (*Book, error)
	// Age is how old what is told may be; 0 for two seconds.
	Age time.Duration

	mu     sync.Mutex
	book   *Book
	shot   *Snapshot
	opened time.Time
}

// Book hands the book to use, which must not change it and must not keep it.
func (s *Shelf) Book(ctx context.Context, use func(*Book) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fresh(ctx); err != nil {
		return err
	}
	return use(s.book)
}

// Snapshot returns what readers are told.
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
	age := s.Age
	if age == 0 {
		age = 2 * time.Second
	}
	if s.book != nil && time.Since(s.opened) < age {
		return nil
	}
	b, err := s.Open(ctx)
	if err != nil {
		return err
	}
	if s.book == nil || !s.book.same(b) {
		s.shot = nil
	}
	s.book, s.opened = b, time.Now()
	return nil
}
