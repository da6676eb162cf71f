package eel

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/go-faster/jx"
)

// withdrawal is part of a payload since Shanghai.
type withdrawal struct {
	Index     *quantity `json:"index"`
	Validator *quantity `json:"validatorIndex"`
	Address   *address  `json:"address"`
	Amount    *quantity `json:"amount"` // Gwei
}

// payload is an execution payload of the Engine API, Paris to Amsterdam. Fields that it lacks are nil.
type payload struct {
	ParentHash    *hash32       `json:"parentHash"`
	FeeRecipient  *address      `json:"feeRecipient"`
	StateRoot     *hash32       `json:"stateRoot"`
	ReceiptsRoot  *hash32       `json:"receiptsRoot"`
	LogsBloom     *bloom        `json:"logsBloom"`
	PrevRandao    *hash32       `json:"prevRandao"`
	Number        *quantity     `json:"blockNumber"`
	GasLimit      *quantity     `json:"gasLimit"`
	GasUsed       *quantity     `json:"gasUsed"`
	Timestamp     *quantity     `json:"timestamp"`
	ExtraData     *data         `json:"extraData"`
	BaseFee       *large        `json:"baseFeePerGas"`
	BlockHash     *hash32       `json:"blockHash"`
	Transactions  *[]data       `json:"transactions"`
	Withdrawals   *[]withdrawal `json:"withdrawals,omitempty"`     // since Shanghai
	BlobGasUsed   *quantity     `json:"blobGasUsed,omitempty"`     // since Cancun
	ExcessBlobGas *quantity     `json:"excessBlobGas,omitempty"`   // since Cancun
	AccessList    *data         `json:"blockAccessList,omitempty"` // since Amsterdam (EIP-7928)
	Slot          *quantity     `json:"slotNumber,omitempty"`      // since Amsterdam (EIP-7843)
}

// fields returns the readers of all fields.
func (p *payload) fields() table {
	return table{
		"parentHash": value(&p.ParentHash), "feeRecipient": value(&p.FeeRecipient), "stateRoot": value(&p.StateRoot),
		"receiptsRoot": value(&p.ReceiptsRoot), "logsBloom": value(&p.LogsBloom), "prevRandao": value(&p.PrevRandao),
		"blockNumber": value(&p.Number), "gasLimit": value(&p.GasLimit), "gasUsed": value(&p.GasUsed), "timestamp": value(&p.Timestamp),
		"extraData": value(&p.ExtraData), "baseFeePerGas": value(&p.BaseFee), "blockHash": value(&p.BlockHash),
		"transactions": list(&p.Transactions), "withdrawals": withdrawals(&p.Withdrawals),
		"blobGasUsed": value(&p.BlobGasUsed), "excessBlobGas": value(&p.ExcessBlobGas),
		"blockAccessList": value(&p.AccessList), "slotNumber": value(&p.Slot),
	}
}

// always are the fields that a payload of any fork has.
var always = []string{
	"parentHash", "feeRecipient", "stateRoot", "receiptsRoot", "logsBloom", "prevRandao", "blockNumber", "gasLimit", "gasUsed", "timestamp",
	"extraData", "baseFeePerGas", "blockHash", "transactions",
}

// withdrawals makes a reader of an array of withdrawals.
func withdrawals(into **[]withdrawal) reader {
	return func(d *jx.Decoder) error {
		*into = &[]withdrawal{}
		return eachItem(d, func(d *jx.Decoder) error {
			var w withdrawal
			err := table{"index": value(&w.Index), "validatorIndex": value(&w.Validator), "address": value(&w.Address), "amount": value(&w.Amount)}.strict(d)
			if err == nil && (w.Index == nil || w.Validator == nil || w.Address == nil || w.Amount == nil) {
				err = fmt.Errorf("withdrawal %d lacks a field", len(**into))
			}
			**into = append(**into, w)
			return err
		})
	}
}

