package reward

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"blockprint"
)

// Committees holds the beacon committees of an epoch.
type Committees struct {
	Epoch   blockprint.Epoch
	PerSlot uint64
	slots   uint64
	members []uint32 // all active validators, shuffled; committee i of n is the i-th of n even parts
	largest uint32   // of the members
}

// newCommittees returns the shape of the committees of n active validators (get_committee_count_per_slot).
func newCommittees(spec *blockprint.Spec, epoch blockprint.Epoch, n int) *Committees {
	return &Committees{
		Epoch: epoch, slots: spec.SlotsPerEpoch,
		PerSlot: max(1, min(spec.MaxCommitteesPerSlot, uint64(n)/spec.SlotsPerEpoch/spec.TargetCommitteeSize)),
	}
}

// note remembers the largest of the active validators, which are in ascending order.
func (c *Committees) note(active []uint32) {
	if len(active) > 0 {
		c.largest = active[len(active)-1]
	}
}

var domainBeaconAttester = [4]byte{1} // DOMAIN_BEACON_ATTESTER

// ComputeCommittees shuffles the active validators of an epoch (ascending indices) into committees, with the
// RANDAO mix of the end of the epoch MIN_SEED_LOOKAHEAD + 1 before it. Source: consensus-specs, phase0
// beacon-chain, get_seed and compute_committee.
func ComputeCommittees(spec *blockprint.Spec, epoch blockprint.Epoch, active []uint32, mix blockprint.Root) *Committees {
	var in [4 + 8 + 32]byte
	copy(in[:4], domainBeaconAttester[:])
	binary.LittleEndian.PutUint64(in[4:], uint64(epoch))
	copy(in[12:], mix[:])
	seed := sha256.Sum256(in[:])
	c := newCommittees(spec, epoch, len(active))
	c.members = slices.Clone(active)
	c.note(active)
	shuffle(c.members, seed, spec.ShuffleRoundCount)
	return c
}

// Of returns a committee's members in order, nil if there is no such committee.
func (c *Committees) Of(slot blockprint.Slot, index uint64) []uint32 {
	if index >= c.PerSlot {
		return nil
	}
	total := c.PerSlot * c.slots
	i := uint64(slot)%c.slots*c.PerSlot + index
	n := uint64(len(c.members))
	return c.members[n*i/total : n*(i+1)/total]
}

// shuffle moves to each position p the element at the specification's compute_shuffled_index(p). Each round swaps pairs,
// so it works on the whole list at once, in reverse order of the rounds.
func shuffle(list []uint32, seed [32]byte, rounds uint64) {
	n := uint64(len(list))
	if n < 2 {
		return
	}
	var in [37]byte
	copy(in[:], seed[:])
	for r := int(rounds) - 1; r >= 0; r-- {
		in[32] = byte(r)
		h := sha256.Sum256(in[:33])
		pivot := binary.LittleEndian.Uint64(h[:8]) % n
		source, block := h, uint64(1<<63)
		swap := func(i, j uint64) { // j is the larger, which decides
			if j/256 != block {
				block = j / 256
				binary.LittleEndian.PutUint32(in[33:], uint32(block))
				source = sha256.Sum256(in[:])
			}
			if source[j%256/8]>>(j%8)&1 == 1 {
				list[i], list[j] = list[j], list[i]
			}
		}
		for i := range (pivot + 1) / 2 {
			swap(i, pivot-i)
		}
		for i := pivot + 1; i < (pivot+n+1)/2; i++ {
			swap(i, n+pivot-i)
		}
	}
}
