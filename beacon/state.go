package beacon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"blockprint"
)

// StateOf names the state after a block. The client asks for it by root, and if a node does not find it that way, by
// slot: Nimbus looks up only some roots, and Prysm replays slots.
func StateOf(root blockprint.Root, slot blockprint.Slot) ID {
	return ID(string(AtRoot(root)) + "@" + string(AtSlot(slot)))
}

// ways returns the IDs under which a node may know a state.
func (id ID) ways() []ID {
	root, slot, both := strings.Cut(string(id), "@")
	if !both {
		return []ID{id}
	}
	return []ID{ID(root), ID(slot)}
}

// stateQuery asks for a part of a state.
type stateQuery struct {
	prefix, suffix string // of the path, around the state's ID
	accept         string
	size           size
}

// state asks for a part of a state, trying every ID with every node. If a live node refuses twice in a row, it cannot
// provide that part, which is NotFound.
func (c *Client) state(ctx context.Context, id ID, q stateQuery, read func(answer) error) error {
	return c.each(ctx, func(ctx context.Context, n *node) error { return c.askState(ctx, n, id, q, read) })
}

func (c *Client) askState(ctx context.Context, n *node, id ID, q stateQuery, read func(answer) error) error {
	var failure error
	for _, way := range id.ways() {
		memory := n.refusalsOf(q, way, c.recent(id))
		if memory != nil && memory.waits() {
			continue
		}
		ask := func() error {
			return c.once(ctx, n, query{q.prefix + url.PathEscape(string(way)) + q.suffix, q.accept, q.size}, read)
		}
		err := ask()
		if again := c.refused(ctx, err); again {
			err = c.insist(ctx, n, way, err, ask)
		}
		if ctx.Err() != nil {
			return err
		}
		code := blockprint.CodeOf(err)
		if memory != nil && (err == nil || code == blockprint.NotFound) {
			memory.note(err == nil, c.epoch())
		}
		if err == nil {
			return nil
		}
		failure = first(failure, err)
		if code != blockprint.NotFound && statusOf(err) != http.StatusBadRequest {
			return err
		}
	}
	if failure == nil {
		failure = n.errorf(blockprint.NotFound, "it has refused such states before; the next attempt is some epochs away")
	}
	return failure
}

// refused reports whether an error may be a node's way of saying that it does not have a state.
func (c *Client) refused(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (statusOf(err) >= 500 || errors.Is(err, context.DeadlineExceeded))
}

// insist asks once more for a state that a node refused. If the node refuses again although it is alive, it cannot
// provide the state. A request that timed out is not repeated.
func (c *Client) insist(ctx context.Context, n *node, way ID, refusal error, ask func() error) error {
	if way.word() || !c.alive(ctx, n) {
		return refusal
	}
	if statusOf(refusal) != http.StatusNotImplemented && statusOf(refusal) != 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.options.Pause):
		}
		if err := ask(); !c.refused(ctx, err) {
			return err
		}
	}
	return blockprint.Errorf(blockprint.NotFound, "%w (the node answers other requests)", refusal)
}

// recentEpochs is how far behind the head most nodes keep states.
const recentEpochs = 4

// recent reports whether a state is at most that far behind the newest head.
func (c *Client) recent(id ID) bool {
	ways := id.ways()
	slot, ok := ways[len(ways)-1].slot()
	c.mu.Lock()
	defer c.mu.Unlock()
	return ok && c.network != nil && c.head > 0 && slot+blockprint.Slot(recentEpochs*c.network.SlotsPerEpoch) >= c.head
}

// epoch returns how long an epoch is.
func (c *Client) epoch() time.Duration {
	network := c.known()
	if network == nil {
		return time.Minute
	}
	return time.Duration(network.SlotsPerEpoch) * network.SlotDuration
}

// refusals remembers how often a node refused states under one kind of ID, so that it is not asked in vain every epoch.
// Each endpoint has its own memory, and so have old and recent states: a node that drops old states provides others.
type refusals struct {
	node  *node
	times int // how often it refused in a row
	until time.Time
}

// refusalsOf returns the memory for an ID, nil if it is a word such as "head".
func (n *node) refusalsOf(q stateQuery, way ID, recent bool) *refusals {
	if _, slot := way.slot(); !slot {
		if _, root := way.root(); !root {
			return nil
		}
	}
	endpoint, _, _ := strings.Cut(q.suffix, "?")
	key := fmt.Sprint(q.prefix, endpoint, len(way) == 66, recent) // a root has 66 characters
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refused[key] == nil {
		n.refused[key] = &refusals{node: n}
	}
	return n.refused[key]
}

// waits reports whether it is too early to ask again.
func (r *refusals) waits() bool {
	r.node.mu.Lock()
	defer r.node.mu.Unlock()
	return time.Now().Before(r.until)
}

// note counts a refusal, or forgets all of them if the node provided a state. The second refusal in a row suspends
// requests for eight epochs, each further one for twice as long.
func (r *refusals) note(given bool, epoch time.Duration) {
	const often, pause, most = 2, 8, 5
	r.node.mu.Lock()
	defer r.node.mu.Unlock()
	if given {
		r.times, r.until = 0, time.Time{}
		return
	}
	if r.times++; r.times >= often {
		r.until = time.Now().Add(pause * epoch << min(r.times-often, most))
	}
}
