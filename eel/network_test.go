package eel

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"blockprint"
)

// TestNetworks: the tables are in order, and agree with what the root knows of Electra.
func TestNetworks(t *testing.T) {
	for _, n := range Networks() {
		if !slices.IsSorted(n.Forks[:]) || !slices.IsSortedFunc(n.Blobs, func(a, b BlobParameters) int { return int(a.From) - int(b.From) }) {
			t.Errorf("%s: not in order: %+v", n.Name, n)
		}
		if n.Blobs[0].From != n.Forks[Cancun] {
			t.Errorf("%s: blobs from %d, Cancun from %d", n.Name, n.Blobs[0].From, n.Forks[Cancun])
		}
		slot, err := blockprint.ElectraSlot(n.Name)
		if err != nil {
			t.Fatal(err)
		}
		seconds := uint64(12)
		if n.Name == "gnosis" {
			seconds = 5
		}
		if at := n.Genesis + uint64(slot)*seconds; at != n.Forks[Prague] {
			t.Errorf("%s: Prague at %d, Electra at %d", n.Name, n.Forks[Prague], at)
		}
		for f := Shanghai; f < numForks; f++ { // forks begin with an epoch
			if at := n.Forks[f]; at != Unscheduled && at != 0 && (at-n.Genesis)%(seconds*16) != 0 {
				t.Errorf("%s: %s at %d is in the middle of an epoch", n.Name, f, at)
			}
		}
	}
	for name, want := range map[string]uint64{"mainnet": 1764798551, "sepolia": 1760427360, "holesky": 1759308480, "hoodi": 1761677592, "gnosis": 1776168380} {
		if n, err := NetworkNamed(name); err != nil || n.Forks[Osaka] != want { // of the execution clients' own specifications
			t.Errorf("%s: Osaka at %d, want %d (%v)", name, n.Forks[Osaka], want, err)
		}
	}
	if b := Networks()[0].blobsAt(1766000000); b == nil || b.Max != 15 {
		t.Errorf("blobs of mainnet after its first change: %+v", b)
	}
	if b := Networks()[0].blobsAt(1); b != nil {
		t.Errorf("blobs of mainnet before there were any: %+v", b)
	}
}

