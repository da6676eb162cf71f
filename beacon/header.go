package beacon

import (
	"context"
	"errors"
	"net/url"
	"strconv"

	"blockprint"
	"blockprint/beacon/ssz"
)

// ID names a block or state: "head", "finalized", "genesis", a slot or a root.
type ID string

// IDs that every node understands.
const (
	Head      ID = "head"
	Finalized ID = "finalized"
)

// AtSlot names the canonical block or state at a slot.
func AtSlot(s blockprint.Slot) ID { return ID(strconv.FormatUint(uint64(s), 10)) }

// AtRoot names a block or state by its root.
func AtRoot(r blockprint.Root) ID { return ID(r.String()) }

func (id ID) slot() (blockprint.Slot, bool) {
	n, err := strconv.ParseUint(string(id), 10, 64)
	return blockprint.Slot(n), err == nil
}

func (id ID) root() (blockprint.Root, bool) {
	r, err := blockprint.ParseRoot(string(id))
	return r, err == nil
}

// word reports whether an ID names something that every node has.
func (id ID) word() bool { return id == Head || id == Finalized || id == "justified" }

// check makes sure that a node sent the requested block. For an empty slot some nodes send the block before it, which
// means no more than "not found".
func (id ID) check(root blockprint.Root, slot blockprint.Slot) error {
	if want, ok := id.root(); ok && want != root {
		return &otherBlock{blockprint.Errorf(blockprint.Invalid, "asked for block %s, the node sent one with root %s", want.Short(), root.Short())}
	}
	if want, ok := id.slot(); ok && want != slot {
		code := blockprint.Invalid
		if slot < want {
			code = blockprint.NotFound
		}
		return &otherBlock{blockprint.Errorf(code, "asked for the block at slot %d, the node sent the one at slot %d", want, slot)}
	}
	return nil
}

// otherBlock is the error for a valid block that was not requested.
type otherBlock struct{ error }

func (o *otherBlock) Unwrap() error { return o.error }

// Header is a block's header with its root.
type Header struct {
	Root          blockprint.Root
	Canonical     bool // true for nodes that do not say
	Slot          blockprint.Slot
	ProposerIndex uint64
	ParentRoot    blockprint.Root
	StateRoot     blockprint.Root
}

// Header returns a block's header. If the ID is a slot or a root, the result is that block's header or an error. NotFound
// for a slot means that no node has a block there, which does not prove that the slot is empty.
func (c *Client) Header(ctx context.Context, id ID) (h Header, err error) {
	err = c.each(ctx, func(ctx context.Context, n *node) error {
		h, err = c.askHeader(ctx, n, id)
		return c.lacking(ctx, n, id, err)
	})
	if err == nil && id == Head {
		c.sawHead(h.Slot)
	}
	return h, err
}

// headerType is the specification's BeaconBlockHeader.
var headerType = func() *ssz.Type {
	root := ssz.BytesOf(32)
	return ssz.ContainerOf(f("slot", ssz.U64()), f("proposer_index", ssz.U64()), f("parent_root", root), f("state_root", root), f("body_root", root))
}()

func (c *Client) askHeader(ctx context.Context, n *node, id ID) (h Header, err error) {
	var reply struct {
		Root      blockprint.Root `json:"root"`
		Canonical *bool           `json:"canonical"`
		Header    struct {
			Message struct {
				Slot          *blockprint.Quoted `json:"slot"`
				ProposerIndex *blockprint.Quoted `json:"proposer_index"`
				ParentRoot    *blockprint.Root   `json:"parent_root"`
				StateRoot     *blockprint.Root   `json:"state_root"`
				BodyRoot      *blockprint.Root   `json:"body_root"`
			} `json:"message"`
		} `json:"header"`
	}
	err = c.once(ctx, n, query{"/eth/v1/beacon/headers/" + url.PathEscape(string(id)), acceptJSON, small}, func(a answer) error {
		if err := decodeData(a.Body, &reply); err != nil {
			return err
		}
		m := reply.Header.Message
		if m.Slot == nil || m.ProposerIndex == nil || m.ParentRoot == nil || m.StateRoot == nil || reply.Root.IsZero() {
			return errors.New("the header is incomplete")
		}
		h = Header{reply.Root, reply.Canonical == nil || *reply.Canonical, blockprint.Slot(*m.Slot), uint64(*m.ProposerIndex), *m.ParentRoot, *m.StateRoot}
		if m.BodyRoot != nil {
			root := blockprint.Root(headerType.Root(headerType.Build(map[string][]byte{
				"slot": ssz.Uint64Bytes(uint64(h.Slot)), "proposer_index": ssz.Uint64Bytes(h.ProposerIndex),
				"parent_root": h.ParentRoot[:], "state_root": h.StateRoot[:], "body_root": m.BodyRoot[:],
			})))
			if root != h.Root {
				return blockprint.Errorf(blockprint.Invalid, "the header's root is %s, but the node says %s", root.Short(), h.Root.Short())
			}
		}
		return id.check(h.Root, h.Slot)
	})
	return h, err
}

// lacking decides what a request's error means if the node may not have what was asked for. Nodes say so in many ways,
// server errors included; such an error counts as NotFound if the node answers other requests meanwhile. It is different
// for what every node has: a node without a head is not ready.
func (c *Client) lacking(ctx context.Context, n *node, id ID, err error) error {
	status := statusOf(err)
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case id.word():
		if blockprint.CodeOf(err) == blockprint.NotFound {
			return blockprint.Errorf(blockprint.Unavailable, "%w", err)
		}
		return err
	case status < 500:
		return err
	}
	if _, byRoot := id.root(); byRoot {
		return err // the chain names this root: a live node that fails now may have the block later
	}
	if !c.alive(ctx, n) {
		return err
	}
	return blockprint.Errorf(blockprint.NotFound, "%w (the node answers other requests)", err)
}

// alive reports whether a node knows a head.
func (c *Client) alive(ctx context.Context, n *node) bool {
	_, err := c.askHeader(ctx, n, Head)
	return err == nil
}
