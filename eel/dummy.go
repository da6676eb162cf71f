package eel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/go-faster/jx"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"blockprint"
)

// Clients that dream need a payload for a block that nobody proposes. They get a dummy: an empty block on the head. Everything
// that follows from the parent's header is right. The state root is the parent's, which withdrawals make wrong, so that no
// network takes the block.

// attributes are PayloadAttributesV1 to V4. The tags name the versions of engine_forkchoiceUpdated (fits).
type attributes struct {
	Timestamp    *quantity     `json:"timestamp" since:"1"`
	PrevRandao   *hash32       `json:"prevRandao" since:"1"`
	FeeRecipient *address      `json:"suggestedFeeRecipient" since:"1"`
	Withdrawals  *[]withdrawal `json:"withdrawals" since:"2,3"`         // since Shanghai
	BeaconRoot   *hash32       `json:"parentBeaconBlockRoot" since:"3"` // since Cancun
	Slot         *quantity     `json:"slotNumber" since:"4"`            // since Amsterdam
	GasTarget    *quantity     `json:"targetGasLimit" since:"4,"`       // since Amsterdam, but its first drafts lack it
}

// blobSchedule is what blobs cost in a fork (EIP-7840).
type blobSchedule struct {
	Target   uint64 `json:"target"`
	Max      uint64 `json:"max"`
	Fraction uint64 `json:"baseFeeUpdateFraction"`
}

// forkConfig is a fork as eth_config describes it (EIP-7910).
type forkConfig struct {
	Activation uint64        `json:"activationTime"`
	Blobs      *blobSchedule `json:"blobSchedule"`
	Fork       Fork          `json:"precompiles"` // Cancun or later: its precompiles tell
}

// read finds out by its precompiles which fork it is. Amsterdam and later forks look like Osaka here; the caller's attributes
// reveal them.
func (f *Fork) read(d *jx.Decoder) error {
	*f = Cancun
	return eachField(d, func(name string) error {
		switch name {
		case "P256VERIFY":
			*f = Osaka
		case "BLS12_G1ADD":
			*f = max(*f, Prague)
		}
		return d.Skip()
	})
}

// getPayloadVersion returns the fork's version of engine_getPayload.
func (f *forkConfig) getPayloadVersion() int { return 3 + int(max(f.Fork, Cancun)-Cancun) }

// job is a payload for a client.
type job struct {
	payload *payload
	version int // of engine_getPayload
}

// builder makes dummy payloads.
type builder struct {
	extra    data
	schedule *schedule
	asker    *asker // nil if there is no execution client to ask

	mu      sync.Mutex
	jobs    *simplelru.LRU[string, *job]
	headers *simplelru.LRU[hash32, *payload]
	forks   forks
	asked   time.Time // when forks were asked for
}

// forks are the present fork and the next one, as eth_config describes them.
type forks struct {
	Current *forkConfig `json:"current"`
	Next    *forkConfig `json:"next"`
}

// maxExtra is how long a block's extra data may be.
const maxExtra = 32

func newBuilder(c *Config, s *schedule, a *asker) (*builder, error) {
	if c.BuilderCache < 1 || len(c.ExtraData) > maxExtra {
		return nil, blockprint.Errorf(blockprint.Invalid, "the cache of payloads must hold at least 1, and extra data at most %d bytes, not %d", maxExtra, len(c.ExtraData))
	}
	return &builder{
		extra: data(c.ExtraData), schedule: s, asker: a, jobs: newLRU[string, *job](c.BuilderCache), headers: newLRU[hash32, *payload](c.PayloadCache),
	}, nil
}

// learn keeps a block's header.
func (b *builder) learn(block hash32, h *payload) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.headers.Add(block, h)
}

// parseAttributes checks attributes against the version of engine_forkchoiceUpdated. Since Cancun, the Engine API has an error
// of its own for a wrong structure.
func parseAttributes(version int, raw json.RawMessage) (*attributes, error) {
	code := codeInvalidAttributes
	if version < 3 {
		code = codeInvalidParams
	}
	a := &attributes{}
	err := decode(raw, a)
	if err == nil {
		err = fits(a, version)
	}
	if err != nil {
		return nil, &rpcError{Code: code, Message: "Invalid payload attributes: " + err.Error()}
	}
	return a, nil
}

