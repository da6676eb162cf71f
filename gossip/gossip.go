// Package gossip is a model of how attesters vote and how their votes reach nodes: who votes for what, which single
// votes a node receives, what aggregators publish, and what is late or lost. Simulated networks and laboratories of
// real nodes make the same mess with it. It knows no blocks, no validators, and no clock: committees are sizes, nodes are
// Hearers, and the caller hands in the randomness.
package gossip

import (
	"math"
	"math/rand/v2"

	"blockprint"
)

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

	stragglers, absences, cutOffs spell
	hidden                        []Aggregate // those of validators that are cut off
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

// spell is a Trouble's present state: the share of validators that have it, 0 if none.
type spell struct {
	share float64
	left  int // slots
}

// step moves to the next slot.
func (s *spell) step(t Trouble, rng *rand.Rand) {
	switch {
	case s.left > 0:
		s.left--
	case t.Rate > 0 && rng.Float64() < t.Rate:
		s.left = int(t.Slots * rng.ExpFloat64())
		s.share = min(t.Share*rng.ExpFloat64(), maxTrouble)
	default:
		s.share = 0
	}
}

// hits draws whether a validator has the trouble.
func (s *spell) hits(rng *rand.Rand) bool { return s.share > 0 && rng.Float64() < s.share }

// round is the votes of a slot.
type round struct {
	data              [2]Data // for the parent and for the slot's block
	inTime            float64
	wrongHeads, late  float64 // rates of this slot
	committees        []committee
	published, tardy  []Aggregate // in time, and after the next block for all
	stragglersTooLate bool        // for the next block, not only for aggregates
}

// committee is how a committee voted in a slot. Lists are by position.
type committee struct {
	index, size int
	choice      []uint8   // of the round's data
	reach       []float64 // probability to reach an aggregator or node; nil means that all votes spread well
	arrival     []float64 // order of arrival between 0 and 1; nil if aggregators lack random votes
	voters      []int     // positions of the votes that come in time for aggregators
	votes       [2]Bits   // the same by choice
	straggling  []int     // positions of the votes that come together after the aggregators' cut-off
	hidden      [2]Bits   // those that are cut off
}

// Attest casts the votes of a slot and returns what each hearer receives of them before the next block. Validators vote
// for before, except that a share inTime of them has received the slot's block and votes for now. sizes are those of
// the slot's committees.
func (n *Network) Attest(sizes []int, before, now Data, inTime float64) []Heard {
	for _, t := range []struct {
		*spell
		Trouble
	}{{&n.stragglers, n.config.Stragglers}, {&n.absences, n.config.Absences}, {&n.cutOffs, n.config.CutOffs}} {
		t.step(t.Trouble, n.rng)
	}
	r := &round{
		data: [2]Data{before, now}, inTime: inTime, committees: make([]committee, len(sizes)),
		wrongHeads: n.rate(n.config.WrongHeads, n.config.WrongHeadsSpread),
		late:       n.rate(n.config.LateVotes, n.config.LateVotesSpread),
	}
	r.stragglersTooLate = n.stragglers.share > 0 && n.rng.IntN(2) == 0
	for i, size := range sizes {
		r.committees[i] = n.vote(r, i, size)
	}
	heard := make([]Heard, len(n.hearers))
	n.singles(r, heard)
	for i := range r.committees {
		n.aggregate(r, &r.committees[i])
	}
	n.spreadAggregates(r, heard)
	return heard
}

// maxRate bounds the rates of a slot, whatever factor it draws.
const maxRate = 0.3

// rate draws a slot's rate.
func (n *Network) rate(rate, spread float64) float64 {
	if spread == 0 {
		return rate
	}
	return min(rate*math.Exp(spread*n.rng.NormFloat64()), maxRate)
}

// vote casts the votes of a committee and sets aside those that come late.
func (n *Network) vote(r *round, index, size int) committee {
	c := committee{index: index, size: size, choice: make([]uint8, size)}
	for i := range c.votes {
		c.votes[i], c.hidden[i] = NewBits(size), NewBits(size)
	}
	if n.config.Nested {
		c.arrival = make([]float64, size)
	}
	participation := n.config.Participation * (1 - n.absences.share)
	for i := range size {
		if n.rng.Float64() >= participation {
			continue
		}
		if n.rng.Float64() < r.inTime*(1-r.wrongHeads) && r.data[0] != r.data[1] {
			c.choice[i] = 1
		}
		if n.cutOffs.hits(n.rng) {
			c.hidden[c.choice[i]].Set(i)
			continue
		}
		late := n.rng.Float64() < r.late
		switch straggles := n.stragglers.hits(n.rng); {
		case straggles && !r.stragglersTooLate:
			c.straggling = append(c.straggling, i)
			continue
		case straggles || late:
			// Most come in the next slot, few much later; those who straggle come together.
			delay := blockprint.Slot(1)
			for !straggles && delay < 8 && n.rng.Float64() < 0.4 {
				delay++
			}
			at := r.data[0].Slot + delay
			n.votes[at] = append(n.votes[at], lateVote{Group{r.data[c.choice[i]], index}, size, i})
			if straggles {
				c.straggling = append(c.straggling, i)
			}
			continue
		}
		c.votes[c.choice[i]].Set(i)
		c.voters = append(c.voters, i)
		if c.arrival != nil {
			c.arrival[i] = n.rng.Float64()
		}
		if n.config.PoorVotes > 0 && n.rng.Float64() < n.config.PoorVotes {
			if c.reach == nil {
				c.reach = make([]float64, size)
				for j := range c.reach {
					c.reach[j] = 1
				}
			}
			c.reach[i] = n.config.PoorReach * n.rng.Float64()
		}
	}
	return c
}

