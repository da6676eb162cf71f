package gossip_test

import (
	"math/rand/v2"
	"testing"

	"blockprint"
	"blockprint/gossip"
)

// quiet is a network in which everybody votes and hears everything.
func quiet() gossip.Config {
	return gossip.Config{Participation: 1, AllSubnetsRate: 1, LateSplit: 1, Aggregators: 8}
}

// network returns a network of three nodes and the two votes of a slot.
func network(t *testing.T, c gossip.Config) (n *gossip.Network, before, now gossip.Data) {
	t.Helper()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	before.Slot, now.Slot = 40, 40
	now.BeaconBlockRoot = blockprint.Root{1}
	return gossip.New(c, rng, c.Hearers(rng, 3, len(sizes))), before, now
}

var sizes = []int{100, 100, 101, 99}

// TestQuiet: without mess, each aggregate is whole, and a node has all single votes of its subnets.
func TestQuiet(t *testing.T) {
	n, before, now := network(t, quiet())
	for node, heard := range n.Attest(sizes, before, now, 1) {
		if len(heard.Aggregates) != 8*len(sizes) {
			t.Errorf("node %d has %d aggregates", node, len(heard.Aggregates))
		}
		if node == 0 && len(heard.Singles) != len(sizes) {
			t.Errorf("node %d has single votes of %d committees", node, len(heard.Singles))
		}
		if node == 1 && (len(heard.Singles) == 0 || len(heard.Singles) > 2) {
			t.Errorf("node %d has single votes of %d committees", node, len(heard.Singles))
		}
		for _, a := range append(heard.Singles, heard.Aggregates...) {
			if a.Data != now || a.Bits.Count() != sizes[a.Committee] {
				t.Errorf("node %d: %d of %d votes of committee %d", node, a.Bits.Count(), sizes[a.Committee], a.Committee)
			}
		}
	}
	for _, late := range append(n.LateAggregates(), n.LateVotes(41)...) {
		if len(late.Aggregates)+len(late.Singles) > 0 {
			t.Errorf("%d aggregates and %d votes came late", len(late.Aggregates), len(late.Singles))
		}
	}
}

// TestNested: of two nested aggregates one has all votes of the other; of others, some do not.
func TestNested(t *testing.T) {
	for _, nested := range []bool{true, false} {
		c := quiet()
		c.Nested, c.BadAggregators, c.BadReach = nested, 1, [2]float64{0.3, 0.6}
		n, before, now := network(t, c)
		apart := 0
		list := n.Attest(sizes, before, now, 1)[0].Aggregates
		for i, a := range list {
			for _, b := range list[:i] {
				// An aggregator has its own vote whenever it arrives.
				if a.Committee == b.Committee && min(a.Bits.Fresh(b.Bits), b.Bits.Fresh(a.Bits)) > 1 {
					apart++
				}
			}
		}
		if nested != (apart == 0) {
			t.Errorf("nested %v: %d pairs are not", nested, apart)
		}
	}
}

// TestSplit: a late block splits the votes, and the split never leaves 0 to 1.
func TestSplit(t *testing.T) {
	n, before, now := network(t, quiet())
	votes := map[gossip.Data]int{}
	for _, a := range n.Attest(sizes, before, now, 0.5)[0].Singles {
		votes[a.Data] += a.Bits.Count()
	}
	if votes[before]+votes[now] != 400 || votes[before] < 100 || votes[now] < 100 {
		t.Errorf("%d votes for the parent, %d for the block", votes[before], votes[now])
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, split := range []float64{1, 6} {
		c := gossip.Config{LateSplit: split}
		sum := 0.0
		for range 1000 {
			x := c.InTime(rng)
			if x < 0 || x > 1 {
				t.Fatalf("%v of the validators have the block", x)
			}
			sum += x / 1000
		}
		if want := split / (split + 1); sum < want-0.05 || sum > want+0.05 {
			t.Errorf("split %v: %v of the validators have a late block on average, want %v", split, sum, want)
		}
	}
}

// TestTrouble: those who are absent do not vote; the votes of stragglers are in no aggregate in time, but all come; the
// votes of those who are cut off come as aggregates when they are back.
func TestTrouble(t *testing.T) {
	always := gossip.Trouble{Rate: 1, Slots: 3, Share: 1}
	for name, set := range map[string]func(c *gossip.Config){
		"absent":  func(c *gossip.Config) { c.Absences = always },
		"late":    func(c *gossip.Config) { c.Stragglers = always },
		"cut off": func(c *gossip.Config) { c.CutOffs = always },
	} {
		c := quiet()
		set(&c)
		n, before, now := network(t, c)
		inTime := 0
		slotVotes := map[gossip.Group]gossip.Bits{}
		add := func(list []gossip.Aggregate) {
			for _, a := range list {
				if slotVotes[a.Group] == nil {
					slotVotes[a.Group] = gossip.NewBits(sizes[a.Committee])
				}
				slotVotes[a.Group].Add(a.Bits)
			}
		}
		count := func() (sum int) {
			for _, b := range slotVotes {
				sum += b.Count()
			}
			return sum
		}
		const slots = 200
		for slot := blockprint.Slot(40); slot < 40+slots; slot++ {
			before.Slot, now.Slot = slot, slot
			add(n.LateAggregates()[0].Aggregates)
			add(n.LateVotes(slot)[0].Singles)
			heard := n.Attest(sizes, before, now, 1)[0]
			already := count()
			add(heard.Aggregates)
			inTime += count() - already
			add(heard.Singles)
		}
		add(n.LateAggregates()[0].Aggregates)
		add(n.LateVotes(40 + slots)[0].Singles)
		all := count()
		const cast = slots * 400
		if inTime > cast*95/100 {
			t.Errorf("%s: aggregates have %d of %d votes in time", name, inTime, cast)
		}
		switch name {
		case "absent":
			if all != inTime {
				t.Errorf("absent: %d votes came after %d in time", all, inTime)
			}
		case "late":
			if all != cast {
				t.Errorf("late: %d of %d votes came", all, cast)
			}
		case "cut off":
			if all < inTime+cast/100 {
				t.Errorf("cut off: %d votes came after %d in time", all-inTime, inTime)
			}
		}
	}
}

// TestConfigs: the two kinds of networks are possible, and impossible ones are refused.
func TestConfigs(t *testing.T) {
	c := gossip.MainnetConfig()
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	for i, spoil := range []func(c *gossip.Config){
		func(c *gossip.Config) { c.Participation = 0.5 },
		func(c *gossip.Config) { c.LostAggregates = 0.7 },
		func(c *gossip.Config) { c.WrongHeads = 0.4 },
		func(c *gossip.Config) { c.Aggregators = 0 },
		func(c *gossip.Config) { c.PoorReach = -1 },
		func(c *gossip.Config) { c.BadReach = [2]float64{0.9, 0.1} },
		func(c *gossip.Config) { c.LateSplit = 0 },
		func(c *gossip.Config) { c.CutOffs.Slots = -1 },
	} {
		c := gossip.DefaultConfig()
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if err := c.Check(); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("case %d: %v", i, err)
		}
	}
}
