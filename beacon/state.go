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

// StateOf names the state after a block. Nodes are asked for it by its root, and those that do not find it so by its
// slot: Nimbus looks up some roots only, Prysm replays slots.
func StateOf(root blockprint.Root, slot blockprint.Slot) ID {
	return ID(string(AtRoot(root)) + "@" + string(AtSlot(slot)))
}

// ways returns the names under which nodes may know a state.
func (id ID) ways() []ID {
	root, slot, both := strings.Cut(string(id), "@")
	if !both {
		return []ID{id}
	}
	return []ID{ID(root), ID(slot)}
}

// stateQuery asks for something of a state.
type stateQuery struct {
	prefix, suffix string // of the path, around the state's ID
	accept         string
	size           size
}

// state asks for something of a state, each node in every way that it may know it. What a live node refuses twice in a
// row it cannot give: NotFound.
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
		failure = n.errorf(blockprint.NotFound, "it refused such states before, and is asked again later")
	}
	return failure
}

// refused tells errors that may be a node's way to say that it does not have a state.
func (c *Client) refused(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (statusOf(err) >= 500 || errors.Is(err, context.DeadlineExceeded))
}

// insist asks once more for a state that a node refused. If it refuses it again and is alive, it cannot give it. A
// state whose computing took too long is not asked for twice.
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

// recentEpochs is how far back of the head a state is one that most nodes keep.
const recentEpochs = 4

// recent tells whether a state is of the last epochs before the newest head.
func (c *Client) recent(id ID) bool {
	ways := id.ways()
	slot, ok := ways[len(ways)-1].slot()
	c.mu.Lock()
	defer c.mu.Unlock()
	return ok && c.network != nil && c.head > 0 && slot+blockprint.Slot(recentEpochs*c.network.SlotsPerEpoch) >= c.head
}

// epoch returns the time of an epoch.
func (c *Client) epoch() time.Duration {
	network := c.known()
	if network == nil {
		return time.Minute
	}
	return time.Duration(network.SlotsPerEpoch) * network.SlotDuration
}

// refusals remembers whether a node gives states in one way, so that it is not asked in vain in each epoch. Old and
// recent states are remembered apart, and each endpoint: a node that drops states of history gives others.
type refusals struct {
	node  *node
	times int // in a row
	until time.Time
}

// refusalsOf returns the memory of a way; states that are named by a word have none.
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

// waits tells whether it is not yet time to ask again.
func (r *refusals) waits() bool {
	r.node.mu.Lock()
	defer r.node.mu.Unlock()
	return time.Now().Before(r.until)
}

// note counts. After the second refusal in a row the way is left out for eight epochs, then for twice as long, and so on.
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
