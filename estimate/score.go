package estimate

import (
	"math"
	"slices"
	"time"

	"blockprint"
)

// Confusion counts blocks of known clients by what a classifier calls them.
type Confusion struct {
	Clients []blockprint.Client // that blocks may be of
	Labels  []blockprint.Client // that blocks may be called, Uncertain included
	Blocks  [][]float64         // Blocks[i][j]: of Clients[i], called Labels[j]
}

// NewConfusion makes a confusion from counts by client and label, both sorted by name.
func NewConfusion(counts map[blockprint.Client]map[blockprint.Client]float64) Confusion {
	var c Confusion
	for client, labels := range counts {
		c.Clients = append(c.Clients, client)
		for l := range labels {
			if !slices.Contains(c.Labels, l) {
				c.Labels = append(c.Labels, l)
			}
		}
	}
	slices.Sort(c.Clients)
	slices.Sort(c.Labels)
	for _, client := range c.Clients {
		row := make([]float64, len(c.Labels))
		for j, l := range c.Labels {
			row[j] = counts[client][l]
		}
		c.Blocks = append(c.Blocks, row)
	}
	return c
}

// Hits counts the blocks by whether they are a client's and whether they have its label.
func (c *Confusion) Hits(client blockprint.Client) Hits {
	var out Hits
	for i, row := range c.Blocks {
		for j, n := range row {
			out.Add(c.Clients[i] == client, c.Labels[j] == client, int64(n))
		}
	}
	return out
}

// BalancedAccuracy is the mean true-positive rate of the clients that have blocks; ok is false if none has.
func (c *Confusion) BalancedAccuracy() (mean float64, ok bool) {
	sum, n := 0.0, 0
	for _, client := range c.Clients {
		hits := c.Hits(client)
		if rate := hits.TruePositiveRate(); rate != nil {
			sum += rate.Share
			n++
		}
	}
	return sum / float64(max(n, 1)), n > 0
}

// Hits counts blocks by whether they are a client's and whether they have its label.
type Hits struct {
	TruePos  int64 `json:"true_pos"`
	TrueNeg  int64 `json:"true_neg"`
	FalsePos int64 `json:"false_pos"`
	FalseNeg int64 `json:"false_neg"`
}

// Add counts n blocks.
func (h *Hits) Add(is, called bool, n int64) {
	switch {
	case is && called:
		h.TruePos += n
	case is:
		h.FalseNeg += n
	case called:
		h.FalsePos += n
	default:
		h.TrueNeg += n
	}
}

// TruePositiveRate is the share of the client's blocks that have its label; nil if it has no blocks.
func (h *Hits) TruePositiveRate() *Rate { return NewRate(h.TruePos, h.TruePos+h.FalseNeg) }

// TrueNegativeRate is the share of the other blocks that do not have the label; nil if there are none.
func (h *Hits) TrueNegativeRate() *Rate { return NewRate(h.TrueNeg, h.TrueNeg+h.FalsePos) }

// Precision is the share of the blocks with the label that are the client's; nil if no block has it.
func (h *Hits) Precision() *Rate { return NewRate(h.TruePos, h.TruePos+h.FalsePos) }

// Rate is a share with its 95 % confidence interval (Wilson).
type Rate struct {
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// NewRate returns the rate of some blocks among all; nil if there are none.
func NewRate(some, all int64) *Rate {
	if all == 0 {
		return nil
	}
	low, high := Wilson(some, all)
	return &Rate{float64(some) / float64(all), low, high}
}

// Window is how long dreamt blocks count, for the accuracy that a gauge gives as well as for trust. The gauge lets it end
// now and begins at a multiple of store.GaugePart slots; trust lets it end with the last boundary.
const Window = 14 * 24 * time.Hour

// Wilson returns the 95 % interval of a share after right of all were seen (Wilson 1927).
func Wilson(right, all int64) (low, high float64) {
	if all == 0 {
		return 0, 1
	}
	const z = 1.959964
	n := float64(all)
	p := float64(right) / n
	center := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, center-half), min(1, center+half)
}
