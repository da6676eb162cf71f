package notify

import (
	"context"
	"encoding/json"

	"blockprint"
)

// Store keeps the tenants' notices and the attempts to deliver them.
type Store interface {
	// Notices returns up to limit notices after one, in order; with newest, the last ones, newest first.
	Notices(ctx context.Context, tenant string, after int64, limit int, newest bool) (ids []int64, texts [][]byte, err error)
	// Delivered returns the last notice that was delivered to a receiver; 0 for none.
	Delivered(ctx context.Context, tenant, receiver string) (int64, error)
	// LogDelivery records an attempt, at a time in seconds since 1970. Without a failure the notice counts as delivered.
	LogDelivery(ctx context.Context, tenant, receiver string, id, at int64, failure string) error
}

// Log has a tenant's notices in a store.
type Log struct {
	Store  Store
	Tenant string
}

// After returns up to limit notices after one, in order; with newest, the last ones, newest first.
func (l Log) After(ctx context.Context, id int64, limit int, newest bool) ([]Notice, error) {
	ids, texts, err := l.Store.Notices(ctx, l.Tenant, id, limit, newest)
	if err != nil {
		return nil, err
	}
	out := make([]Notice, len(ids))
	for i := range ids {
		out[i].ID = ids[i]
		if err := json.Unmarshal(texts[i], &out[i].Change); err != nil {
			return nil, blockprint.Errorf(blockprint.Invalid, "notice %d of %s: %w", ids[i], l.Tenant, err)
		}
	}
	return out, nil
}
