package lab

import (
	"math"
	"math/rand/v2"
	"time"

	"blockprint"
	"blockprint/recording"
)

// Mess is what goes wrong in the network.
type Mess struct {
	// Participation is the share of validators that vote.
	Participation float64 `toml:"participation"`
	// Missing is the largest share of its committee's votes that an aggregator lacks.
	Missing float64 `toml:"missing"`
	// Late is the share of blocks that come when votes are cast, Empty that of slots without a block.
	Late  float64 `toml:"late"`
	Empty float64 `toml:"empty"`
}

func defaultMess() Mess { return Mess{Participation: 0.99, Missing: 0.02, Late: 0.04, Empty: 0.01} }

func (m *Mess) check() error {
	for _, share := range []float64{m.Participation, m.Missing, m.Late, m.Empty} {
		if share < 0 || share > 1 {
			return blockprint.Errorf(blockprint.Invalid, "mess: %v is no share: expected 0 to 1", share)
		}
	}
	return nil
}

// aggregators is how many members of a committee publish what they have seen (TARGET_AGGREGATORS_PER_COMMITTEE).
const aggregators = 16

// cast casts the votes of a slot and sends them on their way. now is for the block of the slot, before for its parent;
// either may be nil. inTime is the share of validators that have the block when they vote.
func (r *run) cast(slot blockprint.Slot, now, before *voteData, inTime float64) {
	on := r.tree.tip()
	committees, _ := r.tree.committeesOf(on, r.chain.EpochOf(slot))
	proof := r.signer.selection(slot)
	start, second := time.Duration(slot)*r.chain.SlotDuration, r.chain.SlotDuration/12
	for c := range committees.PerSlot {
		members := committees.Of(slot, c)
		vote := make([]*voteData, len(members))
		for i := range members {
			if r.rng.Float64() >= r.config.Mess.Participation {
				continue
			}
			if vote[i] = before; now != nil && (before == nil || r.rng.Float64() < inTime) {
				vote[i] = now
			}
		}
		picked := 0
		for i, p := range r.signer.selections(slot, &proof, members) {
			if vote[i] == nil || picked == aggregators {
				continue
			}
			picked++
			miss := r.rng.Float64() * r.config.Mess.Missing
			bits := make([]uint64, (len(members)+63)/64)
			for j := range members {
				if vote[j] == vote[i] && (j == i || r.rng.Float64() >= miss) {
					bits[j/64] |= 1 << (j % 64)
				}
			}
			has := func(j int) bool { return bits[j/64]>>(j%64)&1 == 1 }
			b := &ballot{body: r.signer.sealAggregate(vote[i], int(c), members, has, i, p)}
			b.Vote = recording.Vote{
				Attestation: recording.Attestation{Data: &vote[i].AttestationData, Parts: []recording.Part{{Committee: int(c), Bits: bits}}},
				Aggregator:  int64(members[i]),
			}
			for _, n := range r.nodes {
				if n.Votes == "api" {
					at := start + 8*second + time.Duration(lognormal(r.rng, 0.6, 0.6)*float64(second))
					n.enqueue([]delivery{{max(at, r.clock.now()), b}})
				}
			}
		}
	}
}

func lognormal(rng *rand.Rand, median, sigma float64) float64 {
	return median * math.Exp(sigma*rng.NormFloat64())
}
