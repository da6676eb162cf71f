package eel

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-faster/jx"

	"blockprint"
)

// Fork is an upgrade of the execution layer, since the merge.
type Fork int

// The forks, in order.
const (
	Paris Fork = iota
	Shanghai
	Cancun
	Prague
	Osaka
	Amsterdam
	numForks
)

var forkNames = [numForks]string{"Paris", "Shanghai", "Cancun", "Prague", "Osaka", "Amsterdam"}

// String returns the fork's name.
func (f Fork) String() string { return forkNames[f] }

// Unscheduled is the time of a fork without a known time.
const Unscheduled = math.MaxUint64

// Network says when a network's forks begin. Times are in seconds since 1970.
type Network struct {
	Name    string
	ChainID uint64 // 0 if it is not known
	Genesis uint64 // of the beacon chain; 0 if it is not known
	Forks   [numForks]uint64
	Blobs   []BlobParameters // in the order of their times
}

// BlobParameters apply from a time on (EIP-7840, EIP-7892).
type BlobParameters struct {
	From uint64
	blobSchedule
}

// The blob parameters of Ethereum's networks.
var (
	blobsCancun = blobSchedule{Target: 3, Max: 6, Fraction: 3338477}
	blobsPrague = blobSchedule{Target: 6, Max: 9, Fraction: 5007716}
	blobsBPO1   = blobSchedule{Target: 10, Max: 15, Fraction: 8346193}
	blobsBPO2   = blobSchedule{Target: 14, Max: 21, Fraction: 11684671}
	blobsGnosis = blobSchedule{Target: 1, Max: 2, Fraction: 1112826}
)

// public lists the built-in networks, with what the execution layer needs beside the root package's fork epochs. Sources: the
// chain specifications of go-ethereum 1.17.10 (Holesky: 1.16.9) and, for Gnosis, gnosischain/configs. A fork without a time
// is learned from the execution client when it comes.
var public = []struct {
	name      string
	amsterdam uint64   // epoch
	bpo       []uint64 // epochs of BPO1 and BPO2
}{
	{"mainnet", Unscheduled, []uint64{412672, 419072}},
	{"sepolia", 353024, []uint64{274176, 275712}},
	{"holesky", Unscheduled, []uint64{166400, 167936}},
	{"hoodi", Unscheduled, []uint64{52480, 54016}},
	{"gnosis", Unscheduled, nil},
}

// schedule sets the forks' times from the epochs of the consensus layer's forks; Unscheduled for none.
func (n *Network) schedule(milliseconds uint64, epoch func(fork string) uint64) {
	for f, name := range consensusForks {
		n.Forks[f] = Unscheduled
		if e := epoch(name); e < 1<<32 {
			n.Forks[f] = n.Genesis + e*milliseconds/1000
		}
	}
}

// Networks returns the built-in networks. Forks that were there from the beginning have the time 0, as execution clients write
// it.
func Networks() (out []*Network) {
	for _, p := range public {
		net, _ := blockprint.Public(p.name)
		n := &Network{Name: p.name, ChainID: net.ChainID, Genesis: uint64(net.GenesisTime)}
		milliseconds := 1000 * net.SlotsPerEpoch * uint64(net.SlotSeconds)
		n.schedule(milliseconds, func(name string) uint64 {
			if fork, err := blockprint.ParseFork(name); err == nil {
				return uint64(net.Epochs[fork])
			}
			return p.amsterdam
		})
		for f, at := range n.Forks {
			if at == n.Genesis {
				n.Forks[f] = 0
			}
		}
		if p.name == "gnosis" {
			n.Blobs = []BlobParameters{{n.Forks[Cancun], blobsGnosis}}
		} else {
			at := func(i int) uint64 { return n.Genesis + p.bpo[i]*milliseconds/1000 }
			n.Blobs = []BlobParameters{{n.Forks[Cancun], blobsCancun}, {n.Forks[Prague], blobsPrague}, {at(0), blobsBPO1}, {at(1), blobsBPO2}}
		}
		out = append(out, n)
	}
	return out
}

