package store

import (
	"context"
	"iter"
)

// Events keeps logs of events, one for each tenant of the greylist, and the notices that follow from them.
type Events interface {
	// ChangeEvents cuts a tenant's log to its first keep events, appends others, and adds notices, whole or not at all. seen is
	// the length that the caller knows: a log of another length is a Conflict, since somebody else has written to it.
	ChangeEvents(ctx context.Context, tenant string, seen, keep int, events, notices [][]byte) error
	// Events returns a tenant's log in order.
	Events(ctx context.Context, tenant string) iter.Seq2[[]byte, error]
	// LastEvent returns how many events a tenant's log has, and the last one; nil if there is none.
	LastEvent(ctx context.Context, tenant string) (n int, last []byte, err error)
	// Notices returns at most limit of a tenant's notices after a number, in order, with their numbers; with newest, it returns
	// the last ones instead, newest first.
	Notices(ctx context.Context, tenant string, after int64, limit int, newest bool) (ids []int64, texts [][]byte, err error)
	// Delivered returns the number of the last notice that a receiver has received; 0 if there is none.
	Delivered(ctx context.Context, tenant, receiver string) (int64, error)
	// LogDelivery stores an attempt to deliver a notice, with its time in seconds since 1970. If it did not fail, the receiver
	// has received all notices up to that one. The newest DeliveriesKept attempts for each receiver are kept.
	LogDelivery(ctx context.Context, tenant, receiver string, id, at int64, failure string) error
	// Deliveries returns at most limit of the newest attempts, newest first, each with its notice.
	Deliveries(ctx context.Context, tenant string, limit int) ([]Delivery, error)
}

// DeliveriesKept is how many attempts are kept for each receiver.
const DeliveriesKept = 1000

// Delivery is an attempt to deliver a notice.
type Delivery struct {
	Receiver string
	ID       int64 // of the notice
	Notice   []byte
	At       int64  // seconds since 1970
	Error    string // empty if it succeeded
}
