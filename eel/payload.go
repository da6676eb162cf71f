package eel

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-faster/jx"
)

// payload is an execution payload of the Engine API, Paris to Amsterdam. Fields that it lacks are nil. The tags name the versions
// of engine_newPayload (fits).
type payload struct {
	ParentHash    *hash32       `json:"parentHash" since:"1"`
	FeeRecipient  *address      `json:"feeRecipient" since:"1"`
	StateRoot     *hash32       `json:"stateRoot" since:"1"`
	ReceiptsRoot  *hash32       `json:"receiptsRoot" since:"1"`
	LogsBloom     *bloom        `json:"logsBloom" since:"1"`
	PrevRandao    *hash32       `json:"prevRandao" since:"1"`
	Number        *quantity     `json:"blockNumber" since:"1"`
	GasLimit      *quantity     `json:"gasLimit" since:"1"`
	GasUsed       *quantity     `json:"gasUsed" since:"1"`
	Timestamp     *quantity     `json:"timestamp" since:"1"`
	ExtraData     *data         `json:"extraData" since:"1"`
	BaseFee       *large        `json:"baseFeePerGas" since:"1"`
	BlockHash     *hash32       `json:"blockHash" since:"1"`
	Transactions  *[]data       `json:"transactions" since:"1"`
	Withdrawals   *[]withdrawal `json:"withdrawals,omitempty" since:"2,3"` // since Shanghai
	BlobGasUsed   *quantity     `json:"blobGasUsed,omitempty" since:"3"`   // since Cancun
	ExcessBlobGas *quantity     `json:"excessBlobGas,omitempty" since:"3"`
	AccessList    *data         `json:"blockAccessList,omitempty" since:"5"` // since Amsterdam (EIP-7928)
	Slot          *quantity     `json:"slotNumber,omitempty" since:"5"`      // since Amsterdam (EIP-7843)
}

// withdrawal is part of a payload since Shanghai.
type withdrawal struct {
	Index     *quantity `json:"index" since:"1"`
	Validator *quantity `json:"validatorIndex" since:"1"`
	Address   *address  `json:"address" since:"1"`
	Amount    *quantity `json:"amount" since:"1"` // Gwei
}

func (w *withdrawal) read(d *jx.Decoder) error {
	if err := object(d, w, true); err != nil {
		return err
	}
	return fits(w, 1)
}

// readPayload reads named fields of a payload. An unknown field is an error, because it might be part of the block's hash.
func readPayload(fields map[string]json.RawMessage, names ...string) (*payload, error) {
	p := &payload{}
	for _, name := range names {
		text := fields[name]
		if len(text) == 0 || isNull(text) {
			continue
		}
		into := field(p, name)
		if into == nil {
			return nil, fmt.Errorf("unknown field %q", name)
		}
		if err := decode(text, into); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return p, nil
}

// readHeader reads those fields of a payload on which a payload on top of it depends, and the block's hashes.
func readHeader(fields map[string]json.RawMessage) (*payload, error) {
	p, err := readPayload(fields, "blockHash", "parentHash", "stateRoot", "blockNumber", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas")
	if err == nil && (p.BlockHash == nil || p.StateRoot == nil || p.Number == nil || p.GasLimit == nil || p.GasUsed == nil || p.Timestamp == nil || p.BaseFee == nil) {
		err = errors.New("the header lacks fields")
	}
	return p, err
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
	fields := [][]byte{
		p.ParentHash[:], emptyOmmers[:], p.FeeRecipient[:], p.StateRoot[:], transactions[:], p.ReceiptsRoot[:], p.LogsBloom[:],
		nil, // difficulty
		p.Number.digits(), p.GasLimit.digits(), p.GasUsed.digits(), p.Timestamp.digits(), *p.ExtraData, p.PrevRandao[:],
		make([]byte, 8), // nonce
		*p.BaseFee,
	}
	if p.Withdrawals != nil {
		root := withdrawalsRoot(*p.Withdrawals)
		fields = append(fields, root[:])
	}
	if beaconRoot != nil {
		fields = append(fields, p.BlobGasUsed.digits(), p.ExcessBlobGas.digits(), beaconRoot[:])
	}
	if requests != nil {
		root := requestsHash(*requests)
		fields = append(fields, root[:])
	}
	if p.AccessList != nil && p.Slot != nil {
		list := keccak(*p.AccessList)
		fields = append(fields, list[:], p.Slot.digits())
	}
	return keccak(encodeStrings(fields...))
}

func withdrawalsRoot(list []withdrawal) [32]byte {
	values := make([][]byte, len(list))
	for i, w := range list {
		values[i] = encodeStrings(w.Index.digits(), w.Validator.digits(), w.Address[:], w.Amount.digits())
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

// parse checks the call's parameters against its version, and the block's hash against the payload. failure says how the payload
// contradicts itself; empty if it does not.
func (c *knownCall) parse() (p *payload, failure string, err error) {
	_, version := versioned(c.method)
	if want, got := []int{1, 1, 3, 4, 4}[version-1], 1+len(c.others); got != want {
		return nil, "", invalidParams("%s takes %d parameters, not %d", c.method, want, got)
	}
	if p, err = readPayload(c.fields, slices.Sorted(maps.Keys(c.fields))...); err == nil {
		err = fits(p, version)
	}
	if err != nil {
		return nil, "", invalidParams("execution payload: %v", err)
	}
	var beaconRoot *hash32
	var requests *[]data
	if version >= 3 {
		var given []hash32
		if err := required(c.others[0], &given); err != nil {
			return nil, "", invalidParams("versioned hashes: %v", err)
		}
		if err := required(c.others[1], &beaconRoot); err != nil {
			return nil, "", invalidParams("parent beacon block root: %v", err)
		}
		failure = p.checkHashes(given)
	}
	if version >= 4 {
		if err := required(c.others[2], &requests); err != nil {
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
