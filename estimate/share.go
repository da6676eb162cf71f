package estimate

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"

	"blockprint"
)

// Share is a client's share of the blocks.
type Share struct {
	Client blockprint.Client `json:"client"`
	// Raw is the share of the blocks that have its label, Share the estimate, Low and High its 95 % interval.
	Raw   float64 `json:"raw"`
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	// Like names the clients that the classifier cannot distinguish from this one: only their sum is known.
	Like []blockprint.Client `json:"cannot_be_told_from,omitempty"`
	// Unmeasured means that nobody knows how the classifier labels this client's blocks. Its estimate is the raw share, its
	// interval is everything possible, and the others' estimates are right only if none of its blocks has their labels.
	Unmeasured bool `json:"unmeasured,omitempty"`
}

const (
	shareDraws = 400
	emSteps    = 400
	// alike is how close the labels of two clients' blocks may be (half the sum of absolute differences) before they
	// count as the same.
	alike = 0.15
)

// Shares estimates what share of the blocks each client built, from how many blocks got which label. known counts the
// blocks whose client is known from something better than the classifier (graffiti): they count as they are, and they are
// not among called. The rows of the confusion say which labels the blocks of each client get.
//
// The estimate maximizes the likelihood (by expectation-maximization, which keeps shares positive and their sum one). The
// interval comes from a bootstrap over the blocks and over the known blocks behind the confusion; where several estimates
// are equally likely, it covers them all; and it is never narrower than chance makes the share of so many blocks (Wilson).
// All of this holds only if the labels are those that the known blocks get. Clients change, so the confusion must be of
// the same time.
func Shares(c Confusion, called, known map[blockprint.Client]float64, seed uint64) []Share {
	b := c.sorted(called, known)
	if b.total == 0 {
		return nil
	}
	rng := rand.New(rand.NewPCG(seed, 0x5a4e))
	k := len(c.Clients)
	join := func(pi []float64) []float64 { // with the known blocks
		out := make([]float64, k)
		for i, client := range c.Clients {
			out[i] = (pi[i]*b.unknown + known[client]) / b.total
		}
		return out
	}
	best := join(expectMaximize(c.rates(nil), b.counts, slices.Repeat([]float64{1 / float64(k)}, k)))
	draws := make([][]float64, k)
	for range shareDraws {
		pi := join(expectMaximize(c.rates(rng), poisson(rng, b.counts), dirichlet(rng, slices.Repeat([]float64{1}, k))))
		for i, v := range pi {
			draws[i] = append(draws[i], v)
		}
	}
	var out []Share
	for i, client := range c.Clients {
		slices.Sort(draws[i])
		out = append(out, Share{
			Client: client, Raw: (called[client] + known[client]) / b.total, Share: best[i],
			Low: min(draws[i][shareDraws*25/1000], best[i]), High: max(draws[i][shareDraws*975/1000], best[i]), Like: c.like(i),
		})
	}
	for _, client := range b.unmeasured {
		share := (called[client] + known[client]) / b.total
		out = append(out, Share{Client: client, Raw: share, Share: share, Low: known[client] / b.total, High: (known[client] + b.unnamed) / b.total, Unmeasured: true})
	}
	for i := range out { // who proposes is chance, even if every block names its client
		low, high := Wilson(int64(math.Round(out[i].Share*b.total)), int64(math.Round(b.total)))
		out[i].Low, out[i].High = min(out[i].Low, low), max(out[i].High, high)
	}
	return out
}

// sortedBlocks are blocks by what is known about them.
type sortedBlocks struct {
	counts     []float64           // by label of the confusion
	unknown    float64             // blocks that counts come from, those with other labels included
	unnamed    float64             // blocks whose client only the classifier names
	total      float64             // all blocks
	unmeasured []blockprint.Client // that blocks are called or known to be of, but the confusion lacks
}

