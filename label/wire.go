package label

import (
	"bytes"
	"encoding/json"

	"blockprint"
	"blockprint/rewardfile"
	"blockprint/store"
)

// wireBatch is Batch on the wire; its rewards are read one by one.
type wireBatch struct {
	Rewards   json.RawMessage       `json:"rewards"`
	Covered   []blockprint.Interval `json:"covered"`
	Uncovered []blockprint.Interval `json:"uncovered"`
	Chains    []store.Chain         `json:"chains"`
	Finalized *blockprint.Slot      `json:"finalized"`
}

// WireAncestors is what Ancestors returns, on the wire.
type WireAncestors struct {
	Blocks []store.BlockID `json:"blocks"`
	Next   store.BlockID   `json:"next"`
}

// DecodeBatch reads the JSON that Remote sends of a batch.
func DecodeBatch(body []byte) (b Batch, err error) {
	var w wireBatch
	if err := json.Unmarshal(body, &w); err != nil {
		return b, blockprint.Errorf(blockprint.Invalid, "batch: %w", err)
	}
	b = Batch{Covered: w.Covered, Uncovered: w.Uncovered, Chains: w.Chains, Finalized: w.Finalized}
	if len(w.Rewards) > 0 {
		b.Rewards, err = rewardfile.ReadAll(bytes.NewReader(w.Rewards))
	}
	return b, err
}

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
