package eel

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"blockprint"
)

// Alone is an execution client without an execution layer, for private networks whose blocks carry no transactions. It
// finds every payload valid that does not contradict itself and whose parent it knows, and it builds empty payloads. It
// keeps all headers of its chain, some hundred bytes each.
type Alone struct {
	secret  Secret
	now     func() time.Time
	logger  *slog.Logger
	builder *builder
	genesis payload

	mu     sync.Mutex
	blocks map[hash32]*payload
	head   hash32
}

// aloneGas is the gas limit of the genesis block, and aloneFee its base fee in wei.
const (
	aloneGas = 45_000_000
	aloneFee = 1_000_000_000
)

// NewAlone returns an execution client of a network, which must say when forks begin. Its genesis block is the same for
// all networks whose first fork is the same.
func NewAlone(network *Network, secret Secret, now func() time.Time, logger *slog.Logger) (*Alone, error) {
	n := *network
	if n.Blobs == nil {
		n.Blobs = []BlobParameters{{n.Forks[Cancun], blobsCancun}, {n.Forks[Prague], blobsPrague}}
	}
	c := DefaultConfig()
	c.ExtraData, c.BuilderCache, c.PayloadCache = "blockprint lab", 256, 4096
	a := &Alone{secret: secret, now: now, logger: logger, blocks: map[hash32]*payload{}}
	var err error
	if a.builder, err = newBuilder(&c, newSchedule(&n, logger), nil); err != nil {
		return nil, err
	}
	a.genesis = genesisPayload()
	a.head = *a.genesis.BlockHash
	a.add(&a.genesis)
	return a, nil
}

// genesisPayload returns the block below the first one, in the form of Prague. It has no time, so that a network can start
// at any.
func genesisPayload() payload {
	empty, state := hash32(orderedRoot(nil)), hash32(orderedRoot(nil)) // a state without accounts
	zero, gas, fee := quantity(0), quantity(aloneGas), large{aloneFee >> 24, aloneFee >> 16 & 0xff, aloneFee >> 8 & 0xff, aloneFee & 0xff}
	p := payload{
		ParentHash: &hash32{}, FeeRecipient: &address{}, StateRoot: &state, ReceiptsRoot: &empty, LogsBloom: &bloom{}, PrevRandao: &hash32{},
		Number: &zero, GasLimit: &gas, GasUsed: &zero, Timestamp: &zero, ExtraData: &data{}, BaseFee: &fee, Transactions: &[]data{},
		Withdrawals: &[]withdrawal{}, BlobGasUsed: &zero, ExcessBlobGas: &zero,
	}
	h := p.hash(&hash32{}, &[]data{})
	p.BlockHash = &h
	return p
}

// AloneGenesis returns the header of the genesis block of NewAlone, as the JSON of eth_getBlockByNumber.
func AloneGenesis() json.RawMessage {
	p := genesisPayload()
	text, _ := json.Marshal(p.header()) // hexadecimal text can be written
	return text
}

// header returns the block as eth_getBlockByHash writes it, without transactions.
func (p *payload) header() map[string]any {
	h := map[string]any{
		"hash": p.BlockHash, "parentHash": p.ParentHash, "miner": p.FeeRecipient, "stateRoot": p.StateRoot, "receiptsRoot": p.ReceiptsRoot,
		"logsBloom": p.LogsBloom, "mixHash": p.PrevRandao, "number": p.Number, "gasLimit": p.GasLimit, "gasUsed": p.GasUsed, "timestamp": p.Timestamp,
		"extraData": p.ExtraData, "baseFeePerGas": p.BaseFee, "blobGasUsed": p.BlobGasUsed, "excessBlobGas": p.ExcessBlobGas,
		"transactionsRoot": hash32(orderedRoot(nil)), "sha3Uncles": hash32(emptyOmmers), "difficulty": "0x0", "totalDifficulty": "0x0", "nonce": "0x0000000000000000",
		"size": "0x300", "transactions": []string{}, "uncles": []string{},
	}
	if p.Withdrawals != nil {
		h["withdrawals"], h["withdrawalsRoot"] = p.Withdrawals, hash32(withdrawalsRoot(*p.Withdrawals))
	}
	return h
}

// Genesis returns the hash of the genesis block.
func (a *Alone) Genesis() blockprint.Root { return blockprint.Root(*a.genesis.BlockHash) }

// Know adds a block, an execution payload in the Engine API's JSON, as if it had been found valid: one of an earlier run.
func (a *Alone) Know(block []byte) error {
	fields, err := fieldsOf(block)
	if err != nil {
		return err
	}
	p, err := readPayload(fields, slices.Sorted(maps.Keys(fields))...)
	if err == nil && (p.ParentHash == nil || p.BlockHash == nil || p.Number == nil) {
		err = blockprint.Errorf(blockprint.Invalid, "the payload lacks fields")
	}
	if err != nil {
		return err
	}
	a.add(p)
	a.mu.Lock()
	a.head = *p.BlockHash
	a.mu.Unlock()
	return nil
}

func (a *Alone) add(p *payload) {
	a.mu.Lock()
	a.blocks[*p.BlockHash] = p
	a.mu.Unlock()
	a.builder.learn(*p.BlockHash, p)
}

func (a *Alone) block(hash hash32) *payload {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.blocks[hash]
}

// aloneBody is how many bytes a request may have.
const aloneBody = 16 << 20

