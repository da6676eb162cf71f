// Package store says what the services ask of storage. The implementations are siblings: store/sqlite. Each passes
// the suite in store/storetest.
//
// Writing is by batches (Apply), each of which happens whole or not at all and is on the disk when Apply returns.
// A batch may be repeated: what is stored already is left as it is.
package store

import (
	"context"
	"encoding/binary"
	"iter"
	"time"

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
	blockprint.Classification
	// Features is the whole vector, in the order of the store's FeatureNames at the time of writing; nil if it is
	// not known.
	Features []float64
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

// Result says what a batch did.
type Result struct {
	Inserted, Known int // blocks
}

// Status is the state of the whole store.
type Status struct {
	Newest    blockprint.Slot `json:"Newest"`    // of the newest stored block
	Empty     bool            `json:"Empty"`     // there is no block
	Covered   blockprint.Slot `json:"Covered"`   // the newest covered slot
	Floor     blockprint.Slot `json:"Floor"`     // history before this slot is not asked for
	Finalized blockprint.Slot `json:"Finalized"` // the newest slot known as final; 0 if none
}

// Latest is the newest block of a validator.
type Latest struct {
	Proposer uint64
	Slot     blockprint.Slot
	Single   blockprint.Client
}

// Identity ties a database to a network. It is kept on disk and sent between services in JSON, with these keys.
type Identity struct {
	ConfigName            string          `json:"ConfigName"`
	GenesisTime           int64           `json:"GenesisTime"` // seconds since 1970
	GenesisValidatorsRoot blockprint.Root `json:"GenesisValidatorsRoot"`
	SlotSeconds           float64         `json:"SlotSeconds"`
	SlotsPerEpoch         uint64          `json:"SlotsPerEpoch"`
	// ForkEpochs says when the forks begin that the node has scheduled, by name; empty in databases of before November
	// 2026. An identity that differs in it is of the same network.
	ForkEpochs map[string]blockprint.Epoch `json:"ForkEpochs,omitempty"`
}

// Check refuses an identity without a clock that can be used: one that was written by another version, for instance, whose
// keys differ. To take mainnet's for what is missing would be wrong without a word.
func (id *Identity) Check() error {
	if id.SlotsPerEpoch == 0 || id.SlotsPerEpoch > 1<<20 || !(id.SlotSeconds > 0 && id.SlotSeconds < 1<<20) {
		return blockprint.Errorf(blockprint.Invalid, "a network needs the length of its slots and epochs: SlotSeconds is %v, SlotsPerEpoch %d", id.SlotSeconds, id.SlotsPerEpoch)
	}
	return nil
}

// Tally is a number of blocks that are alike.
type Tally struct {
	Graffiti blockprint.Graffiti // its Client is empty where the graffiti does not tell
	Single   blockprint.Client
	Model    string
	Blocks   int64
}

// Store keeps labelled blocks. It is safe for concurrent use, by several processes too.
type Store interface {
	Gauge
	Events
	// Identify ties the database to a network, or makes sure that it is tied to this one; another network's
	// database is a Conflict that names both. What else is known of the network (its name, clock and forks) is renewed.
	Identify(ctx context.Context, id Identity) error
	// Identity returns what Identify has set; ok is false before.
	Identity(ctx context.Context) (id Identity, ok bool, err error)
	// SetFloor sets the slot at which history begins.
	SetFloor(ctx context.Context, floor blockprint.Slot) error
	// Apply makes a change, whole or not at all. What Gate refuses is Invalid; a block that contradicts a stored one is a
	// Conflict. Of covered slots those stay open that a long run without blocks leaves unproven (see Gate.Unproven).
	Apply(ctx context.Context, b Batch) (Result, error)
	// Relabel gives stored blocks new labels, whole or not at all; sums follow. Blocks that are not stored are passed
	// over. It returns how many blocks now have another client.
	Relabel(ctx context.Context, labels []Label) (changed int, err error)
	// Status returns the state of the store.
	Status(ctx context.Context) (Status, error)
	// Gaps returns the slots of an interval that are not covered, in time proportional to their number.
	Gaps(ctx context.Context, i blockprint.Interval) (blockprint.Intervals, error)
	// CountByClient counts the blocks of the epochs start to end-1 by label, orphaned ones left out.
	CountByClient(ctx context.Context, start, end blockprint.Epoch) (map[blockprint.Client]int64, error)
	// CountByEpoch counts the blocks of each of the epochs start to end-1 by label.
	CountByEpoch(ctx context.Context, start, end blockprint.Epoch) (map[blockprint.Epoch]map[blockprint.Client]int64, error)
	// Blocks gives the blocks of an interval in order of slot.
	Blocks(ctx context.Context, i blockprint.Interval, q Query) iter.Seq2[Block, error]
	// Undecided returns the blocks of an interval that are neither final nor orphaned, placeholders left out.
	Undecided(ctx context.Context, i blockprint.Interval) ([]BlockID, error)
	// Ancestors follows parents by their roots: it returns a stored block and those before it, newest first, none
	// before slot down, at most MaxAncestors. next is the parent of the last one, of which nothing else is known here;
	// its root is zero if the last one's parent root is not known. If from is not stored, the list is empty and next
	// is from. A from without a root means the oldest final block at or after its slot; the list and next's root are
	// empty if there is none.
	Ancestors(ctx context.Context, from BlockID, down blockprint.Slot) (list []BlockID, next BlockID, err error)
	// Block returns one block, or NotFound.
	Block(ctx context.Context, id BlockID) (Block, error)
	// ValidatorBlocks returns the blocks of a validator from a slot on, newest last.
	ValidatorBlocks(ctx context.Context, proposer uint64, since blockprint.Slot) ([]Block, error)
	// LatestBlocks gives the newest block of each validator, in order of index.
	LatestBlocks(ctx context.Context) iter.Seq2[Latest, error]
	// Tally counts the blocks of an interval, orphaned ones left out, by what their graffiti says and what they are
	// labelled.
	Tally(ctx context.Context, i blockprint.Interval) ([]Tally, error)
	// Ping tells whether the store answers, and takes writes: it fails if the file is gone, and after a write that failed until
	// one succeeds. Long queries do not hold it up.
	Ping(ctx context.Context) error
	// Check compares what a database says with itself and with the clock, and with repair set mends what it can: what was
	// wrong is taken out or computed anew, so that a follower fetches again what is missing then. All of it happens, or nothing.
	Check(ctx context.Context, repair bool) ([]Finding, error)
	Close() error
}

// Label is a new classification of a stored block.
type Label struct {
	BlockID
	blockprint.Classification
	Model string
}

// MaxAncestors is how many blocks Ancestors returns at most.
const MaxAncestors = 4096

// Query says which blocks, and what of them, to read.
type Query struct {
	Orphaned bool // orphaned blocks too
	Features bool // with their feature vectors
	// NotModel, if not empty, leaves out the blocks that this model has labelled.
	NotModel string
}

// NewIdentity returns what ties a database to a network.
func NewIdentity(n *blockprint.Network) Identity {
	return Identity{
		ConfigName: n.ConfigName, GenesisTime: n.GenesisTime.Unix(), GenesisValidatorsRoot: n.GenesisValidatorsRoot,
		SlotSeconds: n.SlotDuration.Seconds(), SlotsPerEpoch: n.SlotsPerEpoch, ForkEpochs: forkEpochs(&n.Spec),
	}
}

func forkEpochs(spec *blockprint.Spec) map[string]blockprint.Epoch {
	out := map[string]blockprint.Epoch{}
	for f, epoch := range spec.ForkEpochs {
		if epoch != blockprint.FarFuture {
			out[blockprint.Fork(f).String()] = epoch
		}
	}
	for name, epoch := range spec.UnknownForks {
		out[name] = epoch
	}
	return out
}

// Schedule returns when the network's forks begin. Databases of before November 2026 do not know it: of a public network
// it is known here; ok is false for others.
func (id *Identity) Schedule() (s blockprint.ForkSchedule, ok bool) {
	if len(id.ForkEpochs) == 0 {
		if !blockprint.IsPublic(id.ConfigName, id.GenesisValidatorsRoot) {
			return s, false
		}
		return blockprint.PublicSchedule(id.ConfigName)
	}
	s.SlotsPerEpoch = id.SlotsPerEpoch
	for f := range s.Epochs {
		s.Epochs[f] = blockprint.FarFuture
		if epoch, scheduled := id.ForkEpochs[blockprint.Fork(f).String()]; scheduled {
			s.Epochs[f] = epoch
		}
	}
	return s, true
}

// Network returns the clock and the fork schedule of the network that a database is tied to; the rest of it is mainnet's.
func (id *Identity) Network() *blockprint.Network {
	spec := blockprint.MainnetSpec()
	spec.ConfigName, spec.SlotsPerEpoch = id.ConfigName, id.SlotsPerEpoch
	spec.SlotDuration = time.Duration(id.SlotSeconds * float64(time.Second))
	if s, ok := id.Schedule(); ok {
		spec.ForkEpochs = s.Epochs
	}
	return &blockprint.Network{Spec: spec, GenesisTime: time.Unix(id.GenesisTime, 0), GenesisValidatorsRoot: id.GenesisValidatorsRoot}
}

// NetworkOf returns what tells a store's network: its clock.
func NetworkOf(s Store) func(context.Context) (*blockprint.Network, error) {
	return func(ctx context.Context) (*blockprint.Network, error) {
		id, ok, err := s.Identity(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, blockprint.Errorf(blockprint.NotFound, "the database is not tied to a network yet: nothing has been followed or dreamt")
		}
		return id.Network(), nil
	}
}
