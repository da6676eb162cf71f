// Package gossip is a model of how attesters vote and how their votes reach nodes: who votes for what, which single
// votes a node receives, what aggregators publish, and what is late or lost. Simulated networks and laboratories of
// real nodes make the same mess with it. It knows no blocks, no validators, and no clock: committees are sizes, nodes are
// Hearers, and the caller hands in the randomness.
package gossip

import (
	"math/rand/v2"

	"blockprint"
)

// Config has the knobs of the model. All rates are between 0 and 1.
type Config struct {
	Participation  float64 // share of validators that vote
	Aggregators    int     // of a committee
	LateRate       float64 // blocks that arrive while validators vote
	AllSubnetsRate float64 // nodes that receive all single votes; the others receive two subnets
	LateAggregates float64 // share of aggregates that reach a node after the next block; differs from node to node
	LostAggregates float64 // share that never reaches a node
	LateVotes      float64 // share of votes that come too late for any aggregate, one to eight slots later
	WrongHeads     float64 // share of votes for the parent although the slot's block had arrived
}

// DefaultConfig is a healthy network with a little of every mess.
func DefaultConfig() Config {
	return Config{
		Participation: 0.985, Aggregators: 16, LateRate: 0.04, AllSubnetsRate: 0.4,
		LateAggregates: 0.06, LostAggregates: 0.02, LateVotes: 0.02, WrongHeads: 0.01,
	}
}

