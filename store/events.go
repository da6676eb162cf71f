package store

import (
	"context"
	"iter"
)

// Events keeps logs of events, one for each tenant of the greylist, and the notices that they make.
type Events interface {
	// ChangeEvents cuts a tenant's log, of which the caller has seen all of its seen events, to the first keep ones, appends
	// others, and adds notices, whole or not at all. A log of another length is a Conflict: somebody else has written.
	ChangeEvents(ctx context.Context, tenant string, seen, keep int, events, notices [][]byte) error
	// Events gives a tenant's log in order.
	Events(ctx context.Context, tenant string) iter.Seq2[[]byte, error]
	// LastEvent returns how many events a tenant's log has, and the last one; nil if there is none.
	LastEvent(ctx context.Context, tenant string) (n int, last []byte, err error)
	// Notices returns a tenant's notices after one, in order, at most limit, with their numbers; with newest, the last
	// ones instead, newest first.
	Notices(ctx context.Context, tenant string, after int64, limit int, newest bool) (ids []int64, texts [][]byte, err error)
	// Told returns the last notice that a receiver has been told of; 0 if there is none.
	Delivered(ctx context.Context, tenant, receiver string) (int64, error)
	// LogDelivery keeps a try to tell a receiver of a notice, at a time in seconds since 1970. If there was no failure, the
	// receiver has been told of all notices up to that one. Of each receiver the newest DeliveriesKept tries stay.
	LogDelivery(ctx context.Context, tenant, receiver string, id, at int64, failure string) error
	// Deliveries returns the newest tries, newest first, at most limit, each with its notice.
	Deliveries(ctx context.Context, tenant string, limit int) ([]Delivery, error)
}

// DeliveriesKept is how many tries to tell a receiver are kept.
const DeliveriesKept = 1000

// Delivery is a try to tell a receiver of a notice.
type Delivery struct {
	Receiver string
	ID       int64 // of the notice
	Notice   []byte
	At       int64  // seconds since 1970
	Error    string // empty if it was told
}
