package realism

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"

	"blockprint"
)

// row is one figure of a set of blocks.
type row struct {
	name string
	unit string // "%", "of 10,000" or ""
	of   func([]*Shape) float64
}

// share returns the share of blocks for which is holds, in per cent.
func share(is func(*Shape) bool) func([]*Shape) float64 {
	return mean(func(s *Shape) float64 {
		if is(s) {
			return 100
		}
		return 0
	})
}

// mean returns the mean of a figure over the blocks.
func mean(f func(*Shape) float64) func([]*Shape) float64 {
	return func(list []*Shape) float64 {
		sum := 0.0
		for _, s := range list {
			sum += f(s)
		}
		return sum / float64(len(list))
	}
}

// quantile returns a quantile of a figure over the blocks.
func quantile(q float64, f func(*Shape) float64) func([]*Shape) float64 {
	return func(list []*Shape) float64 {
		values := make([]float64, len(list))
		for i, s := range list {
			values[i] = f(s)
		}
		return quantileOf(q, values)
	}
}

// quantileOf sorts values and returns a quantile of them; there is none of no values.
func quantileOf(q float64, values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return stat.Quantile(q, stat.LinInterp, values, nil)
}

// pooled returns the share of things for which is holds, in per cent: things of all blocks together, such as their
// attestations.
func pooled(count func(*Shape) int, is func(s *Shape, i int) bool) func([]*Shape) float64 {
	return func(list []*Shape) float64 {
		all, hits := 0, 0
		for _, s := range list {
			for i := range count(s) {
				all++
				if is(s, i) {
					hits++
				}
			}
		}
		if all == 0 {
			return math.NaN()
		}
		return 100 * float64(hits) / float64(all)
	}
}

func distances(from, to uint64) func([]*Shape) float64 {
	return pooled(func(s *Shape) int { return len(s.Distances) }, func(s *Shape, i int) bool { return s.Distances[i] >= from && s.Distances[i] <= to })
}

func voters(from, to int) func([]*Shape) float64 {
	return pooled(func(s *Shape) int { return len(s.Voters) }, func(s *Shape, i int) bool { return s.Voters[i] >= from && s.Voters[i] <= to })
}

// lateCommittee is the median share of new votes in attestations of a single committee, more than half of it, that
// follow the first attestation.
func lateCommittee(list []*Shape) float64 {
	var values []float64
	for _, s := range list {
		for i, half := range s.Half {
			if half {
				values = append(values, 100*float64(s.New[i])/float64(s.Voters[i]))
			}
		}
	}
	return quantileOf(0.5, values)
}

// rows are the figures that are compared, in the order in which they are shown.
var rows = []row{
	{"one attestation", "%", share(func(s *Shape) bool { return s.Attestations == 1 })},
	{"at most two", "%", share(func(s *Shape) bool { return s.Attestations <= 2 })},
	{"at most four", "%", share(func(s *Shape) bool { return s.Attestations <= 4 })},
	{"eight", "%", share(func(s *Shape) bool { return s.Attestations >= 8 })},
	{"attestations, mean", "", mean(func(s *Shape) float64 { return float64(s.Attestations) })},
	{"first is for the slot before, all committees", "%", share(func(s *Shape) bool { return s.FirstWhole })},
	{"members not in the first, median", "%", quantile(0.5, func(s *Shape) float64 { return 100 * s.Absent })},
	{"votes for the newest head beyond the first, median", "of 10,000", quantile(0.5, func(s *Shape) float64 { return 1e4 * s.MoreHead })},
	{"votes for the newest head beyond the first, 90 %", "of 10,000", quantile(0.9, func(s *Shape) float64 { return 1e4 * s.MoreHead })},
	{"votes for another head, median", "of 10,000", quantile(0.5, func(s *Shape) float64 { return 1e4 * s.OtherHead })},
	{"votes for another head, 90 %", "of 10,000", quantile(0.9, func(s *Shape) float64 { return 1e4 * s.OtherHead })},
	{"repeats of the first one's data, mean", "", mean(func(s *Shape) float64 { return float64(s.Repeats) })},
	{"attestations of one committee, mean", "", mean(func(s *Shape) float64 { return float64(s.OneCommittee) })},
	{"attestations of at most ten voters, mean", "", mean(func(s *Shape) float64 { return float64(s.Tiny) })},
	{"attestations older than the newest slot, mean", "", mean(func(s *Shape) float64 { return float64(s.Older) })},
	{"an older slot with all committees", "%", share(func(s *Shape) bool { return s.OldWhole })},
	{"distance 1", "%", distances(1, 1)},
	{"distance 2", "%", distances(2, 2)},
	{"distance 3", "%", distances(3, 3)},
	{"distance 9 and more", "%", distances(9, math.MaxUint64)},
	{"after the first: of one voter", "%", voters(1, 1)},
	{"after the first: of 2 to 10", "%", voters(2, 10)},
	{"after the first: of 11 to 100", "%", voters(11, 100)},
	{"after the first: of 101 to 600", "%", voters(101, 600)},
	{"after the first: of more than 600", "%", voters(601, math.MaxInt)},
	{"new votes in a late committee, median", "%", lateCommittee},
}

