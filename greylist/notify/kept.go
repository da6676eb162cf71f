package notify

import (
	"context"
	"encoding/json"

	"blockprint"
)

// Keeper keeps notices of tenants; a store is one.
type Keeper interface {
	Notices(ctx context.Context, tenant string, after int64, limit int, newest bool) (ids []int64, texts [][]byte, err error)
	Told(ctx context.Context, tenant, receiver string) (int64, error)
	LogDelivery(ctx context.Context, tenant, receiver string, id, at int64, failure string) error
}

// Kept makes a Source of a tenant's notices.
func Kept(k Keeper, tenant string) Source { return &kept{k, tenant} }

type kept struct {
	keeper Keeper
	tenant string
}

func (k *kept) After(ctx context.Context, id int64, limit int, newest bool) ([]Notice, error) {
	ids, texts, err := k.keeper.Notices(ctx, k.tenant, id, limit, newest)
	out := make([]Notice, len(ids))
	for i := range ids {
		out[i].ID = ids[i]
		if err := json.Unmarshal(texts[i], &out[i].Change); err != nil {
			return nil, blockprint.Errorf(blockprint.Invalid, "notice %d of %s: %w", ids[i], k.tenant, err)
		}
	}
	return out, err
}

func (k *kept) Told(ctx context.Context, receiver string) (int64, error) {
	return k.keeper.Told(ctx, k.tenant, receiver)
}

func (k *kept) Log(ctx context.Context, receiver string, id, at int64, failure string) error {
	return k.keeper.LogDelivery(ctx, k.tenant, receiver, id, at, failure)
}
