package gossip

import (
	"math"
	"math/rand/v2"

	"blockprint"
)

// Config has the knobs of the model. Rates and shares are between 0 and 1. A spread is the standard deviation of the
// natural logarithm of a factor that multiplies a rate in each slot, so 0 makes all slots alike.
type Config struct {
	Participation  float64 // share of validators that vote
	AllSubnetsRate float64 // share of nodes that receive all single votes; the others receive two subnets

	// Heads. A late block is one that arrives while validators vote: a share u^LateSplit of them votes without it, where u
	// is drawn between 0 and 1. WrongHeads is the share of votes for the parent although the block had arrived.
	LateRate, LateSplit          float64
	WrongHeads, WrongHeadsSpread float64

	// Single votes. LostVotes is the share that never reaches a node. LateVotes is the share that comes too late for any
	// aggregate, one to eight slots later. PoorVotes is the share that spreads badly: it reaches each aggregator and node
	// with a probability that is drawn for each vote between 0 and PoorReach.
	LostVotes                  float64
	LateVotes, LateVotesSpread float64
	PoorVotes, PoorReach       float64

	// Aggregates. An aggregator lacks a share of the votes drawn from an exponential distribution with the mean
	// AggregateMiss. BadAggregators is the share of aggregators that receive a share between the two of BadReach instead.
	// Nested aggregators lack the votes that arrive last, as with a cut-off time, so that of two aggregates one has all
	// votes of the other; otherwise, they lack random ones. LateAggregates is the mean share of aggregates that reach a
	// node after the next block, and LostAggregates the share that never does. Both differ from node to node.
	Aggregators                    int // of each committee
	AggregateMiss                  float64
	BadAggregators                 float64
	BadReach                       [2]float64
	Nested                         bool
	LateAggregates, LostAggregates float64

	// Trouble that many validators have at the same time. While they straggle, their votes come too late for aggregates;
	// while they are absent, they do not vote; while they are cut off, only they themselves aggregate their votes, and the
	// others receive these aggregates when the trouble ends.
	Stragglers, Absences, CutOffs Trouble
}

// Trouble hits some validators together for some slots, such as those of an operator or a region.
type Trouble struct {
	Rate  float64 // share of slots in which it begins, if it does not last already
	Slots float64 // how long it lasts on average
	Share float64 // of the validators, on average
}

// maxTrouble is the largest share of validators that have trouble of one kind, so that epochs stay final.
const maxTrouble = 0.2

// DefaultConfig is a messy network with a little of everything but shared trouble.
func DefaultConfig() Config {
	return Config{
		Participation: 0.985, AllSubnetsRate: 0.4,
		LateRate: 0.04, LateSplit: 1, WrongHeads: 0.01,
		LostVotes: 0.03, LateVotes: 0.02,
		Aggregators: 16, BadAggregators: 1, BadReach: [2]float64{0.85, 0.99}, LateAggregates: 0.06, LostAggregates: 0.02,
	}
}

// MainnetConfig is a network whose blocks look like mainnet's of 2025 if committees have some 500 members. Its figures
// were found by comparing shapes of blocks, not measured on the network.
func MainnetConfig() Config {
	return Config{
		Participation: 0.986, AllSubnetsRate: 0.25,
		LateRate: 0.02, LateSplit: 6, WrongHeads: 0.0004, WrongHeadsSpread: 2,
		LostVotes: 0.0005, LateVotes: 0.00005, LateVotesSpread: 2, PoorVotes: 0.0001, PoorReach: 0.3,
		Aggregators: 16, AggregateMiss: 0.0005, BadAggregators: 0.02, BadReach: [2]float64{0.05, 0.95}, Nested: true,
		LateAggregates: 0.003, LostAggregates: 0.001,
		Stragglers: Trouble{0.03, 3, 0.002}, Absences: Trouble{0.008, 64, 0.01}, CutOffs: Trouble{0.003, 16, 0.02},
	}
}

// Check refuses a configuration that no network can have.
func (c *Config) Check() error {
	bad := func(format string, args ...any) error {
		return blockprint.Errorf(blockprint.Invalid, format, args...)
	}
	share := func(values ...float64) bool {
		for _, x := range values {
			if !(x >= 0 && x <= 1) {
				return false
			}
		}
		return true
	}
	switch {
	case !(c.Participation > 0.67 && c.Participation <= 1):
		return bad("participation must be above 0.67 (else nothing is ever final) and at most 1, not %v", c.Participation)
	case !share(c.LateAggregates, c.LostAggregates) || 2*(c.LateAggregates+c.LostAggregates) > 1:
		return bad("aggregates that come late (%v) or never (%v) must be less than half", c.LateAggregates, c.LostAggregates)
	case !share(c.LateVotes, c.WrongHeads) || c.LateVotes > 0.3 || c.WrongHeads > 0.3:
		return bad("late votes (%v) and wrong heads (%v) must be at most 0.3, else nothing is ever final", c.LateVotes, c.WrongHeads)
	case c.Aggregators < 1:
		return bad("a committee needs aggregators")
	case !share(c.LostVotes, c.PoorVotes, c.PoorReach, c.AggregateMiss, c.BadAggregators, c.BadReach[0], c.BadReach[1]),
		c.BadReach[0] > c.BadReach[1]:
		return bad("shares of votes and aggregators must be between 0 and 1")
	case !(c.LateSplit > 0 && c.LateSplit <= 100), !share(c.WrongHeadsSpread/5, c.LateVotesSpread/5):
		return bad("the split of late votes (%v) must be between 0 and 100, and spreads (%v, %v) between 0 and 5", c.LateSplit, c.WrongHeadsSpread, c.LateVotesSpread)
	}
	for _, t := range []Trouble{c.Stragglers, c.Absences, c.CutOffs} {
		if !share(t.Rate, t.Share) || !(t.Slots >= 0 && t.Slots <= 1e6) {
			return bad("shared trouble begins in a share of slots (%v), for a share of validators (%v) and some slots (%v)", t.Rate, t.Share, t.Slots)
		}
	}
	return nil
}

// Hearer is how a node receives gossip.
type Hearer struct {
	// Subnets are the committees whose single votes it receives; nil means all.
	Subnets map[int]bool
	// Late and Lost are the shares of aggregates that come after the next block, and never.
	Late, Lost float64
}

// Hearers draws the hearers of n nodes of a network with a number of committees in each slot. The first receives all
// subnets, the second receives two, and the others follow AllSubnetsRate.
func (c *Config) Hearers(rng *rand.Rand, n, committees int) []Hearer {
	out := make([]Hearer, n)
	for i := range out {
		spread := 0.25 + 1.5*rng.Float64()
		out[i] = Hearer{Late: spread * c.LateAggregates, Lost: spread * c.LostAggregates}
		if i == 1 || i > 1 && rng.Float64() >= c.AllSubnetsRate {
			out[i].Subnets = map[int]bool{rng.IntN(committees): true}
			out[i].Subnets[rng.IntN(committees)] = true
		}
	}
	return out
}

func (h *Hearer) hears(subnet int) bool { return h.Subnets == nil || h.Subnets[subnet] }

// InTime draws the share of validators that have a late block when they vote.
func (c *Config) InTime(rng *rand.Rand) float64 {
	return 1 - math.Pow(1-rng.Float64(), c.LateSplit)
}
