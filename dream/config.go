package dream

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"blockprint"
	"blockprint/file"
	"blockprint/jsonhttp"
)

// Config is blockdreamer's configuration file, unchanged: TOML, in which unknown keys are errors.
type Config struct {
	// Network is the name of the network that the nodes must belong to; NetworkDir was the original's other way to say so.
	// Both are optional, since the nodes are asked for everything else.
	Network       string           `toml:"network"`
	NetworkDir    string           `toml:"network_dir"`
	CanonicalBN   string           `toml:"canonical_bn"`
	PostEndpoints []EndpointConfig `toml:"post_endpoints"`
	Nodes         []NodeConfig     `toml:"nodes"`

	// The single endpoint of older files.
	PostEndpoint          *string `toml:"post_endpoint"`
	PostResultsDir        string  `toml:"post_results_dir"`
	PostExtraData         *bool   `toml:"post_extra_data"`
	CompareRewards        bool    `toml:"compare_rewards"`
	PostRequireAll        bool    `toml:"post_require_all"`
	PostRequireSameParent bool    `toml:"post_require_same_parent"`
}

// NodeConfig is one node that is asked for blocks.
type NodeConfig struct {
	Name               string  `toml:"name"`
	Label              string  `toml:"label"`
	URL                string  `toml:"url"`
	SkipRandao         bool    `toml:"skip_randao_verification"`
	SSZ                *bool   `toml:"ssz"`     // default true
	V3                 bool    `toml:"v3"`      // which endpoint is tried first
	Enabled            *bool   `toml:"enabled"` // default true
	BuilderBoostFactor *uint64 `toml:"builder_boost_factor"`

	UseBuilder   *bool `toml:"use_builder"`   // deprecated
	VerifyRandao *bool `toml:"verify_randao"` // deprecated: the opposite of skip_randao_verification
}

// EndpointConfig is a service that dreamt blocks are posted to: a gauge, or Lighthouse's block_rewards.
type EndpointConfig struct {
	Name string `toml:"name"`
	// URL may carry a name and password for basic authentication.
	URL        string `toml:"url"`
	ResultsDir string `toml:"results_dir"` // where answers are stored, in the layout of training data
	ExtraData  *bool  `toml:"extra_data"`  // default true: names and labels beside the blocks
	// CompareRewards logs which node's block would earn the most.
	CompareRewards    bool `toml:"compare_rewards"`
	RequireAll        bool `toml:"require_all"`         // post only if every node returned a block
	RequireSameParent bool `toml:"require_same_parent"` // post only if all blocks have the same parent
}

// ReadConfig reads a configuration file. The warnings name deprecated keys.
func ReadConfig(path string) (c *Config, warnings []string, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	if c, warnings, err = ParseConfig(data); err != nil {
		return nil, nil, blockprint.Errorf(blockprint.Invalid, "%s: %w", path, err)
	}
	return c, warnings, nil
}

// ParseConfig parses the text of a configuration file.
func ParseConfig(data []byte) (*Config, []string, error) {
	c := &Config{}
	if err := file.DecodeTOML(data, c); err != nil {
		return nil, nil, err
	}
	warnings := c.modernize()
	return c, warnings, c.check()
}

// modernize translates deprecated keys.
func (c *Config) modernize() (warnings []string) {
	if c.PostEndpoint != nil {
		warnings = append(warnings, "post_endpoint and the keys beside it are deprecated: use [[post_endpoints]]")
		c.PostEndpoints = append(c.PostEndpoints, EndpointConfig{
			Name: "post_endpoint", URL: *c.PostEndpoint, ResultsDir: c.PostResultsDir, ExtraData: c.PostExtraData, CompareRewards: c.CompareRewards,
			RequireAll: c.PostRequireAll, RequireSameParent: c.PostRequireSameParent,
		})
	}
	if c.NetworkDir != "" {
		warnings = append(warnings, "network_dir has no effect: the nodes are asked for their network's constants")
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if n.UseBuilder != nil {
			warnings = append(warnings, fmt.Sprintf("node %s: use_builder is deprecated and has no effect: use builder_boost_factor", n.Name))
		}
		if n.VerifyRandao != nil {
			warnings = append(warnings, fmt.Sprintf("node %s: verify_randao is deprecated: use skip_randao_verification", n.Name))
			n.SkipRandao = n.SkipRandao || !*n.VerifyRandao
		}
	}
	return warnings
}

// Examples of addresses for error messages.
const (
	exampleNode     = "http://localhost:5052"
	exampleEndpoint = "http://localhost:8002/classify"
)

func (c *Config) check() error {
	bad := func(format string, args ...any) error { return blockprint.Errorf(blockprint.Invalid, format, args...) }
	if c.Network != "" && c.NetworkDir != "" {
		return bad("network and network_dir are both given: expected at most one")
	}
	if _, err := jsonhttp.ParseURL(c.CanonicalBN, exampleNode); err != nil {
		return bad("canonical_bn %w", err)
	}
	var names []string
	for i, n := range c.Nodes {
		if n.Name == "" || n.Label == "" {
			return bad("node %d of the file: it needs a name and a label", i+1)
		}
		if strings.ContainsAny(n.Name, "/\\") || strings.HasPrefix(n.Name, ".") {
			return bad("node %q: a name becomes part of file names, so it must not contain a slash or begin with a dot", n.Name)
		}
		if slices.Contains(names, n.Name) {
			return bad("two nodes are called %q", n.Name)
		}
		names = append(names, n.Name)
		if _, err := jsonhttp.ParseURL(n.URL, exampleNode); err != nil {
			return bad("node %s: url %w", n.Name, err)
		}
	}
	if len(c.Enabled()) == 0 {
		return bad("no node is enabled")
	}
	for _, e := range c.PostEndpoints {
		if _, err := jsonhttp.ParseURL(e.URL, exampleEndpoint); err != nil {
			return bad("post endpoint %s: url %w", e.Name, err)
		}
	}
	return nil
}

// CheckLabels makes sure that the label of each enabled node is a client's name, in any case, or one of the additional
// labels, and gives it its usual spelling.
func (c *Config) CheckLabels(also []string) error {
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if n.Enabled != nil && !*n.Enabled {
			continue
		}
		label, err := blockprint.ParseLabel(n.Label, also)
		if err != nil {
			return blockprint.Errorf(blockprint.Invalid, "node %s: %w", n.Name, err)
		}
		n.Label = string(label)
	}
	return nil
}

// Enabled returns the nodes that are asked for blocks.
func (c *Config) Enabled() []NodeConfig {
	var out []NodeConfig
	for _, n := range c.Nodes {
		if n.Enabled == nil || *n.Enabled {
			out = append(out, n)
		}
	}
	return out
}
