package evaluate_test

import (
	"log/slog"
	"testing"

	"blockprint/classify/algorithm"
	"blockprint/dataset"
	"blockprint/evaluate"
	"blockprint/feature"
	"blockprint/sim/record"
	"blockprint/train"
)

// simulated records worlds of one kind, a group each.
func simulated(t *testing.T, first, worlds int, shift evaluate.Shift, size evaluate.Size) *dataset.Set {
	t.Helper()
	e, err := feature.NewExtractor(nil)
	if err != nil {
		t.Fatal(err)
	}
	all := dataset.NewSet(e.Names())
	for i := range worlds {
		c := evaluate.Draw(evaluate.Electra, shift, 1, first+i, size)
		c.Dreams = true
		set := dataset.NewSet(e.Names())
		var row []float64
		if err := record.Run(t.Context(), c, size.Slots, slog.New(slog.DiscardHandler), func(b record.Block) error {
			row = e.Extract(row[:0], b.Reward)
			set.Add(b.Client, b.Reward.Meta.Slot, b.Reward.BlockRoot, b.Reward.Meta.ProposerIndex, row)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		all.AppendGroups(set)
	}
	return all
}

// TestOtherKind trains in simulated networks like mainnet and tests in messy ones, with few committees of mainnet's size.
// A classifier recognizes more in the other kind without the features that describe the network.
func TestOtherKind(t *testing.T) {
	if testing.Short() {
		t.Skip("simulating and training take minutes under the race detector")
	}
	training := simulated(t, 0, 5, evaluate.None, evaluate.Size{Slots: 40, Validators: 65536, Committees: 4})
	other := simulated(t, 5, 3, evaluate.Messy, evaluate.Size{Slots: 40, Validators: 65536, Committees: 4})
	balanced := map[string]float64{}
	for name, features := range map[string][]string{"all": feature.Names(), "of the client": feature.OfClient(feature.Names())} {
		o := train.DefaultOptions("gbt")
		o.Features, o.Settings = features, algorithm.Settings{"rounds": {30}, "leaves": {8}}
		m, _, err := train.Fit(t.Context(), training, o)
		if err != nil {
			t.Fatal(err)
		}
		a, err := train.Test(&m.Parts[0], other)
		if err != nil {
			t.Fatal(err)
		}
		balanced[name] = a.Scores().BalancedAccuracy
		t.Logf("features %s: balanced accuracy %.3f in other networks; promised %.3f, %s", name, balanced[name], m.Parts[0].Training.BalancedAccuracy, m.Parts[0].Training.AccuracyMethod)
	}
	if balanced["of the client"] <= balanced["all"] {
		t.Errorf("balanced accuracy in other networks: %v", balanced)
	}
}
