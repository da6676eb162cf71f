package greylist

import (
	"context"
	"sync"
	"time"
)

// Shelf keeps at hand a book that other processes may write to. When its copy is a few seconds old, it asks how long the log is
// and what its last event is. It reads the log again only if that has changed, or every few minutes. It is safe for concurrent
// use; Open runs by itself, as the functions do that use the book.
type Shelf struct {
	Open func(context.Context) (*Book, error)
	// Age is how old a reader's copy may be; 0 means two seconds.
	Age time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	mu      sync.Mutex
	book    *Book
	shot    *Snapshot
	opened  time.Time
	checked time.Time
}

// unread is how long a log that seems to be the same is not read again.
const unread = 5 * time.Minute

// Read hands the book to use, which must neither change it nor keep it.
func (s *Shelf) Read(ctx context.Context, use func(*Book) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(ctx, use)
}

// TryRead is Read for a caller that must not wait: it does nothing while another caller has the book.
func (s *Shelf) TryRead(ctx context.Context, use func(*Book) error) error {
	if !s.mu.TryLock() {
		return nil
	}
	defer s.mu.Unlock()
	return s.read(ctx, use)
}

func (s *Shelf) read(ctx context.Context, use func(*Book) error) error {
	age := s.Age
	if age == 0 {
		age = 2 * time.Second
	}
	if err := s.fresh(ctx, age); err != nil {
		return err
	}
	return use(s.book)
}

// Write is Read for a caller that appends to the book: it first reads what other processes have written.
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

// fresh reads the book if it has changed. A book that was checked within age counts as unchanged.
func (s *Shelf) fresh(ctx context.Context, age time.Duration) error {
	at := time.Now()
	if s.Now != nil {
		at = s.Now()
	}
	if s.book != nil && at.Sub(s.checked) < age {
		return nil
	}
	if s.book != nil && at.Sub(s.opened) < unread {
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
