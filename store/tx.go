package store

import (
	"context"

	"blockprint"
)

// Tx is a write transaction of a backend. It moves rows; what may be in them, and what follows from them, this package
// decides (Apply, Relabel, Identify, SetFloor), so that a backend is SQL only. A Tx that only reads serves checks.
type Tx interface {
	// Name names the database in errors.
	Name() string
	// Meta returns one of the database's settings; empty if it is not set.
	Meta(ctx context.Context, key string) (string, error)
	SetMeta(ctx context.Context, key, value string) error

	// Covered returns the intervals of covered slots that touch i, in order.
	Covered(ctx context.Context, i blockprint.Interval) (blockprint.Intervals, error)
	// Newest returns the newest slots that have a block and that are covered; 0 for none.
	Newest(ctx context.Context) (block, covered blockprint.Slot, err error)
	// ReplaceCovered puts a list in place of the intervals that begin in i.
	ReplaceCovered(ctx context.Context, i blockprint.Interval, list blockprint.Intervals) error

	// Rows returns the blocks of an interval in order of slot and root.
	Rows(ctx context.Context, i blockprint.Interval) ([]Row, error)
	// Walk calls each with every block, newest first, without its label.
	Walk(ctx context.Context, each func(Row)) error
	// First returns the oldest block of an interval, or its oldest final one; nil if there is none.
	First(ctx context.Context, i blockprint.Interval, final bool) (*Row, error)
	// Insert adds a block that is not there, with its features.
	Insert(ctx context.Context, b *Block) error
	Delete(ctx context.Context, id BlockID) error
	SetParentRoot(ctx context.Context, id BlockID, parent blockprint.Root) error
	SetCanonical(ctx context.Context, id BlockID, to Canonical) error
	SetLabel(ctx context.Context, l *Label) error

	// AddSums adds to the sums of blocks.
	AddSums(ctx context.Context, changes []Sum) error
	// KeepLatest makes a block that is not orphaned its proposer's latest one, unless a newer one is known.
	KeepLatest(ctx context.Context, r *Row) error
	// FindLatest looks up the latest block of a proposer that is not orphaned.
	FindLatest(ctx context.Context, proposer uint64) error
}

// Row is what is stored about a block's place in the chain, and its label.
type Row struct {
	BlockID
	ParentSlot blockprint.Slot
	ParentRoot blockprint.Root // zero if unknown
	Proposer   uint64
	Canonical  Canonical
	Single     blockprint.Client
}
