package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"blockprint"
)

const goodConfig = `network = "net"
output = "out"
slots = 10
[mess]
late-votes = 0.1
empty = 0
aggregators = 4
[[node]]
name = "a"
client = "Prysm"
url = "http://127.0.0.1:1"
subnets = 2
late = 0.2
[[node]]
name = "b"
url = "http://127.0.0.1:2"
`

func readText(t *testing.T, text string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lab.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := ReadConfig(path)
	if err == nil && c.Network != filepath.Join(filepath.Dir(path), "net") {
		t.Errorf("network %s is not relative to the file", c.Network)
	}
	return c, err
}

func TestConfig(t *testing.T) {
	c, err := readText(t, goodConfig)
	if err != nil {
		t.Fatal(err)
	}
	m := defaultMess()
	m.LateVotes, m.Empty, m.Aggregators = 0.1, 0, 4
	if c.Mess != m {
		t.Errorf("mess %+v, want %+v", c.Mess, m)
	}
	if a, b := c.Nodes[0], c.Nodes[1]; a.client != blockprint.Prysm || *a.Subnets != 2 || a.weight() != 1 || b.client != "" || b.weight() != 0 {
		t.Errorf("nodes %+v, %+v", a, b)
	}
}

func TestBadConfig(t *testing.T) {
	for want, change := range map[string][2]string{
		`two nodes are called "a"`:   {`name = "b"`, `name = "a"`},
		"have the same url":          {"127.0.0.1:2", "127.0.0.1:1"},
		"unknown client":             {"Prysm", "Prism"},
		"nobody builds the chain":    {`client = "Prysm"`, ``},
		`unknown key "late-vote"`:    {"late-votes", "late-vote"},
		"expected a number":          {"late-votes = 0.1", `late-votes = "many"`},
		"late votes (0.9)":           {"late-votes = 0.1", "late-votes = 0.9"},
		"network is missing":         {`network = "net"`, ``},
		"slots = 0":                  {"slots = 10", "slots = 0"},
		"subnets = 65":               {"subnets = 2", "subnets = 65"},
		"shares of the aggregates":   {"late = 0.2", "late = 1.2"},
		`unknown key "node.subnet"`:  {"subnets = 2", "subnet = 2"},
		"letters, digits, dots, and": {`name = "b"`, `name = "b b"`},
		`votes = "mail"`:             {`name = "b"`, "name = \"b\"\nvotes = \"mail\""},
	} {
		_, err := readText(t, strings.Replace(goodConfig, change[0], change[1], 1))
		if err == nil || !strings.Contains(err.Error(), want) || blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%s: %v", want, err)
		}
	}
}
