package store

import (
	"encoding/binary"

	"blockprint"
)

// Canonical says whether a block is part of the chain.
type Canonical int

// A block is undecided until it is final or a reorganization orphans it.
const (
	Undecided Canonical = iota
	Orphaned
	Final
)

// Block is a block as it is stored.
type Block struct {
	Slot       blockprint.Slot
	Root       blockprint.Root
	ParentSlot blockprint.Slot
	ParentRoot blockprint.Root // zero if unknown: rewards from elsewhere give the parent's slot only
	Proposer   uint64
	Canonical  Canonical
	Graffiti   string
	Says       blockprint.Graffiti // what Graffiti says; its client may be empty
	blockprint.Classification
	// Features is the whole vector as it was written; without values if it is not known or not asked for.
	Features blockprint.Vector
	// Model names the model that labeled the block.
	Model string
}

// BlockID identifies a block. The slot is there because stores keep blocks in order of slot.
type BlockID struct {
	Slot blockprint.Slot `json:"Slot"`
	Root blockprint.Root `json:"Root"`
}

// Batch is a change of the store.
type Batch struct {
	Blocks []Block
	// Covered lists slots that are complete: their canonical block is stored, before or by this batch, or they have
	// none.
	Covered []blockprint.Interval
	// Uncovered lists slots that are incomplete after all, since the chain has left the blocks that covered them.
	// They are removed before the rest of the batch is applied.
	Uncovered []blockprint.Interval
	// Chains are pieces of the canonical chain, as far as it is known now.
	Chains []Chain
	// Finalized, if not nil, is the newest slot up to which everything is settled: all slots are covered, and each
	// block is known to be canonical or not.
	Finalized *blockprint.Slot
}

// Chain is a piece of the canonical chain: in the slots that it spans, exactly the blocks that it names are canonical.
// Other stored blocks in these slots become orphaned; named ones that were orphaned are restored. Final says that this
// cannot change any more.
type Chain struct {
	Slots  blockprint.Interval `json:"Slots"`
	Blocks []BlockID           `json:"Blocks"`
	Final  bool                `json:"Final"`
}

// PlaceholderRoot stands for the root of a block that was imported from a database without roots. When the block
// itself arrives, it replaces the placeholder. Chains do not affect placeholders.
func PlaceholderRoot(proposer uint64) (r blockprint.Root) {
	binary.BigEndian.PutUint64(r[24:], proposer)
	return r
}

// IsPlaceholder reports whether a root is one of PlaceholderRoot's.
func IsPlaceholder(r blockprint.Root) bool { return [24]byte(r[:24]) == [24]byte{} }

// ImportedModel names the model of labels that come from a database of the original.
const ImportedModel = "imported"

// Result says what a batch did.
type Result struct {
	Inserted, Known int // blocks
}

// Label is a new classification of a stored block.
type Label struct {
	BlockID
	blockprint.Classification
	Says  blockprint.Graffiti
	Model string
}

// Query says which blocks, and what of them, to read.
type Query struct {
	Orphaned bool // orphaned blocks too
	Features bool // with their feature vectors
	// NotModel, if not empty, leaves out the blocks that this model has labeled.
	NotModel string
}

// Latest is the newest block of a validator.
type Latest struct {
	Proposer uint64
	Slot     blockprint.Slot
	Single   blockprint.Client
}

// Tally is a number of blocks that are alike.
type Tally struct {
	Graffiti blockprint.Graffiti // its Client is empty if the graffiti names none
	Proposer uint64              // 0 unless asked for
	Single   blockprint.Client
	Model    string
	Blocks   int64
}
