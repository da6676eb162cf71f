package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"blockprint"
	"blockprint/store"
)

// TestSchedule: an identity knows the fork schedule of its node, through JSON too; one of before that knows a public
// network's by its genesis, and no other's.
func TestSchedule(t *testing.T) {
	n := blockprint.Network{Spec: blockprint.MainnetSpec(), GenesisTime: time.Unix(1700000000, 0)}
	n.ConfigName, n.SlotsPerEpoch = "devnet", 8
	n.ForkEpochs = [blockprint.NumForks]blockprint.Epoch{0, 0, 0, 0, 0, 3, blockprint.FarFuture}
	n.UnknownForks = map[string]blockprint.Epoch{"heze": 77}
	text, err := json.Marshal(store.NewIdentity(&n))
	if err != nil {
		t.Fatal(err)
	}
	var id store.Identity
	if err := json.Unmarshal(text, &id); err != nil {
		t.Fatal(err)
	}
	s, ok := id.Schedule()
	if !ok || s != n.Schedule() || s.ForkAt(23) != blockprint.Deneb || s.ForkAt(24) != blockprint.Electra || id.ForkEpochs["heze"] != 77 {
		t.Errorf("%s is read as %+v", text, s)
	}
	if network := id.Network(); network.ForkEpochs != n.ForkEpochs {
		t.Errorf("forks %v", network.ForkEpochs)
	}
	id.ForkEpochs = nil
	if s, ok := id.Schedule(); ok {
		t.Errorf("a devnet has the schedule %+v", s)
	}
	id.ConfigName = "hoodi"
	if s, ok := id.Schedule(); ok {
		t.Errorf("a devnet that is called hoodi has the schedule %+v", s)
	}
	if id.GenesisValidatorsRoot, err = blockprint.ParseRoot("0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"); err != nil { // of eth-clients/hoodi
		t.Fatal(err)
	}
	if s, ok := id.Schedule(); !ok || s.ForkAt(65536) != blockprint.Electra {
		t.Errorf("Hoodi has the schedule %+v", s)
	}
}