// TestReadNetwork: genesis files of execution clients.
func TestReadNetwork(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "nodetest", "geth", "genesis-forks.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	n, err := ReadNetwork(f)
	if err != nil || n.ChainID != 1337 || n.Forks[Osaka] != 1700000156 || n.Forks[Amsterdam] != 1700000192 {
		t.Errorf("%+v, %v", n, err)
	}
	if early, late := n.blobsAt(1700000084), n.blobsAt(1700000192); early.Max != 6 || late.Max != 21 {
		t.Errorf("blobs %+v, then %+v", early, late)
	}
	for text, want := range map[string]string{
		`x`:                                   "neither the genesis file of an execution client nor a config.yaml",
		`{`:                                   "it is no JSON",
		`{}`:                                  "chainId is missing",
		`{"config":[]}`:                       "expected a JSON object",
		`{"chainId":1,"cancunTime":5}`:        "Cancun has a time, but not Shanghai before it",
		`{"chainId":1,"shanghaiTime":"soon"}`: `shanghaiTime: expected a number, not "soon"`,
		`{"chainId":1,"shanghaiTime":0,"cancunTime":0,"blobSchedule":{"cancun":{"max":3}}}`:                                            "blobSchedule: cancun: expected target, max",
		`{"chainId":1,"paxTime":4,"blobSchedule":{"pax":{"target":1,"max":3,"baseFeeUpdateFraction":1}}}`:                              `fork "pax" is not known here`,
		`{"chainId":1,"shanghaiTime":0,"cancunTime":3,"blobSchedule":{"cancun":{"target":4,"max":3,"baseFeeUpdateFraction":3338477}}}`: "cancun",
	} {
		if _, err := ReadNetwork(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestReadConsensus: a config.yaml gives the same times as the tables.
func TestReadConsensus(t *testing.T) {
	hoodi := `# a comment: with a colon
PRESET_BASE: 'mainnet'
CONFIG_NAME: hoodi
MIN_GENESIS_TIME: 1742212800
GENESIS_DELAY: 600 # seconds
CAPELLA_FORK_EPOCH: 0
DENEB_FORK_EPOCH: 0
ELECTRA_FORK_EPOCH: 2048
FULU_FORK_EPOCH: 50688
GLOAS_FORK_EPOCH: 18446744073709551615
SECONDS_PER_SLOT: 12
DEPOSIT_CHAIN_ID: 560048
BLOB_SCHEDULE:
  - EPOCH: 52480
    MAX_BLOBS_PER_BLOCK: 15
`
	want, err := NetworkNamed("hoodi")
	if err != nil {
		t.Fatal(err)
	}
	want.Forks[Shanghai], want.Forks[Cancun] = want.Genesis, want.Genesis // the execution layer writes 0
	for _, name := range []string{"hoodi", "devnet"} {                    // one is built in, of the other genesis is worked out
		n, err := ReadNetwork(strings.NewReader(strings.Replace(hoodi, "hoodi", name, 1)))
		if err != nil || n.Forks != want.Forks || n.Genesis != want.Genesis || n.ChainID != want.ChainID || n.Name != name {
			t.Errorf("%+v, %v", n, err)
		}
	}
	for from, to := range map[string][2]string{
		"FULU_FORK_EPOCH: 50688":       {"FULU_FORK_EPOCH: soon", `line 9: FULU_FORK_EPOCH: expected a number, not "soon"`},
		"ELECTRA_FORK_EPOCH: 2048":     {"ELECTRA_FORK_EPOCH: 60000", "Osaka begins at 1761677592, before Prague at 1765253400"},
		"SECONDS_PER_SLOT: 12":         {"", "SECONDS_PER_SLOT"},
		"MIN_GENESIS_TIME: 1742212800": {"", "MIN_GENESIS_TIME"},
		"PRESET_BASE: 'mainnet'":       {"PRESET_BASE: 'huge'", "PRESET_BASE"},
	} {
		if _, err := ReadNetwork(strings.NewReader(strings.Replace(hoodi, from, to[0], 1))); err == nil || !strings.Contains(err.Error(), to[1]) {
			t.Errorf("%s for %s: %v, want %s", to[0], from, err, to[1])
		}
	}
}

// TestNetworkOf: a beacon node's epochs become times.
func TestNetworkOf(t *testing.T) {
	beacon := &blockprint.Network{Spec: blockprint.MainnetSpec(), GenesisTime: time.Unix(1606824023, 0)}
	beacon.UnknownForks = map[string]blockprint.Epoch{"gloas": 500000}
	n := NetworkOf(beacon)
	want := Networks()[0].Forks
	want[Amsterdam] = 1606824023 + 500000*384
	if n.Forks != want || n.Genesis != 1606824023 {
		t.Errorf("%+v", n)
	}
	beacon.UnknownForks, beacon.ForkEpochs[blockprint.Fulu] = nil, blockprint.FarFuture
	if n := NetworkOf(beacon); n.Forks[Osaka] != Unscheduled || n.Forks[Amsterdam] != Unscheduled {
		t.Errorf("what is not scheduled: %+v", n.Forks)
	}
}

// TestSchedule: which versions a time allows, and that the execution client's word is above the table's.
func TestSchedule(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	mainnet, err := NetworkNamed("mainnet")
	if err != nil {
		t.Fatal(err)
	}
	shanghai, cancun, prague, osaka := mainnet.Forks[Shanghai], mainnet.Forks[Cancun], mainnet.Forks[Prague], mainnet.Forks[Osaka]
	s := newSchedule(mainnet, quiet)
	check := func(name string, version int, at uint64, want bool) {
		t.Helper()
		err := s.check(name, version, at)
		if refused, ok := errors.AsType[*rpcError](err); (err == nil) != want || err != nil && (!ok || refused.Code != codeUnsupportedFork) {
			t.Errorf("%sV%d at %d: %v", name, version, at, err)
		}
	}
	check("engine_newPayload", 1, shanghai-1, true)
	check("engine_newPayload", 1, shanghai, false)
	check("engine_newPayload", 2, shanghai, true)
	check("engine_newPayload", 2, cancun, false)
	check("engine_newPayload", 3, cancun-1, false)
	check("engine_newPayload", 3, cancun, true)
	check("engine_newPayload", 4, prague-1, false)
	check("engine_newPayload", 4, osaka, true)
	check("engine_newPayload", 5, osaka, true) // Amsterdam's time is not known
	check("engine_forkchoiceUpdated", 3, osaka, true)
	check("engine_forkchoiceUpdated", 3, cancun-1, false)
	check("engine_getPayload", 4, osaka, false)

	amsterdam := osaka + 1000
	s.accepted(5, amsterdam, true)
	check("engine_newPayload", 4, amsterdam, false)
	check("engine_newPayload", 4, amsterdam-1, true) // perhaps it began then
	check("engine_newPayload", 5, amsterdam-1, true)
	check("engine_forkchoiceUpdated", 3, amsterdam+12, false)

	s.accepted(4, prague-24, true) // it was moved
	check("engine_newPayload", 4, prague-24, true)
	check("engine_newPayload", 3, prague-24, false)
	check("engine_newPayload", 3, prague-36, true)
	if mainnet.Forks[Prague] != prague {
		t.Error("the table itself was changed")
	}

	s = newSchedule(mainnet, quiet)
	s.accepted(3, prague+24, true) // it was put off
	check("engine_newPayload", 3, prague+24, true)

	s = newSchedule(nil, quiet) // nothing is known
	check("engine_newPayload", 1, osaka, true)
	check("engine_newPayload", 5, 0, true)
	s.accepted(2, cancun, false)
	check("engine_newPayload", 1, cancun, true)
	s.accepted(2, cancun, true)
	check("engine_newPayload", 1, cancun, false)
}
