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
	amsterdam blockprint.Epoch   // 0 if not scheduled
	bpo       []blockprint.Epoch // of BPO1 and BPO2
}{
	{"mainnet", 0, []blockprint.Epoch{412672, 419072}},
	{"sepolia", 353024, []blockprint.Epoch{274176, 275712}},
	{"holesky", 0, []blockprint.Epoch{166400, 167936}},
	{"hoodi", 0, []blockprint.Epoch{52480, 54016}},
	{"gnosis", 0, nil},
}

// Networks returns the built-in networks.
func Networks() (out []*Network) {
	for _, p := range public {
		net, _ := blockprint.Public(p.name)
		genesis := uint64(net.GenesisTime)
		at := func(e blockprint.Epoch) uint64 {
			switch e {
			case 0:
				return 0
			case blockprint.FarFuture:
				return Unscheduled
			}
			return genesis + uint64(e)*net.SlotsPerEpoch*uint64(net.SlotSeconds)
		}
		n := &Network{Name: p.name, ChainID: net.ChainID, Genesis: genesis}
		for f, name := range consensusForks {
			if fork, err := blockprint.ParseFork(name); err == nil {
				n.Forks[f] = at(net.Epochs[fork])
			}
		}
		if n.Forks[Amsterdam] = Unscheduled; p.amsterdam > 0 {
			n.Forks[Amsterdam] = at(p.amsterdam)
		}
		if p.name == "gnosis" {
			n.Blobs = []BlobParameters{{n.Forks[Cancun], blobsGnosis}}
		} else {
			n.Blobs = []BlobParameters{{n.Forks[Cancun], blobsCancun}, {n.Forks[Prague], blobsPrague}, {at(p.bpo[0]), blobsBPO1}, {at(p.bpo[1]), blobsBPO2}}
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
	at := func(e blockprint.Epoch) uint64 {
		if e == blockprint.FarFuture {
			return Unscheduled
		}
		return uint64(n.TimeOf(n.StartOf(e)).Unix())
	}
	for f, name := range consensusForks {
		name = strings.ToLower(name)
		out.Forks[f] = Unscheduled
		if e, ok := n.UnknownForks[name]; ok {
			out.Forks[f] = at(e)
		} else if consensus, err := blockprint.ParseFork(name); err == nil {
			out.Forks[f] = at(n.ForkEpochs[consensus])
		}
	}
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
	for f, name := range consensusForks {
		out.Forks[f] = Unscheduled
		if epoch := number(name+"_FORK_EPOCH", Unscheduled); epoch < 1<<32 {
			out.Forks[f] = out.Genesis + epoch*slots*milliseconds/1000
		}
	}
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
