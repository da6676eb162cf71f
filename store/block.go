package store

import (
	"encoding/binary"

	"blockprint"
)

// Canonical says whether a block is part of the chain.
type Canonical int

// A block is undecided until it is reorganised out or final.
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
	// Model names the model that labelled the block.
	Model string
}

// BlockID names a block where its slot is needed to find it fast.
type BlockID struct {
	Slot blockprint.Slot `json:"Slot"`
	Root blockprint.Root `json:"Root"`
}

// Batch is a change of the store.
type Batch struct {
	Blocks []Block
	// Covered lists slots of which everything is known: their canonical block is stored, before or by this batch,
	// or they have none.
	Covered []blockprint.Interval
	// Uncovered lists slots of which too little is known after all: the chain has left the blocks that covered them.
	// They are taken out before the rest of the batch is put in.
	Uncovered []blockprint.Interval
	// Chains tells pieces of the canonical chain, as far as it is known now.
	Chains []Chain
	// Finalized, if not nil, is the newest slot up to which everything is settled: all slots are covered, and it
	// is known of each block whether it is canonical.
	Finalized *blockprint.Slot
}

// Chain is a piece of the canonical chain: of the slots it spans, exactly the blocks it names are on it. Other
// stored blocks of these slots become orphaned; named ones that were orphaned are restored. Final says that this
// cannot change any more.
type Chain struct {
	Slots  blockprint.Interval `json:"Slots"`
	Blocks []BlockID           `json:"Blocks"`
	Final  bool                `json:"Final"`
}

// PlaceholderRoot stands for the root of a block that was imported from a database that did not keep roots. When
// the block itself comes, it takes the placeholder's place. Chains leave placeholders alone.
func PlaceholderRoot(proposer uint64) (r blockprint.Root) {
	binary.BigEndian.PutUint64(r[24:], proposer)
	return r
}

// IsPlaceholder tells whether a root is one of PlaceholderRoot's.
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
	// NotModel, if not empty, leaves out the blocks that this model has labelled.
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
	Graffiti blockprint.Graffiti // its Client is empty where the graffiti does not tell
	Single   blockprint.Client
	Model    string
	Blocks   int64
}
