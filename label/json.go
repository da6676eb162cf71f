package label

import "blockprint"

// JSON is how the program shows a block that has just been labeled, with the original's names.
type JSON struct {
	Slot          blockprint.Slot               `json:"slot"`
	Root          blockprint.Root               `json:"block_root"`
	Single        blockprint.Client             `json:"best_guess_single"`
	Multi         string                        `json:"best_guess_multi"`
	Probabilities map[blockprint.Client]float64 `json:"probability_map"`
	Graffiti      *blockprint.Client            `json:"graffiti_guess"` // nil if the graffiti names no client
	Model         string                        `json:"model,omitempty"`
	Reason        string                        `json:"reason,omitempty"` // why the block is Uncertain without an answer of the model
}

// NewJSON shows a block's label. model is the name of the model that made it, or "" to leave that out.
func NewJSON(slot blockprint.Slot, root blockprint.Root, c blockprint.Classification, says blockprint.Graffiti, model string) JSON {
	out := JSON{slot, root, c.Single, c.Multi, c.ProbabilityMap(), nil, model, c.Reason}
	if client := says.Client; client != "" {
		out.Graffiti = &client
	}
	return out
}
