package feature

import "slices"

// ofNetwork lists the features that say more about a network than about a client: how many vote, what a vote earns, and
// how many members committees have. A classifier that learns from them recognizes the networks of its training, and does
// worse in others (docs/evaluation.md).
var ofNetwork = []string{
	"reward", "norm_reward", "norm_reward_per_slot", "reward_per_attestation", "newest_reward_share", "difflib_slot_reward",
	"median_density", "mean_density", "coverage_newest", "coverage_old", "voters_per_committee_last",
	"voters_per_committee_median", "percent_few_voters", "twin_density", "twin_fresh_density", "completeness",
	"density_newest_spread",
}

// OfClient returns the names without those of features that say more about the network than about the client: what
// boosted trees learn from unless the user asks for others.
func OfClient(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(ofNetwork, name) })
}
