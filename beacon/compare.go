package beacon

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"blockprint"
)

// view is how a node sees the chain.
type view struct {
	head       blockprint.Slot
	ok         bool // it reports a head that is not in the future
	unverified bool // its execution client has not verified the head
}

// tolerance is how many slots heads may differ without one node being better than another: nodes are not asked at
// exactly the same time.
const tolerance = 2

// compare looks at every node's head once an epoch, and in the slot after the preferred node has failed or fallen
// behind, and prefers the newest head. If there is only one node, that serves metrics and warnings. No request waits for
// it.
func (c *Client) compare() {
	c.mu.Lock()
	network, age, suspect := c.network, time.Since(c.looked), c.suspect && len(c.nodes) > 1
	c.mu.Unlock()
	if network == nil || age < network.SlotDuration || !suspect && age < time.Duration(network.SlotsPerEpoch)*network.SlotDuration {
		return
	}
	if !c.looking.TryLock() {
		return // another request has started it
	}
	c.background.Go(func() {
		defer c.looking.Unlock()
		c.compareNow(network)
	})
}

func (c *Client) compareNow(network *blockprint.Network) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	views := make([]view, len(c.nodes))
	var g errgroup.Group
	for i, n := range c.nodes {
		g.Go(func() error {
			views[i] = c.view(ctx, n, network)
			return nil
		})
	}
	_ = g.Wait() // nothing fails
	if c.ctx.Err() != nil {
		return
	}
	c.mu.Lock()
	before := c.preferred
	c.looked, c.suspect = time.Now(), false
	best, current := views[0], views[0]
	at := 0
	for i, n := range c.nodes {
		if n == before {
			current = views[i]
		}
		if views[i].better(best, 0) {
			best, at = views[i], i
		}
	}
	if best.better(current, tolerance) {
		c.preferred = c.nodes[at]
	}
	now := c.preferred
	c.mu.Unlock()
	if now != before {
		c.metrics.prefer(c.nodes, now)
		c.log.Info("switched to another beacon node", "node", now.name, "head_slot", best.head, "before", before.name, "its_head_slot", current.head, "it_answers", current.ok, "its_head_is_verified", !current.unverified)
	}
}

// better reports whether a node is preferable to another one.
func (v view) better(than view, tolerance blockprint.Slot) bool {
	switch {
	case v.ok != than.ok:
		return v.ok
	case v.unverified != than.unverified:
		return !v.unverified
	}
	return v.head > than.head && v.head-than.head > tolerance
}

// view asks a node for its head and for its syncing status. Nodes leave out fields of the latter, and old nodes lack it.
func (c *Client) view(ctx context.Context, n *node, network *blockprint.Network) (v view) {
	h, err := c.askHeader(ctx, n, Head)
	c.metrics.up(n, err == nil)
	if err != nil {
		return v
	}
	v.head = h.Slot
	v.ok = lag(h.Slot, time.Since(network.GenesisTime), network.SlotDuration) >= -clockSlack
	n.mu.Lock()
	news := !v.ok && !n.ahead
	n.ahead = !v.ok
	n.mu.Unlock()
	if news {
		c.log.Warn("the node's head is in the future", "node", n.name, "head_slot", h.Slot, "clock_slot", network.SlotAt(time.Now()))
	}
	c.metrics.sees(n, h.Slot)
	var reply struct {
		Optimistic *bool `json:"is_optimistic"`
		Offline    *bool `json:"el_offline"`
	}
	if c.askJSON(ctx, n, "/eth/v1/node/syncing", &reply) == nil {
		v.unverified = reply.Optimistic != nil && *reply.Optimistic || reply.Offline != nil && *reply.Offline
	}
	return v
}

// order returns the nodes in the order in which to ask them: the preferred one first, those that just failed last.
func (c *Client) order() []*node {
	c.mu.Lock()
	preferred := c.preferred
	c.mu.Unlock()
	var ranks [4][]*node
	for _, n := range c.nodes {
		rank := 0
		if n.resting() {
			rank = 2
		}
		if n != preferred {
			rank++
		}
		ranks[rank] = append(ranks[rank], n)
	}
	return slices.Concat(ranks[:]...)
}

// worked prefers a node that answered if the preferred one has just failed.
func (c *Client) worked(n *node) {
	c.mu.Lock()
	before := c.preferred
	change := n != before && before.resting()
	if change {
		c.preferred = n
	}
	c.mu.Unlock()
	if change {
		c.metrics.prefer(c.nodes, n)
		c.log.Info("switched to another beacon node", "node", n.name, "before", before.name)
	}
}

// sawHead remembers the newest head, and makes the nodes be compared if the head is old.
func (c *Client) sawHead(slot blockprint.Slot) {
	const behind = 4 // slots
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.network == nil {
		return
	}
	c.head = max(c.head, min(slot, c.network.SlotAt(time.Now())+behind))
	c.suspect = c.suspect || slot+behind < c.network.SlotAt(time.Now())
}
