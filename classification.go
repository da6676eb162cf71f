package blockprint

import "math"

// Thresholds of the multi-label, as the original set them.
const (
	// ConfidentAbove is the probability from which on one client is named alone.
	ConfidentAbove = 0.95
	// PossibleAbove is the probability from which on a client is named as possible.
	PossibleAbove = 0.20
)

// Probability is a client with how likely it built a block.
type Probability struct {
	Client Client
	P      float64
}

// Classification is a model's answer for one block.
type Classification struct {
	// Single is the most probable client, or Uncertain when the model has no answer at all.
	Single Client
	// Multi is "A", "A or B", or "Uncertain".
	Multi string
	// Probabilities holds one entry for each class of the model, by name; they sum to 1, or are empty.
	Probabilities []Probability
	// Reason says why a block is Uncertain without probabilities; empty otherwise.
	Reason string
}

// NewClassification applies the labeling rules to probabilities that are sorted by client name. Ties go to the
// first name, as in the original.
func NewClassification(probabilities []Probability) Classification {
	c := Classification{Single: Uncertain, Multi: string(Uncertain), Probabilities: probabilities}
	best := math.Inf(-1)
	for _, p := range probabilities {
		if p.P > best {
			best, c.Single = p.P, p.Client
		}
	}
	var possible []Client
	for _, p := range probabilities {
		if p.P > ConfidentAbove {
			possible = []Client{p.Client}
			break
		}
		if p.P > PossibleAbove {
			possible = append(possible, p.Client)
		}
	}
	switch len(possible) {
	case 1:
		c.Multi = string(possible[0])
	case 2:
		c.Multi = string(possible[0]) + " or " + string(possible[1])
	}
	return c
}

// ProbabilityMap returns the probabilities in the API's form.
func (c Classification) ProbabilityMap() map[Client]float64 {
	m := make(map[Client]float64, len(c.Probabilities))
	for _, p := range c.Probabilities {
		m[p.Client] = p.P
	}
	return m
}