// prepare makes a payload on top of a head and returns its id. The fork choice must not wait long for the execution client.
func (b *builder) prepare(ctx context.Context, head hash32, a *attributes) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, quickLimit, errQuick)
	defer cancel()
	parent, err := b.parentOf(ctx, head)
	if err != nil {
		return "", err
	}
	if *a.Timestamp <= *parent.Timestamp {
		return "", &rpcError{Code: codeInvalidAttributes, Message: fmt.Sprintf("Invalid payload attributes: timestamp %d is not after the parent's, %d", *a.Timestamp, *parent.Timestamp)}
	}
	zero, number, limit, fee := quantity(0), *parent.Number+1, *parent.GasLimit, large(baseFee(parent).Bytes())
	if a.GasTarget != nil {
		limit = gasLimit(limit, *a.GasTarget)
	}
	emptyReceipts := hash32(orderedRoot(nil))
	p := &payload{
		ParentHash: &head, FeeRecipient: a.FeeRecipient, StateRoot: parent.StateRoot, ReceiptsRoot: &emptyReceipts, LogsBloom: &bloom{},
		PrevRandao: a.PrevRandao, Number: &number, GasLimit: &limit, GasUsed: &zero, Timestamp: a.Timestamp, ExtraData: &b.extra,
		BaseFee: &fee, Transactions: &[]data{}, Withdrawals: a.Withdrawals,
	}
	j := &job{p, 1}
	if a.Withdrawals != nil {
		j.version = 2
	}
	if a.BeaconRoot != nil {
		fork, err := b.forkAt(ctx, uint64(*a.Timestamp))
		if err != nil {
			return "", err
		}
		excess := quantity(excessBlobGas(parent, &fork))
		p.BlobGasUsed, p.ExcessBlobGas, j.version = &zero, &excess, fork.getPayloadVersion()
	}
	if a.Slot != nil {
		p.Slot, p.AccessList, j.version = a.Slot, &data{0xc0}, 6 // an empty list: only execution could find out what is touched
	}
	var requests *[]data
	if j.version >= 4 {
		requests = &[]data{}
	}
	h := p.hash(a.BeaconRoot, requests)
	p.BlockHash = &h
	id := data(h[:8]).String() // other attributes make another block
	b.mu.Lock()
	defer b.mu.Unlock()
	b.jobs.Add(id, j)
	return id, nil
}

// parentOf returns a block's header, from the controller's payload or else from the execution client.
func (b *builder) parentOf(ctx context.Context, block hash32) (*payload, error) {
	b.mu.Lock()
	h, ok := b.headers.Get(block)
	b.mu.Unlock()
	if ok {
		return h, nil
	}
	if b.asker == nil {
		return nil, fmt.Errorf("block %s is not known", block)
	}
	var text json.RawMessage
	if err := b.asker.ask(ctx, "eth_getBlockByHash", &text, block, false); err != nil {
		return nil, err
	}
	if isNull(text) {
		return nil, fmt.Errorf("the execution client does not know block %s", block)
	}
	h, err := readBlock(text)
	if err != nil {
		return nil, fmt.Errorf("eth_getBlockByHash: %w", err)
	}
	if *h.BlockHash != block {
		return nil, fmt.Errorf("the execution client gives another block for %s", block)
	}
	b.learn(block, h)
	return h, nil
}

// readBlock reads the header of a block as eth_getBlockByHash writes it, with other names for its hash and its number.
func readBlock(text []byte) (*payload, error) {
	fields, err := fieldsOf(text)
	if err != nil {
		return nil, err
	}
	fields["blockHash"], fields["blockNumber"] = fields["hash"], fields["number"]
	return readHeader(fields)
}

// forksFor is how long an answer to eth_config is used.
const forksFor = time.Minute

// forkAt returns the fork of a time in seconds since 1970.
func (b *builder) forkAt(ctx context.Context, at uint64) (forkConfig, error) {
	scheduled := b.schedule.forkAt(at)
	f, err := b.forksAt(ctx, at)
	if err != nil {
		if scheduled != nil { // old execution clients do not have the method
			return *scheduled, nil
		}
		return forkConfig{}, fmt.Errorf("the forks of the network: %w", err)
	}
	fork := f.Current
	if f.Next != nil && at >= f.Next.Activation {
		fork = f.Next
	}
	if fork == nil || fork.Blobs == nil || fork.Blobs.Max == 0 || fork.Blobs.Fraction == 0 {
		return forkConfig{}, fmt.Errorf("the execution client has no blob schedule for time %d", at)
	}
	out := *fork
	if scheduled != nil {
		out.Fork = max(out.Fork, scheduled.Fork)
	}
	return out, nil
}