func (c *Confusion) sorted(called, known map[blockprint.Client]float64) sortedBlocks {
	b := sortedBlocks{counts: make([]float64, len(c.Labels))}
	for l, n := range called {
		b.unnamed += n
		if n > 0 && !slices.Contains(c.Clients, l) && l != blockprint.Uncertain {
			b.unmeasured = append(b.unmeasured, l)
			continue
		}
		b.unknown += n
		if j := slices.Index(c.Labels, l); j >= 0 {
			b.counts[j] += n
		}
	}
	b.total = b.unnamed
	for client, n := range known {
		b.total += n
		if n > 0 && !slices.Contains(c.Clients, client) && !slices.Contains(b.unmeasured, client) {
			b.unmeasured = append(b.unmeasured, client)
		}
	}
	slices.Sort(b.unmeasured)
	return b
}

// rates returns the probability of each label for each client: the shares of the counts, or, with rng, a draw from what the
// counts leave open. Half a block is added to each row, because no label is known to be impossible.
func (c *Confusion) rates(rng *rand.Rand) [][]float64 {
	out := make([][]float64, len(c.Clients))
	for i, row := range c.Blocks {
		alpha := make([]float64, len(row))
		for j, n := range row {
			alpha[j] = n + 0.5/float64(len(row))
		}
		if rng != nil {
			out[i] = dirichlet(rng, alpha)
			continue
		}
		normalize(alpha)
		out[i] = alpha
	}
	return out
}

// like returns the clients whose blocks get the same labels as those of client i.
func (c *Confusion) like(i int) []blockprint.Client {
	rates := c.rates(nil)
	var out []blockprint.Client
	for o := range c.Clients {
		difference := 0.0
		for j := range c.Labels {
			difference += math.Abs(rates[i][j]-rates[o][j]) / 2
		}
		if o != i && difference < alike {
			out = append(out, c.Clients[o])
		}
	}
	return out
}

// expectMaximize finds the shares under which the counts are most likely, from a start.
func expectMaximize(rates [][]float64, counts, start []float64) []float64 {
	pi := slices.Clone(start)
	next := make([]float64, len(pi))
	total := floats.Sum(counts)
	if total == 0 {
		return pi
	}
	for range emSteps {
		clear(next)
		for j, n := range counts {
			if n == 0 {
				continue
			}
			mix := 0.0
			for i, p := range pi {
				mix += p * rates[i][j]
			}
			for i, p := range pi {
				next[i] += n * p * rates[i][j] / mix
			}
		}
		floats.Scale(1/total, next)
		moved := floats.Distance(next, pi, math.Inf(1))
		pi, next = next, pi
		if moved < 1e-7 {
			break
		}
	}
	return pi
}

// poisson draws each count anew, large ones from the normal distribution.
func poisson(rng *rand.Rand, counts []float64) []float64 {
	out := make([]float64, len(counts))
	for i, mean := range counts {
		if mean > 50 {
			out[i] = max(0, math.Round(mean+math.Sqrt(mean)*rng.NormFloat64()))
			continue
		}
		for p := rng.ExpFloat64(); p < mean; p += rng.ExpFloat64() {
			out[i]++
		}
	}
	return out
}

// dirichlet draws a distribution.
func dirichlet(rng *rand.Rand, alpha []float64) []float64 {
	out := make([]float64, len(alpha))
	for i, a := range alpha {
		out[i] = max(gamma(rng, a), 1e-300)
	}
	normalize(out)
	return out
}

// gamma draws from the gamma distribution of a shape and scale 1 (Marsaglia and Tsang 2000).
func gamma(rng *rand.Rand, shape float64) float64 {
	if shape < 1 {
		return gamma(rng, shape+1) * math.Pow(1-rng.Float64(), 1/shape)
	}
	d := shape - 1./3
	for {
		x := rng.NormFloat64()
		v := math.Pow(1+x/math.Sqrt(9*d), 3)
		if v > 0 && math.Log(1-rng.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
