package estimate

import (
	"slices"

	"blockprint"
)

// Proposal is what one block says about the client that its proposer runs.
type Proposal struct {
	Slot          blockprint.Slot
	Graffiti      blockprint.Client        // the client that the graffiti names, or ""
	Probabilities []blockprint.Probability // the classifier's; empty if it has no answer
}

// ProposerReport says which client a validator runs.
type ProposerReport struct {
	Blocks        int                           `json:"blocks" doc:"Blocks that say something about their client."`
	Client        blockprint.Client             `json:"client"`
	Probability   float64                       `json:"probability"`
	Probabilities map[blockprint.Client]float64 `json:"probability_map"`
	Switches      []Switch                      `json:"switches" doc:"Where the client probably changed."`
	Note          string                        `json:"note,omitempty"`
}

// graffitiCertainty is the probability of the client that a block names: graffiti may be stale or made up.
const graffitiCertainty = 0.99

// Proposer takes all blocks of a validator together, oldest first.
func Proposer(blocks []Proposal) ProposerReport {
	out := ProposerReport{Client: blockprint.Uncertain, Probabilities: map[blockprint.Client]float64{}, Switches: []Switch{}}
	classes := classesOf(blocks)
	var evidence []Evidence
	for _, b := range blocks {
		e := Evidence{Slot: b.Slot, P: make([]float64, len(classes))}
		switch named := slices.Index(classes, b.Graffiti); {
		case named >= 0:
			for i := range e.P {
				e.P[i] = (1 - graffitiCertainty) / float64(max(len(classes)-1, 1))
			}
			e.P[named] = graffitiCertainty
		case len(b.Probabilities) > 0:
			e.Weight = ClassifierWeight
			for _, p := range b.Probabilities {
				e.P[slices.Index(classes, p.Client)] = p.P
			}
		default:
			continue
		}
		evidence = append(evidence, e)
	}
	if out.Blocks = len(evidence); out.Blocks == 0 {
		out.Note = "No block of this validator says anything about its client."
		return out
	}
	model := ValidatorModel{Classes: classes, Switch: DefaultSwitch}
	e := model.Validator(evidence)
	out.Client, out.Probability = e.Client, e.P
	for i, c := range classes {
		out.Probabilities[c] = e.Now[i]
	}
	out.Switches = append(out.Switches, e.Switches...)
	return out
}

// classesOf lists the clients that blocks may be of, by name.
func classesOf(blocks []Proposal) []blockprint.Client {
	var out []blockprint.Client
	for _, b := range blocks {
		for _, p := range b.Probabilities {
			out = append(out, p.Client)
		}
		if b.Graffiti != "" {
			out = append(out, b.Graffiti)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