// Figure is one figure of the real blocks beside that of the simulated ones.
type Figure struct {
	Name string  `json:"name"`
	Unit string  `json:"unit,omitempty"`
	Real float64 `json:"real"`
	// Error is the standard error of Real, from drawing as many of the real blocks again and again; for a share of 0 or
	// 100 per cent it is that of one block more or less.
	Error float64 `json:"error"`
	// Simulated is the same figure of the simulated blocks.
	Simulated float64 `json:"simulated"`
	// Distance is the difference in standard errors, those of both sides together.
	Distance float64 `json:"distance"`
}

// Within tells whether the difference can be chance: at most two standard errors.
func (f *Figure) Within() bool { return f.Distance <= within }

const within = 2.0

// Comparison is the whole table, for all blocks or for one client's.
type Comparison struct {
	Client          blockprint.Client `json:"client,omitempty"`
	RealBlocks      int               `json:"real_blocks"`
	SimulatedBlocks int               `json:"simulated_blocks"`
	Figures         []Figure          `json:"figures"`
}

// Outside lists the figures that differ by more than chance.
func (c *Comparison) Outside() (names []string) {
	for _, f := range c.Figures {
		if !f.Within() {
			names = append(names, f.Name)
		}
	}
	return names
}

// redraws are enough for a standard error to a few per cent.
const redraws = 400

// standardError is a figure's spread over sets of blocks drawn with replacement from list.
func standardError(of func([]*Shape) float64, list []*Shape) float64 {
	rng := rand.New(rand.NewPCG(1, uint64(len(list)))) // the same blocks have the same error
	drawn := make([]*Shape, len(list))
	var values []float64
	for range redraws {
		for i := range drawn {
			drawn[i] = list[rng.IntN(len(list))]
		}
		if v := of(drawn); !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	return stat.StdDev(values, nil)
}

// Compare compares real blocks with simulated ones, in all figures that both sides have.
func Compare(client blockprint.Client, actual, simulated []*Shape) *Comparison {
	c := &Comparison{Client: client, RealBlocks: len(actual), SimulatedBlocks: len(simulated)}
	if len(actual) == 0 || len(simulated) == 0 {
		return c
	}
	for _, r := range rows {
		f := Figure{Name: r.name, Unit: r.unit, Real: r.of(actual), Simulated: r.of(simulated)}
		if math.IsNaN(f.Real) || math.IsNaN(f.Simulated) {
			continue
		}
		f.Error = standardError(r.of, actual)
		if n := float64(len(actual)); r.unit == "%" && f.Error == 0 {
			f.Error = 100 / (n + 1) * math.Sqrt(n/(n+1))
		}
		if f.Distance = math.Abs(f.Real-f.Simulated) / math.Hypot(f.Error, standardError(r.of, simulated)); math.IsNaN(f.Distance) {
			f.Distance = 0 // both sides are the same in every block
		}
		c.Figures = append(c.Figures, f)
	}
	return c
}

// Write writes the table as text.
func (c *Comparison) Write(w io.Writer) error {
	title := "all blocks"
	if c.Client != "" {
		title = string(c.Client)
	}
	if _, err := fmt.Fprintf(w, "%s: %d real, %d simulated\n%-52s %9s %7s %10s %9s\n", title, c.RealBlocks, c.SimulatedBlocks, "", "real", "+-", "simulated", "distance"); err != nil {
		return err
	}
	for _, f := range c.Figures {
		note := ""
		if !f.Within() {
			note = "  differs"
		}
		name := f.Name
		if f.Unit != "" {
			name += ", " + f.Unit
		}
		if _, err := fmt.Fprintf(w, "%-52s %9.1f %7.1f %10.1f %9.1f%s\n", name, f.Real, f.Error, f.Simulated, f.Distance, note); err != nil {
			return err
		}
	}
	return nil
}
