package lab

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"blockprint"
	"blockprint/beacon"
	"blockprint/beacon/ssz"
	"blockprint/eel"
	"blockprint/file"
)

// Names of the files that make a network, as consensus clients expect them in a folder.
const (
	stateFile     = "genesis.ssz"
	configFile    = "config.yaml"
	secretFile    = "jwt.hex"
	deployedFile  = "deposit_contract_block.txt"
	contractBlock = "0\n"
)

// Limits of a network.
const (
	minETH        = 32
	maxValidators = 1 << 21
)

// Chain is a private network: what genesis.ssz and config.yaml say.
type Chain struct {
	blockprint.Network
	Genesis blockprint.Fork // whose state the network starts with
	Seed    uint64          // of the balances and the first RANDAO mix; known when the files are made only
	// Balances are the effective balances at genesis in ETH, by validator.
	Balances    []uint64
	Secret      eel.Secret      // of the Engine API
	genesisRoot blockprint.Root // of the block that the genesis state stands for
	mix         blockprint.Root // of RANDAO at genesis
	execution   blockprint.Root // hash of the execution layer's genesis block
}

// GenesisOptions say what network is made.
type GenesisOptions struct {
	Dir           string
	Validators    int
	CommitteeSize uint64 // the smallest one that splits a slot's validators into one more committee
	SlotDuration  time.Duration
	Fork          blockprint.Fork
	// FuluEpoch is when Fulu begins in a network that starts with Electra; FarFuture for never.
	FuluEpoch blockprint.Epoch
	// Compounding is the share of validators with 33 to 2047 ETH; the others have 32.
	Compounding float64
	Start       time.Time
	Seed        uint64
	// Execution is the JSON of an execution client's genesis block, as eth_getBlockByNumber writes it; nil for the one of
	// eel.Alone.
	Execution json.RawMessage
}

// version returns a fork's version on every network of this kind.
func (c *Chain) version(fork blockprint.Fork) [4]byte { return [4]byte{0x10, 0xb1, 0xa7, byte(fork)} }

// versionAt returns the version of the fork that holds in an epoch.
func (c *Chain) versionAt(epoch blockprint.Epoch) [4]byte { return c.version(c.ForkAt(epoch)) }

