package eel

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// beaconBlock is what a payload's hash depends on, as the Beacon API writes it.
type beaconBlock struct {
	Slot       string `json:"slot"`
	ParentRoot string `json:"parent_root"`
	Body       struct {
		Payload  map[string]any `json:"execution_payload"`
		Blobs    []string       `json:"blob_kzg_commitments"`
		Requests *struct {
			Deposits []struct {
				Pubkey      string `json:"pubkey"`
				Credentials string `json:"withdrawal_credentials"`
				Amount      string `json:"amount"`
				Signature   string `json:"signature"`
				Index       string `json:"index"`
			} `json:"deposits"`
			Withdrawals []struct {
				Source string `json:"source_address"`
				Pubkey string `json:"validator_pubkey"`
				Amount string `json:"amount"`
			} `json:"withdrawals"`
			Consolidations []struct {
				Source string `json:"source_address"`
				From   string `json:"source_pubkey"`
				To     string `json:"target_pubkey"`
			} `json:"consolidations"`
		} `json:"execution_requests"`
	} `json:"body"`
}

// taken takes the parameters of a call apart.
func taken(t testing.TB, version int, params []json.RawMessage) *knownCall {
	t.Helper()
	c, err := newKnownCall(fmt.Sprintf("engine_newPayloadV%d", version), params)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// payloadOf reads the payload of parameters.
func payloadOf(t testing.TB, params []json.RawMessage) *payload {
	t.Helper()
	c := taken(t, 1, params)
	p, err := readPayload(c.fields, slices.Collect(maps.Keys(c.fields))...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// engineCall makes parameters of engine_newPayload of a beacon block: the Engine API has other names, and numbers in
// hexadecimal.
func engineCall(t testing.TB, b *beaconBlock) (version int, params []json.RawMessage) {
	t.Helper()
	names := map[string]string{
		"parent_hash": "parentHash", "fee_recipient": "feeRecipient", "state_root": "stateRoot", "receipts_root": "receiptsRoot", "logs_bloom": "logsBloom",
		"prev_randao": "prevRandao", "block_number": "blockNumber", "gas_limit": "gasLimit", "gas_used": "gasUsed", "timestamp": "timestamp",
		"extra_data": "extraData", "base_fee_per_gas": "baseFeePerGas", "block_hash": "blockHash", "transactions": "transactions",
		"withdrawals": "withdrawals", "blob_gas_used": "blobGasUsed", "excess_blob_gas": "excessBlobGas",
		"index": "index", "validator_index": "validatorIndex", "address": "address", "amount": "amount",
	}
	var convert func(v any) any
	convert = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			out := map[string]any{}
			for k, x := range v {
				if names[k] == "" {
					t.Fatalf("unknown field %s", k)
				}
				out[names[k]] = convert(x)
			}
			return out
		case []any:
			out := []any{}
			for _, x := range v {
				out = append(out, convert(x))
			}
			return out
		case string:
			if n, err := strconv.ParseUint(v, 10, 64); err == nil {
				return fmt.Sprintf("0x%x", n)
			}
		}
		return v
	}
	add := func(v any) {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		params = append(params, raw)
	}
	add(convert(b.Body.Payload))
	version = 1
	if b.Body.Payload["withdrawals"] != nil {
		version = 2
	}
	if b.Body.Payload["blob_gas_used"] == nil {
		return version, params
	}
	p := payloadOf(t, params)
	// What the commitments hash to is not what is tried here: the transactions' own hashes are taken for the beacon block's,
	// and there must be as many as commitments.
	hashes, err := p.versionedHashes()
	if err != nil || len(hashes) != len(b.Body.Blobs) {
		t.Fatalf("%d versioned hashes for %d commitments (%v)", len(hashes), len(b.Body.Blobs), err)
	}
	add(append([]hash32{}, hashes...))
	add(b.ParentRoot)
	if b.Body.Requests == nil {
		return 3, params
	}
	bytesOf := func(s string) string { return strings.TrimPrefix(s, "0x") }
	number := func(s string) (out string) { // little endian
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			out += fmt.Sprintf("%02x", byte(n))
			n >>= 8
		}
		return out
	}
	var kinds [3]string
	for _, d := range b.Body.Requests.Deposits {
		kinds[0] += bytesOf(d.Pubkey) + bytesOf(d.Credentials) + number(d.Amount) + bytesOf(d.Signature) + number(d.Index)
	}
	for _, w := range b.Body.Requests.Withdrawals {
		kinds[1] += bytesOf(w.Source) + bytesOf(w.Pubkey) + number(w.Amount)
	}
	for _, c := range b.Body.Requests.Consolidations {
		kinds[2] += bytesOf(c.Source) + bytesOf(c.From) + bytesOf(c.To)
	}
	requests := []string{}
	for i, k := range kinds {
		if k != "" {
			requests = append(requests, fmt.Sprintf("0x%02x%s", i, k))
		}
	}
	add(requests)
	return 4, params
}

