package eel

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-faster/jx"
)

// hash is 32 bytes, in hexadecimal with 0x as JSON.
type hash32 [32]byte

func (h hash32) String() string               { return "0x" + hex.EncodeToString(h[:]) }
func (h hash32) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads exactly 32 bytes.
func (h *hash32) UnmarshalText(text []byte) error { return unhex(h[:], text) }

// unhex reads hexadecimal digits that fill out exactly.
func unhex(out, text []byte) error {
	digits, ok := bytes.CutPrefix(text, []byte("0x"))
	if !ok || len(digits) != 2*len(out) {
		return fmt.Errorf("expected 0x and %d hexadecimal digits, not %.80q", 2*len(out), text)
	}
	_, err := hex.Decode(out, digits)
	return err
}

// data is bytes of any length.
type data []byte

// MarshalText writes bytes of any length.
func (d data) MarshalText() ([]byte, error) { return []byte("0x" + hex.EncodeToString(d)), nil }

// UnmarshalText reads bytes of any length.
func (d *data) UnmarshalText(text []byte) error {
	digits, ok := bytes.CutPrefix(text, []byte("0x"))
	if !ok {
		return fmt.Errorf("expected 0x and hexadecimal digits, not %.80q", text)
	}
	*d = make([]byte, hex.DecodedLen(len(digits)))
	_, err := hex.Decode(*d, digits)
	return err
}

// quantity is a number of up to 64 bits.
type quantity uint64

// MarshalText writes no leading zeros.
func (q quantity) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "0x%x", uint64(q)), nil }

// UnmarshalText reads 0x and hexadecimal digits without leading zeros.
func (q *quantity) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(string(text), "0x"), 16, 64)
	if err != nil || !bytes.HasPrefix(text, []byte("0x")) || len(text) > 3 && text[2] == '0' {
		return fmt.Errorf("expected a quantity such as 0x1f, not %.80q", text)
	}
	*q = quantity(n)
	return nil
}

// large is a number of up to 256 bits, without leading zeros.
type large []byte

// MarshalText writes no leading zeros.
func (l large) MarshalText() ([]byte, error) {
	digits := strings.TrimLeft(hex.EncodeToString(l), "0")
	if digits == "" {
		digits = "0"
	}
	return []byte("0x" + digits), nil
}

// UnmarshalText reads 0x and hexadecimal digits without leading zeros.
func (l *large) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), "0x")
	if !ok || digits == "" || len(digits) > 64 || len(digits) > 1 && digits[0] == '0' {
		return fmt.Errorf("expected a quantity such as 0x1f, not %.80q", text)
	}
	if digits == "0" {
		*l = nil
		return nil
	}
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	b, err := hex.DecodeString(digits)
	*l = b
	return err
}

// withdrawal is one of a payload's, since Shanghai.
type withdrawal struct {
	Index     *quantity `json:"index"`
	Validator *quantity `json:"validatorIndex"`
	Address   *address  `json:"address"`
	Amount    *quantity `json:"amount"` // Gwei
}

// complete checks that withdrawals, if there are any, lack no field.
func complete(list *[]withdrawal) error {
	if list == nil {
		return nil
	}
	for i, w := range *list {
		if w.Index == nil || w.Validator == nil || w.Address == nil || w.Amount == nil {
			return fmt.Errorf("withdrawal %d lacks a field", i)
		}
	}
	return nil
}

type address [20]byte

// MarshalText writes the bytes.
func (a address) MarshalText() ([]byte, error) { return data(a[:]).MarshalText() }

// UnmarshalText reads exactly 20 bytes.
func (a *address) UnmarshalText(text []byte) error { return unhex(a[:], text) }

type bloom [256]byte

// MarshalText writes the bytes.
func (b *bloom) MarshalText() ([]byte, error) { return data(b[:]).MarshalText() }

// UnmarshalText reads exactly 256 bytes.
func (b *bloom) UnmarshalText(text []byte) error { return unhex(b[:], text) }

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

