package main

import (
	"net/http/httptest"
	"path/filepath"
	"testing"

	"blockprint/app"
	"blockprint/eel"
	"blockprint/sim"
)

// TestEelNetwork: each flag for the network works, and without them the execution client decides.
func TestEelNetwork(t *testing.T) {
	c := sim.DefaultConfig(1)
	c.ElectraEpoch = 10
	world, err := sim.New(c)
	if err != nil {
		t.Fatal(err)
	}
	node := httptest.NewServer(world.Handler())
	defer node.Close()
	prague := uint64(c.GenesisTime.Unix()) + 10*c.SlotsPerEpoch*c.SecondsPerSlot
	for _, k := range []struct {
		flag, value string
		want        uint64 // Prague's time
	}{
		{"", "", 0},
		{"network", "hoodi", 1742999832},
		{"network-config", filepath.Join("..", "..", "nodetest", "geth", "genesis-forks.json"), 1700000120},
		{"beacon", node.URL, prague},
	} {
		cmd := newEel()
		cmd.SetContext(t.Context())
		if k.flag != "" {
			if err := cmd.Flags().Set(k.flag, k.value); err != nil {
				t.Fatal(err)
			}
		}
		value := func(name string) string { return cmd.Flags().Lookup(name).Value.String() }
		n, err := eelNetwork(cmd, value("network"), value("network-config"))
		if beacon := value("beacon"); beacon != "" {
			n, err = app.EelNetwork(t.Context(), beacon)
		}
		switch {
		case err != nil:
			t.Errorf("--%s %s: %v", k.flag, k.value, err)
		case k.want == 0 && n != nil:
			t.Errorf("without flags: %+v", n)
		case k.want != 0 && (n == nil || n.Forks[eel.Prague] != k.want):
			t.Errorf("--%s %s: %+v, want Prague at %d", k.flag, k.value, n, k.want)
		}
	}
}
