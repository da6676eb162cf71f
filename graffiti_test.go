package blockprint_test

import (
	"strings"
	"testing"

	"blockprint"
)

func TestGraffiti(t *testing.T) {
	rules := blockprint.DefaultGraffitiRules("mainnet")
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

func TestGraffitiText(t *testing.T) {
	b := append([]byte("a\xffb"), 0, 0, 0)
	if got := blockprint.GraffitiText(b); got != "a\uFFFDb" {
		t.Errorf("%q", got)
	}
}

func TestGraffitiRules(t *testing.T) {
	rules, err := blockprint.ParseGraffitiRules([]byte("[[pattern]]\nclient = 'Prysm'\nmatch = 'wall:'\nnetworks = ['prater']\n"), "prater")
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
		if _, err := blockprint.ParseGraffitiRules([]byte(text), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := blockprint.LoadGraffitiRules("/does/not/exist", ""); blockprint.CodeOf(err) != blockprint.NotFound {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzGraffiti(f *testing.F) {
	rules := blockprint.DefaultGraffitiRules("")
	f.Add("GE1a2bLSc3d4 NMTK (RP-NL v1.2.3)")
	f.Fuzz(func(_ *testing.T, text string) { rules.Guess(text) })
}
