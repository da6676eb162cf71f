package blockprint_test

import (
	"os"
	"testing"

	"blockprint"
)

// FuzzGraffitiRules: rules that are accepted can be asked, and what they name is a client.
func FuzzGraffitiRules(f *testing.F) {
	builtin, err := os.ReadFile("graffiti_rules.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(builtin, "Lighthouse/v5.3.0")
	f.Add([]byte("[[pattern]]\nclient = \"Teku\"\nmatch = '(a*)*b'\n"), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Add([]byte("[[word]]\nclient = \"Prysm\"\nwords = [\"\", \"é\"]\n[[code]]\nconsensus = \"PM\"\nclient = \"Prysm\"\n"), "GEabcdPMe4f6")
	f.Fuzz(func(t *testing.T, text []byte, graffiti string) {
		r, err := blockprint.ParseGraffitiRules(text, "mainnet")
		if err != nil {
			return
		}
		if c := r.Guess(graffiti).Client; c != "" {
			if _, err := blockprint.ParseClient(string(c)); err != nil {
				t.Error(err)
			}
		}
	})
}
