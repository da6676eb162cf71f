package store

import "blockprint"

// Blocks are summed by label in parts of 16, 256, ... epochs. Five levels above single epochs span 2^20 epochs, 13 years.
const (
	// SumBits says how many parts of a level make one of the next: 2^SumBits.
	SumBits = 4
	// TopSum is the highest level; level 0 is single epochs.
	TopSum = 5
)

// sumKey is a sum of a single epoch.
type sumKey struct {
	epoch  blockprint.Epoch
	single blockprint.Client
}

// Sum is the number of blocks of a label in a part of a level, or what is to be added to it.
type Sum struct {
	Level  int
	Part   blockprint.Epoch
	Single blockprint.Client
	Blocks int64
}

// sumChanges carries changes of single epochs to the sums of all levels.
func sumChanges(changes map[sumKey]int64) (out []Sum) {
	for level := range TopSum + 1 {
		sums := map[sumKey]int64{}
		for k, n := range changes {
			sums[sumKey{k.epoch >> (SumBits * level), k.single}] += n
		}
		for k, n := range sums {
			if n != 0 {
				out = append(out, Sum{level, k.epoch, k.single, n})
			}
		}
	}
	return out
}

// SumRun is a run of parts of one level, both ends included.
type SumRun struct {
	Level       int
	First, Last blockprint.Epoch
}

// SumRuns cuts the epochs start to end-1 into the fewest runs: small parts at the edges, large ones between.
func SumRuns(start, end blockprint.Epoch) (out []SumRun) {
	const size = 1 << SumBits
	for level := 0; start < end; level++ {
		if level == TopSum {
			return append(out, SumRun{level, start, end - 1})
		}
		if up := min(end, (start+size-1)/size*size); start < up {
			out = append(out, SumRun{level, start, up - 1})
			start = up
		}
		if down := max(start, end/size*size); down < end {
			out = append(out, SumRun{level, down, end - 1})
			end = down
		}
		start, end = start/size, end/size
	}
	return out
}
