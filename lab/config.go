package lab

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"

	"blockprint"
	"blockprint/file"
)

// Config says what a run does: the nodes, and the mess that their votes are in. docs/lab.md describes the file.
type Config struct {
	// Network is the folder that MakeGenesis wrote, Output the one for what is recorded; both relative to the file.
	Network string `toml:"network"`
	Output  string `toml:"output"`
	// Listen is the address of the Engine API; "none" if the nodes have execution clients of their own.
	Listen string `toml:"listen"`
	Slots  uint64 `toml:"slots"`
	Seed   uint64 `toml:"seed"`
	// Knobs are the network's mess; Mess is what they say.
	Knobs map[string]any `toml:"mess"`
	Mess  Mess           `toml:"-"`
	Nodes []Node         `toml:"node"`
}

// Node is a beacon node.
type Node struct {
	Name string `toml:"name"`
	URL  string `toml:"url"`
	// Client is the label of the node's blocks; empty for a node that only passes votes on by gossip and is not asked for
	// blocks.
	Client string `toml:"client"`
	// Variant names the packer that models this version of the client, if it is known.
	Variant string `toml:"variant"`
	// Votes says how the node hears votes: "api", or "gossip" from nodes that it is connected with.
	Votes string `toml:"votes"`
	// Subnets is how many subnets' single votes it hears: -1 for all. Late and Lost are the shares of aggregates that reach
	// it after the next block, and never. What is left out is drawn from the mess.
	Subnets *int     `toml:"subnets"`
	Late    *float64 `toml:"late"`
	Lost    *float64 `toml:"lost"`
	// Subscribe makes the node subscribe to its subnets, as an aggregator's validator client would.
	Subscribe bool `toml:"subscribe"`
	// Pool is for how many slots back the node is asked for its pool when it has built a block; 0 for not at all.
	Pool int `toml:"pool"`
	// Weight is the node's share of the published blocks: 1 if it is left out, 0 for never.
	Weight *float64 `toml:"weight"`

	client blockprint.Client
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ReadConfig reads a run's file.
func ReadConfig(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, blockprint.Errorf(blockprint.NotFound, "%w", err)
	}
	c := &Config{Listen: "127.0.0.1:8551", Slots: 256, Seed: 1}
	if err := file.DecodeTOML(text, c); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s: %w", path, err)
	}
	if err := c.check(); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "%s: %w", path, err)
	}
	for _, folder := range []*string{&c.Network, &c.Output} {
		if !filepath.IsAbs(*folder) {
			*folder = filepath.Join(filepath.Dir(path), *folder)
		}
	}
	return c, nil
}

func (c *Config) check() error {
	bad := func(format string, args ...any) error { return blockprint.Errorf(blockprint.Invalid, format, args...) }
	switch {
	case c.Network == "":
		return bad("network is missing: the folder that `blockprint lab genesis` wrote")
	case c.Output == "":
		return bad("output is missing: the folder for the recording")
	case c.Slots == 0:
		return bad("slots = 0: expected a number of slots")
	case len(c.Nodes) == 0:
		return bad("no node is named: add [[node]] with name, url, and client")
	}
	names, urls := map[string]bool{}, map[string]string{}
	publishes := false
	for i := range c.Nodes {
		n := &c.Nodes[i]
		n.Votes = cmp.Or(n.Votes, "api")
		switch {
		case !nodeName.MatchString(n.Name):
			return bad("node %d: name %q: expected letters, digits, dots, and dashes", i+1, n.Name)
		case names[n.Name]:
			return bad("two nodes are called %q: give each a name of its own", n.Name)
		case urls[n.URL] != "":
			return bad("nodes %s and %s have the same url", urls[n.URL], n.Name)
		case n.Votes != "api" && n.Votes != "gossip":
			return bad("node %s: votes = %q: expected api or gossip", n.Name, n.Votes)
		case n.Weight != nil && *n.Weight < 0:
			return bad("node %s: weight %v is negative", n.Name, *n.Weight)
		case n.Subnets != nil && (*n.Subnets < -1 || *n.Subnets > 64):
			return bad("node %s: subnets = %d: expected -1 for all, or 0 to 64", n.Name, *n.Subnets)
		case n.Pool < 0 || n.Pool > 64:
			return bad("node %s: pool = %d: expected 0 to 64 slots", n.Name, n.Pool)
		case noShare(n.Late) || noShare(n.Lost) || n.Late != nil && n.Lost != nil && *n.Late+*n.Lost > 1:
			return bad("node %s: late and lost are shares of the aggregates: expected 0 to 1, and at most 1 together", n.Name)
		}
		names[n.Name], urls[n.URL] = true, n.Name
		if n.Client == "" {
			continue
		}
		var err error
		if n.client, err = blockprint.ParseClient(n.Client); err != nil {
			return bad("node %s: %w", n.Name, err)
		}
		publishes = publishes || n.weight() > 0
	}
	if !publishes {
		return bad("no node has a client and a weight: nobody builds the chain")
	}
	c.Mess = defaultMess()
	return c.Mess.set(c.Knobs)
}

func noShare(x *float64) bool { return x != nil && (*x < 0 || *x > 1) }

func (n *Node) weight() float64 {
	switch {
	case n.client == "":
		return 0
	case n.Weight == nil:
		return 1
	}
	return *n.Weight
}
