package httpapi

import (
	"context"
	"time"

	"blockprint"
)

const day = 24 * time.Hour

// clock counts slots and epochs as the database's network does. If the database is tied to no network, it uses mainnet's
// lengths and there is no present slot.
type clock struct {
	*blockprint.Network
	known bool // whether the database is tied to a network
}

func (l *Labels) clock(ctx context.Context) (clock, error) {
	id, known, err := l.Store.Identity(ctx)
	if err != nil || !known {
		return clock{Network: &blockprint.Network{Spec: blockprint.MainnetSpec()}}, err
	}
	return clock{id.Network(), true}, nil
}

// slots returns how many slots a duration has, at least one.
func (c clock) slots(d time.Duration) uint64 { return max(1, uint64(d/c.SlotDuration)) }

// epochs returns how many epochs a duration has, at least one.
func (c clock) epochs(d time.Duration) uint64 { return max(1, c.slots(d)/c.SlotsPerEpoch) }
