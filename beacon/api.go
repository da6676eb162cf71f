package beacon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"blockprint"
)

// ID names a block or state: "head", "finalized", "genesis", a slot or a root.
type ID string

// Usual IDs.
const (
	Head      ID = "head"
	Finalized ID = "finalized"
)

// AtSlot names the canonical block or state of a slot.
func AtSlot(s blockprint.Slot) ID { return ID(strconv.FormatUint(uint64(s), 10)) }

// AtRoot names a block or state by its root.
func AtRoot(r blockprint.Root) ID { return ID(r.String()) }

// Version returns what the node says it is, such as "Lighthouse/v5.3.0-d6ba8c3/x86_64-linux".
func (c *Client) Version(ctx context.Context) (string, error) {
	var reply struct {
		Version string `json:"version"`
	}
	err := c.getJSON(ctx, "/eth/v1/node/version", &reply)
	return reply.Version, err
}

// Header is a block's header with its root.
type Header struct {
	Root          blockprint.Root
	Canonical     bool
	Slot          blockprint.Slot
	ProposerIndex uint64
	ParentRoot    blockprint.Root
	StateRoot     blockprint.Root
}

// Header returns a block's header.
func (c *Client) Header(ctx context.Context, id ID) (Header, error) {
	var reply struct {
		Root      blockprint.Root `json:"root"`
		Canonical bool            `json:"canonical"`
		Header    struct {
			Message struct {
				Slot          blockprint.Quoted `json:"slot"`
				ProposerIndex blockprint.Quoted `json:"proposer_index"`
				ParentRoot    blockprint.Root   `json:"parent_root"`
				StateRoot     blockprint.Root   `json:"state_root"`
			} `json:"message"`
		} `json:"header"`
	}
	err := c.getJSON(ctx, "/eth/v1/beacon/headers/"+string(id), &reply)
	m := reply.Header.Message
	return Header{reply.Root, reply.Canonical, blockprint.Slot(m.Slot), uint64(m.ProposerIndex), m.ParentRoot, m.StateRoot}, err
}

// Finality holds a state's checkpoints.
type Finality struct{ Justified, Finalized blockprint.Checkpoint }

// Finality returns the checkpoints of the head state.
func (c *Client) Finality(ctx context.Context) (Finality, error) {
	type checkpoint struct {
		Epoch blockprint.Quoted `json:"epoch"`
		Root  blockprint.Root   `json:"root"`
	}
	var reply struct {
		Justified checkpoint `json:"current_justified"`
		Finalized checkpoint `json:"finalized"`
	}
	err := c.getJSON(ctx, "/eth/v1/beacon/states/head/finality_checkpoints", &reply)
	convert := func(p checkpoint) blockprint.Checkpoint {
		return blockprint.Checkpoint{Epoch: blockprint.Epoch(p.Epoch), Root: p.Root}
	}
	return Finality{convert(reply.Justified), convert(reply.Finalized)}, err
}

// Block returns a block. Asked for by slot or root it is that block or an error; NotFound for a slot means that
// the node knows no block there.
func (c *Client) Block(ctx context.Context, id ID) (*Block, error) {
	schemas, err := c.Schemas(ctx)
	if err != nil {
		return nil, err
	}
	accept := acceptSSZ
	if c.options.JSON {
		accept = acceptJSON
	}
	var block *Block
	err = c.get(ctx, "/eth/v2/beacon/blocks/"+url.PathEscape(string(id)), accept, limitBlock, func(a answer) error {
		if block, err = c.readBlock(schemas, a); err != nil {
			return err
		}
		return checkIdentity(block, id)
	})
	if err != nil {
		return nil, err
	}
	return block, nil
}

// checkIdentity makes sure that a node gave the block that it was asked for.
func checkIdentity(b *Block, id ID) error {
	if root, err := blockprint.ParseRoot(string(id)); err == nil && root != b.Root {
		return blockprint.Errorf(blockprint.Invalid, "asked for block %s, the node gave one whose root is %s", root.Short(), b.Root.Short())
	}
	if slot, err := strconv.ParseUint(string(id), 10, 64); err == nil && blockprint.Slot(slot) != b.Slot {
		return blockprint.Errorf(blockprint.Invalid, "asked for the block of slot %d, the node gave one of slot %d", slot, b.Slot)
	}
	return nil
}

