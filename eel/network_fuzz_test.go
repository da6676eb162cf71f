package eel_test

import (
	"bytes"
	"testing"

	"blockprint/eel"
)

// FuzzReadNetwork: a file of --network-config that is not one of its two forms is an error, and one that is gives a
// network.
func FuzzReadNetwork(f *testing.F) {
	f.Add([]byte(`{"config":{"chainId":1,"shanghaiTime":1681338455,"cancunTime":1710338135,"blobSchedule":{"cancun":{"target":3,"max":6,"baseFeeUpdateFraction":3338477}}}}`))
	f.Add([]byte("PRESET_BASE: minimal\nCONFIG_NAME: devnet\nSECONDS_PER_SLOT: 6\nMIN_GENESIS_TIME: 1\nGENESIS_DELAY: 2\nDEPOSIT_CHAIN_ID: 5\nELECTRA_FORK_EPOCH: 3\n"))
	f.Add([]byte("ELECTRA_FORK_EPOCH: 18446744073709551615\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := eel.ReadNetwork(bytes.NewReader(text))
		if n == nil && err == nil {
			t.Error("neither a network nor an error")
		}
	})
}
