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
