package feature

import (
	"math"

	"gonum.org/v1/gonum/stat"

	"blockprint"
)

// These features show how a client chooses an attestation's committees. Clients that join whatever they hold include
// committees that add nothing; clients that look at each committee do not. For each committee, some clients first take the
// aggregate that adds the most, others the largest.

func anyAtt(*att) bool { return true }

func isNewest(a *att) bool { return a.distance == 1 }

func isOld(a *att) bool { return a.distance > 1 }

func isRepeat(a *att) bool { return a.twin >= 0 }

func idle(c *blockprint.CommitteeVotes) bool { return c.Fresh == 0 }

func staleCommittee(c *blockprint.CommitteeVotes) bool { return c.Unseen == 0 }

func oneFresh(c *blockprint.CommitteeVotes) bool { return c.Fresh == 1 }

func committeeEntries(in *input) float64 {
	atts := in.packed(hasCommittees)
	if len(atts) == 0 {
		return math.NaN()
	}
	n := 0
	for i := range atts {
		n += atts[i].committees
	}
	return float64(n)
}

// committeeShare is the share of some attestations' committees for which holds is true.
func committeeShare(n needs, among func(*att) bool, holds func(*blockprint.CommitteeVotes) bool) func(*input) float64 {
	return func(in *input) float64 {
		count, all := 0, 0
		atts := in.packed(n)
		for i := range atts {
			if !among(&atts[i]) {
				continue
			}
			list := in.pack.lists[i]
			for k := range list {
				all++
				if holds(&list[k]) {
					count++
				}
			}
		}
		return shareOr(count, all, math.NaN())
	}
}

// committeeOf finds a committee in a list. It returns nil if the list lacks it.
func committeeOf(list []blockprint.CommitteeVotes, index uint64) *blockprint.CommitteeVotes {
	for k := range list {
		if list[k].Index == index {
			return &list[k]
		}
	}
	return nil
}

// pairShare compares the committees of repeats with the same committees' previous votes for the same data. It is the
// share of these pairs for which holds is true. With later, pairs with the first attestation for the data do not count.
func (in *input) pairShare(later bool, holds func(before, now *blockprint.CommitteeVotes) bool) float64 {
	count, all := 0, 0
	atts := in.packed(hasCommittees)
	for i := range atts {
		list := in.pack.lists[i]
		for k := range list {
			now := &list[k]
			for t := atts[i].twin; t >= 0; t = atts[t].twin {
				before := committeeOf(in.pack.lists[t], now.Index)
				if before == nil {
					continue
				}
				if !later || atts[t].twin >= 0 {
					all++
					if holds(before, now) {
						count++
					}
				}
				break
			}
		}
	}
	return shareOr(count, all, math.NaN())
}

func committeeTwins(holds func(before, now *blockprint.CommitteeVotes) bool) func(*input) float64 {
	return func(in *input) float64 { return in.pairShare(false, holds) }
}

func committeeRounds(holds func(before, now *blockprint.CommitteeVotes) bool) func(*input) float64 {
	return func(in *input) float64 { return in.pairShare(true, holds) }
}

// densitySpread tells aggregates that were taken as they came, with many densities, from those that were filled up.
func densitySpread(in *input) float64 {
	atts := in.packed(hasCommittees)
	for i := range atts {
		if atts[i].distance != 1 {
			continue
		}
		densities := in.pack.values[:0]
		for _, c := range in.pack.lists[i] {
			if c.Size > 0 {
				densities = append(densities, float64(c.Attesters)/float64(c.Size))
			}
		}
		in.pack.values = densities
		return stat.PopStdDev(densities, nil) // NaN if there is none
	}
	return math.NaN()
}