// Check refuses a configuration that no network can have.
func (c *Config) Check() error {
	bad := func(format string, args ...any) error {
		return blockprint.Errorf(blockprint.Invalid, format, args...)
	}
	switch {
	case c.Participation <= 0.67 || c.Participation > 1:
		return bad("participation must be above 0.67 (else nothing is ever final) and at most 1, not %v", c.Participation)
	case c.LateAggregates < 0 || c.LostAggregates < 0 || 2*(c.LateAggregates+c.LostAggregates) > 1:
		return bad("aggregates that come late (%v) or never (%v) must be less than half", c.LateAggregates, c.LostAggregates)
	case c.LateVotes < 0 || c.LateVotes > 0.3 || c.WrongHeads < 0 || c.WrongHeads > 0.3:
		return bad("late votes (%v) and wrong heads (%v) must be at most 0.3, else nothing is ever final", c.LateVotes, c.WrongHeads)
	case c.Aggregators < 1:
		return bad("a committee needs aggregators")
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

// InTime draws the share of validators that have a late block when they vote.
func (c *Config) InTime(rng *rand.Rand) float64 { return rng.Float64() }

// Heard is what a node receives at one time: of each group the single votes, and aggregates, both in order of arrival.
// Nodes share the Bits of aggregates, which nobody may change.
type Heard struct {
	Singles, Aggregates []Aggregate
}

// Network is the gossip of one network: it knows what is still on its way. It is not safe for concurrent use.
type Network struct {
	config  Config
	rng     *rand.Rand
	hearers []Hearer
	late    []Heard // aggregates that come after the next block, by hearer
	votes   map[blockprint.Slot][]lateVote
}

// New returns a network in which nothing is on its way. Everything random is drawn from rng.
func New(c Config, rng *rand.Rand, hearers []Hearer) *Network {
	return &Network{config: c, rng: rng, hearers: hearers, late: make([]Heard, len(hearers)), votes: map[blockprint.Slot][]lateVote{}}
}

// lateVote is a single vote that comes when the slot's aggregates have long been made.
type lateVote struct {
	Group
	size, position int
}

// committee is how a committee voted in a slot.
type committee struct {
	index, size int
	voters      []int  // positions
	data        []Data // by position
	votes       map[Data]Bits
}

// Attest casts the votes of a slot and returns what each hearer receives of them before the next block. Validators vote
// for before, except that a share inTime of them has received the slot's block and votes for now. sizes are those of
// the slot's committees.
func (n *Network) Attest(sizes []int, before, now Data, inTime float64) []Heard {
	all := make([]committee, len(sizes))
	for i, size := range sizes {
		all[i] = n.vote(i, size, before, now, inTime)
	}
	heard := make([]Heard, len(n.hearers))
	n.singles(all, heard)
	n.aggregates(all, heard)
	return heard
}

// vote casts the votes of a committee and sets aside those that come late.
func (n *Network) vote(index, size int, before, now Data, inTime float64) committee {
	c := committee{index: index, size: size, data: make([]Data, size), votes: map[Data]Bits{}}
	for i := range size {
		if n.rng.Float64() >= n.config.Participation {
			continue
		}
		c.data[i] = before
		if n.rng.Float64() < inTime*(1-n.config.WrongHeads) {
			c.data[i] = now
		}
		if n.rng.Float64() < n.config.LateVotes {
			// Most come in the next slot, few much later.
			at := before.Slot + 1
			for at < before.Slot+8 && n.rng.Float64() < 0.4 {
				at++
			}
			n.votes[at] = append(n.votes[at], lateVote{Group{c.data[i], index}, size, i})
			continue
		}
		if c.votes[c.data[i]] == nil {
			c.votes[c.data[i]] = NewBits(size)
		}
		c.votes[c.data[i]].Set(i)
		c.voters = append(c.voters, i)
	}
	return c
}

// singles gives each hearer the single votes of its subnets; a few get lost.
func (n *Network) singles(all []committee, heard []Heard) {
	for h := range n.hearers {
		for _, at := range n.rng.Perm(len(all)) {
			c := &all[at]
			if !n.hearers[h].hears(c.index) {
				continue
			}
			for _, i := range c.voters {
				if n.rng.Float64() < 0.97 {
					heard[h].single(Group{c.data[i], c.index}, c.size, i)
				}
			}
		}
	}
}

func (h *Hearer) hears(subnet int) bool { return h.Subnets == nil || h.Subnets[subnet] }

// single adds a vote to those of its group, which are the newest ones or begin here.
func (h *Heard) single(g Group, size, position int) {
	at := len(h.Singles) - 1
	for at >= 0 && h.Singles[at].Group != g {
		at--
	}
	if at < 0 {
		at = len(h.Singles)
		h.Singles = append(h.Singles, Aggregate{g, NewBits(size)})
	}
	h.Singles[at].Bits.Set(position)
}

// aggregates lets the aggregators of each committee publish what they have received. Hearers receive the aggregates in
// different orders, miss some, and get some only after the next block.
func (n *Network) aggregates(all []committee, heard []Heard) {
	var published []Aggregate
	for _, c := range all {
		for range min(n.config.Aggregators, len(c.voters)) {
			own := c.voters[n.rng.IntN(len(c.voters))]
			share := 0.85 + 0.14*n.rng.Float64()
			seen := NewBits(c.size)
			c.votes[c.data[own]].Each(func(i int) {
				if n.rng.Float64() < share {
					seen.Set(i)
				}
			})
			seen.Set(own)
			published = append(published, Aggregate{Group{c.data[own], c.index}, seen})
		}
	}
	for h, hearer := range n.hearers {
		for _, i := range n.rng.Perm(len(published)) {
			switch x := n.rng.Float64(); {
			case x < hearer.Lost:
			case x < hearer.Lost+hearer.Late:
				n.late[h].Aggregates = append(n.late[h].Aggregates, published[i])
			default:
				heard[h].Aggregates = append(heard[h].Aggregates, published[i])
			}
		}
	}
}

// LateAggregates returns what has missed the newest block: each hearer receives it after that block.
func (n *Network) LateAggregates() []Heard {
	heard := n.late
	n.late = make([]Heard, len(n.hearers))
	return heard
}

// LateVotes returns the votes of earlier slots that each hearer receives in a slot.
func (n *Network) LateVotes(slot blockprint.Slot) []Heard {
	heard := make([]Heard, len(n.hearers))
	for _, v := range n.votes[slot] {
		for h := range n.hearers {
			if n.hearers[h].hears(v.Committee) && n.rng.Float64() < 0.97 {
				heard[h].single(v.Group, v.size, v.position)
			}
		}
	}
	delete(n.votes, slot)
	return heard
}
