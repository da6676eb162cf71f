package estimate

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"blockprint"
)

// Share is a client's part of the blocks.
type Share struct {
	Client blockprint.Client `json:"client"`
	// Raw is the share of the blocks that were called it, Share the estimate, Low and High its 95 % interval.
	Raw   float64 `json:"raw"`
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	// Like names the clients that the classifier cannot tell from this one: their sum is known, their parts are not.
	Like []blockprint.Client `json:"cannot_be_told_from,omitempty"`
	// Unmeasured says that it is not known how the classifier labels this client's blocks: its estimate is the raw share,
	// its interval all that is possible, and the others' estimates are only right if none of its blocks are called them.
	Unmeasured bool `json:"unmeasured,omitempty"`
}

const (
	shareDraws = 400
	emSteps    = 400
	// alike is how near the labels of two clients' blocks may be (half the sum of absolute differences) until they
	// count as the same.
	alike = 0.15
)

// Shares estimates what share of blocks each client has built, from how many were called what. known counts the
// blocks whose client is told by something better than the classifier (graffiti); they count as they are and are not
// among called. The confusion's rows say how blocks of each client are called.
//
// The estimate is that of the highest likelihood (by expectation and maximisation, which keeps shares positive and
// summing to one); the interval is that of a bootstrap over the blocks, the known blocks behind the confusion, and
// where the likelihood has no single highest point, over all of them; it is never narrower than chance makes the share of
// so many blocks (Wilson). It is only right for blocks that are called as
// the known ones are: clients change, so the confusion must be of the same time.
func Shares(c Confusion, called map[blockprint.Client]float64, known map[blockprint.Client]float64, seed uint64) []Share {
	k := len(c.Clients)
	counts := make([]float64, len(c.Labels))
	total, unknown := 0.0, 0.0
	var unmeasured []blockprint.Client
	for l, n := range called {
		total += n
		if n > 0 && !slices.Contains(c.Clients, l) && l != blockprint.Uncertain {
			unmeasured = append(unmeasured, l)
			continue
		}
		unknown += n
		if j := slices.Index(c.Labels, l); j >= 0 {
			counts[j] += n
		}
	}
	unsaid := total // blocks whose client is told by nothing else
	for client, n := range known {
		total += n
		if n > 0 && !slices.Contains(c.Clients, client) && !slices.Contains(unmeasured, client) {
			unmeasured = append(unmeasured, client)
		}
	}
	slices.Sort(unmeasured)
	if total == 0 {
		return nil
	}
	join := func(pi []float64) []float64 {
		out := make([]float64, k)
		for i, client := range c.Clients {
			out[i] = (pi[i]*unknown + known[client]) / total
		}
		return out
	}
	rng := rand.New(rand.NewPCG(seed, 0x5a4e))
	uniform := make([]float64, k)
	for i := range uniform {
		uniform[i] = 1 / float64(k)
	}
	best := join(expectMaximise(c.rates(nil), counts, uniform))
	draws := make([][]float64, k)
	for range shareDraws {
		pi := join(expectMaximise(c.rates(rng), poisson(rng, counts), dirichlet(rng, slices.Repeat([]float64{1}, k))))
		for i, v := range pi {
			draws[i] = append(draws[i], v)
		}
	}
	var out []Share
	for i, client := range c.Clients {
		sort.Float64s(draws[i])
		out = append(out, Share{
			Client: client, Raw: (called[client] + known[client]) / total, Share: best[i],
			Low: min(draws[i][shareDraws*25/1000], best[i]), High: max(draws[i][shareDraws*975/1000], best[i]), Like: c.like(i),
		})
	}
	for _, client := range unmeasured {
		share := (called[client] + known[client]) / total
		out = append(out, Share{Client: client, Raw: share, Share: share, Low: known[client] / total, High: (known[client] + unsaid) / total, Unmeasured: true})
	}
	for i := range out { // who proposes is chance, even where every block says who built it
		low, high := Wilson(int64(math.Round(out[i].Share*total)), int64(math.Round(total)))
		out[i].Low, out[i].High = min(out[i].Low, low), max(out[i].High, high)
	}
	return out
}

// rates returns the probability of each label for each client: the counts' shares, or, with rng, drawn from what the
// counts leave open. Half a block is added to each cell, as no cell is known to be impossible.
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
		normalise(alpha)
		out[i] = alpha
	}
	return out
}

// like returns the clients whose blocks are called like those of client i.
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

// expectMaximise finds the shares under which the counts are most likely, from a start.
func expectMaximise(rates [][]float64, counts, start []float64) []float64 {
	pi := slices.Clone(start)
	next := make([]float64, len(pi))
	total := 0.0
	for _, n := range counts {
		total += n
	}
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
		moved := 0.0
		for i := range next {
			next[i] /= total
			moved = max(moved, math.Abs(next[i]-pi[i]))
		}
		pi, next = next, pi
		if moved < 1e-7 {
			break
		}
	}
	return pi
}

// poisson draws each count anew; large ones by the normal distribution.
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
	normalise(out)
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
