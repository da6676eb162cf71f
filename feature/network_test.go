package feature_test

import (
	"slices"
	"testing"

	"blockprint/feature"
)

// TestOfClient: seventeen features of the network are left out, in the others' order; none of the original's default
// four is among them.
func TestOfClient(t *testing.T) {
	all := feature.Names()
	some := feature.OfClient(all)
	if len(all)-len(some) != 17 {
		t.Errorf("%d of %d features are left out, want 17", len(all)-len(some), len(all))
	}
	if slices.Contains(some, "reward") || !slices.Contains(some, "num_attestations") {
		t.Errorf("features of the client: %v", some)
	}
	if four := feature.OfClient(feature.Default()); !slices.Equal(four, feature.Default()) {
		t.Errorf("of the original's four, %v are left", four)
	}
	if !slices.IsSortedFunc(some, func(a, b string) int { return slices.Index(all, a) - slices.Index(all, b) }) {
		t.Error("the order has changed")
	}
}