// invalidParams is the Engine API's error for parameters that do not fit the method.
func invalidParams(format string, args ...any) error {
	return &rpcError{Code: codeInvalidParams, Message: fmt.Sprintf(format, args...)}
}

// fields reads each field of a payload by its name.
var fields = map[string]func(*payload, *jx.Decoder) error{
	"parentHash":    func(p *payload, d *jx.Decoder) error { p.ParentHash = new(hash32); return text(d, p.ParentHash) },
	"feeRecipient":  func(p *payload, d *jx.Decoder) error { p.FeeRecipient = new(address); return text(d, p.FeeRecipient) },
	"stateRoot":     func(p *payload, d *jx.Decoder) error { p.StateRoot = new(hash32); return text(d, p.StateRoot) },
	"receiptsRoot":  func(p *payload, d *jx.Decoder) error { p.ReceiptsRoot = new(hash32); return text(d, p.ReceiptsRoot) },
	"logsBloom":     func(p *payload, d *jx.Decoder) error { p.LogsBloom = new(bloom); return text(d, p.LogsBloom) },
	"prevRandao":    func(p *payload, d *jx.Decoder) error { p.PrevRandao = new(hash32); return text(d, p.PrevRandao) },
	"blockNumber":   func(p *payload, d *jx.Decoder) error { p.Number = new(quantity); return text(d, p.Number) },
	"gasLimit":      func(p *payload, d *jx.Decoder) error { p.GasLimit = new(quantity); return text(d, p.GasLimit) },
	"gasUsed":       func(p *payload, d *jx.Decoder) error { p.GasUsed = new(quantity); return text(d, p.GasUsed) },
	"timestamp":     func(p *payload, d *jx.Decoder) error { p.Timestamp = new(quantity); return text(d, p.Timestamp) },
	"extraData":     func(p *payload, d *jx.Decoder) error { p.ExtraData = new(data); return text(d, p.ExtraData) },
	"baseFeePerGas": func(p *payload, d *jx.Decoder) error { p.BaseFee = new(large); return text(d, p.BaseFee) },
	"blockHash":     func(p *payload, d *jx.Decoder) error { p.BlockHash = new(hash32); return text(d, p.BlockHash) },
	"blobGasUsed":   func(p *payload, d *jx.Decoder) error { p.BlobGasUsed = new(quantity); return text(d, p.BlobGasUsed) },
	"excessBlobGas": func(p *payload, d *jx.Decoder) error {
		p.ExcessBlobGas = new(quantity)
		return text(d, p.ExcessBlobGas)
	},
	"blockAccessList": func(p *payload, d *jx.Decoder) error { p.AccessList = new(data); return text(d, p.AccessList) },
	"slotNumber":      func(p *payload, d *jx.Decoder) error { p.Slot = new(quantity); return text(d, p.Slot) },
	"transactions": func(p *payload, d *jx.Decoder) error {
		p.Transactions = &[]data{}
		return d.Arr(func(d *jx.Decoder) error {
			var tx data
			err := text(d, &tx)
			*p.Transactions = append(*p.Transactions, tx)
			return err
		})
	},
	"withdrawals": func(p *payload, d *jx.Decoder) error { // few: the short way
		raw, err := d.Raw()
		if err != nil {
			return err
		}
		strict := json.NewDecoder(bytes.NewReader(raw))
		strict.DisallowUnknownFields()
		return strict.Decode(&p.Withdrawals)
	},
}

// text reads a string.
func text(d *jx.Decoder, into encoding.TextUnmarshaler) error {
	b, err := d.StrBytes()
	if err != nil {
		return err
	}
	return into.UnmarshalText(b)
}

// read reads a field. null stands for a field that is not there.
func (p *payload) read(name string, raw []byte) error {
	read, ok := fields[name]
	if !ok {
		return fmt.Errorf("unknown field %q", name)
	}
	if string(raw) == "null" {
		return nil
	}
	if err := read(p, jx.DecodeBytes(raw)); err != nil {
		return fmt.Errorf("%s: %w", name, plain(err))
	}
	return nil
}

