// Package estimate draws conclusions from many labels: how often they are right (Confusion, Hits), which client a validator
// runs, from all of its blocks (Proposer), and what share of the blocks each client built, corrected for the mistakes that
// the classifier is known to make, with intervals (Shares). A Census does this for the blocks of a range whose graffiti
// name their client.
package estimate

import (
	"cmp"
	"math"

	"gonum.org/v1/gonum/floats"

	"blockprint"
)

// Evidence is what one block says about its proposer's client.
type Evidence struct {
	Slot blockprint.Slot
	// P holds a probability for each class, in the order of the model's classes. They sum to 1.
	P []float64
	// Weight is how much the block counts beside the validator's others: the power of its likelihoods. 0 means 1, for
	// evidence that is independent of the others'.
	Weight float64
}

// ClassifierWeight is the weight of a classifier's answer. Blocks of one validator come from one node in one network, so
// the classifier makes the same mistake again and again, and ten blocks are less evidence than ten independent ones.
const ClassifierWeight = 0.5

// ValidatorModel says what is known about validators beforehand.
type ValidatorModel struct {
	Classes []blockprint.Client
	// Prior is the probability of each class that the classifier assumed: its share of the training data. Nil means that
	// all are equal.
	Prior []float64
	// Switch is the probability that a validator changes its client between two of its proposals.
	Switch float64
}

// DefaultSwitch is one change in fifty proposals: a validator of mainnet proposes a few times a year.
const DefaultSwitch = 0.02

// ValidatorEstimate is what a validator's blocks say together.
type ValidatorEstimate struct {
	// Now is the probability of each class at the newest block, given all blocks, and Client the most probable class.
	Now    []float64
	Client blockprint.Client
	P      float64
	// ByBlock holds the same for each block, in the order of the evidence.
	ByBlock [][]float64
	// Switches lists where the most probable history changes client.
	Switches []Switch
}

// Switch is a change of client between two blocks of a validator.
type Switch struct {
	After  blockprint.Slot   `json:"after"`  // the last block of the old client
	Before blockprint.Slot   `json:"before"` // the first of the new one
	From   blockprint.Client `json:"from"`
	To     blockprint.Client `json:"to"`
	// P is the probability that the client differs between these two blocks.
	P float64 `json:"p"`
}

// leastEvidence is the smallest probability that one block can give a class, so that a single mistake does not rule it out.
const leastEvidence = 1e-4

// Validator estimates from a validator's blocks, oldest first: a hidden Markov model in which each block's
// probabilities, divided by the prior, are its likelihoods (forward and backward pass; the most probable history by
// Viterbi).
func (m *ValidatorModel) Validator(blocks []Evidence) ValidatorEstimate {
	k, n := len(m.Classes), len(blocks)
	if n == 0 || k == 0 {
		return ValidatorEstimate{}
	}
	likelihood := make([][]float64, n)
	for i, b := range blocks {
		likelihood[i] = make([]float64, k)
		for c := range k {
			likelihood[i][c] = math.Pow(max(b.P[c], leastEvidence)/m.prior(c), cmp.Or(b.Weight, 1))
		}
	}
	forward := m.forward(likelihood)
	backward := m.backward(likelihood)
	e := ValidatorEstimate{}
	for i := range blocks {
		p := make([]float64, k)
		for c := range p {
			p[c] = forward[i][c] * backward[i][c]
		}
		normalize(p)
		e.ByBlock = append(e.ByBlock, p)
	}
	e.Now = e.ByBlock[n-1]
	best := floats.MaxIdx(e.Now)
	e.Client, e.P = m.Classes[best], e.Now[best]
	e.Switches = m.switches(blocks, likelihood, forward, backward)
	return e
}

func (m *ValidatorModel) prior(c int) float64 {
	if m.Prior == nil {
		return 1 / float64(len(m.Classes))
	}
	return max(m.Prior[c], 1e-6)
}

// move is the probability of going from one class to another between two proposals.
func (m *ValidatorModel) move(from, to int) float64 {
	if k := len(m.Classes); from != to && k > 1 {
		return m.Switch / float64(k-1)
	}
	return 1 - m.Switch
}

func (m *ValidatorModel) forward(likelihood [][]float64) [][]float64 {
	out := make([][]float64, len(likelihood))
	for i, l := range likelihood {
		out[i] = make([]float64, len(l))
		for c := range l {
			before := m.prior(c)
			if i > 0 {
				before = 0
				for from, p := range out[i-1] {
					before += p * m.move(from, c)
				}
			}
			out[i][c] = before * l[c]
		}
		normalize(out[i])
	}
	return out
}

func (m *ValidatorModel) backward(likelihood [][]float64) [][]float64 {
	n := len(likelihood)
	out := make([][]float64, n)
	for i := n - 1; i >= 0; i-- {
		out[i] = make([]float64, len(likelihood[i]))
		for c := range out[i] {
			if i == n-1 {
				out[i][c] = 1
				continue
			}
			for to, p := range out[i+1] {
				out[i][c] += m.move(c, to) * likelihood[i+1][to] * p
			}
		}
		normalize(out[i])
	}
	return out
}

// switches finds the most probable history and where it changes.
func (m *ValidatorModel) switches(blocks []Evidence, likelihood, forward, backward [][]float64) []Switch {
	n, k := len(likelihood), len(m.Classes)
	score := make([]float64, k)
	from := make([][]int, n)
	for c := range score {
		score[c] = math.Log(m.prior(c)) + math.Log(likelihood[0][c])
	}
	for i := 1; i < n; i++ {
		next := make([]float64, k)
		from[i] = make([]int, k)
		for c := range next {
			best, at := math.Inf(-1), 0
			for f, s := range score {
				if v := s + math.Log(m.move(f, c)); v > best {
					best, at = v, f
				}
			}
			next[c], from[i][c] = best+math.Log(likelihood[i][c]), at
		}
		score = next
	}
	path := make([]int, n)
	path[n-1] = floats.MaxIdx(score)
	for i := n - 1; i > 0; i-- {
		path[i-1] = from[i][path[i]]
	}
	var out []Switch
	for i := 1; i < n; i++ {
		if path[i] == path[i-1] {
			continue
		}
		same, all := 0.0, 0.0
		for f := range k {
			for t := range k {
				p := forward[i-1][f] * m.move(f, t) * likelihood[i][t] * backward[i][t]
				all += p
				if f == t {
					same += p
				}
			}
		}
		out = append(out, Switch{blocks[i-1].Slot, blocks[i].Slot, m.Classes[path[i-1]], m.Classes[path[i]], 1 - same/all})
	}
	return out
}

func normalize(p []float64) { floats.Scale(1/floats.Sum(p), p) }
