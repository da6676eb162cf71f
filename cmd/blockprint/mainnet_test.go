package main

import (
	"reflect"
	"testing"

	"github.com/spf13/cobra"

	"blockprint/sim"
)

// TestMainnetFlag: --mainnet replaces the default network, and only the flags that were set change it.
func TestMainnetFlag(t *testing.T) {
	var world worldFlags
	cmd := &cobra.Command{}
	world.add(cmd)
	err := cmd.ParseFlags([]string{"--participation", "0.9", "--mainnet", "--seed", "7", "--clients", "teku/v2=2,prysm/2024"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := world.load()
	if err != nil {
		t.Fatal(err)
	}
	want := sim.MainnetConfig(7)
	want.Participation = 0.9
	want.Shares = []sim.Share{{Variant: "teku/v2", Weight: 2}, {Variant: "prysm/2024", Weight: 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
