package beacon_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/protolambda/zrnt/eth2/beacon/bellatrix"
	"github.com/protolambda/zrnt/eth2/beacon/capella"
	"github.com/protolambda/zrnt/eth2/beacon/common"
	"github.com/protolambda/zrnt/eth2/beacon/deneb"
	"github.com/protolambda/zrnt/eth2/beacon/electra"
	"github.com/protolambda/zrnt/eth2/configs"
	"github.com/protolambda/ztyp/codec"
	"github.com/protolambda/ztyp/tree"

	"blockprint"
	"blockprint/beacon"
	"blockprint/file"
)

// TestRealBlocks decodes real blocks of several networks and forks and compares their roots with zrnt's.
func TestRealBlocks(t *testing.T) {
	spec := blockprint.MainnetSpec()
	schemas := beacon.NewSchemas(&spec)
	type block interface {
		HashTreeRoot(*common.Spec, tree.HashFn) common.Root
	}
	cases := []struct {
		file     string
		fork     blockprint.Fork
		oracle   block
		slot     blockprint.Slot
		graffiti string
	}{
		{"goerli-bellatrix-4825088-Lighthouse.json.gz", blockprint.Bellatrix, new(bellatrix.BeaconBlock), 4825088, "Lighthouse/v3"},
		{"goerli-capella-5209248-Lodestar.json.gz", blockprint.Capella, new(capella.BeaconBlock), 5209248, "Lodestar"},
		{"mainnet-capella-6238210-Lighthouse.ssz.gz", blockprint.Capella, new(capella.BeaconBlock), 6238210, ""},
		{"mainnet-deneb-unlabelled.json.gz", blockprint.Deneb, new(deneb.BeaconBlock), 8631513, ""},
		{"mainnet-deneb-11378687-KilnTK.ssz.gz", blockprint.Deneb, new(deneb.BeaconBlock), 11378687, "Kiln"},
		{"sepolia-deneb-4570818-Lighthouse.json.gz", blockprint.Deneb, new(deneb.BeaconBlock), 4570818, "Lighthouse"},
		{"sepolia-deneb-4571136-Lighthouse.json.gz", blockprint.Deneb, new(deneb.BeaconBlock), 4571136, "Lighthouse"},
		{"devnet-electra-consolidations.json.gz", blockprint.Electra, new(electra.BeaconBlock), 151717, ""},
		{"devnet-electra-deposits.json.gz", blockprint.Electra, new(electra.BeaconBlock), 151016, ""},
		{"devnet-electra-withdrawals.json.gz", blockprint.Electra, new(electra.BeaconBlock), 151850, ""},
		{"mainnet-electra-11650102.json.gz", blockprint.Electra, new(electra.BeaconBlock), 11650102, ""},
		{"mainnet-electra-11900001.ssz.gz", blockprint.Electra, new(electra.BeaconBlock), 11900001, "NMTK"},
	}
	for _, c := range cases {
		t.Run(c.file, func(t *testing.T) {
			raw, err := file.ReadAll("../testdata/blocks/" + c.file)
			if err != nil {
				t.Fatal(err)
			}
			var got *beacon.Block
			message := raw
			if strings.HasSuffix(c.file, ".ssz.gz") {
				if raw[0] == 100 && raw[1] == 0 { // the offset of a signed block
					got, err = schemas.Decode(beacon.Signed, c.fork, raw)
					message = raw[100:]
				} else {
					got, err = schemas.Decode(beacon.Unsigned, c.fork, raw)
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := c.oracle.(common.SpecObj).Deserialize(configs.Mainnet, codec.NewDecodingReader(bytes.NewReader(message), uint64(len(message)))); err != nil {
					t.Fatal("oracle:", err)
				}
			} else {
				message = innerBlock(t, raw)
				if got, err = schemas.DecodeJSON(beacon.Unsigned, c.fork, message); err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal(message, c.oracle); err != nil {
					t.Fatal("oracle:", err)
				}
			}
			if want := c.oracle.HashTreeRoot(configs.Mainnet, tree.GetHashFn()); blockprint.Root(want) != got.Root {
				t.Errorf("root %s, the oracle's %s", got.Root, want)
			}
			if got.Slot != c.slot || !strings.Contains(got.Graffiti, c.graffiti) {
				t.Errorf("slot %d, graffiti %q", got.Slot, got.Graffiti)
			}
			if len(got.Attestations) == 0 {
				t.Error("no attestations")
			}
			// Fulu's blocks are encoded as Electra's, so without a name the newer one is read.
			if read, err := schemas.Read(raw); err != nil || read.Root != got.Root || read.Fork != got.Fork && c.fork != blockprint.Electra {
				t.Errorf("Read: %v, %v", read, err)
			}
		})
	}
}

// innerBlock takes a block out of the Beacon API's wrapping, if there is one.
func innerBlock(t *testing.T, raw []byte) []byte {
	t.Helper()
	var wrapped struct {
		Data struct {
			Message json.RawMessage `json:"message"`
		} `json:"data"`
	}
	if err := json.Unmarshal(raw, &wrapped); err != nil {
		t.Fatal(err)
	}
	if wrapped.Data.Message != nil {
		return wrapped.Data.Message
	}
	return raw
}
