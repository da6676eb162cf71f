package feature

import (
	"math"

	"gonum.org/v1/gonum/stat"

	"blockprint"
)

// How an attestation's committees were chosen: clients that join whatever they hold carry committees that bring
// nothing, clients that look at each committee do not; and of one committee some take what adds most first, some
// what is largest.

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

// committeeShare is the share, of the committees of those attestations, for which holds does.
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

// committeeOf finds a committee in an ascending list; nil if it is not there.
func committeeOf(list []blockprint.CommitteeVotes, index uint64) *blockprint.CommitteeVotes {
	for k := range list {
		if list[k].Index == index {
			return &list[k]
		}
	}
	return nil
}

// pairShare is the share for which holds does, of all committees of repeats together with what the same committee
// had in the attestation of the same data before; with later, only from the third attestation of a data on.
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

// densitySpread tells aggregates as they came, of many densities, from such as were filled up.
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
