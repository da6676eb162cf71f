package builtin_test

import (
	"strings"
	"testing"

	"blockprint"
	"blockprint/classify/builtin"
)

// TestModel: the model that ships says what it was trained on, knows six clients, and is divided where a network has
// its Electra fork.
func TestModel(t *testing.T) {
	m, err := builtin.Model(320)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Parts) != 2 || m.Parts[0].Slots.End != 319 || m.Parts[1].Slots.Start != 320 || !strings.HasPrefix(m.Name, "simulated@") || len(m.Name) != len("simulated@")+8 {
		t.Errorf("%s: %+v", m.Name, m.Parts)
	}
	for _, p := range m.Parts {
		if !strings.Contains(p.Training.Source, "simulated networks only") || len(p.Classes) != 6 || p.Training.BalancedAccuracy < 0.8 {
			t.Errorf("%+v", p.Training)
		}
	}
	for electra, parts := range map[blockprint.Slot]int{0: 1, 1 << 62: 2} {
		if m, err := builtin.Model(electra); err != nil || len(m.Parts) != parts {
			t.Errorf("electra from slot %d: %d parts (%v)", electra, len(m.Parts), err)
		}
	}
}
