package realism

import (
	"blockprint"
	"blockprint/beacon"
)

// Shape is what a block shows of the votes that its builder had and of how it packed them. It needs no registry and no
// neighboring block.
type Shape struct {
	Slot         blockprint.Slot   `json:"slot,omitempty"`
	Client       blockprint.Client `json:"client,omitempty"` // the builder, where it is known
	Attestations int               `json:"attestations,omitempty"`
	// FirstWhole: the first attestation is for the slot before the block's and joins all committees of that slot.
	FirstWhole bool `json:"first_whole,omitempty"`
	// Absent is the share of the first attestation's committee members who are not in it.
	Absent float64 `json:"absent,omitempty"`
	// MoreHead and OtherHead are votes for the newest slot that the block holds besides its first attestation, as shares
	// of the slot's members: new ones for the same data, and ones for other data.
	MoreHead  float64 `json:"more_head,omitempty"`
	OtherHead float64 `json:"other_head,omitempty"`
	// Repeats counts the other attestations with the first one's data.
	Repeats int `json:"repeats,omitempty"`
	// OneCommittee and Tiny count attestations of a single committee, and of at most ten voters.
	OneCommittee int `json:"one_committee,omitempty"`
	Tiny         int `json:"tiny,omitempty"`
	// Older counts attestations for slots before the newest; OldWhole says that one joins all committees.
	Older    int  `json:"older,omitempty"`
	OldWhole bool `json:"old_whole,omitempty"`
	// Distances has each attestation's distance in slots.
	Distances []uint64 `json:"distances,omitempty"`
	// Voters and New have, for each attestation after the first, its voters and how many of them no earlier attestation
	// of the block has; Half says that it is of a single committee and has more than half of its members.
	Voters []int  `json:"voters,omitempty"`
	New    []int  `json:"new,omitempty"`
	Half   []bool `json:"half,omitempty"`
}

// ShapeOf measures a block. A block before Electra, whose attestations are of one committee each, and a block without
// attestations have no shape: they are an error.
func ShapeOf(b *beacon.Block, l Layout) (*Shape, error) {
	if b.Fork < blockprint.Electra {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s is of %s: attestations join committees since Electra only", b, b.Fork)
	}
	if len(b.Attestations) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s has no attestations", b)
	}
	epochs := map[blockprint.Epoch][]*beacon.Attestation{}
	newest := blockprint.Slot(0)
	for i := range b.Attestations {
		a := &b.Attestations[i]
		if a.Data.Slot >= b.Slot {
			return nil, blockprint.Errorf(blockprint.Invalid, "%s has an attestation of slot %d, which is not before it", b, a.Data.Slot)
		}
		epochs[a.Data.Target.Epoch] = append(epochs[a.Data.Target.Epoch], a)
		newest = max(newest, a.Data.Slot)
	}
	divided := map[blockprint.Epoch]committees{}
	for epoch, list := range epochs {
		c, err := l.infer(list)
		if err != nil {
			return nil, blockprint.Errorf(blockprint.CodeOf(err), "%s: %w", b, err)
		}
		divided[epoch] = c
	}
	s := &Shape{Slot: b.Slot, Attestations: len(b.Attestations)}
	seen := map[blockprint.Slot][]bool{} // by committee and place
	first := &b.Attestations[0]
	for i := range b.Attestations {
		a := &b.Attestations[i]
		c := divided[a.Data.Target.Epoch]
		voters, fresh := 0, 0
		if seen[a.Data.Slot] == nil {
			seen[a.Data.Slot] = make([]bool, maxCommittees*maxMembers)
		}
		voted := seen[a.Data.Slot]
		c.each(a, func(committee uint64, place int) {
			voters++
			if at := int(committee)*maxMembers + place; !voted[at] {
				voted[at] = true
				fresh++
			}
		})
		whole := uint64(len(a.Committees)) == c.perSlot
		s.Distances = append(s.Distances, uint64(b.Slot-a.Data.Slot))
		if len(a.Committees) == 1 {
			s.OneCommittee++
		}
		if voters <= 10 {
			s.Tiny++
		}
		if a.Data.Slot < newest {
			s.Older++
			s.OldWhole = s.OldWhole || whole
		}
		if i == 0 {
			s.FirstWhole = whole && b.Slot-a.Data.Slot == 1
			s.Absent = 1 - float64(voters)/float64(a.NumBits)
			continue
		}
		s.Voters, s.New = append(s.Voters, voters), append(s.New, fresh)
		s.Half = append(s.Half, len(a.Committees) == 1 && 2*voters > a.NumBits)
		if a.Data == first.Data {
			s.Repeats++
		}
		if members := float64(c.in(a.Data.Slot)); a.Data.Slot == newest {
			if a.Data == first.Data {
				s.MoreHead += float64(fresh) / members
			} else {
				s.OtherHead += float64(fresh) / members
			}
		}
	}
	return s, nil
}
