// Package recording reads and writes recordings of real clients: the votes that beacon nodes received, their pools, and
// the blocks that they built from them, in every slot. docs/recording.md describes the format.
//
// Open reads a recording slot by slot; a Writer makes one. Open also reads two older kinds of lines, those of the first
// recordings of Prysm and of Lodestar.
package recording

import (
	"math/bits"
	"slices"
	"time"

	"blockprint"
)

// Meta says what was recorded.
type Meta struct {
	By            string                                // the program that recorded, with its version
	Preset        string                                // of the network: mainnet, minimal
	SlotsPerEpoch uint64                                // of the preset
	SlotDuration  time.Duration                         // of the network
	Genesis       time.Time                             // zero if the recording does not say
	Forks         [blockprint.NumForks]blockprint.Epoch // when each begins
	Seed          uint64                                // of what was invented
	Invented      string                                // what no client made
	Nodes         []Node
}

// Node is a beacon node, or a client's pool that ran without its node.
type Node struct {
	Name    string
	Client  blockprint.Client
	Version string // as the node says it
	// Variant is the packer that models the client's version, if the recording says so.
	Variant string
	// FedAll means that the recording has all votes that the node received. Otherwise, its pool is known from snapshots
	// alone.
	FedAll bool
	// Posted means that votes were posted to the node's API, where clients check less than in gossip.
	Posted bool
}

// Node returns the node of a name.
func (m *Meta) Node(name string) (Node, bool) {
	i := slices.IndexFunc(m.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return m.Nodes[i], true
}

// Spec returns the constants of the recorded network, as far as packing needs them.
func (m *Meta) Spec() blockprint.Spec {
	s := blockprint.MainnetSpec()
	s.ConfigName, s.PresetBase = "recorded", m.Preset
	s.SlotsPerEpoch, s.SlotDuration, s.ForkEpochs = m.SlotsPerEpoch, m.SlotDuration, m.Forks
	return s
}

// Shuffling is the committees of an epoch.
type Shuffling struct {
	Epoch blockprint.Epoch
	// Decision is the block whose state decided the committees; zero if the recording has one chain only.
	Decision blockprint.Root
	// Members are validators by slot of the epoch, committee, and position.
	Members [][][]uint32
}

// Part is the votes of one committee: bit i%64 of word i/64 belongs to the member at position i.
type Part struct {
	Committee int
	Bits      []uint64
}

// Attestation is an attestation as it is since Electra: parts of the same data in ascending order of committees.
type Attestation struct {
	Data  *blockprint.AttestationData
	Parts []Part
}

// Equal reports whether two attestations have the same data and the same voters.
func (a *Attestation) Equal(b *Attestation) bool {
	return *a.Data == *b.Data && slices.EqualFunc(a.Parts, b.Parts, func(p, q Part) bool {
		return p.Committee == q.Committee && slices.Equal(p.Bits, q.Bits)
	})
}

// Voters counts the votes.
func (a *Attestation) Voters() int {
	n := 0
	for _, p := range a.Parts {
		for _, word := range p.Bits {
			n += bits.OnesCount64(word)
		}
	}
	return n
}

// Outcome is what became of a vote at a node.
type Outcome int

// The outcomes. Refused votes never reached the pool; Known ones added nothing to it.
const (
	Taken Outcome = iota
	Known
	Refused
)

var outcomes = [...]string{"taken", "known", "refused"}

func (o Outcome) String() string { return outcomes[o] }

// Vote is a single vote or an aggregate that reached nodes.
type Vote struct {
	Attestation               // with one part
	At          time.Duration // since genesis
	Single      bool          // from a subnet
	Aggregator  int64         // the validator that aggregated; -1 if it is not known
	To          []string      // nodes
	Outcome     Outcome       // the same at all of them
}

// Pool is what a node had in its pool just before or after it built a block.
type Pool struct {
	Node         string
	At           time.Duration // since genesis
	Attestations []Attestation // those of one vote and committee in the node's own order
}

// Block is a block that a node built, or that joined the chain.
type Block struct {
	Slot blockprint.Slot
	Node string // that built it; a published block of another name is the recorder's own
	// Asked is when the node was asked for it, since genesis.
	Asked time.Duration
	// Published is when the block joined the chain, since genesis; negative if it did not.
	Published    time.Duration
	Parent, Root blockprint.Root // Root is zero if it was not recorded
	Graffiti     string
	Attestations []Attestation
	SSZ          []byte // the whole block, signed if it joined the chain; nil if it was not recorded
}

// IsPublished reports whether the block joined the chain.
func (b *Block) IsPublished() bool { return b.Published >= 0 }

// Slot is what happened around a slot's blocks.
type Slot struct {
	Slot blockprint.Slot
	Mood string // what the recorder wanted of the slot, in its own words
	// Votes are those that came since the blocks of the slot before were asked for, in order of time.
	Votes  []Vote
	Pools  []Pool
	Blocks []Block
	// Heads are the slots of the nodes' heads at the end of the slot, where they are known.
	Heads map[string]blockprint.Slot
}
