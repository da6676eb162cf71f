package store

import (
	"context"
	"iter"
)

// Events keeps logs of events, one for each tenant of the greylist.
type Events interface {
	// ChangeEvents cuts a tenant's log to its first keep events and appends others, whole or not at all.
	ChangeEvents(ctx context.Context, tenant string, keep int, events [][]byte) error
	// Events gives a tenant's log in order.
	Events(ctx context.Context, tenant string) iter.Seq2[[]byte, error]
}
