package beacon

import (
	"context"
	"fmt"
	"io"

	"blockprint"
)

// Version returns what the node says it is, such as "Lighthouse/v5.3.0-d6ba8c3/x86_64-linux".
func (c *Client) Version(ctx context.Context) (version string, err error) {
	err = c.each(ctx, func(ctx context.Context, n *node) error {
		var reply struct {
			Version string `json:"version"`
		}
		err := c.askJSON(ctx, n, "/eth/v1/node/version", &reply)
		version = n.text(reply.Version)
		return err
	})
	return version, err
}

// Finality holds a state's checkpoints.
type Finality struct{ Justified, Finalized blockprint.Checkpoint }

// Finality returns the head state's checkpoints. The finalized epoch is never after the justified one, and the justified
// one never after the head's.
func (c *Client) Finality(ctx context.Context) (f Finality, err error) {
	network, err := c.Network(ctx)
	if err != nil {
		return f, err
	}
	err = c.each(ctx, func(ctx context.Context, n *node) error {
		f, err = c.askFinality(ctx, n, network)
		return c.lacking(ctx, n, Head, err)
	})
	return f, err
}

func (c *Client) askFinality(ctx context.Context, n *node, network *blockprint.Network) (Finality, error) {
	type checkpoint struct {
		Epoch *blockprint.Quoted `json:"epoch"`
		Root  blockprint.Root    `json:"root"`
	}
	var reply struct {
		Justified checkpoint `json:"current_justified"`
		Finalized checkpoint `json:"finalized"`
	}
	if err := c.askJSON(ctx, n, "/eth/v1/beacon/states/head/finality_checkpoints", &reply); err != nil {
		return Finality{}, err
	}
	if reply.Justified.Epoch == nil || reply.Finalized.Epoch == nil {
		return Finality{}, n.errorf(blockprint.Invalid, "its checkpoints have no epochs")
	}
	convert := func(p checkpoint) blockprint.Checkpoint {
		return blockprint.Checkpoint{Epoch: blockprint.Epoch(*p.Epoch), Root: p.Root}
	}
	f := Finality{convert(reply.Justified), convert(reply.Finalized)}
	c.mu.Lock()
	known := network.EpochOf(c.head)
	c.mu.Unlock()
	if f.Justified.Epoch > known {
		h, err := c.askHeader(ctx, n, Head)
		if err != nil {
			return Finality{}, err
		}
		known = network.EpochOf(h.Slot)
	}
	if f.Justified.Epoch > known || f.Finalized.Epoch > f.Justified.Epoch {
		return Finality{}, n.errorf(blockprint.Invalid, "it says that epoch %d is finalized and epoch %d justified, but its head is in epoch %d", f.Finalized.Epoch, f.Justified.Epoch, known)
	}
	return f, nil
}

// LighthouseRewards asks an old Lighthouse for the rewards of a range of slots, both ends included, and hands the
// body to read.
func (c *Client) LighthouseRewards(ctx context.Context, slots blockprint.Interval, read func(io.Reader) error) error {
	path := fmt.Sprintf("/lighthouse/analysis/block_rewards?start_slot=%d&end_slot=%d", slots.Start, slots.End)
	return c.each(ctx, func(ctx context.Context, n *node) error {
		return c.once(ctx, n, query{path, acceptJSON, analysis}, func(a answer) error { return read(a.Body) })
	})
}

// Raw reads the "data" of any small answer, for endpoints that have no method here.
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
	w, err := unwrap(raw)
	if err != nil {
		return nil, err
	}
	fork, err := c.forkOf(w.version, func() (blockprint.Slot, error) { return w.slot, nil })
	if err != nil {
		return nil, err
	}
	return schemas.DecodeJSON(w.form, fork, w.message)
}
