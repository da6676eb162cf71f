package feature

// counts are features that count attestations of a kind.
var counts = []Feature{
	{
		"num_attestations", "0 to 128 (8 since Electra)", "attestations in the block",
		func(in *input) float64 { return float64(in.n()) },
	},
	{
		"num_redundant", "0 to num_attestations", "attestations that include no new voter, so earn nothing",
		numRedundant,
	},
	{
		"percent_redundant", "0 to 1", "num_redundant / num_attestations",
		perAttestation(numRedundant),
	},
	{
		"percent_redundant_boost", "0, 0.2 to 1", "percent_redundant raised by 0.2 where it is not 0, to set the clients that never pack a worthless attestation apart",
		func(in *input) float64 {
			p := perAttestation(numRedundant)(in)
			if p == 0 {
				return 0
			}
			return min(1, p+0.2)
		},
	},
	{
		"num_pairwise_ordered", "1 to num_attestations", "attestations that earn no less than the next one, plus 1",
		numPairwiseOrdered,
	},
	{
		"percent_pairwise_ordered", "0 to 1", "num_pairwise_ordered / num_attestations; 1 for greedy packing by reward",
		perAttestation(numPairwiseOrdered),
	},
}

// withNewVoters counts the attestations that bring exactly count new voters.
func withNewVoters(count int) func(*input) float64 {
	return func(in *input) float64 {
		n := 0
		for _, voters := range in.r.Attestations.PerAttestation {
			if len(voters) == count {
				n++
			}
		}
		return float64(n)
	}
}

var numRedundant = withNewVoters(0)

func numPairwiseOrdered(in *input) float64 {
	n := 1
	for i := 1; i < len(in.totals); i++ {
		if in.totals[i-1] >= in.totals[i] {
			n++
		}
	}
	return float64(n)
}
