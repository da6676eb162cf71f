// Package store says what the services ask of storage, and holds everything about it that is not SQL.
//
// Open opens a database by its URL. Writing is by batches (Store.Apply), each of which happens whole or not at all and is on
// the disk when Apply returns. A batch may be repeated: what is stored already is left as it is.
//
// A backend is a package beside store/sqlite that implements Store in SQL, registers itself under the scheme of its URLs, and
// passes the suite in store/storetest. Its writing methods hand a transaction (Tx) to the functions of the same names here,
// which decide what becomes of the rows; Gate, CheckChain, Pages, Names, Health and the codecs do the same for the rest.
package store

import (
	"context"
	"iter"

	"blockprint"
)

// Status is the state of the whole store.
type Status struct {
	Newest    blockprint.Slot `json:"Newest"`    // of the newest stored block
	Empty     bool            `json:"Empty"`     // there is no block
	Covered   blockprint.Slot `json:"Covered"`   // the newest covered slot
	Floor     blockprint.Slot `json:"Floor"`     // history before this slot is not asked for
	Finalized blockprint.Slot `json:"Finalized"` // the newest slot known as final; 0 if none
}

// Store keeps labeled blocks. It is safe for concurrent use, by several processes too. Whoever uses one names the few
// methods that it needs in an interface of its own.
type Store interface {
	Networks
	Blocks
	Coverage
	Counts
	Gauge
	Events
	// Ping fails if the store does not answer, if its file is gone, and after a failed write until one succeeds. Long queries do
	// not delay it.
	Ping(ctx context.Context) error
	// Check compares a database with itself and with the clock, and with repair set repairs what it can, all or nothing: it
	// removes what is wrong or computes it again, and a follower then fetches what is missing.
	Check(ctx context.Context, repair bool) ([]Finding, error)
	Close() error
}

// Networks ties a database to a network.
type Networks interface {
	// Identify ties the database to a network, or makes sure that it is tied to this one; another network's
	// database is a Conflict that names both. The rest of the identity (name, clock and forks) is updated.
	Identify(ctx context.Context, id Identity) error
	// Identity returns what Identify has set; ok is false before.
	Identity(ctx context.Context) (id Identity, ok bool, err error)
}

// Blocks changes and reads blocks.
type Blocks interface {
	// Apply makes a change, whole or not at all. What Gate refuses is Invalid; a block that contradicts a stored one is a
	// Conflict. Covered slots stay open if they lie in a long run without blocks that nothing proves (see Gate.Unproven).
	Apply(ctx context.Context, b Batch) (Result, error)
	// Relabel gives stored blocks new labels, whole or not at all, and updates the sums. It ignores blocks that are not
	// stored, and returns how many blocks now have another client.
	Relabel(ctx context.Context, labels []Label) (changed int, err error)
	// Blocks gives the blocks of an interval in order of slot.
	Blocks(ctx context.Context, i blockprint.Interval, q Query) iter.Seq2[Block, error]
	// Block returns one block, or NotFound.
	Block(ctx context.Context, id BlockID) (Block, error)
	// Undecided returns the blocks of an interval that are neither final nor orphaned, placeholders left out.
	Undecided(ctx context.Context, i blockprint.Interval) ([]BlockID, error)
	// Ancestors follows parents by their roots: it returns a stored block and those before it, newest first, none
	// before slot down, at most MaxAncestors. next is the parent of the last one, which is not stored or lies before down;
	// its root is zero if the last one's parent root is unknown. If from is not stored, the list is empty and next
	// is from. A from without a root means the oldest final block at or after its slot; if there is none, the list and
	// next's root are empty.
	Ancestors(ctx context.Context, from BlockID, down blockprint.Slot) (list []BlockID, next BlockID, err error)
	// ValidatorBlocks returns the blocks of a validator from a slot on, newest last.
	ValidatorBlocks(ctx context.Context, proposer uint64, since blockprint.Slot) ([]Block, error)
	// LatestBlocks gives the newest block of each validator, in order of index.
	LatestBlocks(ctx context.Context) iter.Seq2[Latest, error]
}

// MaxAncestors is how many blocks Ancestors returns at most.
const MaxAncestors = 4096

// Coverage says which slots are known.
type Coverage interface {
	// SetFloor sets the slot at which history begins.
	SetFloor(ctx context.Context, floor blockprint.Slot) error
	// Status returns the state of the store.
	Status(ctx context.Context) (Status, error)
	// Gaps returns the slots of an interval that are not covered, in time proportional to their number.
	Gaps(ctx context.Context, i blockprint.Interval) (blockprint.Intervals, error)
}

// Counts counts blocks, orphaned ones left out.
type Counts interface {
	// CountByClient counts the blocks of the epochs start to end-1 by label.
	CountByClient(ctx context.Context, start, end blockprint.Epoch) (map[blockprint.Client]int64, error)
	// CountByEpoch counts the blocks of each of the epochs start to end-1 by label.
	CountByEpoch(ctx context.Context, start, end blockprint.Epoch) (map[blockprint.Epoch]map[blockprint.Client]int64, error)
	// Tally counts the blocks of an interval by what their graffiti says and what they are labeled; also by their
	// proposer if that is asked for.
	Tally(ctx context.Context, i blockprint.Interval, byProposer bool) ([]Tally, error)
}
