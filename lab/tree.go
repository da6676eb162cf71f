package lab

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"

	"blockprint"
	"blockprint/beacon"
	"blockprint/beacon/ssz"
	"blockprint/reward"
)

// block is a block that joined the private network's chain.
type block struct {
	*beacon.Block
	parent *block
	mix    blockprint.Root // RANDAO mix after the block
	signed []byte          // its SSZ; nil for genesis
}

// at returns the last block of b's chain that is not after a slot.
func (b *block) at(slot blockprint.Slot) *block {
	for b.Slot > slot && b.parent != nil {
		b = b.parent
	}
	return b
}

// tree holds all published blocks and what follows from them. The registry never changes but for balances, and effective
// ones stay as long as most validators vote. It is a reward.Source, so that no node is asked for what is known here. It is
// safe for concurrent use.
type tree struct {
	chain      *Chain
	schemas    *beacon.Schemas
	validators *beacon.Validators
	active     []uint32

	mu         sync.Mutex
	blocks     map[blockprint.Root]*block
	genesis    *block
	head       *block // the last that was published
	committees map[committeeKey]*reward.Committees
}

// committeeKey names an epoch's committees by the last block that decides them; zero for those that genesis decides.
type committeeKey struct {
	epoch  blockprint.Epoch
	anchor blockprint.Root
}

func newTree(c *Chain) *tree {
	g := &block{Block: &beacon.Block{Fork: c.Genesis, Root: c.genesisRoot}, mix: c.mix}
	t := &tree{
		chain: c, schemas: beacon.NewSchemas(&c.Spec), validators: &beacon.Validators{}, genesis: g, head: g,
		blocks: map[blockprint.Root]*block{g.Root: g}, committees: map[committeeKey]*reward.Committees{},
	}
	for i, eth := range c.Balances {
		t.validators.Append(eth*gweiPerETH, 0, blockprint.FarFuture, blockprint.FarFuture, false)
		t.active = append(t.active, uint32(i))
	}
	return t
}

// add makes a block the head. signed is its SSZ.
func (t *tree) add(decoded *beacon.Block, signed []byte) (*block, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	parent := t.blocks[decoded.ParentRoot]
	if parent == nil || parent.Slot >= decoded.Slot {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s builds on %s, which is not an earlier block of this chain", decoded, decoded.ParentRoot.Short())
	}
	b := &block{Block: decoded, parent: parent, mix: parent.mix, signed: signed}
	for i, x := range sha256.Sum256(decoded.RandaoReveal[:]) {
		b.mix[i] ^= x
	}
	t.blocks[b.Root], t.head = b, b
	return b, nil
}

func (t *tree) get(root blockprint.Root) *block {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.blocks[root]
}

func (t *tree) tip() *block {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.head
}

// path returns the chain from genesis, which it leaves out, to a block.
func (b *block) path() []*block {
	var out []*block
	for ; b.parent != nil; b = b.parent {
		out = append(out, b)
	}
	slices.Reverse(out)
	return out
}

// committeesOf returns the committees of an epoch on a block's chain, and the block that decided them.
func (t *tree) committeesOf(b *block, epoch blockprint.Epoch) (*reward.Committees, blockprint.Root) {
	key, mix := committeeKey{epoch: epoch}, t.genesis.mix
	if lookback := blockprint.Epoch(t.chain.MinSeedLookahead); epoch > lookback {
		last := b.at(t.chain.StartOf(epoch-lookback) - 1)
		key.anchor, mix = last.Root, last.mix
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.committees[key]
	if c == nil {
		c = reward.ComputeCommittees(&t.chain.Spec, epoch, t.active, mix)
		t.committees[key] = c
		for old := range t.committees {
			if old.epoch+4 < epoch {
				delete(t.committees, old)
			}
		}
	}
	return c, key.anchor
}

// Verify implements reward.Source.
func (t *tree) Verify(context.Context) error { return nil }

// Network implements reward.Source.
func (t *tree) Network(context.Context) (*blockprint.Network, error) { return &t.chain.Network, nil }

// find returns the block that an ID names: by its root, its state's root, or a word.
func (t *tree) find(id beacon.ID) (*block, error) {
	name, _, _ := strings.Cut(string(id), "@")
	t.mu.Lock()
	defer t.mu.Unlock()
	switch root, err := blockprint.ParseRoot(name); {
	case name == "genesis":
		return t.genesis, nil
	case id == beacon.Head:
		return t.head, nil
	case err != nil:
	case t.blocks[root] != nil:
		return t.blocks[root], nil
	default:
		for _, b := range t.blocks {
			if b.StateRoot == root {
				return b, nil
			}
		}
	}
	return nil, blockprint.Errorf(blockprint.NotFound, "the laboratory's chain has no block %s", id)
}

// Header implements reward.Source.
func (t *tree) Header(_ context.Context, id beacon.ID) (beacon.Header, error) {
	b, err := t.find(id)
	if err != nil {
		return beacon.Header{}, err
	}
	return beacon.Header{Root: b.Root, Canonical: true, Slot: b.Slot, ProposerIndex: b.ProposerIndex, ParentRoot: b.ParentRoot, StateRoot: b.StateRoot}, nil
}

// Block implements reward.Source. Genesis has no block.
func (t *tree) Block(_ context.Context, id beacon.ID) (*beacon.Block, error) {
	b, err := t.find(id)
	if err == nil && b.signed == nil {
		err = blockprint.Errorf(blockprint.NotFound, "genesis has no block")
	}
	if err != nil {
		return nil, err
	}
	return b.Block, nil
}

// Validators implements reward.Source.
func (t *tree) Validators(context.Context, beacon.ID) (*beacon.Validators, error) {
	return t.validators, nil
}

// Randao implements reward.Source. Epochs before genesis are numbered from the end of the state's list of mixes.
func (t *tree) Randao(_ context.Context, state beacon.ID, epoch blockprint.Epoch) (blockprint.Root, error) {
	b, err := t.find(state)
	switch {
	case err != nil:
		return blockprint.Root{}, err
	case epoch > t.chain.EpochOf(b.Slot):
		return t.genesis.mix, nil
	}
	return b.at(t.chain.StartOf(epoch+1) - 1).mix, nil
}

// Committees implements reward.Source: the tracker's own are right.
func (t *tree) Committees(context.Context, beacon.ID, blockprint.Epoch) ([]beacon.Committee, error) {
	return nil, blockprint.Errorf(blockprint.NotFound, "committees follow from the mixes")
}

// genesisBlockRoot is the root of the header that stands for the block of a genesis state.
func genesisBlockRoot(t *ssz.Type, state []byte) blockprint.Root {
	root := t.Root(state)
	header := part(t, "latest_block_header")
	v := t.View(state).Field("latest_block_header")
	return header.Root(header.Build(map[string][]byte{"body_root": v.Field("body_root").Bytes(), "state_root": root[:]}))
}
