// Package evaluate measures classifiers on simulated networks: models are trained in some worlds and tested in others,
// drawn alike, or shifted in one respect (participation, latency, subscriptions, skipped slots, a variant of a client
// that was not seen in training), or of another kind. Worlds are like mainnet unless they are messy. Everything follows
// from the seed.
//
// The figures are those of a model of the clients, not of the clients.
package evaluate

import (
	"math"
	"math/rand/v2"
	"slices"

	"blockprint"
	"blockprint/gossip"
	"blockprint/packer"
	"blockprint/sim"
)

// Era is a time in the protocol's history.
type Era string

// The eras.
const (
	Deneb   Era = "deneb"   // one committee per attestation, at most 128 of them
	Electra Era = "electra" // committees joined, at most 8
)

// forks are those of an era's blocks.
func (e Era) forks() blockprint.ForkRange {
	if e == Electra {
		return blockprint.SinceElectra
	}
	return blockprint.BeforeElectra
}

// variants lists, for each client, the variants of an era that it is drawn from; none of an unknown era.
func variants(era Era) [][]string {
	fork, err := blockprint.ParseFork(string(era))
	if err != nil || era != Deneb && era != Electra {
		return nil
	}
	return packer.VariantsAt(fork)
}

// Variants lists the variants of an era of which a client has several: those whose absence from the training can be
// tested.
func Variants(era Era) []string {
	var out []string
	for _, list := range variants(era) {
		if len(list) > 1 {
			out = append(out, list...)
		}
	}
	return out
}

// Shift is a way in which a world differs from those of the training.
type Shift string

// The shifts. None is a world drawn as the training's.
const (
	None          Shift = "none"
	Participation Shift = "participation" // fewer vote: 93 to 96 %
	Latency       Shift = "latency"       // late blocks, votes and aggregates are four to ten times as many
	Subscription  Shift = "subscription"  // nearly all nodes hear all subnets, or nearly none
	Skips         Shift = "skips"         // many more empty slots
	Messy         Shift = "messy"         // another kind: every aggregate lacks votes, and far more is late or lost
)

// Shifts lists them all.
func Shifts() []Shift { return []Shift{None, Participation, Latency, Subscription, Skips, Messy} }

// Size is how large worlds are.
type Size struct {
	Slots      int // recorded
	Validators int
	Committees int
}

// DefaultSize has committees as large as mainnet's, some 500 members, and fewer of them.
func DefaultSize() Size { return Size{Slots: 100, Validators: 262144, Committees: 16} }

// vary is how far each rate of mess lies from mainnet's at most, as a factor.
const vary = 3

// varied multiplies each rate of mess by a factor of its own, so that networks differ.
func varied(c *gossip.Config, rng *rand.Rand) {
	absent := 1 - c.Participation
	for _, rate := range []*float64{
		&absent, &c.AllSubnetsRate, &c.LateRate, &c.WrongHeads, &c.LostVotes, &c.LateVotes, &c.PoorVotes, &c.AggregateMiss,
		&c.BadAggregators, &c.LateAggregates, &c.LostAggregates, &c.Stragglers.Rate, &c.Absences.Rate, &c.CutOffs.Rate,
	} {
		*rate = min(*rate*math.Pow(vary, 2*rng.Float64()-1), 1)
	}
	c.Participation = 1 - absent
}

// Draw draws world number i of an era: one like mainnet, with its own rate of each kind of mess, if its committees have
// mainnet's size.
func Draw(era Era, shift Shift, seed uint64, i int, size Size) sim.Config {
	rng := rand.New(rand.NewPCG(seed, uint64(i)<<8|uint64(slices.Index(Shifts(), shift))))
	between := func(a, b float64) float64 { return a + (b-a)*rng.Float64() }
	c := sim.DefaultConfig(rng.Uint64())
	c.Validators, c.Committees, c.Nodes = size.Validators, size.Committees, 3
	c.Proposers = max(size.Slots/7, 1) // so that many validators propose five blocks and more
	c.Shares = nil
	for _, list := range variants(era) {
		c.Shares = append(c.Shares, sim.Share{Variant: list[rng.IntN(len(list))], Weight: between(0.7, 1.3)})
	}
	c.Config = gossip.MainnetConfig()
	varied(&c.Config, rng)
	c.SkipRate, c.SideChainRate = between(0.002, 0.012), 0.0005
	c.DenebEpoch, c.ElectraEpoch = 0, blockprint.FarFuture
	if era == Electra {
		c.ElectraEpoch = 0
		c.Compounding = between(0, 0.05)
	}
	switch shift {
	case Participation:
		c.Participation = between(0.93, 0.96)
	case Latency:
		for _, rate := range []*float64{&c.LateAggregates, &c.LateVotes, &c.LateRate} {
			*rate *= between(4, 10)
		}
	case Subscription:
		if c.AllSubnetsRate = 0.98; rng.IntN(2) == 0 {
			c.AllSubnetsRate = 0.02
		}
	case Skips:
		c.SkipRate = between(0.03, 0.10)
	case Messy:
		c.Config = gossip.DefaultConfig()
		c.Participation = between(0.97, 0.998)
		c.AllSubnetsRate = between(0.2, 0.8)
		c.LateAggregates, c.LostAggregates = between(0.02, 0.10), between(0, 0.04)
		c.LateVotes, c.WrongHeads = between(0.005, 0.03), between(0.003, 0.02)
		c.LateRate, c.SkipRate = between(0.02, 0.08), between(0.005, 0.03)
	}
	return c
}