// payload reads the whole payload. A field that is not known is an error: it might be part of the block's hash.
func (c *knownCall) payload() (*payload, error) {
	p := &payload{}
	for _, name := range slices.Sorted(maps.Keys(c.fields)) {
		if err := p.read(name, c.fields[name]); err != nil {
			return nil, invalidParams("execution payload: %v", err)
		}
	}
	for _, f := range []struct {
		name    string
		missing bool
	}{
		{"parentHash", p.ParentHash == nil},
		{"feeRecipient", p.FeeRecipient == nil},
		{"stateRoot", p.StateRoot == nil},
		{"receiptsRoot", p.ReceiptsRoot == nil},
		{"logsBloom", p.LogsBloom == nil},
		{"prevRandao", p.PrevRandao == nil},
		{"blockNumber", p.Number == nil},
		{"gasLimit", p.GasLimit == nil},
		{"gasUsed", p.GasUsed == nil},
		{"timestamp", p.Timestamp == nil},
		{"extraData", p.ExtraData == nil},
		{"baseFeePerGas", p.BaseFee == nil},
		{"blockHash", p.BlockHash == nil},
		{"transactions", p.Transactions == nil},
	} {
		if f.missing {
			return nil, invalidParams("execution payload: %s is missing", f.name)
		}
	}
	if err := complete(p.Withdrawals); err != nil {
		return nil, invalidParams("execution payload: %v", err)
	}
	return p, nil
}

// emptyOmmers is the hash of an empty list.
var emptyOmmers = keccak([]byte{0xc0})

// hash works out the block's hash from the header that the payload stands for. beaconRoot is the parent beacon block's,
// since Cancun; requests are the execution requests, since Prague; both are nil before.
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

// requestsHash is that of EIP-7685: requests without data do not count.
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

// blobTransaction is the type of transactions that carry blobs (EIP-4844), and the place of their versioned hashes.
const (
	blobTransaction   = 3
	blobHashesInField = 10
)

// versionedHashes returns those of the blobs of all transactions, in order.
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
			return nil, fmt.Errorf("transaction %d: its versioned hashes are no list", i)
		}
		for len(hashes) > 0 {
			var h []byte
			if h, list, hashes, err = splitItem(hashes); err != nil || list || len(h) != 32 {
				return nil, fmt.Errorf("transaction %d: a versioned hash is no 32 bytes", i)
			}
			out = append(out, hash32(h))
		}
	}
	return out, nil
}

// parseNewPayload checks the parameters of engine_newPayload against its version, and the payload's hash against all of it.
// failure says why the payload is invalid whatever an execution client would say; empty if it is not.
func parseNewPayload(version int, c *knownCall) (p *payload, failure string, err error) {
	if want, got := map[int]int{1: 1, 2: 1, 3: 3, 4: 4, 5: 4}[version], 1+len(c.others); got != want {
		return nil, "", invalidParams("engine_newPayloadV%d takes %d parameters, not %d", version, want, got)
	}
	if p, err = c.payload(); err != nil {
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
		var given []hash32
		if err := strict(c.others[0], &given); err != nil {
			return nil, "", invalidParams("versioned hashes: %v", err)
		}
		if err := strict(c.others[1], &beaconRoot); err != nil {
			return nil, "", invalidParams("parent beacon block root: %v", err)
		}
		hashes, err := p.versionedHashes()
		switch {
		case err != nil:
			failure = err.Error()
		case len(given) != len(hashes):
			failure = fmt.Sprintf("%d versioned hashes are expected, the transactions have %d", len(given), len(hashes))
		default:
			for i := range hashes {
				if hashes[i] != given[i] {
					failure = fmt.Sprintf("versioned hash %d is %s, expected was %s", i, hashes[i], given[i])
					break
				}
			}
		}
	}
	if version >= 4 {
		if err := strict(c.others[2], &requests); err != nil {
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
