package realism

import (
	"math"

	"blockprint"
	"blockprint/beacon"
)

// Layout is how a network divides its validators into committees.
type Layout struct {
	SlotsPerEpoch       uint64
	TargetCommitteeSize uint64
}

// The specification's limits: committees in a slot, and members of a committee.
const (
	maxCommittees = 64
	maxMembers    = 2048
)

// committees are the committees of an epoch: the specification cuts the list of active validators into
// perSlot * SlotsPerEpoch parts that differ by one member at most.
type committees struct {
	active, perSlot uint64
	slots           uint64 // an epoch
}

// at divides an epoch's active validators as the specification does.
func (l Layout) at(active uint64) committees {
	return committees{active, max(1, min(maxCommittees, active/l.SlotsPerEpoch/l.TargetCommitteeSize)), l.SlotsPerEpoch}
}

// size returns the number of members of a committee.
func (c committees) size(slot blockprint.Slot, index uint64) int {
	place, parts := uint64(slot)%c.slots*c.perSlot+index, c.slots*c.perSlot
	return int(c.active*(place+1)/parts - c.active*place/parts)
}

// in returns the number of members of all committees of a slot.
func (c committees) in(slot blockprint.Slot) int {
	first, parts := uint64(slot)%c.slots*c.perSlot, c.slots*c.perSlot
	return int(c.active*(first+c.perSlot)/parts - c.active*first/parts)
}

// fits tells whether an attestation's bits are as many as its committees have members.
func (c committees) fits(a *beacon.Attestation) bool {
	sum := 0
	for _, index := range a.Committees {
		size := c.size(a.Data.Slot, index)
		if index >= c.perSlot || size > maxMembers {
			return false
		}
		sum += size
	}
	return sum == a.NumBits
}

// each calls f with the committee and the place in it of every voter of an attestation.
func (c committees) each(a *beacon.Attestation, f func(committee uint64, place int)) {
	at := 0
	for _, index := range a.Committees {
		size := c.size(a.Data.Slot, index)
		for i := range size {
			if a.Bit(at + i) {
				f(index, i)
			}
		}
		at += size
	}
}

// infer finds the committees of an epoch from the attestations that name it as their target, without a registry. The
// lengths of the bit lists leave few numbers of active validators; that nobody votes for two things in one slot leaves
// fewer; of the rest, which differ by a member in a few committees, it takes the middle one.
func (l Layout) infer(list []*beacon.Attestation) (committees, error) {
	widest := list[0]
	for _, a := range list {
		if len(a.Committees) > len(widest.Committees) {
			widest = a
		}
	}
	if len(widest.Committees) == 0 {
		return committees{}, blockprint.Errorf(blockprint.Invalid, "an attestation of slot %d has no committees", widest.Data.Slot)
	}
	// Each committee has active/parts members, rounded up or down.
	mean, k := float64(widest.NumBits)/float64(len(widest.Committees)), float64(len(widest.Committees))
	var candidates []committees
	fewest := math.MaxInt
	// Below 64 a slot, the number of committees shows in their number only, not in their size, so the smallest number
	// that has room for all that vote is the likeliest.
	for perSlot := uint64(1); perSlot <= maxCommittees && len(candidates) == 0; perSlot++ {
		parts := float64(perSlot * l.SlotsPerEpoch)
		low, high := uint64(max(0, (mean-1/k-1)*parts)), uint64((mean+1/k+1)*parts)
		if l.at(low).perSlot > perSlot || l.at(high).perSlot < perSlot {
			continue
		}
	active:
		for n := low; n <= high; n++ {
			c := l.at(n)
			if c.perSlot != perSlot {
				continue
			}
			for _, a := range list {
				if !c.fits(a) {
					continue active
				}
			}
			switch double := c.doubleVotes(list); {
			case double < fewest:
				candidates, fewest = []committees{c}, double
			case double == fewest:
				candidates = append(candidates, c)
			}
		}
	}
	if len(candidates) == 0 {
		return committees{}, blockprint.Errorf(blockprint.Invalid,
			"the attestations for epoch %d contradict each other: no number of validators gives committees of these lengths (is it a block of a network with other committees?)", list[0].Data.Target.Epoch)
	}
	return candidates[len(candidates)/2], nil
}

// voted tells whether a member of a committee is among an attestation's voters.
func (c committees) voted(a *beacon.Attestation, committee uint64, place int) bool {
	at := 0
	for _, index := range a.Committees {
		if index == committee {
			return a.Bit(at + place)
		}
		at += c.size(a.Data.Slot, index)
	}
	return false
}

// doubleVotes counts the votes of members who would have voted for something else in the same slot. Pairs of
// attestations are walked along the one with fewer voters.
func (c committees) doubleVotes(list []*beacon.Attestation) (n int) {
	for i, a := range list {
		for _, b := range list[:i] {
			if a.Data.Slot != b.Data.Slot || a.Data == b.Data {
				continue
			}
			few, many := a, b
			if votes(b) < votes(a) {
				few, many = b, a
			}
			c.each(few, func(committee uint64, place int) {
				if c.voted(many, committee, place) {
					n++
				}
			})
		}
	}
	return n
}

// votes counts an attestation's voters.
func votes(a *beacon.Attestation) (n int) {
	for i := range a.NumBits {
		if a.Bit(i) {
			n++
		}
	}
	return n
}
