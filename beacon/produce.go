package beacon

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-faster/jx"

	"blockprint"
)

// ProduceOptions say how to ask a node for a block.
type ProduceOptions struct {
	// SkipRandao asks the node not to verify the RANDAO reveal. It is the point at infinity, because we have no
	// validator's key.
	SkipRandao bool
	SSZ        bool // ask for SSZ, but accept JSON
	// V3 asks for version 3 of the endpoint first, instead of version 2. If the node does not know that version, the
	// other is tried.
	V3 bool
	// Reveal is the RANDAO reveal of whoever has the proposer's key; nil sends the point at infinity.
	Reveal []byte
	// BuilderBoost is builder_boost_factor, in percent of a builder's bid; nil leaves it to the node.
	BuilderBoost *uint64
}

// Produced is a block that a node built on request.
type Produced struct {
	*Block
	Endpoint int // the version of the endpoint that answered: 2 or 3
	// Blinded says that the payload is a builder's, of which the node knows the header only.
	Blinded bool
	// Value is the consensus reward in wei according to the node, nil if it does not say.
	Value *big.Int
	// SSZ is the unsigned block with its whole payload; nil if it is blinded.
	SSZ []byte
	// JSON is the unsigned block with its payload's header, in the Beacon API's form.
	JSON []byte
}

func (p *Produced) form() Form {
	if p.Blinded {
		return Blinded
	}
	return Unsigned
}

// infinity is the encoding of the point at infinity, the only signature that needs no key.
const infinity = "0xc0"

// Produce asks the node to build a block for a slot, without signing or publishing it.
func (c *Client) Produce(ctx context.Context, slot blockprint.Slot, o ProduceOptions) (*Produced, error) {
	versions := []int{2, 3}
	if o.V3 {
		versions = []int{3, 2}
	}
	c.mu.Lock()
	known := c.produces
	c.mu.Unlock()
	if known != 0 {
		versions = []int{known, 5 - known}
	}
	var failure error
	for _, v := range versions {
		p, err := c.produce(ctx, slot, v, o)
		if err == nil {
			c.mu.Lock()
			c.produces = v
			c.mu.Unlock()
			return p, nil
		}
		failure = first(failure, err)
		if ctx.Err() != nil || !unknownEndpoint(err) {
			break
		}
	}
	return nil, failure
}

// unknownEndpoint reports whether the node may lack the endpoint, as opposed to being unable to build a block now.
func unknownEndpoint(err error) bool {
	status := statusOf(err)
	return status >= 400 && status < 500
}

func (c *Client) produce(ctx context.Context, slot blockprint.Slot, version int, o ProduceOptions) (*Produced, error) {
	schemas, err := c.Schemas(ctx)
	if err != nil {
		return nil, err
	}
	reveal := infinity + strings.Repeat("0", 2*signatureSize-2)
	if o.Reveal != nil {
		reveal = "0x" + hex.EncodeToString(o.Reveal)
	}
	path := fmt.Sprintf("/eth/v%d/validator/blocks/%d?randao_reveal=%s", version, slot, reveal)
	if o.SkipRandao {
		path += "&skip_randao_verification=" // with an empty value, as all clients read it
	}
	if o.BuilderBoost != nil && version >= 3 {
		path += "&builder_boost_factor=" + url.QueryEscape(strconv.FormatUint(*o.BuilderBoost, 10))
	}
	var p *Produced
	read := func(a answer, body []byte) (err error) {
		if p, err = c.readProduced(schemas, slot, a, body); err != nil {
			return &unreadable{err}
		}
		if p.Slot != slot {
			return blockprint.Errorf(blockprint.Invalid, "asked for a block at slot %d, the node built one at slot %d", slot, p.Slot)
		}
		return nil
	}
	err = c.each(ctx, func(ctx context.Context, n *node) error { return c.askEncoded(ctx, n, path, o.SSZ, read) })
	if err != nil {
		return nil, err
	}
	p.Endpoint = version
	return p, nil
}

func (c *Client) readProduced(schemas *Schemas, slot blockprint.Slot, a answer, body []byte) (p *Produced, err error) {
	p = &Produced{Blinded: a.Header.Get("Eth-Execution-Payload-Blinded") == "true"}
	value, version := a.Header.Get("Eth-Consensus-Block-Value"), a.Header.Get("Eth-Consensus-Version")
	var encoded []byte
	var fork blockprint.Fork
	const unsigned, contents = 84, 12 // where a block's body begins, and block contents
	if isSSZ(a, body, [2]int{unsigned - 4, unsigned}, [2]int{0, contents}) {
		if fork, err = c.forkOf(version, func() (blockprint.Slot, error) { return slot, nil }); err != nil {
			return nil, err
		}
		encoded = body
		if fork >= blockprint.Deneb && !p.Blinded {
			if encoded, err = blockOfContents(body); err != nil {
				return nil, err
			}
		}
	} else if encoded, fork, err = c.producedJSON(schemas, body, version, &value, p); err != nil {
		return nil, err
	}
	if p.Value, _ = new(big.Int).SetString(value, 10); value == "" {
		p.Value = nil
	}
	if p.Block, err = schemas.Decode(p.form(), fork, encoded); err != nil {
		return nil, err
	}
	if !p.Blinded {
		p.SSZ = encoded
		encoded = schemas.Blind(fork, encoded)
	}
	p.JSON = schemas.types[Blinded][fork].AppendJSON(nil, encoded)
	return p, nil
}

// blockOfContents returns the block in SSZ block contents (block, proofs, blobs), which begin with three offsets.
func blockOfContents(b []byte) ([]byte, error) {
	const offsets = 12
	if len(b) < offsets {
		return nil, errors.New("the block contents are truncated")
	}
	start, end := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if start != offsets || end < start || uint64(end) > uint64(len(b)) {
		return nil, fmt.Errorf("not the SSZ of block contents: they begin with the offsets %d and %d", start, end)
	}
	return b[start:end], nil
}

// producedJSON reads the JSON answer of either version into SSZ.
func (c *Client) producedJSON(schemas *Schemas, body []byte, version string, value *string, p *Produced) ([]byte, blockprint.Fork, error) {
	var reply struct {
		Version string          `json:"version"`
		Blinded bool            `json:"execution_payload_blinded"`
		Value   string          `json:"consensus_block_value"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return nil, 0, badJSON("the JSON of a produced block", body, err)
	}
	if reply.Data == nil {
		return nil, 0, errors.New(`not a produced block: "data" is missing`)
	}
	p.Blinded = p.Blinded || reply.Blinded
	if *value == "" {
		*value = reply.Value
	}
	if reply.Version != "" {
		version = reply.Version
	}
	var contents struct {
		Block json.RawMessage   `json:"block"`
		Slot  blockprint.Quoted `json:"slot"`
	}
	if err := json.Unmarshal(reply.Data, &contents); err != nil {
		return nil, 0, err
	}
	fork, err := c.forkOf(version, func() (blockprint.Slot, error) { return blockprint.Slot(contents.Slot), nil })
	if err != nil {
		return nil, 0, err
	}
	data := reply.Data
	if contents.Block != nil {
		data = contents.Block
	}
	encoded, err := schemas.types[p.form()][fork].FromJSON(jx.DecodeBytes(data))
	if err != nil {
		return nil, 0, fmt.Errorf("%s block: %w", fork, err)
	}
	return encoded, fork, nil
}
