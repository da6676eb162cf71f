package beacon

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"blockprint"
)

// Block returns a block. If the ID is a slot or a root, the result is that block or an error. NotFound for a slot means
// that no node has a block there, which does not prove that the slot is empty.
func (c *Client) Block(ctx context.Context, id ID) (*Block, error) {
	schemas, err := c.Schemas(ctx)
	if err != nil {
		return nil, err
	}
	var block *Block
	err = c.each(ctx, func(ctx context.Context, n *node) error {
		err := c.askEncoded(ctx, n, "/eth/v2/beacon/blocks/"+url.PathEscape(string(id)), !c.options.JSON, func(a answer, body []byte) error {
			if block, err = c.readBlock(schemas, a, body); err != nil {
				return &unreadable{err}
			}
			return id.check(block.Root, block.Slot)
		})
		return c.lacking(ctx, n, id, err)
	})
	if err != nil {
		return nil, err
	}
	return block, nil
}

func (c *Client) readBlock(schemas *Schemas, a answer, body []byte) (*Block, error) {
	const signed = 4 + signatureSize // the offset of a signed block's message
	if isSSZ(a, body, [2]int{0, signed}) {
		fork, err := c.forkOf(a.Header.Get("Eth-Consensus-Version"), func() (blockprint.Slot, error) { return slotOfSigned(body) })
		if err != nil {
			return nil, err
		}
		return schemas.Decode(Signed, fork, body)
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
	return schemas.DecodeJSON(Signed, fork, reply.Data)
}

// badJSON distinguishes a truncated text, for which a retry may help, from a wrong one.
func badJSON(what string, text []byte, err error) error {
	code := blockprint.Invalid
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset >= int64(len(text)) {
		code = blockprint.Unavailable
	}
	return blockprint.Errorf(code, "not %s: %w", what, err)
}

// forkOf reads the fork's name that came with a block. If the node did not send one, the schedule and the slot decide.
func (c *Client) forkOf(name string, slot func() (blockprint.Slot, error)) (blockprint.Fork, error) {
	if name != "" {
		return blockprint.ParseFork(name)
	}
	s, err := slot()
	if err != nil {
		return 0, err
	}
	network := c.known()
	epoch := network.EpochOf(s)
	if unknown := network.UnknownForkAt(epoch); unknown != "" {
		return 0, blockprint.Errorf(blockprint.Invalid, "slot %d belongs to fork %q, which this version does not know: update blockprint", s, unknown)
	}
	return network.ForkAt(epoch), nil
}