// arrives draws whether a vote reaches an aggregator or node.
func (n *Network) arrives(c *committee, position int) bool {
	return c.reach == nil || c.reach[position] == 1 || n.rng.Float64() < c.reach[position]
}

// singles gives each hearer the single votes of its subnets; a few get lost.
func (n *Network) singles(r *round, heard []Heard) {
	for h := range n.hearers {
		for _, at := range n.rng.Perm(len(r.committees)) {
			c := &r.committees[at]
			if !n.hearers[h].hears(c.index) {
				continue
			}
			give := func(i int) {
				if n.rng.Float64() < 1-n.config.LostVotes && n.arrives(c, i) {
					heard[h].single(Group{r.data[c.choice[i]], c.index}, c.size, i)
				}
			}
			for _, i := range c.voters {
				give(i)
			}
			if !r.stragglersTooLate {
				for _, i := range c.straggling {
					give(i)
				}
			}
		}
	}
}

// single adds a vote to those of its group.
func (h *Heard) single(g Group, size, position int) {
	at := len(h.Singles) - 1
	for at >= 0 && (h.Singles[at].Committee != g.Committee || h.Singles[at].Data != g.Data) {
		at-- // the group is one of the newest, or new
	}
	if at < 0 {
		at = len(h.Singles)
		h.Singles = append(h.Singles, Aggregate{g, NewBits(size)})
	}
	h.Singles[at].Bits.Set(position)
}

// aggregate lets a committee's aggregators publish what they have received. Those who straggle publish after the next
// block, with the votes of all who straggle; those who are cut off publish to each other.
func (n *Network) aggregate(r *round, c *committee) {
	for range min(n.config.Aggregators, len(c.voters)) {
		own := c.voters[n.rng.IntN(len(c.voters))]
		choice := c.choice[own]
		share := n.reach()
		seen := NewBits(c.size)
		c.votes[choice].Each(func(i int) {
			if c.arrival != nil && c.arrival[i] < share || c.arrival == nil && n.rng.Float64() < share {
				if n.arrives(c, i) {
					seen.Set(i)
				}
			}
		})
		seen.Set(own)
		r.published = append(r.published, Aggregate{Group{r.data[choice], c.index}, seen})
		if len(c.straggling) > 0 && n.stragglers.hits(n.rng) {
			all := c.votes[choice].Clone()
			for _, i := range c.straggling {
				if c.choice[i] == choice {
					all.Set(i)
				}
			}
			r.tardy = append(r.tardy, Aggregate{Group{r.data[choice], c.index}, all})
		}
	}
	for choice, votes := range c.hidden {
		if votes.Count() == 0 {
			continue
		}
		for range n.config.Aggregators {
			if n.cutOffs.hits(n.rng) {
				n.hidden = append(n.hidden, Aggregate{Group{r.data[choice], c.index}, votes})
				break // they hear each other well, so one stands for all
			}
		}
	}
}

// reach draws the share of votes that an aggregator has when it publishes.
func (n *Network) reach() float64 {
	bad := n.config.BadAggregators
	if bad == 1 || bad > 0 && n.rng.Float64() < bad {
		low, high := n.config.BadReach[0], n.config.BadReach[1]
		return low + (high-low)*n.rng.Float64()
	}
	return 1 - n.config.AggregateMiss*n.rng.ExpFloat64()
}

// spreadAggregates gives hearers the aggregates: in different orders, not all of them, and some only after the next
// block.
func (n *Network) spreadAggregates(r *round, heard []Heard) {
	late := r.tardy
	if n.cutOffs.left == 0 {
		late = append(late, n.hidden...)
		n.hidden = nil
	}
	for h, hearer := range n.hearers {
		for _, i := range n.rng.Perm(len(r.published)) {
			switch x := n.rng.Float64(); {
			case x < hearer.Lost:
			case x < hearer.Lost+hearer.Late:
				n.late[h].Aggregates = append(n.late[h].Aggregates, r.published[i])
			default:
				heard[h].Aggregates = append(heard[h].Aggregates, r.published[i])
			}
		}
		n.late[h].Aggregates = append(n.late[h].Aggregates, late...)
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
			if n.hearers[h].hears(v.Committee) && n.rng.Float64() < 1-n.config.LostVotes {
				heard[h].single(v.Group, v.size, v.position)
			}
		}
	}
	delete(n.votes, slot)
	return heard
}