// NetworkNamed returns a built-in network. The case of the name does not matter.
func NetworkNamed(name string) (*Network, error) {
	var names []string
	for _, n := range Networks() {
		if strings.EqualFold(n.Name, name) {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return nil, blockprint.Errorf(blockprint.Invalid, "unknown network %q: built in are %s", name, strings.Join(names, ", "))
}

// NetworkOf returns the network of a beacon node.
func NetworkOf(n *blockprint.Network) *Network {
	out := &Network{Name: n.ConfigName, Genesis: uint64(n.GenesisTime.Unix())}
	out.schedule(n.SlotsPerEpoch*uint64(n.SlotDuration.Milliseconds()), func(name string) uint64 {
		epoch, ok := n.UnknownForks[strings.ToLower(name)]
		if fork, err := blockprint.ParseFork(name); err == nil && !ok {
			return uint64(n.ForkEpochs[fork])
		} else if !ok {
			return Unscheduled
		}
		return uint64(epoch)
	})
	return out
}

// ReadNetwork reads a network from the genesis file of an execution client (JSON), or from the configuration of consensus
// clients (config.yaml).
func ReadNetwork(r io.Reader) (*Network, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return readGenesis(text)
	}
	return readConsensus(string(text))
}

func bad(format string, args ...any) (*Network, error) {
	return nil, blockprint.Errorf(blockprint.Invalid, format, args...)
}

// slotsPerEpoch lists the presets' values (consensus-specs, gnosischain/configs).
var slotsPerEpoch = map[string]uint64{"mainnet": 32, "minimal": 8, "gnosis": 16}

// readConsensus reads a config.yaml. Its top level, a flat list of names and values, is all that is needed. Genesis is
// GENESIS_DELAY after MIN_GENESIS_TIME, except in networks that waited for deposits, whose times are built in.
func readConsensus(text string) (*Network, error) {
	words, lines := map[string]string{}, map[string]int{}
	for i, line := range strings.Split(text, "\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			continue // a comment, or part of a list
		}
		value, _, _ = strings.Cut(value, " #")
		words[name], lines[name] = strings.Trim(strings.TrimSpace(value), `'"`), i+1
	}
	var err error
	number := func(name string, missing uint64) uint64 {
		word, ok := words[name]
		if !ok {
			return missing
		}
		n, failed := strconv.ParseUint(word, 10, 64)
		if failed != nil && err == nil {
			err = blockprint.Errorf(blockprint.Invalid, "line %d: %s: expected a number, not %.40q", lines[name], name, word)
		}
		return n
	}
	out := &Network{Name: cmp.Or(words["CONFIG_NAME"], "custom"), ChainID: number("DEPOSIT_CHAIN_ID", 0)}
	slots := number("SLOTS_PER_EPOCH", slotsPerEpoch[words["PRESET_BASE"]])
	milliseconds := number("SLOT_DURATION_MS", 1000*number("SECONDS_PER_SLOT", 0))
	if _, ok := words["MIN_GENESIS_TIME"]; !ok || slots == 0 || slots > 1<<10 || milliseconds == 0 || milliseconds > 1<<20 {
		return bad("it is neither the genesis file of an execution client nor a config.yaml with PRESET_BASE, MIN_GENESIS_TIME and SECONDS_PER_SLOT")
	}
	out.Genesis = number("MIN_GENESIS_TIME", 0) + number("GENESIS_DELAY", 0)
	if known, unknown := NetworkNamed(out.Name); unknown == nil {
		out.Genesis = known.Genesis
	}
	out.schedule(slots*milliseconds, func(name string) uint64 { return number(name+"_FORK_EPOCH", Unscheduled) })
	if err != nil {
		return nil, err
	}
	return out, out.inOrder()
}

// consensusForks names the fork of the consensus layer for each fork of the execution layer.
var consensusForks = map[Fork]string{Shanghai: "CAPELLA", Cancun: "DENEB", Prague: "ELECTRA", Osaka: "FULU", Amsterdam: "GLOAS"}

