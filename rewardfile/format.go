package rewardfile

import "blockprint"

// The format, in the order in which it is written. These tables are the only place for its names: reading and writing
// follow from them.
var (
	rewardJSON = object(
		key("total", func(r *reward) *uint64 { return &r.Total }, number),
		needed("block_root", func(r *reward) *blockprint.Root { return &r.BlockRoot }, root),
		needed("meta", func(r *reward) *meta { return &r.Meta }, metaJSON),
		needed("attestation_rewards", func(r *reward) *attestations { return &r.Attestations }, attestationsJSON),
		key("sync_committee_rewards", func(r *reward) *uint64 { return &r.SyncCommittee }, number),
		optional("exact", func(r *reward) **blockprint.ExactReward { return &r.Exact }, pointer(exactJSON)),
	)
	metaJSON = object(
		needed("slot", func(m *meta) *blockprint.Slot { return &m.Slot }, quoted[blockprint.Slot]()),
		needed("parent_slot", func(m *meta) *blockprint.Slot { return &m.ParentSlot }, quoted[blockprint.Slot]()),
		optional("parent_root", func(m *meta) *blockprint.Root { return &m.ParentRoot }, root),
		optional("fork", func(m *meta) *string { return &m.Fork }, forkName),
		key("proposer_index", func(m *meta) *uint64 { return &m.ProposerIndex }, number),
		key("graffiti", func(m *meta) *string { return &m.Graffiti }, text),
	)
	attestationsJSON = object(
		key("total", func(a *attestations) *uint64 { return &a.Total }, number),
		key("prev_epoch_total", func(a *attestations) *uint64 { return &a.PrevEpoch }, number),
		key("curr_epoch_total", func(a *attestations) *uint64 { return &a.CurrEpoch }, number),
		needed("per_attestation_rewards", func(a *attestations) *[][]blockprint.VoterReward { return &a.PerAttestation }, voterMaps),
		optional("attestations", func(a *attestations) *[]blockprint.AttestationData { return &a.Data }, list(dataJSON)),
		optional("committees", func(a *attestations) *[][]blockprint.CommitteeVotes { return &a.Committees }, list(list(committeeJSON))),
		optional("worth", func(a *attestations) *[]blockprint.AttestationWorth { return &a.Worth }, list(worthJSON)),
	)
	dataJSON = object(
		key("slot", func(d *data) *blockprint.Slot { return &d.Slot }, quoted[blockprint.Slot]()),
		key("index", func(d *data) *uint64 { return &d.Index }, quoted[uint64]()),
		key("beacon_block_root", func(d *data) *blockprint.Root { return &d.BeaconBlockRoot }, root),
		key("source", func(d *data) *blockprint.Checkpoint { return &d.Source }, checkpointJSON),
		key("target", func(d *data) *blockprint.Checkpoint { return &d.Target }, checkpointJSON),
	)
	checkpointJSON = object(
		key("epoch", func(c *blockprint.Checkpoint) *blockprint.Epoch { return &c.Epoch }, quoted[blockprint.Epoch]()),
		key("root", func(c *blockprint.Checkpoint) *blockprint.Root { return &c.Root }, root),
	)
	committeeJSON = object(
		key("index", func(c *votes) *uint64 { return &c.Index }, number),
		key("size", func(c *votes) *uint64 { return &c.Size }, number),
		key("attesters", func(c *votes) *uint64 { return &c.Attesters }, number),
		key("fresh", func(c *votes) *uint64 { return &c.Fresh }, number),
		key("unseen", func(c *votes) *uint64 { return &c.Unseen }, number),
		key("alone", func(c *votes) *uint64 { return &c.Alone }, number),
	)
	worthJSON = object(
		key("alone", func(w *worth) *uint64 { return &w.Alone }, number),
		key("marginal", func(w *worth) *uint64 { return &w.Marginal }, number),
		key("unseen", func(w *worth) *uint64 { return &w.Unseen }, number),
		key("unseen_balance", func(w *worth) *uint64 { return &w.UnseenBalance }, number),
		key("overlap", func(w *worth) *uint64 { return &w.Overlap }, number),
	)
	exactJSON = object(
		key("total", func(e *exact) *uint64 { return &e.Total }, number),
		key("attestations", func(e *exact) *uint64 { return &e.Attestations }, number),
		key("sync_committee", func(e *exact) *uint64 { return &e.Sync }, number),
		key("slashings", func(e *exact) *uint64 { return &e.Slashings }, number),
		optional("approximate", func(e *exact) *bool { return &e.Approximate }, boolean),
	)
)

type (
	reward       = blockprint.BlockReward
	meta         = blockprint.BlockMeta
	attestations = blockprint.AttestationRewards
	data         = blockprint.AttestationData
	votes        = blockprint.CommitteeVotes
	worth        = blockprint.AttestationWorth
	exact        = blockprint.ExactReward
)
