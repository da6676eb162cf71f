package lab

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"blockprint"
	"blockprint/gossip"
	"blockprint/recording"
)

// votes are the votes of the network: gossip says who votes what and which node hears it, and they are signed here.
type votes struct {
	run     *run
	network *gossip.Network
	// What was signed in the last slots, so that it is signed once.
	datas      map[gossip.Data]*voteData
	aggregates map[*uint64]*ballot // by their bits, which nodes share
	singles    map[singleKey]*ballot
	duties     map[dutyKey]*duty
	surplus    int // aggregates for which a committee had no aggregator left
}

type singleKey struct {
	gossip.Group
	position int
}

type dutyKey struct {
	slot      blockprint.Slot
	committee int
}

// duty is a committee of a slot, with its members that may still publish an aggregate.
type duty struct {
	members     []uint32
	aggregators map[int]Signature // by position: the proof of the right to aggregate
}

// votesKept is for how many slots signed votes are kept: late ones come up to eight slots later.
const votesKept = 10

// newVotes draws what each node hears.
func newVotes(r *run) *votes {
	c := &r.config.Mess.Config
	perSlot := max(1, min(r.chain.MaxCommitteesPerSlot, uint64(len(r.chain.Balances))/r.chain.SlotsPerEpoch/r.chain.TargetCommitteeSize))
	hearers := c.Hearers(r.rng, len(r.nodes), int(perSlot))
	for i, n := range r.nodes {
		h := &hearers[i]
		if n.Late != nil {
			h.Late = *n.Late
		}
		if n.Lost != nil {
			h.Lost = *n.Lost
		}
		if n.Subnets == nil {
			continue
		}
		if h.Subnets = nil; *n.Subnets >= 0 {
			h.Subnets = map[int]bool{}
			for _, subnet := range r.rng.Perm(int(perSlot))[:min(*n.Subnets, int(perSlot))] {
				h.Subnets[subnet] = true
			}
		}
	}
	for i, n := range r.nodes {
		n.hears = hearers[i].Subnets
	}
	return &votes{
		run: r, network: gossip.New(*c, r.rng, hearers), datas: map[gossip.Data]*voteData{}, aggregates: map[*uint64]*ballot{},
		singles: map[singleKey]*ballot{}, duties: map[dutyKey]*duty{},
	}
}

// data names a vote in gossip's words.
func (v *votes) data(d *voteData) gossip.Data {
	g := gossip.Data{AttestationData: d.AttestationData}
	v.datas[g] = d
	return g
}

// stragglers sends the votes of earlier slots that come after the block of a slot was asked for.
func (v *votes) stragglers(slot blockprint.Slot) {
	late, singles := v.network.LateAggregates(), v.network.LateVotes(slot)
	start, second := v.run.start(slot), v.run.chain.SlotDuration/12
	for i, n := range v.run.nodes {
		v.send(n, late[i], start, start+second, 3*second)
		v.send(n, singles[i], start, start+second, 10*second)
	}
}

// cast casts the votes of a slot and sends them on their way, to arrive before the slot ends. now is for the block of the
// slot, before for its parent; either may be nil. inTime is the share of validators that have the block when they vote.
func (v *votes) cast(slot blockprint.Slot, now, before *voteData, inTime float64) {
	if now == nil {
		now, inTime = before, 0
	}
	if before == nil {
		before, inTime = now, 1
	}
	if now == nil {
		return // no node has the chain's head
	}
	r := v.run
	committees, _ := r.tree.committeesOf(r.tree.tip(), r.chain.EpochOf(slot))
	members := make([][]uint32, committees.PerSlot)
	sizes := make([]int, committees.PerSlot)
	for c := range members {
		members[c] = committees.Of(slot, uint64(c))
		sizes[c] = len(members[c])
	}
	for c, aggregators := range r.signer.selections(slot, members) {
		v.duties[dutyKey{slot, c}] = &duty{members[c], aggregators}
	}
	heard := v.network.Attest(sizes, v.data(before), v.data(now), inTime)
	start, second := r.start(slot), r.chain.SlotDuration/12
	for i, n := range r.nodes {
		v.send(n, heard[i], start+4*second, start+8*second, 3*second)
	}
	v.forget(slot)
}