// inOrder checks that no fork begins before the one before it, or without it.
func (n *Network) inOrder() error {
	for f := Shanghai; f < numForks; f++ {
		switch at, before := n.Forks[f], n.Forks[f-1]; {
		case at == Unscheduled:
		case before == Unscheduled:
			return blockprint.Errorf(blockprint.Invalid, "%s has a time, but not %s before it", f, f-1)
		case at < before:
			return blockprint.Errorf(blockprint.Invalid, "%s begins at %d, before %s at %d", f, at, f-1, before)
		}
	}
	return nil
}

// readGenesis reads a genesis file, or the "config" in it: chainId, shanghaiTime and so on, bpo1Time and so on, blobSchedule.
func readGenesis(text []byte) (*Network, error) {
	var file struct {
		Config json.RawMessage `json:"config"`
	}
	if err := decode(text, &file); err != nil {
		return bad("it is no JSON: %v", err)
	}
	if file.Config != nil {
		text = file.Config
	}
	numbers, schedule := map[string]uint64{}, map[string]blobSchedule{}
	d := jx.DecodeBytes(text)
	err := eachField(d, func(name string) (err error) {
		switch {
		case name == "blobSchedule" && d.Next() != jx.Null:
			err = eachField(d, func(fork string) error {
				var b blobSchedule
				err := scan(d, &b)
				schedule[fork] = b
				return err
			})
		case (name == "chainId" || strings.HasSuffix(name, "Time")) && d.Next() != jx.Null:
			numbers[name], err = number(d)
		default:
			return d.Skip()
		}
		if err != nil {
			return blockprint.Errorf(blockprint.Invalid, "%s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return bad("the config of the genesis file: %w", err)
	}
	id, known := numbers["chainId"]
	if !known {
		return bad("chainId is missing: is this the genesis file of an execution client?")
	}
	out := &Network{Name: "custom", ChainID: id}
	for f := Shanghai; f < numForks; f++ {
		at, ok := numbers[strings.ToLower(f.String())+"Time"]
		if out.Forks[f] = at; !ok {
			out.Forks[f] = Unscheduled
		}
	}
	if err := out.inOrder(); err != nil {
		return nil, err
	}
	for _, name := range slices.SortedFunc(maps.Keys(schedule), func(a, b string) int {
		return cmp.Compare(slices.Index(blobForks, a), slices.Index(blobForks, b))
	}) {
		at, ok := numbers[name+"Time"]
		b := schedule[name]
		switch {
		case b.Max == 0 || b.Fraction == 0 || b.Target > b.Max:
			return bad("blobSchedule: %s: expected target, max and baseFeeUpdateFraction, not %+v", name, b)
		case !ok: // has no time
		case !slices.Contains(blobForks, name):
			return bad("blobSchedule: fork %q is not known here: known are %s", name, strings.Join(blobForks, ", "))
		default:
			out.Blobs = append(out.Blobs, BlobParameters{at, b})
		}
	}
	slices.SortStableFunc(out.Blobs, func(a, b BlobParameters) int { return cmp.Compare(a.From, b.From) })
	return out, nil
}

// blobForks lists the forks that may change blob parameters, in order.
var blobForks = []string{"cancun", "prague", "osaka", "bpo1", "bpo2", "amsterdam", "bpo3", "bpo4", "bpo5"}

// blobsAt returns the blob parameters at a time; nil if none are known.
func (n *Network) blobsAt(at uint64) *BlobParameters {
	for i := len(n.Blobs) - 1; i >= 0; i-- {
		if n.Blobs[i].From <= at {
			return &n.Blobs[i]
		}
	}
	return nil
}

// describe lists the forks and their times, for the log.
func (n *Network) describe() string {
	var b strings.Builder
	for f, at := range n.Forks {
		if at != Unscheduled && f > 0 {
			fmt.Fprintf(&b, " %s %s", Fork(f), time.Unix(int64(at), 0).UTC().Format(time.RFC3339))
		}
	}
	return n.Name + ":" + b.String()
}
