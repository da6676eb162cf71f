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

// Usual IDs.
const (
	Head      ID = "head"
	Finalized ID = "finalized"
)

// AtSlot names the canonical block or state of a slot.
func AtSlot(s blockprint.Slot) ID { return ID(strconv.FormatUint(uint64(s), 10)) }

// AtRoot names a block or state by its root.
func AtRoot(r blockprint.Root) ID { return ID(r.String()) }

// slot returns the slot that an ID names.
func (id ID) slot() (blockprint.Slot, bool) {
	n, err := strconv.ParseUint(string(id), 10, 64)
	return blockprint.Slot(n), err == nil
}

// root returns the root that an ID names.
func (id ID) root() (blockprint.Root, bool) {
	r, err := blockprint.ParseRoot(string(id))
	return r, err == nil
}

// word tells whether an ID names what every node has.
func (id ID) word() bool { return id == Head || id == Finalized || id == "justified" }

// check makes sure that a node gave the block that it was asked for. For an empty slot some nodes give the block
// before it, which says no more than "not found" does.
func (id ID) check(root blockprint.Root, slot blockprint.Slot) error {
	if want, ok := id.root(); ok && want != root {
		return &otherBlock{blockprint.Errorf(blockprint.Invalid, "asked for block %s, the node gave one whose root is %s", want.Short(), root.Short())}
	}
	if want, ok := id.slot(); ok && want != slot {
		code := blockprint.Invalid
		if slot < want {
			code = blockprint.NotFound
		}
		return &otherBlock{blockprint.Errorf(code, "asked for the block of slot %d, the node gave one of slot %d", want, slot)}
	}
	return nil
}

// otherBlock is the error of a sound block that was not asked for.
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

// Header returns a block's header. Asked for by slot or root it is that block's or an error; NotFound for a slot means
// that no node gives a block of it, which is no proof that there is none.
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
			return errors.New("not a whole header")
		}
		h = Header{reply.Root, reply.Canonical == nil || *reply.Canonical, blockprint.Slot(*m.Slot), uint64(*m.ProposerIndex), *m.ParentRoot, *m.StateRoot}
		if m.BodyRoot != nil {
			root := blockprint.Root(headerType.Root(headerType.Build(map[string][]byte{
				"slot": ssz.Uint64Bytes(uint64(h.Slot)), "proposer_index": ssz.Uint64Bytes(h.ProposerIndex),
				"parent_root": h.ParentRoot[:], "state_root": h.StateRoot[:], "body_root": m.BodyRoot[:],
			})))
			if root != h.Root {
				return blockprint.Errorf(blockprint.Invalid, "the header's root is %s, the node says %s", root.Short(), h.Root.Short())
			}
		}
		return id.check(h.Root, h.Slot)
	})
	return h, err
}

// lacking decides what the error of a request means for something that a node may not have. Nodes say that in every
// way, server errors included; such an error counts as NotFound if the node answers other requests meanwhile. What
// every node has is another matter: a node without a head is not ready.
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
		return err // a root is told by the chain: a live node that fails for it may have it later
	}
	if !c.alive(ctx, n) {
		return err
	}
	return blockprint.Errorf(blockprint.NotFound, "%w (the node answers other requests)", err)
}

// alive tells whether a node answers for the chain at all.
func (c *Client) alive(ctx context.Context, n *node) bool {
	_, err := c.askHeader(ctx, n, Head)
	return err == nil
}
