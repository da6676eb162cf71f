package blockprint

import "math"

// The thresholds of Classification.Multi, as the original set them.
const (
	// ConfidentAbove is the probability above which a client is named alone.
	ConfidentAbove = 0.95
	// PossibleAbove is the probability above which a client is named as one of two.
	PossibleAbove = 0.20
)

// Probability says how likely it is that a client built a block.
type Probability struct {
	Client Client
	P      float64
}

// Classification is a model's answer for one block.
type Classification struct {
	// Single is the most probable client, or Uncertain if the model has no answer.
	Single Client
	// Multi is "A", "A or B", or "Uncertain".
	Multi string
	// Probabilities has one entry for each class of the model, sorted by name. They sum to 1. It is empty if the
	// model has no answer.
	Probabilities []Probability
	// Reason says why a block is Uncertain without probabilities; empty otherwise.
	Reason string
}

// NewClassification applies the labeling rules to probabilities, which must be sorted by client name. The first name
// wins a tie, as in the original.
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
