package sim

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/gossip"
	"blockprint/packer"
	"blockprint/reward"
)

// World is a simulated network. Only Step moves it. It is safe for concurrent use.
type World struct {
	config  Config
	spec    blockprint.Spec
	schemas *beacon.Schemas

	mu       sync.RWMutex
	rng      *rand.Rand
	genesis  *block
	active   []uint32
	balances []uint64
	nodes    []*node
	owner    []*node // by validator
	dreams   map[blockprint.Root]*block
	shuffled map[shuffleKey]*reward.Committees

	slot   blockprint.Slot
	head   *block // that the majority builds on and votes for
	seen   *block // the head of the node that the API speaks for
	blocks map[blockprint.Root]*block
	bySlot map[blockprint.Slot][]*block
	gossip *gossip.Network
	side   sideChain
	skip   int    // number of empty slots that follow
	avoid  *block // a late block that the next proposer will not build on

	subscribers map[chan event]bool

	registry     sync.Once
	registryText []byte
}

// node is a beacon node.
type node struct {
	variant string
	client  blockprint.Client
	pool    packer.Pool
	all     bool // it receives all single votes

	asked  bool   // it builds blocks on request
	dreamt *block // the newest block that it built on request
}

// sideChain is a chain that some proposers extend while the majority does not see it.
type sideChain struct {
	tip  *block
	left int
}

// Slot is what happened in a slot.
type Slot struct {
	Slot blockprint.Slot
	// Block is zero if the slot was skipped.
	Block  blockprint.Root
	Client blockprint.Client
}

// New makes a world at genesis.
func New(c Config) (*World, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	w := &World{
		config: c, spec: c.spec(), rng: rand.New(rand.NewPCG(c.Seed, 0x626c6f636b707274)),
		shuffled: map[shuffleKey]*reward.Committees{}, blocks: map[blockprint.Root]*block{}, bySlot: map[blockprint.Slot][]*block{},
		subscribers: map[chan event]bool{}, dreams: map[blockprint.Root]*block{},
	}
	w.schemas = beacon.NewSchemas(&w.spec)
	for i := range c.Validators {
		w.active = append(w.active, uint32(i))
		balance := uint64(32_000_000_000)
		if w.rng.Float64() < c.Leaked {
			balance = uint64(20+w.rng.IntN(12)) * 1_000_000_000
		}
		if w.rng.Float64() < c.Compounding {
			balance = uint64(33*math.Pow(2048./33, w.rng.Float64())) * 1_000_000_000
		}
		w.balances = append(w.balances, balance)
	}
	w.makeNodes()
	w.makeGenesis()
	return w, nil
}

// makeNodes makes the same number of nodes of each variant, which differ in how they receive gossip, and spreads the
// validators over them by the variants' weights.
func (w *World) makeNodes() {
	total := 0.0
	var hearers []gossip.Hearer
	var ofShare [][2][]*node // by share: the nodes that receive all subnets, and the others
	for _, s := range w.config.Shares {
		total += s.Weight
		client, _, _ := packer.ClientOf(s.Variant) // check knows the variant
		var kinds [2][]*node
		for _, h := range w.config.Hearers(w.rng, w.config.Nodes, w.config.Committees) {
			n := &node{variant: s.Variant, client: client, pool: packer.New(s.Variant), all: h.Subnets == nil}
			kind := 1
			if n.all {
				kind = 0
			}
			kinds[kind] = append(kinds[kind], n)
			w.nodes = append(w.nodes, n)
			hearers = append(hearers, h)
		}
		ofShare = append(ofShare, kinds)
	}
	w.gossip = gossip.New(w.config.Config, w.rng, hearers)
	w.owner = make([]*node, w.config.Validators)
	for i := range w.owner {
		x := w.rng.Float64() * total
		at := 0
		for at < len(ofShare)-1 && x >= w.config.Shares[at].Weight {
			x -= w.config.Shares[at].Weight
			at++
		}
		kind := 1
		if w.rng.Float64() < w.config.AllSubnetsRate || len(ofShare[at][1]) == 0 {
			kind = 0
		}
		list := ofShare[at][kind]
		w.owner[i] = list[w.rng.IntN(len(list))]
	}
}

func (w *World) makeGenesis() {
	g := &block{mix: sha256.Sum256(append([]byte("genesis mix"), le64(w.config.Seed)...)), arrived: true}
	g.stateRoot = sha256.Sum256(append([]byte("genesis state"), le64(w.config.Seed)...))
	g.fork = w.spec.ForkAt(0)
	w.encode(g, "", nil)
	g.state = packer.GenesisState(w.balances, g.root)
	w.genesis, w.head, w.seen = g, g, g
	w.add(g)
}

