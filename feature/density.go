package feature

import "gonum.org/v1/gonum/stat"

// targetCommitteeSize is the committee size by which the original divides.
const targetCommitteeSize = 128

// density are features that measure how many new voters each attestation brings.
var density = []Feature{
	{
		"median_density", "0, 1, ...", "median of new voters / 128, each rounded down to a whole number (so mostly 0)",
		densities(median),
	},
	{
		"mean_density", "from 0", "mean of new voters / 128, each rounded down to a whole number",
		densities(func(v []float64) float64 { return stat.Mean(v, nil) }),
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

var numSingleBit = withNewVoters(1)

// densities summarizes the attestations' densities. Without attestations the result is 0, as in the original.
func densities(summary func([]float64) float64) func(*input) float64 {
	return func(in *input) float64 {
		if in.n() == 0 {
			return 0
		}
		v := in.pack.values[:0]
		for _, voters := range in.r.Attestations.PerAttestation {
			v = append(v, float64(len(voters)/targetCommitteeSize))
		}
		in.pack.values = v
		return summary(v)
	}
}
