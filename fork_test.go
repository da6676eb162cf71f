package blockprint_test

import (
	"encoding/json"
	"testing"

	"blockprint"
)

// TestForkRange: open ends are not written, so that a range from Electra on has the forks of later versions, too.
func TestForkRange(t *testing.T) {
	for text, c := range map[string]struct {
		forks blockprint.ForkRange
		words string
	}{
		`{}`:                             {blockprint.AnyFork, "of any fork"},
		`{"to":"deneb"}`:                 {blockprint.BeforeElectra, "before electra"},
		`{"from":"electra"}`:             {blockprint.SinceElectra, "of electra or later"},
		`{"from":"capella","to":"fulu"}`: {blockprint.ForkRange{First: blockprint.Capella, Last: blockprint.Fulu}, "of capella to fulu"},
		`{"from":"fulu","to":"fulu"}`:    {blockprint.ForkRange{First: blockprint.Fulu, Last: blockprint.Fulu}, "of fulu"},
	} {
		var got blockprint.ForkRange
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != c.forks || got.String() != c.words {
			t.Errorf("%s is %v (%s), %v", text, got, got, err)
		}
		if back, err := json.Marshal(c.forks); err != nil || string(back) != text {
			t.Errorf("%s, not %s (%v)", back, text, err)
		}
	}
	for text, want := range map[string]blockprint.ForkRange{
		"-deneb": blockprint.BeforeElectra, "electra-": blockprint.SinceElectra, "fulu": {First: blockprint.Fulu, Last: blockprint.Fulu},
		"capella-fulu": {First: blockprint.Capella, Last: blockprint.Fulu},
	} {
		if got, err := blockprint.ParseForkRange(text); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-", "fulu-deneb", "osaka", "deneb-osaka"} {
		if got, err := blockprint.ParseForkRange(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
	var later blockprint.ForkRange
	if err := json.Unmarshal([]byte(`{"from":"electra","to":"heze"}`), &later); err != nil || later != blockprint.SinceElectra {
		t.Errorf("up to a fork that is not known: %v, %v", later, err)
	}
	for _, text := range []string{`{"from":"heze"}`, `{"from":"fulu","to":"deneb"}`, `[]`} {
		if err := json.Unmarshal([]byte(text), &later); err == nil {
			t.Errorf("%s is taken as %s", text, later)
		}
	}
}

// TestPublicSchedule: the schedule of mainnet is that of its constants, forks follow one another, and the name alone does
// not make a network the public one.
func TestPublicSchedule(t *testing.T) {
	spec := blockprint.MainnetSpec()
	if s, ok := blockprint.PublicSchedule("mainnet"); !ok || s != spec.Schedule() {
		t.Errorf("%+v, not %+v", s, spec.Schedule())
	}
	for network, electra := range map[string]blockprint.Slot{"mainnet": 11649024, "sepolia": 7118848, "holesky": 3710976, "hoodi": 65536, "gnosis": 21405696} {
		s, ok := blockprint.PublicSchedule(network)
		if !ok || s.ForkAt(electra-1) != blockprint.Deneb || s.ForkAt(electra) != blockprint.Electra || s.ForkAt(0) > blockprint.Deneb {
			t.Errorf("%s: %+v", network, s)
		}
		for f := 1; f < len(s.Epochs); f++ {
			if s.Epochs[f] < s.Epochs[f-1] {
				t.Errorf("%s: %s begins before the fork before it", network, blockprint.Fork(f))
			}
		}
		if slot, err := blockprint.ElectraSlot(network); err != nil || slot != electra {
			t.Errorf("%s: Electra from slot %d (%v)", network, slot, err)
		}
	}
	root, err := blockprint.ParseRoot("0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95") // of eth-clients/mainnet
	if err != nil || !blockprint.IsPublic("mainnet", root) || blockprint.IsPublic("mainnet", blockprint.Root{1}) || blockprint.IsPublic("devnet", root) {
		t.Errorf("mainnet is not known by its genesis (%v)", err)
	}
}