// ServeHTTP answers the Engine API and what consensus clients ask beside it.
func (a *Alone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := check(r, map[string]Secret{"node": a.secret}, a.now()); err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, aloneBody))
	if err != nil {
		unread(w, err)
		return
	}
	calls, batch, err := parseCalls(body)
	if err != nil {
		write(w, http.StatusOK, answer(&call{}, nil, err))
		return
	}
	var replies []reply
	for i := range calls {
		c := &calls[i]
		if c.silent() {
			continue
		}
		if c.refused != nil {
			replies = append(replies, answer(c, nil, c.refused))
			continue
		}
		result, err := a.call(r.Context(), c)
		if err != nil {
			a.logger.Warn("an Engine API call failed", "method", c.Method, "error", err)
		}
		replies = append(replies, answer(c, result, err))
	}
	switch {
	case len(replies) == 0:
		write(w, http.StatusOK, nil)
	case batch:
		write(w, http.StatusOK, replies)
	default:
		write(w, http.StatusOK, replies[0])
	}
}

// aloneChain is the chain id.
const aloneChain = 0xb1a

func (a *Alone) call(ctx context.Context, c *call) (any, error) {
	param := func(i int) json.RawMessage {
		if i < len(c.Params) {
			return c.Params[i]
		}
		return nil
	}
	name, version := versioned(c.Method)
	switch name {
	case "engine_newPayload", "engine_forkchoiceUpdated", "engine_getPayload":
		if version < 1 || version > len(versionForks[name]) {
			break
		}
		switch name {
		case "engine_newPayload":
			return a.newPayload(c)
		case "engine_forkchoiceUpdated":
			return a.forkchoiceUpdated(ctx, version, param(0), param(1))
		}
		var id string
		if decode(param(0), &id) != nil {
			return nil, invalidParams("%s takes a payload's id", c.Method)
		}
		out, err := a.builder.payload(version, id)
		return out.result, err
	case "engine_exchangeCapabilities":
		return versions("engine_newPayload", "engine_forkchoiceUpdated", "engine_getPayload"), nil
	case "engine_getClientVersion":
		return []map[string]string{{"code": "BP", "name": "blockprint", "version": "1", "commit": "0x00000000"}}, nil
	case "engine_getBlobs":
		if version > 1 {
			return nil, nil
		}
		var hashes *[]hash32
		if err := required(param(0), &hashes); err != nil {
			return nil, invalidParams("versioned hashes: %v", err)
		}
		return make([]any, len(*hashes)), nil
	case "engine_getPayloadBodiesByHash", "engine_getPayloadBodiesByRange":
		return []any{}, nil
	case "eth_chainId":
		return quantity(aloneChain), nil
	case "net_version":
		return fmt.Sprint(aloneChain), nil
	case "eth_syncing":
		return false, nil
	case "eth_getLogs":
		return []any{}, nil
	case "web3_clientVersion":
		return "blockprint/lab", nil
	case "eth_blockNumber":
		return a.byNumber("latest").Number, nil
	case "eth_getBlockByNumber":
		var at string
		if decode(param(0), &at) != nil {
			return nil, invalidParams("%s takes a number", c.Method)
		}
		return headerOrNil(a.byNumber(at)), nil
	case "eth_getBlockByHash":
		var hash *hash32
		if err := required(param(0), &hash); err != nil {
			return nil, invalidParams("block hash: %v", err)
		}
		return headerOrNil(a.block(*hash)), nil
	}
	return nil, &rpcError{Code: codeMethodNotFound, Message: "the method " + c.Method + " is not served by this execution client"}
}

func headerOrNil(p *payload) any {
	if p == nil {
		return nil
	}
	return p.header()
}

// byNumber returns a block of the head's chain: nil if there is none of the number.
func (a *Alone) byNumber(at string) *payload {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.blocks[a.head]
	var n quantity
	switch at {
	case "earliest":
	case "latest", "pending", "safe", "finalized":
		return p
	default:
		if n.UnmarshalText([]byte(at)) != nil {
			return nil
		}
	}
	for p != nil && *p.Number > n {
		p = a.blocks[*p.ParentHash]
	}
	if p == nil || *p.Number != n {
		return nil
	}
	return p
}

// newPayload finds a payload valid that fits its own hash and whose parent is known.
func (a *Alone) newPayload(c *call) (any, error) {
	own, err := newKnownCall(c.Method, c.Params)
	if err != nil {
		return nil, invalidParams("execution payload: %v", err)
	}
	p, failure, err := own.parse()
	if err != nil {
		return nil, err
	}
	if failure != "" {
		return payloadStatus{Status: statusInvalid, ValidationError: &failure}, nil
	}
	if a.block(*p.ParentHash) == nil {
		return payloadStatus{Status: statusSyncing}, nil
	}
	a.add(p)
	return payloadStatus{Status: statusValid, LatestValidHash: p.BlockHash}, nil
}

func (a *Alone) forkchoiceUpdated(ctx context.Context, version int, state, text json.RawMessage) (any, error) {
	var f forkchoice
	if err := required(state, &f); err != nil {
		return nil, invalidParams("fork choice state: %v", err)
	}
	if a.block(f.Head) == nil {
		return forkchoiceResponse{Status: payloadStatus{Status: statusSyncing}}, nil
	}
	a.mu.Lock()
	a.head = f.Head
	a.mu.Unlock()
	out := forkchoiceResponse{Status: payloadStatus{Status: statusValid, LatestValidHash: &f.Head}}
	if text == nil || isNull(text) {
		return out, nil
	}
	attributes, err := parseAttributes(version, text)
	if err != nil {
		return nil, err
	}
	id, err := a.builder.prepare(ctx, f.Head, attributes)
	if err != nil {
		return nil, err
	}
	out.PayloadID = &id
	return out, nil
}

// Hex writes the secret as ParseSecret reads it, for a file that only its owner can read.
func (s Secret) Hex() string { return hex.EncodeToString(s[:]) }
