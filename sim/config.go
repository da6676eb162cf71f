// Package sim is a simulated beacon network: a model for tests, demonstrations, and training, never a measurement.
//
// New makes a World whose validators run given variants of clients. Step runs a slot: the proposer's node packs a block
// from the votes that it has received (package packer), and the slot's validators vote (package gossip). Slots are
// skipped, late blocks split the votes, and chains are reorganized. Handler serves the world as a node's Beacon API.
// Everything random follows from Config.Seed.
package sim

import (
	"fmt"
	"time"

	"blockprint"
	"blockprint/gossip"
	"blockprint/packer"
)

// Share is a client variant and how many validators run it, in proportion to the other weights.
type Share struct {
	Variant string
	Weight  float64
}

// Config describes a world. Start from DefaultConfig.
type Config struct {
	Seed           uint64
	Validators     int
	Committees     int // in each slot
	SlotsPerEpoch  uint64
	SecondsPerSlot uint64
	GenesisTime    time.Time
	DenebEpoch     blockprint.Epoch // Capella is active from genesis
	ElectraEpoch   blockprint.Epoch

	Shares []Share
	// GraffitiRate is the share of blocks that carry their client's default graffiti.
	GraffitiRate float64

	gossip.Config // how votes reach nodes

	SkipRate      float64 // share of slots in which a run of 1 to SkipRun empty slots begins
	SkipRun       int
	LateReorgRate float64 // share of late blocks with few votes that the next proposer builds around
	SideChainRate float64 // share of slots in which a side chain of SideChainLen blocks begins
	SideChainLen  int
	KeepStates    uint64  // number of slots whose states the API still serves; 0 means all
	Nodes         int     // of each variant
	Proposers     int     // number of validators that propose; 0 means all
	Leaked        float64 // share of validators with 20 to 31 ETH, so that committees earn differently
	// Compounding is the share of validators with 33 to 2048 ETH, as there are since Electra.
	Compounding float64
	// Dreams asks a node of every variant in each slot for a block on the same parent as the proposer's. These blocks join
	// no chain; World.Dreams returns them.
	Dreams bool
}

// DefaultConfig is a healthy network with a little of everything.
func DefaultConfig(seed uint64) Config {
	return Config{
		Seed: seed, Validators: 16384, Committees: 16, SlotsPerEpoch: 32, SecondsPerSlot: 12,
		GenesisTime: time.Unix(1_700_000_000, 0),
		DenebEpoch:  0, ElectraEpoch: blockprint.FarFuture,
		Shares: []Share{
			{"lighthouse/2024", 1}, {"prysm/2024", 1}, {"lodestar/2024", 1}, {"teku/v1-plain", 1}, {"nimbus/2023", 1}, {"grandine/optimal", 1},
		},
		GraffitiRate: 0.5, Config: gossip.DefaultConfig(),
		SkipRate: 0.01, SkipRun: 3, Nodes: 2, Leaked: 0.03, LateReorgRate: 0.5, SideChainRate: 0.004, SideChainLen: 2,
	}
}

// MainnetConfig is a network of mainnet's size whose blocks look like mainnet's of 2025 (gossip.MainnetConfig). Its shares
// of clients are rough. A world of it takes about a gigabyte of memory.
func MainnetConfig(seed uint64) Config {
	c := DefaultConfig(seed)
	c.Validators, c.Committees, c.ElectraEpoch = 1<<20, 64, 0
	c.Shares = []Share{
		{"lighthouse/2024", 53}, {"prysm/2024", 17}, {"teku/v2", 13}, {"nimbus/2026", 10}, {"grandine/optimal", 4}, {"lodestar/electra-weight", 3},
	}
	c.Config = gossip.MainnetConfig()
	c.SkipRate, c.SkipRun, c.SideChainRate, c.Compounding, c.Leaked = 0.005, 1, 0.0005, 0.02, 0
	return c
}

// maxValidators is about four times mainnet's number.
const maxValidators = 1 << 22

// check refuses a configuration that no world can have.
func (c *Config) check() error {
	bad := func(format string, args ...any) error {
		return blockprint.Errorf(blockprint.Invalid, "simulated network: "+format, args...)
	}
	perCommittee := 0
	if c.Committees > 0 && c.SlotsPerEpoch > 0 {
		perCommittee = c.Validators / int(c.SlotsPerEpoch) / c.Committees
	}
	switch {
	case c.SlotsPerEpoch < 2 || c.Committees < 1 || c.Committees > 64:
		return bad("%d slots an epoch and %d committees a slot cannot be", c.SlotsPerEpoch, c.Committees)
	case c.SlotsPerEpoch > 1024:
		return bad("%d slots an epoch are more than 1024", c.SlotsPerEpoch)
	case c.Validators > maxValidators:
		return bad("%d validators are more than %d: each takes some hundred bytes and a share of every slot's work", c.Validators, maxValidators)
	case perCommittee > 2048:
		return bad("%d validators are too many for %d committees in each of %d slots: a committee has at most 2048 members", c.Validators, c.Committees, c.SlotsPerEpoch)
	case perCommittee < 2:
		return bad("%d validators are too few for %d committees in each of %d slots", c.Validators, c.Committees, c.SlotsPerEpoch)
	case c.Proposers < 0 || c.Proposers > c.Validators:
		return bad("%d of %d validators cannot propose", c.Proposers, c.Validators)
	case len(c.Shares) == 0:
		return bad("no clients")
	case c.Nodes > 1000 || c.SkipRun > 1000 || c.SideChainLen < 0 || c.SideChainLen > 1000:
		return bad("%d nodes of a variant, runs of %d skipped slots and side chains of %d blocks: at most 1000 of each", c.Nodes, c.SkipRun, c.SideChainLen)
	case c.Nodes < 1 || c.SkipRun < 1:
		return bad("each variant needs a node, and skipped slots come one at a time at least (nodes %d, run %d)", c.Nodes, c.SkipRun)
	}
	if err := c.Config.Check(); err != nil {
		return fmt.Errorf("simulated network: %w", err)
	}
	for _, s := range c.Shares {
		if _, _, ok := packer.ClientOf(s.Variant); !ok {
			return bad("unknown client variant %q: known are %v", s.Variant, packer.Variants())
		}
	}
	return nil
}

// CommitteeSize is the number of members of a committee, rounded down.
func (c *Config) CommitteeSize() uint64 {
	return uint64(c.Validators) / c.SlotsPerEpoch / uint64(c.Committees)
}

// spec returns the constants of the world's network.
func (c *Config) spec() blockprint.Spec {
	s := blockprint.MainnetSpec()
	s.ConfigName = "simulated"
	s.SlotsPerEpoch = c.SlotsPerEpoch
	s.SlotDuration = time.Duration(c.SecondsPerSlot) * time.Second
	s.TargetCommitteeSize = c.CommitteeSize()
	s.ForkEpochs = [blockprint.NumForks]blockprint.Epoch{0, 0, 0, 0, c.DenebEpoch, c.ElectraEpoch, blockprint.FarFuture}
	return s
}