func (w *World) add(b *block) {
	w.blocks[b.root] = b
	w.bySlot[b.slot] = append(w.bySlot[b.slot], b)
}

// Network returns the world's network.
func (w *World) Network() *blockprint.Network {
	return &blockprint.Network{Spec: w.spec, GenesisTime: w.config.GenesisTime, GenesisValidatorsRoot: w.genesisRoot()}
}

func (w *World) genesisRoot() blockprint.Root {
	return sha256.Sum256(append([]byte("genesis validators"), le64(w.config.Seed)...))
}

// Truth returns the client and the variant that built a block.
func (w *World) Truth(root blockprint.Root) (client blockprint.Client, variant string, ok bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	b := w.blocks[root]
	if b == nil {
		b = w.dreams[root]
	}
	if b == nil || b.node == nil {
		return "", "", false
	}
	return b.node.client, b.node.variant, true
}

// ExactAttestationReward returns what a block paid its proposer for attestations, in gwei, by the world's own accounts.
func (w *World) ExactAttestationReward(root blockprint.Root) (uint64, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	b := w.blocks[root]
	if b == nil {
		return 0, false
	}
	return b.exact, true
}

// Head returns the head of the node that the API speaks for.
func (w *World) Head() (blockprint.Root, blockprint.Slot) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.seen.root, w.seen.slot
}

// Now returns the present slot, which is the last one that Step ran.
func (w *World) Now() blockprint.Slot {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.slot
}

// Clock returns the world's time: the middle of its present slot.
func (w *World) Clock() time.Time {
	n := w.Network()
	return n.TimeOf(w.Now()).Add(n.SlotDuration / 2)
}

// Step runs the next slot.
func (w *World) Step() Slot {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slot++
	out := Slot{Slot: w.slot}
	parent, votesAgainst := w.choosePlan()
	w.dreamAll(parent)
	var b *block
	late := false
	if w.skip == 0 && w.rng.Float64() < w.config.SkipRate {
		w.skip = 1 + w.rng.IntN(w.config.SkipRun)
	}
	if w.skip > 0 {
		w.skip--
	} else {
		if w.config.Dreams {
			w.dream(parent)
		}
		b = w.propose(parent)
		late = !votesAgainst && w.rng.Float64() < w.config.LateRate
		out.Block, out.Client = b.root, b.node.client
	}
	w.hear(w.gossip.LateAggregates())
	w.hear(w.gossip.LateVotes(w.slot))

	// The share of the network that has the block in time to vote for it.
	inTime := 1.0
	switch {
	case b == nil || votesAgainst:
		inTime = 0
	case late:
		inTime = w.config.InTime(w.rng)
	}
	w.attest(b, inTime)
	if b != nil {
		w.publish(b, votesAgainst)
		if late && inTime < 0.5 && w.rng.Float64() < w.config.LateReorgRate {
			w.avoid = b
		}
	}
	return out
}

// choosePlan returns the block to build on, and whether the new block stays hidden from the majority.
func (w *World) choosePlan() (parent *block, unseen bool) {
	if w.side.left > 0 {
		w.side.left--
		return w.side.tip, true
	}
	if w.side.tip != nil { // the side chain has ended
		w.side.tip = nil
		return w.head, false
	}
	if w.avoid != nil {
		parent, w.avoid = w.avoid.parent, nil
		return parent, false
	}
	if w.slot > 2 && w.rng.Float64() < w.config.SideChainRate {
		w.side = sideChain{tip: w.head, left: w.config.SideChainLen - 1}
		return w.head, true
	}
	return w.head, false
}

// propose lets a random validator's node build a block on parent.
func (w *World) propose(parent *block) *block {
	proposer := w.proposer()
	b, v := w.build(w.owner[proposer], parent, w.slot, proposer)
	b.exact = v.Include(b.attestations)
	b.stateRoot = sha256.Sum256(append(append([]byte("state"), parent.root[:]...), le64(uint64(w.slot))...))
	graffiti := ""
	if w.rng.Float64() < w.config.GraffitiRate {
		_, graffiti, _ = packer.ClientOf(b.node.variant)
	}
	w.encode(b, graffiti, parent)
	w.add(b)
	return b
}

// proposer draws a validator that may propose.
func (w *World) proposer() uint64 {
	if w.config.Proposers > 0 {
		return uint64(w.rng.IntN(w.config.Proposers))
	}
	return uint64(w.rng.IntN(w.config.Validators))
}

