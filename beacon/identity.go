package beacon

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"blockprint"
)

type genesis struct {
	Time blockprint.Quoted `json:"genesis_time"`
	Root blockprint.Root   `json:"genesis_validators_root"`
}

// askGenesis asks a node for its genesis, which nothing else must be asked before.
func (c *Client) askGenesis(ctx context.Context, n *node) (g genesis, err error) {
	_, err = c.exchange(ctx, n, query{"/eth/v1/beacon/genesis", acceptJSON, small}, func(a answer) error {
		return decodeData(a.Body, &g)
	})
	if err == nil && g.Root.IsZero() {
		err = n.errorf(blockprint.Invalid, "its genesis has no genesis_validators_root")
	}
	return g, err
}

// doubt makes the next request ask for the genesis first.
func (n *node) doubt() { n.verifiedAt(time.Time{}) }

func (n *node) verifiedAt(t time.Time) {
	n.mu.Lock()
	n.verified = t
	n.mu.Unlock()
}

// known returns the nodes' network, nil before it was asked for.
func (c *Client) known() *blockprint.Network {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.network
}

// verify makes sure that a node was of the client's network a moment ago: a slot at most, a second at least.
func (c *Client) verify(ctx context.Context, n *node) error {
	network := c.known()
	if network == nil {
		return nil
	}
	return c.verifySince(ctx, n, time.Now().Add(-max(network.SlotDuration, time.Second)))
}

// verifySince makes sure that a node said after a moment that it is of the client's network. Genesis times of test
// networks differ by seconds between clients; the root of the genesis validators is what identifies a network.
func (c *Client) verifySince(ctx context.Context, n *node, since time.Time) error {
	network := c.known()
	if network == nil {
		return nil
	}
	n.verifying.Lock()
	defer n.verifying.Unlock()
	n.mu.Lock()
	verified := n.verified
	n.mu.Unlock()
	if !verified.IsZero() && !verified.Before(since) {
		return nil
	}
	n.doubt()
	now := time.Now()
	g, err := c.askGenesis(ctx, n)
	if err != nil {
		if code := blockprint.CodeOf(err); ctx.Err() == nil && (code == blockprint.NotFound || code == blockprint.Invalid) {
			err = n.errorf(blockprint.Unavailable, "it does not say which network it is of: %w", err)
		}
		return err
	}
	if g.Root != network.GenesisValidatorsRoot {
		return n.errorf(blockprint.Conflict, "it is of another network: its genesis validators root is %s, ours %s", g.Root.Short(), network.GenesisValidatorsRoot.Short())
	}
	n.verifiedAt(now)
	return nil
}

// Verify asks the preferred node now whether it is of the client's network, whenever that was asked last. It is for
// what does not join what is known; a Conflict says that the node is of another network.
func (c *Client) Verify(ctx context.Context) error {
	now := time.Now()
	return c.each(ctx, func(ctx context.Context, n *node) error { return c.verifySince(ctx, n, now) })
}

// Network returns the network of the nodes, asked for once. Before the nodes know their genesis it is Unavailable.
func (c *Client) Network(ctx context.Context) (*blockprint.Network, error) {
	network := c.known()
	if network != nil {
		return network, nil
	}
	err := c.each(ctx, func(ctx context.Context, n *node) (err error) {
		network, err = c.askNetwork(ctx, n)
		if err != nil && blockprint.CodeOf(err) == blockprint.NotFound {
			err = n.errorf(blockprint.Unavailable, "it does not know its genesis yet: %w", err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.network == nil { // the first of several concurrent askers
		c.network, c.schemas = network, NewSchemas(&network.Spec)
	}
	return c.network, nil
}

// askNetwork asks one node for all that makes a network.
func (c *Client) askNetwork(ctx context.Context, n *node) (*blockprint.Network, error) {
	now := time.Now()
	g, err := c.askGenesis(ctx, n)
	if err != nil {
		return nil, err
	}
	var raw map[string]json.RawMessage
	if err := c.askJSON(ctx, n, "/eth/v1/config/spec", &raw); err != nil {
		return nil, err
	}
	spec, err := parseSpec(raw)
	if err != nil {
		return nil, n.errorf(blockprint.Invalid, "%w", err)
	}
	for _, w := range spec.warnings {
		c.log.Warn("beacon node's configuration: "+w, "node", n.name)
	}
	network := &blockprint.Network{Spec: spec.Spec, GenesisTime: time.Unix(int64(min(g.Time, math.MaxInt64)), 0), GenesisValidatorsRoot: g.Root}
	c.chooseClock(ctx, n, network, spec.durations)
	n.verifiedAt(now)
	return network, nil
}

// Schemas returns the block types of the nodes' network.
func (c *Client) Schemas(ctx context.Context) (*Schemas, error) {
	if _, err := c.Network(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.schemas, nil
}
