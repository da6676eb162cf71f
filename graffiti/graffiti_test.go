package graffiti_test

import (
	"strings"
	"testing"

	"blockprint"
	"blockprint/graffiti"
)

func TestGraffiti(t *testing.T) {
	rules := graffiti.Default("mainnet")
	for text, want := range map[string]blockprint.Graffiti{
		"":                                  {},
		"hello":                             {},
		"Lighthouse/v1.3.0-3a24ca5":         {Client: "Lighthouse", Version: "v1.3.0"},
		"teku/v21.3.2":                      {Client: "Teku", Version: "v21.3.2"},
		"Nimbus/v24.7.0-abcdef-stateofus":   {Client: "Nimbus", Version: "v24.7.0"},
		"Lodestar-v1.5.1/2115aa7":           {Client: "Lodestar", Version: "v1.5.1"},
		"Grandine/0.4.1":                    {Client: "Grandine", Version: "0.4.1"},
		"GE1234GR5678 Grandine/2.0.0":       {Client: "Grandine", Execution: "Geth", Version: "2.0.0"},
		"my node GE1234GR5678 Grandine/2.0": {Client: "Grandine", Execution: "Geth", Version: "2.0"},
		"prylabs":                           {Client: "Prysm"},
		" prylabs":                          {},
		"SharedStake.org Prysm":             {Client: "Prysm"},
		"LODESTAR":                          {},
		"ΞTH teku ☕":                        {Client: "Teku"},
		// Codes: either order, any length, at the end of an operator's text, alone.
		"NMTK":                  {Client: "Teku", Execution: "Nethermind"},
		"TK":                    {Client: "Teku"},
		"TKedf44caaGEb027a90a":  {Client: "Teku", Execution: "Geth", Version: "edf44caa"},
		"GEb027a90aTKedf44caa":  {Client: "Teku", Execution: "Geth", Version: "edf44caa"},
		"GE1a2bLSc3d4":          {Client: "Lodestar", Execution: "Geth", Version: "c3d4"},
		"EG6fdfLS443e":          {Client: "Lodestar", Execution: "Erigon", Version: "443e"},
		"BULS":                  {Client: "Lodestar", Execution: "Besu"},
		"LS443e":                {Client: "Lodestar", Version: "443e"},
		"TKcdcb1773":            {Client: "Teku", Version: "cdcb1773"},
		"RH12PM34":              {Client: "Prysm", Execution: "Reth", Version: "34"},
		"NM1a2bPR3c4d":          {Client: "Prysm", Execution: "Nethermind", Version: "3c4d"},
		"EX1a2bLH3c4d":          {Client: "Lighthouse", Execution: "Ethrex", Version: "3c4d"},
		"EG1a2bCN3c4d":          {Client: "Caplin", Execution: "Erigon", Version: "3c4d"},
		"🧱🔥 Kiln.fi 🔥🧱 NMTK":    {Client: "Teku", Execution: "Nethermind"},
		"stake well GE1a2bLH3c": {Client: "Lighthouse", Execution: "Geth", Version: "3c"},
		"GE1a2b":                {Execution: "Geth"},
		"GE":                    {},
		// Words are not codes.
		"TK is my name": {},
		"STARGETK":      {},
		"WAGMILS":       {},
		"GMGM":          {},
		// Rocket Pool names both.
		"RP-NL v1.2.3 (x)":         {Client: "Lighthouse", Execution: "Nethermind"},
		"RP-GS v1.9.8":             {Client: "Lodestar", Execution: "Geth"},
		"RP-P v1.2.1":              {Client: "Prysm"},
		"RP-XT v1.2.1":             {Client: "Teku"},
		"RP-XXL v1.2.3":            {},
		"let there be lighthouse":  {Client: "Lighthouse"},
		"Lighthouse fan, GE12TK34": {Client: "Teku", Execution: "Geth", Version: "34"},
	} {
		if got := rules.Guess(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	if got := rules.Guess("NMTK prysm", blockprint.Prysm).Client; got != "" {
		t.Errorf("a disabled client was guessed, or a code in the middle counted: %s", got)
	}
	if got := rules.Guess("prysm NMTK", blockprint.Teku).Client; got != blockprint.Prysm {
		t.Errorf("with Teku disabled: %q", got)
	}
}

// TestGraffitiOfTools: what tools write, each by its source, and what people write that looks like it.
func TestGraffitiOfTools(t *testing.T) {
	rules := graffiti.Default("mainnet")
	for _, group := range []struct {
		source string
		texts  map[string]blockprint.Client
	}{
		{"Prysm since v7.1.5 (beacon-chain/execution/graffiti_info.go) leaves the space out where it would cost digits: 32 bytes then", map[string]blockprint.Client{
			"12345678901234567890GEabcdPMe4f6":     "Prysm",
			"stake with the bear!NM98c5PMe4f6":     "Prysm",
			"123456789012345678901234GEabPMe4":     "Prysm",
			"1234567890123456789012345678GEPM":     "Prysm",
			"123456789012345678901234567890PM":     "Prysm",
			"12345678901234567890123456789 PM":     "Prysm",
			"123456789012345678901234567 GEPM":     "Prysm",
			"Sushi GEabcdPMe4f6":                   "Prysm",
			"ÄÖÜ4567890123456GEabPMe4":             "", // 27 bytes
			"ÄÖÜ45678901234567890AGEabPMe4":        "Prysm",
			"1234567890123456789GEabcdPMe4f6":      "", // 31 bytes
			"12345678901234567890ZZabcdPMe4f6":     "", // no such execution client
			"12345678901234567890GEabcdQQe4f6":     "",
			"1234567890123456789012GEabcdPMe4":     "", // digits of two lengths
			"1234567890123456789012345678GETK\x00": "Teku",
		}},
		{"Teku (GraffitiBuilder) has codes without digits after 28 bytes, and by CLIENT_CODES after any number, its own alone if the execution client is not known", map[string]blockprint.Client{
			"1234567890123456789012345678NMTK": "Teku",
			"my text NMTK":                     "Teku",
			"my text TK":                       "Teku",
			"123456789012345678901234567NMTK":  "",
			"STARGETK":                         "",
		}},
		{"words, countries and times that look like codes", map[string]blockprint.Client{
			"see you at 5 PM":                    "",
			"staking from GR":                    "",
			"hello from CN":                      "",
			"Made in CN2024 with love":           "",
			"WAGMILS":                            "",
			"I LOVE MY NODE AND ITS BADGELS":     "",
			"I LOVE MY NODES AND ALL BADGELS!":   "",
			"I WANT TO HAVE MORE SUCH BADGELS":   "", // 32 bytes
			"TK421, why aren't you at your post": "",
			"LS":                                 "Lodestar",
			"PMe4f6":                             "Prysm",
			"Happy PR to all":                    "",
			"GE1234GR5678 Grandine/2.0.0":        "Grandine",
		}},
		{"Charon (core/fetcher/graffiti.go) appends OB and its code of the beacon node", map[string]blockprint.Client{
			"my clusterOBTK":                 "Teku",
			"my clusterOBLH":                 "Lighthouse",
			"my clusterOBPY":                 "Prysm",
			"my clusterOBNB":                 "Nimbus",
			"my clusterOBGD":                 "Grandine",
			"OBLS":                           "Lodestar",
			"my prysm clusterOBNB":           "Nimbus",
			"my clusterOB":                   "",
			"my clusterOBXX":                 "",
			"my clusterOBTK is good":         "",
			"OBTK":                           "Teku",
			"charon/v1.4.2-0ba4758":          "",
			"charon/v1.4.2-0ba4758OBLH":      "Lighthouse",
			"my clusterOBTK GE1234TKabcd":    "Teku",
			"my clusterOBTK GE1234LHabcd":    "Lighthouse",
			"my clusterOBGD\x00\x00\x00\x00": "Grandine",
		}},
		{"ethereum-package (src/participant_network.star): number, execution client, beacon node, another validator client", map[string]blockprint.Client{
			"2-nethermind-teku-lighthouse":     "Teku",
			"3-reth-nimbus-teku":               "Nimbus",
			"4-besu-lodestar-prysm":            "Lodestar",
			"1-geth-lighthouse":                "Lighthouse",
			"12-geth-grandine-lighthouse":      "Grandine",
			"5-nimbus-prysm":                   "Prysm",
			"5-erigon-caplin-lighthouse":       "Caplin",
			"10-nethermind-lighthouse-lodesta": "Lighthouse",
			"lighthouse-nethermind-3":          "Lighthouse",
			"prysm-nimbus-2":                   "Prysm",
			"1-geth-tekunode":                  "",
		}},
		{"Rocket Pool's Smartnode writes its letters first, and the operator's text behind them", map[string]blockprint.Client{
			"RP-GT v1.13.6 (lighthouse rocks)": "Teku",
			"RP-NP v1.9.8 (nimbus, teku)":      "Prysm",
			"RP-BS v1.2.3 (not prysm)":         "Lodestar",
			"RP-N v1.2.3 (Lighthouse)":         "Nimbus",
		}},
		{"default texts carry the release, wherever they stand", map[string]blockprint.Client{
			"hello Lighthouse/v5.1.0-abcdef":  "Lighthouse",
			"teku/v24.1.0 runs at prysm.pool": "Teku",
			"xLighthouse/v5.1.0":              "",
		}},
		{"words count whole, in any script, and only if they mean one client", map[string]blockprint.Client{
			"powered by Teku":              "Teku",
			"lodestar_node":                "Lodestar",
			"prysm2":                       "Prysm",
			"Lighthouse-Nethermind":        "Lighthouse",
			"Prysmatic Labs":               "Prysm",
			"tekući račun":                 "",
			"Tekuła":                       "",
			"teku\u0301":                   "",
			"cumulonimbus":                 "",
			"lighthouses":                  "",
			"Grandinetti":                  "",
			"la grandine cade":             "",
			"нimbus nimbusов":              "",
			"from Prysm to Lighthouse":     "",
			"Teku, Nimbus, Lodestar":       "",
			"Teku > everything, love teku": "Teku",
			"not Prysm":                    "",
			"this is no lighthouse":        "",
			"better than prysm":            "",
			"\xff\xfe teku \xff":           "Teku",
			"   teku   ":                   "Teku",
			"teku\x00\x00\x00":             "Teku",
			"\x00\x00":                     "",
		}},
	} {
		for text, want := range group.texts {
			if got := rules.Guess(text); got.Client != want {
				t.Errorf("%q is labelled %q, not %q: %s", text, got.Client, want, group.source)
			}
		}
	}
	if g := rules.Guess("2-nethermind-teku-lighthouse"); g.Execution != "Nethermind" {
		t.Errorf("the participant's execution client is %q", g.Execution)
	}
	if g := rules.Guess("12345678901234567890GEabcdPMe4f6"); g != (blockprint.Graffiti{Client: "Prysm", Execution: "Geth", Version: "e4f6"}) {
		t.Errorf("glued codes: %+v", g)
	}
}

func TestGraffitiText(t *testing.T) {
	b := append([]byte("a\xffb"), 0, 0, 0)
	if got := blockprint.GraffitiText(b); got != "a\uFFFDb" {
		t.Errorf("%q", got)
	}
}

func TestRules(t *testing.T) {
	rules, err := graffiti.Parse([]byte("[[pattern]]\nclient = 'Prysm'\nmatch = 'wall:'\nnetworks = ['prater']\n"), "prater")
	if err != nil || rules.Guess("wall:5").Client != blockprint.Prysm {
		t.Errorf("a rule of the network does not hold (%v)", err)
	}
	for text, want := range map[string]string{
		"[[pattern]]\nclient = 'Prism'\nmatch = 'x'": `unknown client "Prism"`,
		"[[pattern]]\nclient = 'Prysm'\nmatch = '('": "pattern 1",
		"[[pattern]]\nclient = 'Prysm'\nmutch = 'x'": `line 3, column 1: unknown key "pattern.mutch"`,
		"[[code]]\nconsensus = 'pry'":                "unknown client",
		"[[code]]\nclient='Teku'\nconsensus = 'tk'":  "two capital letters",
		"[[pattern": "line 1",
	} {
		if _, err := graffiti.Parse([]byte(text), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := graffiti.Load("/does/not/exist", ""); blockprint.CodeOf(err) != blockprint.NotFound {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzGraffiti(f *testing.F) {
	rules := graffiti.Default("")
	f.Add("GE1a2bLSc3d4 NMTK (RP-NL v1.2.3)")
	f.Fuzz(func(_ *testing.T, text string) { rules.Guess(text) })
}
