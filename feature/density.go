package feature

import "slices"

// targetCommitteeSize is the committee size against which the original measures density.
const targetCommitteeSize = 128

// density are features of how many new voters each attestation brings.
var density = []Feature{
	{
		"median_density", "0, 1, ...", "median of new voters / 128, each rounded down to a whole number (so mostly 0)",
		medianDensity,
	},
	{
		"mean_density", "from 0", "mean of new voters / 128, each rounded down to a whole number",
		func(in *input) float64 {
			if in.n() == 0 {
				return 0
			}
			sum := 0
			for _, voters := range in.r.Attestations.PerAttestation {
				sum += len(voters) / targetCommitteeSize
			}
			return float64(sum) / float64(in.n())
		},
	},
	{
		"num_single_bit", "0 to num_attestations", "attestations that bring exactly one new voter",
		numSingleBit,
	},
	{
		"percent_single_bit", "0 to 1", "num_single_bit / num_attestations",
		perAttestation(numSingleBit),
	},
}

func medianDensity(in *input) float64 {
	n := in.n()
	if n == 0 {
		return 0
	}
	d := make([]int, n)
	for i, voters := range in.r.Attestations.PerAttestation {
		d[i] = len(voters) / targetCommitteeSize
	}
	slices.Sort(d)
	return float64(d[(n-1)/2]+d[n/2]) / 2
}

func numSingleBit(in *input) float64 {
	n := 0
	for _, voters := range in.r.Attestations.PerAttestation {
		if len(voters) == 1 {
			n++
		}
	}
	return float64(n)
}
