package blockprint

import "slices"

// BlockReward is what a block earned its proposer from attestations, with the figures of Lighthouse's
// /lighthouse/analysis/block_rewards (package rewardfile reads and writes its JSON). Amounts are in gwei.
//
// Totals and per-voter amounts follow Lighthouse's rule (each voter's share divided by 512 and floored), which is
// 12.5 % below what the proposer really receives since Altair; Exact holds the specification's figures.
type BlockReward struct {
	Total        Gwei
	BlockRoot    Root
	Meta         BlockMeta
	Attestations AttestationRewards
	// SyncCommittee is what the proposer earns for including the sync aggregate.
	SyncCommittee Gwei
	// Exact is nil in files that others wrote.
	Exact *ExactReward
}

// BlockMeta says which block a reward belongs to.
type BlockMeta struct {
	Slot          Slot
	ParentSlot    Slot
	ProposerIndex uint64
	Graffiti      string
	// ParentRoot is zero in files that others wrote: the original keeps the parent's slot only.
	ParentRoot Root
	// Fork is the name of the block's fork as the Beacon API writes it, empty in files that others wrote.
	Fork string
}

// ExactReward holds what the specification pays the proposer inside the block (phase 0 pays it at the end of the
// epoch). The proposer's balance changes by Total, by its own part in the sync committee, and by withdrawals and
// deposits.
type ExactReward struct {
	Total        Gwei
	Attestations Gwei
	Sync         Gwei
	Slashings    Gwei
	// Approximate says that the node had no state of the time, so that effective balances of a later one were
	// used: nearly always the same, but not proven to be.
	Approximate bool
}

// AttestationRewards lists what each attestation of a block earned, in block order.
type AttestationRewards struct {
	Total     Gwei
	PrevEpoch Gwei // part of Total from votes of the previous epoch
	CurrEpoch Gwei
	// PerAttestation has one entry per attestation: the voters it was the first to include, and what each earned.
	// All entries share one backing array.
	PerAttestation [][]VoterReward
	// Data has one entry per attestation, or none in old files.
	Data []AttestationData
	// Committees has one entry per attestation, or none in files that others wrote: the committees whose votes
	// the attestation carries, in ascending order.
	Committees [][]CommitteeVotes
	// Worth has one entry per attestation, or none in files that others wrote.
	Worth []AttestationWorth
}

// AttestationWorth says what an attestation brings, in the specification's figures, beside its reward map.
type AttestationWorth struct {
	// Alone is what it would earn if it were the only one of its block, Marginal what it earned after those before it.
	Alone    Gwei
	Marginal Gwei
	// Unseen counts its voters who had no participation flag before the block, and UnseenBalance sums their
	// effective balances; Overlap counts its voters who are in an earlier attestation of the block too.
	Unseen        uint64
	UnseenBalance Gwei
	Overlap       uint64
}

// VoterReward is what one newly included voter earned the proposer.
type VoterReward struct {
	Validator uint64
	Gwei      Gwei
}

// CommitteeVotes says how many members of a committee an attestation carries, and how many of them no earlier
// attestation did. Unseen of them had no participation flag before the block, and Alone is what their votes would
// earn by the specification if they were the only ones; both are 0 in files of earlier versions.
type CommitteeVotes struct {
	Index     uint64
	Size      uint64
	Attesters uint64
	Fresh     uint64
	Unseen    uint64
	Alone     Gwei
}

// Checkpoint is an epoch boundary block.
type Checkpoint struct {
	Epoch Epoch
	Root  Root
}

// AttestationData is what a committee member votes for.
type AttestationData struct {
	Slot            Slot
	Index           uint64 // the committee before Electra, 0 since
	BeaconBlockRoot Root
	Source, Target  Checkpoint
}

// AttestationTotals returns the sum of each attestation's voter rewards.
func (r *BlockReward) AttestationTotals(into []Gwei) []Gwei {
	into = into[:0]
	for _, voters := range r.Attestations.PerAttestation {
		var sum Gwei
		for _, v := range voters {
			sum += v.Gwei
		}
		into = append(into, sum)
	}
	return into
}

// Validate refuses rewards that no block can have.
func (r *BlockReward) Validate() error {
	m := r.Meta
	if m.ParentSlot >= m.Slot {
		return Errorf(Invalid, "block reward %s: parent_slot %d is not before slot %d", r.BlockRoot.Short(), m.ParentSlot, m.Slot)
	}
	a := &r.Attestations
	for _, list := range []struct {
		length int
		what   string
	}{{len(a.Data), "attestations"}, {len(a.Committees), "committee lists"}, {len(a.Worth), "worths"}} {
		if n := len(a.PerAttestation); list.length != 0 && list.length != n {
			return Errorf(Invalid, "block reward %s: %d %s but %d reward maps", r.BlockRoot.Short(), list.length, list.what, n)
		}
	}
	return nil
}

// Clone returns a copy that shares nothing with r, for callers that keep a reward past the next one of its reader.
func (r *BlockReward) Clone() *BlockReward {
	c := *r
	total := 0
	for _, v := range r.Attestations.PerAttestation {
		total += len(v)
	}
	all := make([]VoterReward, 0, total)
	c.Attestations.PerAttestation = make([][]VoterReward, 0, len(r.Attestations.PerAttestation))
	for _, v := range r.Attestations.PerAttestation {
		start := len(all)
		all = append(all, v...)
		c.Attestations.PerAttestation = append(c.Attestations.PerAttestation, all[start:])
	}
	c.Attestations.Data = slices.Clone(r.Attestations.Data)
	c.Attestations.Committees = slices.Clone(r.Attestations.Committees) // each list is read anew, and never changed
	c.Attestations.Worth = slices.Clone(r.Attestations.Worth)
	return &c
}
