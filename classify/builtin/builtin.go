// Package builtin holds the model that ships with the program. It was trained in simulated networks only: it serves
// demonstrations and a first look at a network, until there is a model of that network's own blocks, and its accuracy
// there is not known.
package builtin

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"

	"blockprint"
	"blockprint/classify"
)

//go:generate go run blockprint/cmd/blockprint sim train -o simulated.model --sizes 16384x16,131072x64,65536x64 --worlds 24 --slots 100 --rounds 100 --leaves 12

//go:embed simulated.model
var encoded []byte

// Name is what commands call the model.
const Name = "simulated"

// Model returns the model: a part for blocks before Electra, and one for those since, on any network.
func Model() (*classify.Model, error) {
	m, err := classify.Decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("the built-in model: %w", err)
	}
	if len(m.Parts) != 2 {
		return nil, blockprint.Errorf(blockprint.Invalid, "the built-in model has %d parts: expected one before and one since Electra", len(m.Parts))
	}
	m.Name = Name + "@" + hex.EncodeToString(encoded[len(encoded)-sha256.Size:][:4]) // as of a file
	return m, nil
}
