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

// askGenesis asks a node for its genesis. That is always the first request, so it does not verify the node.
func (c *Client) askGenesis(ctx context.Context, n *node) (g genesis, err error) {
	_, err = c.exchange(ctx, n, query{"/eth/v1/beacon/genesis", acceptJSON, small}, func(a answer) error {
		return decodeData(a.Body, &g)
	})
	if err == nil && g.Root.IsZero() {
		err = n.errorf(blockprint.Invalid, "its genesis has no genesis_validators_root")
	}
	return g, err
}

// doubt makes the next request check the genesis first.
func (n *node) doubt() { n.verifiedAt(time.Time{}) }

func (n *node) verifiedAt(t time.Time) {
	n.mu.Lock()
	n.verified = t
	n.mu.Unlock()
}

// known returns the nodes' network, nil if it has not been asked for.
func (c *Client) known() *blockprint.Network {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.network
}

// verify makes sure that a node belonged to the client's network a moment ago: within a slot or a second, whichever is
// longer.
func (c *Client) verify(ctx context.Context, n *node) error {
	network := c.known()
	if network == nil {
		return nil
	}
	return c.verifySince(ctx, n, time.Now().Add(-max(network.SlotDuration, time.Second)))
}

// verifySince makes sure that a node has proven, after a moment, that it belongs to the client's network. Only the
// genesis validators root identifies a network: on test networks, clients' genesis times differ by seconds.
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
			err = n.errorf(blockprint.Unavailable, "it does not say which network it belongs to: %w", err)
		}
		return err
	}
	if g.Root != network.GenesisValidatorsRoot {
		return n.errorf(blockprint.Conflict, "it is on another network: its genesis validators root is %s, ours is %s", g.Root.Short(), network.GenesisValidatorsRoot.Short())
	}
	n.verifiedAt(now)
	return nil
}

// Verify asks the preferred node whether it belongs to the client's network, even if it has just been asked. Callers use
// it if a block does not join the chain that they know. Conflict means that the node is on another network.
func (c *Client) Verify(ctx context.Context) error {
	now := time.Now()
	return c.each(ctx, func(ctx context.Context, n *node) error { return c.verifySince(ctx, n, now) })
}

// Network returns the nodes' network, which is asked for once. It is Unavailable until the nodes know their genesis.
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
	if c.network == nil { // else a concurrent call was faster
		c.network, c.schemas = network, NewSchemas(&network.Spec)
	}
	return c.network, nil
}

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