// payload reads the named fields of the payload. An unknown field is an error, because it might be part of the block's hash.
func (c *knownCall) payload(names ...string) (*payload, error) {
	p := &payload{}
	fields := p.fields()
	for _, name := range names {
		text, ok := c.fields[name]
		if !ok || isNull(text) {
			continue
		}
		read, ok := fields[name]
		if !ok {
			return nil, fmt.Errorf("unknown field %q", name)
		}
		if err := decode(text, read); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return p, nil
}

// wholePayload reads all fields, and checks that those of all forks are present.
func (c *knownCall) wholePayload() (*payload, error) {
	p, err := c.payload(slices.Sorted(maps.Keys(c.fields))...)
	for _, name := range always {
		if text, ok := c.fields[name]; err == nil && (!ok || isNull(text)) {
			err = fmt.Errorf("%s is missing", name)
		}
	}
	if err != nil {
		return nil, invalidParams("execution payload: %v", err)
	}
	return p, nil
}

// claim reads what the payload says about its block: nil if that cannot be read.
func (c *knownCall) claim(version int) *claim {
	p, err := c.payload("blockHash", "parentHash", "stateRoot", "blockNumber", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas", "withdrawals")
	if err != nil || p.BlockHash == nil || p.ParentHash == nil || !p.hasParentFields() {
		return nil
	}
	return &claim{
		block: *p.BlockHash, parent: *p.ParentHash, number: uint64(*p.Number), timestamp: uint64(*p.Timestamp), version: version,
		withdrawals: p.Withdrawals != nil, header: p.asParent(),
	}
}

// headerFields reads a block of eth_getBlockByHash, as far as a payload on top of it depends on it.
func (p *payload) headerFields(d *jx.Decoder) error {
	return table{
		"hash": value(&p.BlockHash), "number": value(&p.Number), "stateRoot": value(&p.StateRoot), "gasLimit": value(&p.GasLimit), "gasUsed": value(&p.GasUsed),
		"timestamp": value(&p.Timestamp), "baseFeePerGas": value(&p.BaseFee), "blobGasUsed": value(&p.BlobGasUsed), "excessBlobGas": value(&p.ExcessBlobGas),
	}.object(d)
}

func (p *payload) hasParentFields() bool {
	return p.StateRoot != nil && p.Number != nil && p.GasLimit != nil && p.GasUsed != nil && p.Timestamp != nil && p.BaseFee != nil
}

// asParent returns what a payload on top of this one depends on.
func (p *payload) asParent() parentHeader {
	h := parentHeader{StateRoot: *p.StateRoot, Number: *p.Number, GasLimit: *p.GasLimit, GasUsed: *p.GasUsed, Timestamp: *p.Timestamp, BaseFee: *p.BaseFee}
	if p.BlobGasUsed != nil && p.ExcessBlobGas != nil {
		h.BlobGasUsed, h.ExcessBlobGas = *p.BlobGasUsed, *p.ExcessBlobGas
	}
	return h
}

// emptyOmmers is the hash of an empty list.
var emptyOmmers = keccak([]byte{0xc0})

// hash computes the block's hash from the header that the payload stands for. beaconRoot is the parent beacon block's root
// (nil before Cancun), requests are the execution requests (nil before Prague).
func (p *payload) hash(beaconRoot *hash32, requests *[]data) hash32 {
	values := make([][]byte, len(*p.Transactions))
	for i, tx := range *p.Transactions {
		values[i] = tx
	}
	transactions := orderedRoot(values)
	var h []byte
	h = appendString(h, p.ParentHash[:])
	h = appendString(h, emptyOmmers[:])
	h = appendString(h, p.FeeRecipient[:])
	h = appendString(h, p.StateRoot[:])
	h = appendString(h, transactions[:])
	h = appendString(h, p.ReceiptsRoot[:])
	h = appendString(h, p.LogsBloom[:])
	h = appendUint(h, 0) // difficulty
	h = appendUint(h, uint64(*p.Number))
	h = appendUint(h, uint64(*p.GasLimit))
	h = appendUint(h, uint64(*p.GasUsed))
	h = appendUint(h, uint64(*p.Timestamp))
	h = appendString(h, *p.ExtraData)
	h = appendString(h, p.PrevRandao[:])
	h = appendString(h, make([]byte, 8)) // nonce
	h = appendString(h, *p.BaseFee)
	if p.Withdrawals != nil {
		root := withdrawalsRoot(*p.Withdrawals)
		h = appendString(h, root[:])
	}
	if beaconRoot != nil {
		h = appendUint(h, uint64(*p.BlobGasUsed))
		h = appendUint(h, uint64(*p.ExcessBlobGas))
		h = appendString(h, beaconRoot[:])
	}
	if requests != nil {
		root := requestsHash(*requests)
		h = appendString(h, root[:])
	}
	if p.AccessList != nil && p.Slot != nil {
		list := keccak(*p.AccessList)
		h = appendString(h, list[:])
		h = appendUint(h, uint64(*p.Slot))
	}
	return keccak(encodeList(h))
}

func withdrawalsRoot(list []withdrawal) [32]byte {
	values := make([][]byte, len(list))
	for i, w := range list {
		var b []byte
		b = appendUint(b, uint64(*w.Index))
		b = appendUint(b, uint64(*w.Validator))
		b = appendString(b, w.Address[:])
		b = appendUint(b, uint64(*w.Amount))
		values[i] = encodeList(b)
	}
	return orderedRoot(values)
}

// requestsHash follows EIP-7685: requests without data do not count.
func requestsHash(list []data) [32]byte {
	outer := sha256.New()
	for _, r := range list {
		if len(r) > 1 {
			inner := sha256.Sum256(r)
			_, _ = outer.Write(inner[:]) // never fails
		}
	}
	var out [32]byte
	outer.Sum(out[:0])
	return out
}

// The type of transactions that carry blobs (EIP-4844), and the position of their versioned hashes.
const (
	blobTransaction   = 3
	blobHashesInField = 10
)

// versionedHashes returns the versioned hashes of all blobs, in the order of the transactions.
func (p *payload) versionedHashes() ([]hash32, error) {
	var out []hash32
	for i, tx := range *p.Transactions {
		if len(tx) == 0 || tx[0] != blobTransaction {
			continue
		}
		fields, list, rest, err := splitItem(tx[1:])
		if err != nil || !list || len(rest) > 0 {
			return nil, fmt.Errorf("transaction %d: %w", i, errRLP)
		}
		var hashes []byte
		for range blobHashesInField + 1 {
			if hashes, list, fields, err = splitItem(fields); err != nil {
				return nil, fmt.Errorf("transaction %d: %w", i, err)
			}
		}
		if !list {
			return nil, fmt.Errorf("transaction %d: its versioned hashes are not a list", i)
		}
		for len(hashes) > 0 {
			var h []byte
			if h, list, hashes, err = splitItem(hashes); err != nil || list || len(h) != 32 {
				return nil, fmt.Errorf("transaction %d: a versioned hash does not have 32 bytes", i)
			}
			out = append(out, hash32(h))
		}
	}
	return out, nil
}

// checkHashes says how the versioned hashes differ from those that a consensus client expects; empty if they agree.
func (p *payload) checkHashes(expected []hash32) string {
	hashes, err := p.versionedHashes()
	switch {
	case err != nil:
		return err.Error()
	case len(expected) != len(hashes):
		return fmt.Sprintf("%d versioned hashes are expected, the transactions have %d", len(expected), len(hashes))
	}
	for i := range hashes {
		if hashes[i] != expected[i] {
			return fmt.Sprintf("versioned hash %d is %s, expected was %s", i, hashes[i], expected[i])
		}
	}
	return ""
}

// parseNewPayload checks the parameters of engine_newPayload against its version, and the block's hash against the payload. failure
// says how the payload contradicts itself; empty if it does not.
func parseNewPayload(version int, c *knownCall) (p *payload, failure string, err error) {
	if want, got := map[int]int{1: 1, 2: 1, 3: 3, 4: 4, 5: 4}[version], 1+len(c.others); got != want {
		return nil, "", invalidParams("engine_newPayloadV%d takes %d parameters, not %d", version, want, got)
	}
	if p, err = c.wholePayload(); err != nil {
		return nil, "", err
	}
	cancun, amsterdam := p.BlobGasUsed != nil || p.ExcessBlobGas != nil, p.AccessList != nil || p.Slot != nil
	switch {
	case version == 1 && (p.Withdrawals != nil || cancun), version == 2 && cancun, version < 5 && amsterdam:
		return nil, "", invalidParams("engine_newPayloadV%d does not take payloads of so late a fork", version)
	case version >= 3 && (p.Withdrawals == nil || p.BlobGasUsed == nil || p.ExcessBlobGas == nil):
		return nil, "", invalidParams("engine_newPayloadV%d: the payload lacks withdrawals, blobGasUsed or excessBlobGas", version)
	case version >= 5 && (p.AccessList == nil || p.Slot == nil):
		return nil, "", invalidParams("engine_newPayloadV%d: the payload lacks blockAccessList or slotNumber", version)
	}
	var beaconRoot *hash32
	var requests *[]data
	if version >= 3 {
		var given *[]hash32
		if err := required(c.others[0], list(&given)); err != nil {
			return nil, "", invalidParams("versioned hashes: %v", err)
		}
		if err := required(c.others[1], value(&beaconRoot)); err != nil {
			return nil, "", invalidParams("parent beacon block root: %v", err)
		}
		failure = p.checkHashes(*given)
	}
	if version >= 4 {
		if err := required(c.others[2], list(&requests)); err != nil {
			return nil, "", invalidParams("execution requests: %v", err)
		}
		for i, r := range *requests {
			switch {
			case len(r) < 2:
				return nil, "", invalidParams("execution request %d is empty", i)
			case i > 0 && r[0] <= (*requests)[i-1][0]:
				return nil, "", invalidParams("execution requests are not in the order of their types")
			}
		}
	}
	if h := p.hash(beaconRoot, requests); h != *p.BlockHash {
		failure = fmt.Sprintf("blockhash mismatch: the payload hashes to %s, not to %s", h, *p.BlockHash)
	}
	return p, failure, nil
}
