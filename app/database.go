package app

import (
	"context"
	"time"

	"blockprint"
	"blockprint/store"
)

// OpenToRead opens a database that must exist, for those who change nothing in it. One that cannot be written to is read as
// it is.
func (p Process) OpenToRead(ctx context.Context, url string) (store.Store, error) {
	return p.open(ctx, url, store.Options{Existing: true, Now: p.Now})
}

// openServed opens the database of a server. A server that labels creates a missing database; one that does not waits until
// another process does.
func (p Process) openServed(ctx context.Context, url string, labels, immutable bool) (store.Store, error) {
	if immutable {
		return store.Open(ctx, url, store.Options{Immutable: true})
	}
	if labels {
		return p.open(ctx, url, store.Options{Now: p.Now})
	}
	const look, remind = time.Second, 60 // a line per minute
	tick := time.NewTicker(look)
	defer tick.Stop()
	for n := 0; ; n++ {
		s, err := p.OpenToRead(ctx, url)
		if blockprint.CodeOf(err) != blockprint.NotFound {
			return s, err
		}
		if n%remind == 0 {
			p.logger().Warn("waiting for the database", "reason", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// open opens a database, only for reading if it cannot be written to.
func (p Process) open(ctx context.Context, url string, o store.Options) (store.Store, error) {
	s, err := store.Open(ctx, url, o)
	if err == nil || blockprint.CodeOf(err) != blockprint.Unavailable {
		return s, err
	}
	readOnly, second := store.Open(ctx, url, store.Options{ReadOnly: true})
	if second != nil {
		return nil, second
	}
	p.logger().Warn("the database cannot be written to, so it is opened for reading only", "error", err)
	return readOnly, nil
}
