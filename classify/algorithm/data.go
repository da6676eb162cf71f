package algorithm

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"blockprint"
)

// Data is what a classifier learns from.
type Data struct {
	X        []float64 // Features numbers per row; NaN where a feature has no value
	Y        []uint8   // the class of each row, below Classes
	Features int
	Classes  int
}

// Check refuses data that the algorithm of a name cannot learn from. Missing allows NaN.
func (d *Data) Check(name string, missing bool) error {
	switch {
	case d.Features < 1 || len(d.X) != len(d.Y)*d.Features:
		return blockprint.Errorf(blockprint.Invalid, "%s: %d numbers do not make %d rows of %d", name, len(d.X), len(d.Y), d.Features)
	case len(d.Y) == 0:
		return blockprint.Errorf(blockprint.Invalid, "%s: no rows to learn from", name)
	case len(d.Y) > math.MaxInt32: // algorithms number rows in 32 bits
		return blockprint.Errorf(blockprint.TooLarge, "%s: %d rows are too many", name, len(d.Y))
	case d.Classes < 1 || d.Classes > 255:
		return blockprint.Errorf(blockprint.Invalid, "%s: %d classes, expected 1 to 255", name, d.Classes)
	}
	for i, v := range d.X {
		if math.IsInf(v, 0) || math.IsNaN(v) && !missing {
			return blockprint.Errorf(blockprint.Invalid, "%s: row %d, column %d is not a finite number", name, i/d.Features, i%d.Features)
		}
	}
	for i, c := range d.Y {
		if int(c) >= d.Classes {
			return blockprint.Errorf(blockprint.Invalid, "%s: row %d has class %d of %d", name, i, c, d.Classes)
		}
	}
	return nil
}

// Divide holds back a share of each class's rows, chosen at random, and returns the numbers of the other rows and of
// those held back, both ascending.
func Divide[Row int | int32](y []uint8, classes int, share float64, rng *rand.Rand) (learn, hold []Row) {
	byClass := make([][]Row, classes)
	for i, c := range y {
		byClass[c] = append(byClass[c], Row(i))
	}
	for _, rows := range byClass {
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		n := max(int(share*float64(len(rows))), 0)
		hold = append(hold, rows[:n]...)
		learn = append(learn, rows[n:]...)
	}
	slices.Sort(learn)
	slices.Sort(hold)
	return learn, hold
}

// InParallel runs f(0) to f(n-1) on all cores.
func InParallel(n int, f func(int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