// forksAt returns what the execution client says about its forks. The answer is used for a while, but not beyond the beginning
// of the next fork.
func (b *builder) forksAt(ctx context.Context, at uint64) (forks, error) {
	if b.asker == nil {
		return forks{}, errors.New("there is no execution client to ask")
	}
	now := b.asker.now()
	b.mu.Lock()
	f, asked := b.forks, b.asked
	b.mu.Unlock()
	if f.Current != nil && now.Sub(asked) < forksFor && (f.Next == nil || at < f.Next.Activation) {
		return f, nil
	}
	f = forks{}
	if err := b.asker.ask(ctx, "eth_config", &f); err != nil {
		return forks{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forks, b.asked = f, now
	return f, nil
}

// payload answers engine_getPayload.
func (b *builder) payload(version int, id string) (answered, error) {
	b.mu.Lock()
	j, ok := b.jobs.Get(id)
	b.mu.Unlock()
	if !ok {
		return answered{}, &rpcError{Code: codeUnknownPayload, Message: "Unknown payload"}
	}
	if version != j.version && (version != 2 || j.version != 1) { // V2 serves Paris, too
		return answered{}, &rpcError{Code: codeUnsupportedFork, Message: fmt.Sprintf("Unsupported fork: engine_getPayloadV%d is not of the payload's fork, engine_getPayloadV%d is", version, j.version)}
	}
	p := j.payload
	a := answered{result: p, outcome: "ok", block: p.BlockHash}
	if version == 1 {
		return a, nil
	}
	out := map[string]any{"executionPayload": p, "blockValue": "0x0"}
	if version >= 3 {
		out["blobsBundle"] = map[string][]string{"commitments": {}, "proofs": {}, "blobs": {}}
		out["shouldOverrideBuilder"] = false
	}
	if version >= 4 {
		out["executionRequests"] = []string{}
	}
	a.result = out
	return a, nil
}

// Constants of EIP-1559.
const (
	elasticity      = 2
	feeDenominator  = 8
	gasPerBlob      = 1 << 17
	blobBaseCost    = 1 << 13 // EIP-7918
	minBlobGasPrice = 1
)

// baseFee returns the base fee of the block after a parent (EIP-1559).
func baseFee(parent *payload) *big.Int {
	fee := new(big.Int).SetBytes(*parent.BaseFee)
	target, used := uint64(*parent.GasLimit)/elasticity, uint64(*parent.GasUsed)
	if used == target || target == 0 {
		return fee
	}
	distance := max(used, target) - min(used, target)
	delta := new(big.Int).Mul(fee, new(big.Int).SetUint64(distance))
	delta.Div(delta, new(big.Int).SetUint64(target)).Div(delta, big.NewInt(feeDenominator))
	if used < target {
		return fee.Sub(fee, delta)
	}
	if delta.Sign() == 0 {
		delta.SetInt64(1)
	}
	return fee.Add(fee, delta)
}

// Bounds of a block's gas limit.
const (
	gasLimitDivisor = 1024
	minGasLimit     = 5000
)

// gasLimit moves a parent's gas limit towards a target, as far as one block may.
func gasLimit(parent, target quantity) quantity {
	target = max(target, minGasLimit)
	step := parent/gasLimitDivisor - 1
	if parent < target {
		return min(parent+step, target)
	}
	return max(parent-step, target)
}

// excessBlobGas returns that of the block after a parent (EIP-4844; since Osaka with the reserve price of EIP-7918).
func excessBlobGas(parent *payload, fork *forkConfig) uint64 {
	if parent.BlobGasUsed == nil || parent.ExcessBlobGas == nil { // before Cancun
		return 0
	}
	used, excess, target := uint64(*parent.BlobGasUsed), uint64(*parent.ExcessBlobGas), fork.Blobs.Target*gasPerBlob
	if excess+used < target {
		return 0
	}
	if fork.Fork >= Osaka {
		reserve := new(big.Int).Mul(new(big.Int).SetBytes(*parent.BaseFee), big.NewInt(blobBaseCost))
		price := new(big.Int).Mul(blobGasPrice(excess, fork.Blobs.Fraction), big.NewInt(gasPerBlob))
		if reserve.Cmp(price) > 0 {
			return excess + used*(fork.Blobs.Max-fork.Blobs.Target)/fork.Blobs.Max
		}
	}
	return excess + used - target
}

// blobGasPrice approximates e to the power of excess/fraction by a series of integers (EIP-4844).
func blobGasPrice(excess, fraction uint64) *big.Int {
	x, d := new(big.Int).SetUint64(excess), new(big.Int).SetUint64(fraction)
	sum, term := new(big.Int), new(big.Int).Mul(big.NewInt(minBlobGasPrice), d)
	for i := int64(1); term.Sign() > 0; i++ {
		sum.Add(sum, term)
		term.Mul(term, x).Div(term, new(big.Int).Mul(d, big.NewInt(i)))
	}
	return sum.Div(sum, d)
}