// MakeGenesis writes a network's files. A secret that is in the folder stays.
func MakeGenesis(o GenesisOptions) (*Chain, error) {
	c, err := o.chain()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, blockprint.Errorf(blockprint.Unavailable, "make the folder: %w", err)
	}
	header, err := executionHeader(o.Execution)
	if err != nil {
		return nil, err
	}
	state, root := genesisState(c, beacon.NewSchemas(&c.Spec), c.Balances, header)
	c.GenesisValidatorsRoot = root
	secret := filepath.Join(o.Dir, secretFile)
	if c.Secret, err = eel.ReadSecret(secret); errors.Is(err, fs.ErrNotExist) {
		_, _ = rand.Read(c.Secret[:]) // never fails
		err = os.WriteFile(secret, []byte(c.Secret.Hex()+"\n"), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("secret of the Engine API: %w", err)
	}
	for name, text := range map[string][]byte{stateFile: state, configFile: []byte(c.yaml()), deployedFile: []byte(contractBlock)} {
		if err := file.WriteAtomic(filepath.Join(o.Dir, name), text); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (o *GenesisOptions) chain() (*Chain, error) {
	bad := func(format string, args ...any) (*Chain, error) {
		return nil, blockprint.Errorf(blockprint.Invalid, format, args...)
	}
	spec := blockprint.MainnetSpec()
	switch perSlot := uint64(o.Validators) / spec.SlotsPerEpoch; {
	case o.Validators > maxValidators:
		return bad("%d validators: at most %d are possible here", o.Validators, maxValidators)
	case perSlot < 1:
		return bad("%d validators: at least %d are needed, one for each slot of an epoch", o.Validators, spec.SlotsPerEpoch)
	case o.CommitteeSize < 1:
		return bad("a committee has at least 1 member")
	case perSlot > spec.MaxCommitteesPerSlot*spec.MaxValidatorsPerCommittee:
		return bad("%d validators do not fit into the committees of a slot", o.Validators)
	case o.SlotDuration < time.Second || o.SlotDuration%time.Second != 0 || o.SlotDuration > time.Hour:
		return bad("slots of %v: expected whole seconds, at most an hour", o.SlotDuration)
	case o.Fork != blockprint.Electra && o.Fork != blockprint.Fulu:
		return bad("fork %s: networks start with %s or %s", o.Fork, blockprint.Electra, blockprint.Fulu)
	case o.Compounding < 0 || o.Compounding > 1:
		return bad("a share of %v compounding validators: expected 0 to 1", o.Compounding)
	}
	spec.ConfigName, spec.SlotDuration, spec.TargetCommitteeSize = "blockprint-lab", o.SlotDuration, o.CommitteeSize
	spec.ForkEpochs = [blockprint.NumForks]blockprint.Epoch{}
	spec.ForkEpochs[blockprint.Fulu] = o.FuluEpoch
	if o.Fork == blockprint.Fulu {
		spec.ForkEpochs[blockprint.Fulu] = 0
	}
	c := &Chain{Network: blockprint.Network{Spec: spec, GenesisTime: o.Start.Truncate(time.Second)}, Genesis: o.Fork, Seed: o.Seed}
	rng := mathrand.New(mathrand.NewPCG(o.Seed, 0x6c6162))
	for range o.Validators {
		eth := uint64(minETH)
		if rng.Float64() < o.Compounding {
			eth = uint64((minETH + 1) * math.Pow((maxEffectiveBalance-1)/float64(minETH+1), rng.Float64()))
		}
		c.Balances = append(c.Balances, eth)
	}
	return c, nil
}

// Restart gives the files in a folder another genesis time, for another start of the same network.
func Restart(dir string, start time.Time) (*Chain, error) {
	c, err := ReadChain(dir)
	if err != nil {
		return nil, err
	}
	state, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, err
	}
	c.GenesisTime = start.Truncate(time.Second)
	binary.LittleEndian.PutUint64(state, uint64(c.GenesisTime.Unix()))
	if err := file.WriteAtomic(filepath.Join(dir, stateFile), state); err != nil {
		return nil, err
	}
	return c, file.WriteAtomic(filepath.Join(dir, configFile), []byte(c.yaml()))
}

// ReadChain reads the files that MakeGenesis wrote.
func ReadChain(dir string) (*Chain, error) {
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return nil, blockprint.Errorf(blockprint.NotFound, "%w (make a network with `blockprint lab genesis`)", err)
	}
	c := &Chain{}
	if err := c.readYAML(string(text)); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s: %w", filepath.Join(dir, configFile), err)
	}
	path := filepath.Join(dir, stateFile)
	state, err := os.ReadFile(path)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.NotFound, "%w", err)
	}
	t := stateType(&c.Spec, beacon.NewSchemas(&c.Spec), c.Genesis)
	if err := t.Check(state); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s is not a state of %s: %w", path, c.Genesis, err)
	}
	v := t.View(state)
	if at := int64(v.Field("genesis_time").Uint64()); at != c.GenesisTime.Unix() {
		return nil, blockprint.Errorf(blockprint.Conflict, "%s starts at %d, but %s says %d", path, at, configFile, c.GenesisTime.Unix())
	}
	c.GenesisValidatorsRoot = v.Field("genesis_validators_root").Root()
	c.genesisRoot, c.mix = genesisBlockRoot(t, state), v.Field("randao_mixes").At(0).Root()
	c.execution = v.Field("latest_execution_payload_header").Field("block_hash").Root()
	validators := v.Field("validators")
	for i := range validators.Len() {
		c.Balances = append(c.Balances, validators.At(i).Field("effective_balance").Uint64()/gweiPerETH)
	}
	first, last := validators.At(0), validators.At(len(c.Balances)-1)
	keys := publicKeys([]fr.Element{secretKey(0), secretKey(len(c.Balances) - 1)})
	if !bytes.Equal(first.Field("pubkey").Bytes(), keys[0][:]) || !bytes.Equal(last.Field("pubkey").Bytes(), keys[1][:]) {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s: its validators do not have the interop keys, so that nobody here could sign for them", path)
	}
	if c.Secret, err = eel.ReadSecret(filepath.Join(dir, secretFile)); err != nil {
		return nil, err
	}
	return c, nil
}

// headerFields are the fields of a payload's header that a block of eth_getBlockByNumber says, with the bytes of numbers; 0
// for what is text of bytes.
var headerFields = []struct {
	name, key string
	size      int
}{
	{"parent_hash", "parentHash", 0},
	{"fee_recipient", "miner", 0},
	{"state_root", "stateRoot", 0},
	{"receipts_root", "receiptsRoot", 0},
	{"logs_bloom", "logsBloom", 0},
	{"block_number", "number", 8},
	{"gas_limit", "gasLimit", 8},
	{"gas_used", "gasUsed", 8},
	{"timestamp", "timestamp", 8},
	{"extra_data", "extraData", 0},
	{"base_fee_per_gas", "baseFeePerGas", 32},
	{"block_hash", "hash", 0},
	{"blob_gas_used", "blobGasUsed", 8},
	{"excess_blob_gas", "excessBlobGas", 8},
}

