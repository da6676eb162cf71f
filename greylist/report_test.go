package greylist_test

import (
	"testing"

	"blockprint/greylist"
	"blockprint/gridcoin/rules"
)

// TestDays: days on the greylist count through a change of the reason for it, and end with it.
func TestDays(t *testing.T) {
	const day = 86_400
	e := greylist.New(greylist.Options{Rule: rules.Mainnet(), Policy: mustPolicy(t, "manual-first")})
	days := func() *int64 {
		r, err := e.Explain("a")
		if err != nil {
			t.Fatal(err)
		}
		return r.Days
	}
	apply(t, e, entry("a", greylist.Active, 0))
	for i := range 9 { // no growth at all: greylisted at the seventh boundary behind the first
		apply(t, e, boundary(int64(i)*day, map[string]uint64{"a": 5}))
	}
	if d := days(); d == nil || *d != 1 {
		t.Fatalf("%v days after the second boundary", d)
	}
	apply(t, e, entry("a", greylist.Manual, 9*day), boundary(12*day-1, map[string]uint64{"a": 6}))
	if d := days(); d == nil || *d != 4 {
		t.Errorf("%v days, manually now", d)
	}
	apply(t, e, entry("a", greylist.AutoOverride, 13*day))
	if d := days(); d != nil {
		t.Errorf("%v days, though it is overridden", *d)
	}
}

func mustPolicy(t *testing.T, name string) greylist.Policy {
	t.Helper()
	p, err := greylist.PolicyOf(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
