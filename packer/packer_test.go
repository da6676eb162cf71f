package packer_test

import (
	"slices"
	"strings"
	"testing"

	"blockprint"
	"blockprint/packer"
)

// TestVariants: each variant belongs to the client that it is named after and has pools of its own, and some fork has it.
func TestVariants(t *testing.T) {
	inUse := map[string]bool{}
	for fork := range blockprint.NumForks {
		for _, list := range packer.VariantsAt(fork) {
			for _, v := range list {
				inUse[v] = true
			}
		}
	}
	for _, v := range packer.Variants() {
		client, graffiti, ok := packer.ClientOf(v)
		if name, _, _ := strings.Cut(v, "/"); !ok || name != strings.ToLower(string(client)) || !slices.Contains(blockprint.Clients(), client) {
			t.Errorf("%s belongs to %q", v, client)
		}
		if graffiti == "" || len(graffiti) > 32 {
			t.Errorf("%s writes the graffiti %q", v, graffiti)
		}
		if a, b := packer.New(v), packer.New(v); a == nil || a == b {
			t.Errorf("%s has no pools of its own", v)
		}
		if !inUse[v] {
			t.Errorf("%s was never in use", v)
		}
	}
	if _, _, ok := packer.ClientOf("lighthouse"); ok || packer.New("lighthouse") != nil {
		t.Error("a client's name is no variant")
	}
}