// executionHeader reads the fields of a payload's header out of an execution client's genesis block, which is empty.
func executionHeader(block json.RawMessage) (map[string][]byte, error) {
	if block == nil {
		block = eel.AloneGenesis()
	}
	bad := func(err error) (map[string][]byte, error) {
		return nil, blockprint.Errorf(blockprint.Invalid, "the execution client's genesis block: %w: expected the result of eth_getBlockByNumber for a block of Prague or later", err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(block, &fields); err != nil {
		return bad(err)
	}
	transactions, withdrawals := ssz.ListOf(ssz.ByteListOf(1<<30), 1<<20).Root(nil), ssz.ListOf(ssz.BytesOf(44), 16).Root(nil)
	out := map[string][]byte{"transactions_root": transactions[:], "withdrawals_root": withdrawals[:]}
	for _, f := range headerFields {
		var word string
		if err := json.Unmarshal(fields[f.key], &word); err != nil {
			return bad(fmt.Errorf("%s: %w", f.key, err))
		}
		digits, ok := strings.CutPrefix(word, "0x")
		if f.size > 0 && len(digits)%2 == 1 {
			digits = "0" + digits
		}
		b, err := hex.DecodeString(digits)
		if err != nil || !ok || f.size > 0 && len(b) > f.size {
			return bad(fmt.Errorf("%s is %.80q", f.key, word))
		}
		if f.size > 0 {
			slices.Reverse(b)
			b = append(b, make([]byte, f.size-len(b))...)
		}
		out[f.name] = b
	}
	return out, nil
}

//go:embed config.yaml
var configTemplate string

// yaml writes the configuration that consensus clients read: mainnet's, but for what is the network's own.
func (c *Chain) yaml() string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "# A private network made by blockprint lab.\nCONFIG_NAME: %s\nPRESET_BASE: mainnet\n", c.ConfigName)
	line := func(name string, value any) { _, _ = fmt.Fprintf(&b, "%s: %v\n", name, value) }
	line("MIN_GENESIS_TIME", c.GenesisTime.Unix())
	line("MIN_GENESIS_ACTIVE_VALIDATOR_COUNT", len(c.Balances))
	line("SECONDS_PER_SLOT", int(c.SlotDuration.Seconds()))
	line("SLOT_DURATION_MS", c.SlotDuration.Milliseconds())
	line("TARGET_COMMITTEE_SIZE", c.TargetCommitteeSize)
	for fork := range blockprint.NumForks {
		name := strings.ToUpper(fork.String())
		version := c.version(fork)
		if fork == blockprint.Phase0 {
			line("GENESIS_FORK_VERSION", fmt.Sprintf("0x%x", version))
			continue
		}
		line(name+"_FORK_VERSION", fmt.Sprintf("0x%x", version))
		line(name+"_FORK_EPOCH", uint64(c.ForkEpochs[fork]))
	}
	return b.String() + configTemplate
}

// readYAML reads what yaml wrote.
func (c *Chain) readYAML(text string) error {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
			values[name] = strings.Trim(strings.TrimSpace(value), `'"`)
		}
	}
	var missing error
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(values[name], 10, 64)
		if err != nil && missing == nil {
			missing = fmt.Errorf("%s: expected a number, not %.40q", name, values[name])
		}
		return n
	}
	c.Spec = blockprint.MainnetSpec()
	c.ConfigName = values["CONFIG_NAME"]
	c.GenesisTime = time.Unix(int64(number("MIN_GENESIS_TIME")), 0)
	c.SlotDuration = time.Duration(number("SECONDS_PER_SLOT")) * time.Second
	c.TargetCommitteeSize = number("TARGET_COMMITTEE_SIZE")
	for fork := blockprint.Altair; fork < blockprint.NumForks; fork++ {
		c.ForkEpochs[fork] = blockprint.Epoch(number(strings.ToUpper(fork.String()) + "_FORK_EPOCH"))
		want := c.version(fork)
		if got := values[strings.ToUpper(fork.String())+"_FORK_VERSION"]; got != fmt.Sprintf("0x%x", want) && missing == nil {
			missing = fmt.Errorf("the version of %s is %.20q, not 0x%x: these files were not made by blockprint lab genesis", fork, got, want)
		}
	}
	c.Genesis = c.ForkAt(0)
	if missing == nil && (c.Genesis < blockprint.Electra || c.SlotDuration == 0 || c.TargetCommitteeSize == 0) {
		missing = errors.New("it is not a network that starts with Electra or later")
	}
	return missing
}
