package builtin_test

import (
	"strings"
	"testing"

	"blockprint"
	"blockprint/classify/builtin"
)

// TestModel: the model that ships says what it was trained on, knows six clients, and is divided by forks.
func TestModel(t *testing.T) {
	m, err := builtin.Model()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Parts) != 2 || *m.Parts[0].Forks != blockprint.BeforeElectra || *m.Parts[1].Forks != blockprint.SinceElectra || !strings.HasPrefix(m.Name, "simulated@") || len(m.Name) != len("simulated@")+8 {
		t.Errorf("%s: %+v", m.Name, m.Parts)
	}
	for _, p := range m.Parts {
		if !strings.Contains(p.Training.Source, "simulated networks only") || len(p.Classes) != 6 || p.Training.BalancedAccuracy < 0.8 {
			t.Errorf("%+v", p.Training)
		}
	}
}