// build lets a node pack a block on parent. The block's state and the returned view do not include its attestations yet.
func (w *World) build(n *node, parent *block, slot blockprint.Slot, proposer uint64) (*block, *packer.View) {
	b := &block{slot: slot, parent: parent, proposer: proposer, node: n, fork: w.spec.ForkAt(w.spec.EpochOf(slot))}
	v := w.view(b)
	b.attestations = n.pool.Pack(v)
	return b, v
}

// buildDreamt lets a node build a block on parent that joins no chain, so that only its encoding is kept.
func (w *World) buildDreamt(n *node, parent *block, slot blockprint.Slot, proposer uint64) *block {
	b, _ := w.build(n, parent, slot, proposer)
	b.stateRoot = sha256.Sum256(append(append([]byte("dreamt state"), parent.root[:]...), le64(proposer)...))
	w.encode(b, "", parent)
	b.state, b.attestations = nil, nil
	return b
}

// dreamTries bounds the search for a proposer of each variant. A variant with very few validators dreams less often.
const dreamTries = 200

// dream asks a node of each variant for a block on parent.
func (w *World) dream(parent *block) {
	done := map[string]bool{}
	for range dreamTries {
		proposer := w.proposer()
		n := w.owner[proposer]
		if done[n.variant] {
			continue
		}
		done[n.variant] = true
		b := w.buildDreamt(n, parent, w.slot, proposer)
		w.dreams[b.root] = b
		if len(done) == len(w.config.Shares) {
			return
		}
	}
}

// Dreams returns the dreamt blocks, which join no chain, by the root of their parent, sorted by slot.
func (w *World) Dreams() map[blockprint.Root][]Encoded {
	w.mu.RLock()
	defer w.mu.RUnlock()
	out := map[blockprint.Root][]Encoded{}
	for root, b := range w.dreams {
		out[b.parent.root] = append(out[b.parent.root], Encoded{root, b.slot, b.fork, b.encoded})
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b Encoded) int {
			return cmp.Or(cmp.Compare(a.Slot, b.Slot), bytes.Compare(a.Root[:], b.Root[:]))
		})
	}
	return out
}

// Chain returns the canonical blocks after a slot, signed and in SSZ, the oldest first.
func (w *World) Chain(after blockprint.Slot) (out []Encoded) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for b := w.seen; b.slot > after; b = b.parent {
		out = append(out, Encoded{b.root, b.slot, b.fork, b.encoded})
	}
	slices.Reverse(out)
	return out
}

// Encoded is a block as its node sends it.
type Encoded struct {
	Root  blockprint.Root
	Slot  blockprint.Slot
	Fork  blockprint.Fork
	Block []byte // signed, in SSZ
}

// view sets a block's state to the one before its attestations, and returns it as its node's packer sees it.
func (w *World) view(b *block) *packer.View {
	epoch := w.spec.EpochOf(b.slot)
	s := b.parent.state.Advance(&w.spec, b.parent.rootAt, epoch)
	b.state = s
	return &packer.View{
		Slot: b.slot, Head: b.parent.slot, Spec: &w.spec, Rand: w.rng, State: s, RootAt: b.parent.rootAt,
		Members: func(g gossip.Group) []uint32 { return w.committeeOf(b.parent, g) },
		Valid: func(d *gossip.Data) bool {
			inWindow := d.Slot < b.slot && (b.fork >= blockprint.Deneb || uint64(b.slot-d.Slot) <= w.spec.SlotsPerEpoch)
			return inWindow && s.HasSource(&d.AttestationData) && d.DependentRoot == w.shuffling(b.parent, d.Target.Epoch).anchor
		},
	}
}

// publish makes a block known to the API, and to the nodes unless the block is hidden from the majority.
func (w *World) publish(b *block, unseen bool) {
	b.arrived = true
	if unseen {
		w.side.tip = b
	} else {
		w.head = b
		for _, n := range w.nodes {
			n.pool.Imported(b.slot, b.attestations)
		}
	}
	old := w.seen
	w.seen = b
	w.announce(old, b)
	w.forgetFlags(b)
}

// forgetFlags frees the participation flags of blocks that are too old to build on.
func (w *World) forgetFlags(b *block) {
	keep := blockprint.Slot(4 * w.spec.SlotsPerEpoch)
	if b.slot < keep {
		return
	}
	for _, old := range w.bySlot[b.slot-keep] {
		old.state.Previous, old.state.Current = nil, nil
	}
}
