package dream_test

import (
	"strings"
	"testing"

	"blockprint/dream"
)

const original = `
network = "mainnet"
canonical_bn = "http://localhost:5052"

[[post_endpoints]]
name = "gauge"
url = "https://user:password@gauge.example/classify"
results_dir = "/data/results"
extra_data = true
compare_rewards = true
require_all = false
require_same_parent = true

[[nodes]]
name = "lighthouse-subscribe-none"
label = "Lighthouse"
url = "http://localhost:5052"
skip_randao_verification = true
ssz = true
v3 = true
builder_boost_factor = 0

[[nodes]]
name = "old"
label = "Teku"
url = "http://localhost:5053"
enabled = false
use_builder = true
`

func TestConfig(t *testing.T) {
	c, warnings, err := dream.ParseConfig([]byte(original))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Enabled()) != 1 || c.Enabled()[0].Name != "lighthouse-subscribe-none" || *c.Enabled()[0].BuilderBoostFactor != 0 || !c.PostEndpoints[0].RequireSameParent {
		t.Errorf("%+v", c)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "use_builder") {
		t.Errorf("warnings %q", warnings)
	}
	old, warnings, err := dream.ParseConfig([]byte("network = \"mainnet\"\ncanonical_bn = \"http://a\"\npost_endpoint = \"http://b/classify\"\npost_results_dir = \"d\"\ncompare_rewards = true\n[[nodes]]\nname = \"n\"\nlabel = \"Prysm\"\nurl = \"http://c\"\nverify_randao = false\n"))
	if err != nil || len(warnings) != 2 || len(old.PostEndpoints) != 1 || old.PostEndpoints[0].ResultsDir != "d" || !old.PostEndpoints[0].CompareRewards || !old.Nodes[0].SkipRandao {
		t.Errorf("an old file: %+v, %q, %v", old, warnings, err)
	}
}

func TestConfigBad(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"unknown key":     {`v3 = true`, `v4 = true`, `line 20, column 1: unknown key "nodes.v4"`},
		"not a URL":       {`url = "http://localhost:5052"`, `url = "localhost"`, `url (an unreadable address): expected a URL such as`},
		"no canonical":    {`canonical_bn = "http://localhost:5052"`, ``, `canonical_bn`},
		"two of a name":   {`name = "old"`, `name = "lighthouse-subscribe-none"`, `two nodes are called`},
		"nobody enabled":  {`ssz = true`, `enabled = false`, `no node is enabled`},
		"both networks":   {`network = "mainnet"`, "network = \"mainnet\"\nnetwork_dir = \"x\"", `network_dir`},
		"a path as name":  {`name = "old"`, `name = "../old"`, `slash`},
		"no label":        {`label = "Teku"`, ``, `label`},
		"a secret":        {`url = "http://localhost:5052"`, `url = "ftp://me:pw@localhost/key"`, `url ftp://localhost: expected`},
		"not TOML at all": {`[[nodes]]`, `[[nodes`, `line`},
	} {
		if !strings.Contains(original, c.from) {
			t.Fatalf("%s: %q is not in the file", name, c.from)
		}
		_, _, err := dream.ParseConfig([]byte(strings.Replace(original, c.from, c.to, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something with %q", name, err, c.want)
		}
	}
}

// TestLabels: labels are clients' names in any case, and get their usual spelling.
func TestLabels(t *testing.T) {
	for _, k := range []struct {
		label, want string
		also        []string
	}{
		{"teku", "Teku", nil},
		{"LODESTAR", "Lodestar", nil},
		{"Prysm", "Prysm", nil},
		{" nimbus ", "Nimbus", nil},
		{"besu", "", nil},
		{"", "", nil},
		{"mine", "mine", []string{"mine"}},
		{"Mine", "mine", []string{"mine"}},
		{"teku", "teku", []string{"teku"}},
	} {
		c := &dream.Config{Nodes: []dream.NodeConfig{{Name: "a", Label: k.label}}}
		err := c.CheckLabels(k.also)
		if (err == nil) != (k.want != "") || err == nil && c.Nodes[0].Label != k.want {
			t.Errorf("%q, also %q: %q, %v, want %q", k.label, k.also, c.Nodes[0].Label, err, k.want)
		}
	}
}
