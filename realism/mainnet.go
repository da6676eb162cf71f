package realism

import (
	_ "embed"
	"encoding/json"
)

//go:embed mainnet.json
var mainnet []byte

// Mainnet returns the shapes of the real mainnet blocks since Electra in testdata/blocks, all that are public and at
// hand: May to December 2025, from test fixtures of other projects, so neither many nor drawn at random.
func Mainnet() (list []*Shape) {
	if err := json.Unmarshal(mainnet, &list); err != nil {
		panic(err) // a test reads it
	}
	return list
}