// send signs what a node hears and hands it over: single votes from one time on, aggregates from another. What comes from
// the network spreads over a while, most of it in the beginning.
func (v *votes) send(n *node, h gossip.Heard, singles, aggregates, spread time.Duration) {
	if n.Votes != "api" || !n.met {
		return
	}
	now := v.run.clock.now()
	var out []delivery
	add := func(from time.Duration, ballots []*ballot) {
		times := make([]time.Duration, len(ballots))
		for i := range times {
			times[i] = max(now, from+min(spread, time.Duration(lognormal(v.run.rng, 0.2, 0.8)*float64(spread))))
		}
		slices.Sort(times)
		for i, b := range ballots {
			out = append(out, delivery{times[i], b})
		}
	}
	var list []*ballot
	for _, a := range h.Singles {
		list = append(list, v.single(a)...)
	}
	v.run.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	add(singles, list)
	list = nil
	for _, a := range h.Aggregates {
		if b := v.aggregate(a); b != nil {
			list = append(list, b)
		}
	}
	add(aggregates, list)
	slices.SortStableFunc(out, func(a, b delivery) int { return cmp.Compare(a.at, b.at) })
	n.enqueue(out)
}

// single returns the votes of a group one by one.
func (v *votes) single(a gossip.Aggregate) []*ballot {
	d, data := v.duties[dutyKey{a.Data.Slot, a.Committee}], v.datas[a.Data]
	if d == nil || data == nil {
		return nil
	}
	var out []*ballot
	var unsigned []int
	a.Bits.Each(func(i int) {
		if b := v.singles[singleKey{a.Group, i}]; b != nil {
			out = append(out, b)
		} else {
			unsigned = append(unsigned, i)
		}
	})
	for k, body := range v.run.signer.sealSingles(data, a.Committee, d.members, unsigned) {
		bits := gossip.NewBits(len(d.members))
		bits.Set(unsigned[k])
		b := newBallot(data, a.Committee, bits, body)
		b.Single = true
		v.singles[singleKey{a.Group, unsigned[k]}] = b
		out = append(out, b)
	}
	return out
}

// aggregate returns an aggregate, published by a member of the committee that may do so and has not yet; by one of its
// voters if there is one left. It is nil if nobody is left.
func (v *votes) aggregate(a gossip.Aggregate) *ballot {
	if b, known := v.aggregates[&a.Bits[0]]; known {
		return b
	}
	d, data := v.duties[dutyKey{a.Data.Slot, a.Committee}], v.datas[a.Data]
	if d == nil || data == nil {
		return nil
	}
	by := -1
	for i := range d.members { // in order, so that a seed gives one run
		if _, may := d.aggregators[i]; may && (by < 0 || a.Bits.Has(i) && !a.Bits.Has(by)) {
			by = i
		}
	}
	var b *ballot
	if by < 0 {
		v.surplus++
	} else {
		b = newBallot(data, a.Committee, a.Bits, v.run.signer.sealAggregate(data, a.Committee, d.members, a.Bits.Has, by, d.aggregators[by]))
		b.Aggregator = int64(d.members[by])
		delete(d.aggregators, by)
	}
	v.aggregates[&a.Bits[0]] = b
	return b
}

func newBallot(data *voteData, committee int, bits gossip.Bits, body []byte) *ballot {
	return &ballot{body: body, slot: data.Slot, Vote: recording.Vote{
		Attestation: recording.Attestation{Data: &data.AttestationData, Parts: []recording.Part{{Committee: committee, Bits: bits}}},
		Aggregator:  -1,
	}}
}

// forget drops what was signed long ago.
func (v *votes) forget(slot blockprint.Slot) {
	old := func(of blockprint.Slot) bool { return of+votesKept < slot }
	for k := range v.datas {
		if old(k.Slot) {
			delete(v.datas, k)
		}
	}
	for k, b := range v.aggregates {
		if b == nil || old(b.slot) {
			delete(v.aggregates, k)
		}
	}
	for k := range v.singles {
		if old(k.Data.Slot) {
			delete(v.singles, k)
		}
	}
	for k := range v.duties {
		if old(k.slot) {
			delete(v.duties, k)
		}
	}
}

func lognormal(rng *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*rng.NormFloat64())
}