// realBlocks reads the JSON blocks with payloads of testdata/blocks.
func realBlocks(t testing.TB) map[string]*beaconBlock {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "testdata", "blocks", "*.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*beaconBlock{}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := json.NewDecoder(z).Decode(&doc); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		collectBlocks(filepath.Base(path), doc, out)
	}
	return out
}

// collectBlocks finds what looks like a block's message, wherever it stands.
func collectBlocks(name string, doc any, out map[string]*beaconBlock) {
	switch v := doc.(type) {
	case []any:
		for _, x := range v {
			collectBlocks(name, x, out)
		}
	case map[string]any:
		if body, ok := v["body"].(map[string]any); ok && body["execution_payload"] != nil {
			raw, _ := json.Marshal(v)
			b := &beaconBlock{}
			if json.Unmarshal(raw, b) == nil {
				out[name+" slot "+b.Slot] = b
			}
			return
		}
		for _, x := range v {
			collectBlocks(name, x, out)
		}
	}
}

// TestRealHashes: blocks of mainnet, test networks and devnets from Bellatrix to Electra hash to what they say, and to
// something else as soon as anything in them is changed.
func TestRealHashes(t *testing.T) {
	seen := map[int]int{}
	transactions, blobs := 0, 0
	for name, b := range realBlocks(t) {
		version, params := engineCall(t, b)
		p, failure, err := taken(t, version, params).parse()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if failure != "" {
			t.Errorf("%s: V%d: %s", name, version, failure)
		}
		seen[version]++
		transactions += len(*p.Transactions)
		blobs += len(b.Body.Blobs)
		if n := len(*p.Transactions); n > 1 {
			(*p.Transactions)[0], (*p.Transactions)[n-1] = (*p.Transactions)[n-1], (*p.Transactions)[0]
			var root *hash32
			if version >= 3 {
				root = new(hash32)
			}
			if h := p.hash(root, nil); h == *p.BlockHash {
				t.Errorf("%s: the order of transactions makes no difference", name)
			}
		}
	}
	if seen[1] == 0 || seen[2] == 0 || seen[3] == 0 || seen[4] == 0 || transactions < 500 || blobs < 10 {
		t.Errorf("blocks by version %v, %d transactions, %d blobs: too few", seen, transactions, blobs)
	}
	t.Logf("blocks by version %v, %d transactions, %d blobs", seen, transactions, blobs)
}

// FuzzNewPayload: whatever the parameters are, they are an error, a failure or a payload, and never a panic.
func FuzzNewPayload(f *testing.F) {
	payload := `{"parentHash":"0x` + strings.Repeat("00", 32) + `","feeRecipient":"0x` + strings.Repeat("00", 20) + `","stateRoot":"0x` + strings.Repeat("00", 32) +
		`","receiptsRoot":"0x` + strings.Repeat("00", 32) + `","logsBloom":"0x` + strings.Repeat("00", 256) + `","prevRandao":"0x` + strings.Repeat("00", 32) +
		`","blockNumber":"0x1","gasLimit":"0x2","gasUsed":"0x3","timestamp":"0x4","extraData":"0x","baseFeePerGas":"0x7","blockHash":"0x` + strings.Repeat("00", 32) +
		`","transactions":["0x03f84b808080808080808080c0e1a0` + strings.Repeat("01", 32) + `","0x"],"withdrawals":[{"index":"0x0","validatorIndex":"0x1","address":"0x` + strings.Repeat("00", 20) +
		`","amount":"0x5"}],"blobGasUsed":"0x0","excessBlobGas":"0x0","blockAccessList":"0xc0","slotNumber":"0x9"}`
	for version := 1; version <= 5; version++ {
		f.Add(version, payload, `["0x`+strings.Repeat("01", 32)+`"]`, `"0x`+strings.Repeat("02", 32)+`"`, `["0x01ff","0x02aa"]`)
	}
	f.Fuzz(func(t *testing.T, version int, payload, hashes, root, requests string) {
		var params []json.RawMessage
		for _, p := range []string{payload, hashes, root, requests} {
			if !json.Valid([]byte(p)) {
				return // such a request does not come so far
			}
			params = append(params, json.RawMessage(p))
		}
		version = 1 + (version%5+5)%5
		for n := range params {
			c, err := newKnownCall(fmt.Sprintf("engine_newPayloadV%d", version), params[:n+1])
			if err != nil {
				continue
			}
			p, failure, err := c.parse()
			if err == nil && (p == nil || p.BlockHash == nil || p.Number == nil || p.Timestamp == nil) || err != nil && failure != "" {
				t.Errorf("%v %q %v", p, failure, err)
			}
		}
	})
}
