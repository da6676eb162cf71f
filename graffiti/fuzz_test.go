package graffiti_test

import (
	"os"
	"testing"

	"blockprint"
	"blockprint/graffiti"
)

// FuzzRules: rules that are accepted can be asked, and what they name is a client.
func FuzzRules(f *testing.F) {
	builtin, err := os.ReadFile("rules.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(builtin, "Lighthouse/v5.3.0")
	f.Add([]byte("[[pattern]]\nclient = \"Teku\"\nmatch = '(a*)*b'\n"), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Add([]byte("[[word]]\nclient = \"Prysm\"\nwords = [\"\", \"é\"]\n[[code]]\nconsensus = \"PM\"\nclient = \"Prysm\"\n"), "GEabcdPMe4f6")
	f.Fuzz(func(t *testing.T, text []byte, words string) {
		r, err := graffiti.Parse(text, "mainnet")
		if err != nil {
			return
		}
		if c := r.Guess(words).Client; c != "" {
			if _, err := blockprint.ParseClient(string(c)); err != nil {
				t.Error(err)
			}
		}
	})
}
