package blockprint

import "slices"

// BlockReward is what a block earned its proposer, with the figures of Lighthouse's
// /lighthouse/analysis/block_rewards. Package rewardfile reads and writes its JSON. Amounts are in gwei.
//
// Totals and per-voter amounts follow Lighthouse's rule: each voter's share is divided by 512 and rounded down. Since
// Altair that is 12.5 % less than what the proposer receives. Exact holds the specification's figures.
type BlockReward struct {
	Total        Gwei
	BlockRoot    Root
	Meta         BlockMeta
	Attestations AttestationRewards
	// SyncCommittee is what the proposer earned by including the sync aggregate.
	SyncCommittee Gwei
	// Exact is nil if another program wrote the file.
	Exact *ExactReward
}

// BlockMeta says which block a reward belongs to.
type BlockMeta struct {
	Slot          Slot
	ParentSlot    Slot
	ProposerIndex uint64
	Graffiti      string
	// ParentRoot is zero if another program wrote the file: the original keeps the parent's slot only.
	ParentRoot Root
	// Fork is the name of the block's fork as the Beacon API writes it, empty if another program wrote the file.
	Fork string
}

// ExactReward holds what the specification pays the proposer inside the block (phase 0 pays at the end of the
// epoch). Besides Total, the proposer's balance changes by its own sync committee reward and by withdrawals and deposits.
type ExactReward struct {
	Total        Gwei
	Attestations Gwei
	Sync         Gwei
	Slashings    Gwei
	// Approximate says that the node no longer had the state, so that a later state's effective balances were used.
	// They are nearly always the same, but that is not proven.
	Approximate bool
}

// AttestationRewards lists what each attestation of a block earned, in block order.
type AttestationRewards struct {
	Total     Gwei
	PrevEpoch Gwei // the part of Total that comes from votes of the previous epoch
	CurrEpoch Gwei
	// PerAttestation has one entry per attestation: the voters that no earlier attestation included, and what each of
	// them earned. All entries share one backing array.
	PerAttestation [][]VoterReward
	// Data has one entry per attestation, or is empty if an old file lacks it.
	Data []AttestationData
	// Committees has one entry per attestation: the committees whose votes it carries, in ascending order. It is
	// empty if another program wrote the file, and so is Worth.
	Committees [][]CommitteeVotes
	// Worth has one entry per attestation.
	Worth []AttestationWorth
}

// AttestationWorth says what an attestation contributes, in the specification's figures.
type AttestationWorth struct {
	// Alone is what it would earn as the block's only attestation, Marginal what it added to those before it.
	Alone    Gwei
	Marginal Gwei
	// Unseen counts its voters that had no participation flag before the block, and UnseenBalance sums their
	// effective balances. Overlap counts its voters that an earlier attestation of the block includes, too.
	Unseen        uint64
	UnseenBalance Gwei
	Overlap       uint64
}

// VoterReward is what one newly included voter earned the proposer.
type VoterReward struct {
	Validator uint64
	Gwei      Gwei
}

// CommitteeVotes describes one committee's votes in an attestation. Attesters of its Size members voted, and no
// earlier attestation of the block included Fresh of them. Unseen of them had no participation flag before the block, and
// Alone is what the specification would pay for these votes alone; both are 0 in files of earlier versions.
type CommitteeVotes struct {
	Index     uint64
	Size      uint64
	Attesters uint64
	Fresh     uint64
	Unseen    uint64
	Alone     Gwei
}

// Checkpoint is the block at an epoch's boundary.
type Checkpoint struct {
	Epoch Epoch
	Root  Root
}

// AttestationData is what a committee member votes for.
type AttestationData struct {
	Slot            Slot
	Index           uint64 // the committee before Electra, then always 0
	BeaconBlockRoot Root
	Source, Target  Checkpoint
}

// AttestationTotals returns the sum of each attestation's voter rewards, in the memory of into.
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

// Clone returns a copy that shares nothing with r, for callers that keep a reward after its reader has moved on.
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
	c.Attestations.Committees = slices.Clone(r.Attestations.Committees) // the lists themselves are never changed
	c.Attestations.Worth = slices.Clone(r.Attestations.Worth)
	return &c
}
