package feature

// altairRewardBase is the original's unit of scaled rewards, in gwei: about what a block earned at Altair.
const altairRewardBase = 30_000_000

// amounts are features of how much a block earns.
var amounts = []Feature{
	{
		"reward", "gwei, from 0", "what the block earns from attestations",
		reward,
	},
	{
		"norm_reward", "from 0, about 1", "reward / 30,000,000 gwei",
		func(in *input) float64 { return reward(in) / altairRewardBase },
	},
	{
		"norm_reward_per_slot", "from 0, about 1", "norm_reward / slots since the parent block",
		func(in *input) float64 {
			return reward(in) / altairRewardBase / float64(in.r.Meta.Slot-in.r.Meta.ParentSlot)
		},
	},
	{
		"reward_per_attestation", "gwei, from 0", "reward / num_attestations",
		perAttestation(reward),
	},
}

func reward(in *input) float64 { return float64(in.r.Attestations.Total) }
