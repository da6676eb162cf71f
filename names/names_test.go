package names_test

import (
	"strings"
	"testing"

	"blockprint"
	"blockprint/names"
)

const dora = `
0-99: "ef_devops"
100-199: "nethermind"
400-499: "lighthouse"
500-599: "Teku"
#600-699: "nimbus"
600-609: "nimbus-geth-1"
700: "lodestar"
800-899: "prysm or teku"
"withdrawal:0x4473dCDDbf77679A643BdB654dbd86D67F8d32f2": "Lighthouse"
`

const table = "network\tfirst\tlast\tclient\tsource\n" +
	"sepolia\t400\t499\tLighthouse\tdora\nhoodi\t275000\t324999\tPrysm\tdora\nhoodi\t525000\t574999\tGrandine\tsame\n"

func TestClient(t *testing.T) {
	for name, c := range map[string]struct {
		text, network string
		other         int
		want          map[uint64]blockprint.Client
	}{
		"dora":   {dora, "sepolia", 4, map[uint64]blockprint.Client{0: "", 399: "", 400: "Lighthouse", 499: "Lighthouse", 500: "Teku", 605: "Nimbus", 610: "", 700: "Lodestar", 701: "", 850: ""}},
		"ranges": {`{"ranges": {"5-7": "cl-prysm"}, "history": []}`, "devnet", 0, map[uint64]blockprint.Client{4: "", 5: "Prysm", 7: "Prysm", 8: ""}},
		"table":  {table, "hoodi", 0, map[uint64]blockprint.Client{400: "", 275000: "Prysm", 574999: "Grandine", 575000: ""}},
	} {
		n, err := names.Parse([]byte(c.text), c.network)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if n.Other() != c.other {
			t.Errorf("%s: %d entries name others, want %d", name, n.Other(), c.other)
		}
		for validator, want := range c.want {
			if got := n.Client(validator); got != want {
				t.Errorf("%s: validator %d runs %q, want %q", name, validator, got, want)
			}
		}
	}
	var none *names.Names
	if none.Client(5) != "" {
		t.Error("no names know a validator")
	}
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"overlap":  {"1-5: teku\n5-9: prysm\n", "overlap"},
		"backward": {"9-5: teku\n", "9"},
		"words":    {"one-two: teku\n", "expected a range"},
		"huge":     {"1-99999999999999: teku\n", "expected a range"},
		"value":    {"1-2: [teku]\n", "expected a name"},
		"yaml":     {"1-2: \"teku\n", "not a file of validator names"},
		"none":     {"1-2: besu\n", "no range"},
		"empty":    {"", "no range"},
		"network":  {table, "no range"},
		"column":   {"first\tlast\n1\t2\n", `no column "client"`},
		"row":      {"first\tlast\tclient\n1\tx\tTeku\n", "row 2"},
	} {
		_, err := names.Parse([]byte(c.text), "mainnet")
		if err == nil || !strings.Contains(err.Error(), c.want) || blockprint.CodeOf(err) != blockprint.Invalid && blockprint.CodeOf(err) != blockprint.NotFound {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{dora, table, `{"ranges":{"1":"teku"}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := names.Parse(data, "hoodi")
		if err != nil {
			return
		}
		for _, r := range n.Ranges() {
			if n.Client(r.First) != r.Client || n.Client(r.Last) != r.Client || r.Client == "" {
				t.Errorf("range %+v is not found", r)
			}
		}
	})
}