func (c *Client) readBlock(schemas *Schemas, a answer) (*Block, error) {
	body, err := io.ReadAll(a.Body)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if kind == "application/octet-stream" {
		fork, err := c.forkOf(a.Header.Get("Eth-Consensus-Version"), func() (blockprint.Slot, error) { return SlotOfSigned(body) })
		if err != nil {
			return nil, err
		}
		return schemas.DecodeSigned(fork, body)
	}
	var reply struct {
		Version string          `json:"version"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return nil, badJSON("the JSON of a block", body, err)
	}
	if reply.Data == nil {
		return nil, errors.New(`not a block: "data" is missing`)
	}
	fork, err := c.forkOf(reply.Version, func() (blockprint.Slot, error) {
		var head struct {
			Message struct {
				Slot blockprint.Quoted `json:"slot"`
			} `json:"message"`
		}
		err := json.Unmarshal(reply.Data, &head)
		return blockprint.Slot(head.Message.Slot), err
	})
	if err != nil {
		return nil, err
	}
	return schemas.DecodeSignedJSON(fork, reply.Data)
}

// badJSON tells a text that was cut off, which another try may better, from one that is wrong.
func badJSON(what string, text []byte, err error) error {
	code := blockprint.Invalid
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset >= int64(len(text)) {
		code = blockprint.Unavailable
	}
	return blockprint.Errorf(code, "not %s: %w", what, err)
}

// forkOf reads the fork's name that came with a block; nodes that do not tell it leave us the schedule.
func (c *Client) forkOf(name string, slot func() (blockprint.Slot, error)) (blockprint.Fork, error) {
	if name != "" {
		return blockprint.ParseFork(name)
	}
	s, err := slot()
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	epoch := c.network.EpochOf(s)
	if unknown := c.network.UnknownForkAt(epoch); unknown != "" {
		return 0, blockprint.Errorf(blockprint.Invalid, "slot %d is of fork %q, which this version does not know", s, unknown)
	}
	return c.network.ForkAt(epoch), nil
}

// Committee is the members of one committee of a slot, in order.
type Committee struct {
	Slot       blockprint.Slot
	Index      uint64
	Validators []uint64
}

// Committees returns the committees of an epoch as a state tells them.
func (c *Client) Committees(ctx context.Context, state ID, epoch blockprint.Epoch) ([]Committee, error) {
	var reply []struct {
		Index      blockprint.Quoted   `json:"index"`
		Slot       blockprint.Quoted   `json:"slot"`
		Validators []blockprint.Quoted `json:"validators"`
	}
	path := fmt.Sprintf("/eth/v1/beacon/states/%s/committees?epoch=%d", state, epoch)
	err := c.get(ctx, path, acceptJSON, limitBlock, func(a answer) error { return decodeData(a.Body, &reply) })
	if err != nil {
		return nil, err
	}
	out := make([]Committee, len(reply))
	for i, r := range reply {
		out[i] = Committee{blockprint.Slot(r.Slot), uint64(r.Index), make([]uint64, len(r.Validators))}
		for j, v := range r.Validators {
			out[i].Validators[j] = uint64(v)
		}
	}
	return out, nil
}

// Randao returns the RANDAO mix of an epoch, from the endpoint where the node has it, else from the debug state.
func (c *Client) Randao(ctx context.Context, state ID, epoch blockprint.Epoch) (blockprint.Root, error) {
	var reply struct {
		Randao blockprint.Root `json:"randao"`
	}
	err := c.getJSON(ctx, fmt.Sprintf("/eth/v1/beacon/states/%s/randao?epoch=%d", state, epoch), &reply)
	if err == nil {
		return reply.Randao, nil
	}
	if ctx.Err() != nil || blockprint.CodeOf(err) == blockprint.Unavailable {
		return blockprint.Root{}, err
	}
	mix, stateErr := c.randaoFromState(ctx, state, epoch)
	if stateErr != nil {
		return mix, blockprint.Errorf(blockprint.CodeOf(stateErr), "the node gives no RANDAO mix: %w; nor its state: %s", err, stateErr.Error())
	}
	return mix, nil
}

// randaoFromState reads one mix out of an encoded state without reading the rest: the fields before it are of
// fixed size in every fork.
func (c *Client) randaoFromState(ctx context.Context, state ID, epoch blockprint.Epoch) (mix blockprint.Root, err error) {
	network, err := c.Network(ctx)
	if err != nil {
		return mix, err
	}
	historical, err := c.slotsPerHistoricalRoot(ctx)
	if err != nil {
		return mix, err
	}
	const before = 8 + 32 + 8 + 16 + 112 // genesis time and root, slot, fork, latest block header
	const after = 4 + 72 + 4 + 8 + 4 + 4 // historical roots, eth1 data, votes, deposit index, validators, balances
	offset := before + 2*32*int64(historical) + after + 32*int64(uint64(epoch)%network.EpochsPerHistoricalVector)
	err = c.get(ctx, "/eth/v2/debug/beacon/states/"+url.PathEscape(string(state)), "application/octet-stream", limitState, func(a answer) error {
		if kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type")); kind != "application/octet-stream" {
			return blockprint.Errorf(blockprint.NotFound, "the state is not to be had as SSZ")
		}
		if _, err := io.CopyN(io.Discard, a.Body, offset); err != nil {
			return err
		}
		_, err := io.ReadFull(a.Body, mix[:])
		return err
	})
	return mix, err
}

func (c *Client) slotsPerHistoricalRoot(ctx context.Context) (uint64, error) {
	var raw map[string]json.RawMessage
	if err := c.getJSON(ctx, "/eth/v1/config/spec", &raw); err != nil {
		return 0, err
	}
	var n blockprint.Quoted
	if err := json.Unmarshal(raw["SLOTS_PER_HISTORICAL_ROOT"], &n); err != nil || n == 0 || n > 1<<20 {
		return 0, blockprint.Errorf(blockprint.Invalid, "the node's spec has no SLOTS_PER_HISTORICAL_ROOT that makes sense")
	}
	return uint64(n), nil
}

// RawState returns an encoded state, for checks against the node.
func (c *Client) RawState(ctx context.Context, state ID) (b []byte, err error) {
	err = c.get(ctx, "/eth/v2/debug/beacon/states/"+url.PathEscape(string(state)), "application/octet-stream", limitState, func(a answer) error {
		b, err = io.ReadAll(a.Body)
		return err
	})
	return b, err
}

// LighthouseRewards asks an old Lighthouse for the rewards of a range of slots, both ends included, and hands the
// body to read.
func (c *Client) LighthouseRewards(ctx context.Context, slots blockprint.Interval, read func(io.Reader) error) error {
	path := fmt.Sprintf("/lighthouse/analysis/block_rewards?start_slot=%d&end_slot=%d", slots.Start, slots.End)
	return c.request(ctx, http.MethodGet, path, acceptJSON, limitState, func(a answer) error { return read(a.Body) })
}

// Raw reads the "data" of any small answer, for what has no method here.
func (c *Client) Raw(ctx context.Context, path string, into any) error {
	return c.getJSON(ctx, path, into)
}

// ParseBlock reads the JSON of a block of the nodes' network as tools give it: signed, unsigned, or wrapped with
// its version as by the Beacon API. Without a version the fork follows from the slot.
func (c *Client) ParseBlock(ctx context.Context, raw []byte) (*Block, error) {
	schemas, err := c.Schemas(ctx)
	if err != nil {
		return nil, err
	}
	var shape struct {
		Version string            `json:"version"`
		Data    json.RawMessage   `json:"data"`
		Message json.RawMessage   `json:"message"`
		Block   json.RawMessage   `json:"block"` // block contents since Deneb
		Slot    blockprint.Quoted `json:"slot"`
		Body    struct {
			Header json.RawMessage `json:"execution_payload_header"` // of a blinded block
		} `json:"body"`
	}
	version := ""
	for range 4 { // data, block, message, block
		shape.Data, shape.Message, shape.Block, shape.Version = nil, nil, nil, ""
		if err := json.Unmarshal(raw, &shape); err != nil {
			return nil, blockprint.Errorf(blockprint.Invalid, "not the JSON of a block: %w", err)
		}
		if shape.Version != "" {
			version = shape.Version
		}
		switch {
		case shape.Data != nil:
			raw = shape.Data
		case shape.Block != nil:
			raw = shape.Block
		case shape.Message != nil:
			raw = shape.Message
		}
	}
	fork, err := c.forkOf(version, func() (blockprint.Slot, error) { return blockprint.Slot(shape.Slot), nil })
	if err != nil {
		return nil, err
	}
	if shape.Body.Header != nil {
		return schemas.DecodeBlindedJSON(fork, raw)
	}
	return schemas.DecodeBlockJSON(fork, raw)
}
