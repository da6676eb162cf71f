package evaluate

import (
	"context"
	"fmt"
	"os"

	"blockprint"
	"blockprint/classify"
	"blockprint/train"
)

// ModelOptions say how BuildModel trains.
type ModelOptions struct {
	Options
	// ElectraSlot is the first slot of the Electra part; mainnet's is MainnetElectraSlot.
	ElectraSlot blockprint.Slot
	Fit         train.Options // algorithm, features and its parameters
}

// MainnetElectraSlot is the first slot of Electra on mainnet, 7 May 2025.
const MainnetElectraSlot blockprint.Slot = 364032 * 32

// BuildModel trains a model of two parts, for the time before Electra and since, in simulated networks with all known
// variants of all clients. It says in the model that it knows simulated blocks only.
func BuildModel(ctx context.Context, o ModelOptions) (*classify.Model, error) {
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "blockprint-worlds-")
		if err != nil {
			return nil, fmt.Errorf("build a model: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o.Dir = dir
	}
	parts := []struct {
		era   Era
		slots blockprint.Interval
	}{
		{Deneb, blockprint.Interval{Start: 0, End: o.ElectraSlot - 1}},
		{Electra, blockprint.Interval{Start: o.ElectraSlot, End: 1<<63 - 1}},
	}
	var models []*classify.Model
	for _, p := range parts {
		o.Era = p.era
		worlds, err := o.record(ctx, trainingJobs(&o.Options))
		if err != nil {
			return nil, err
		}
		fit := o.Fit
		fit.Slots = &p.slots
		fit.Source = fmt.Sprintf("simulated networks only (%d worlds of %s, %d members a committee): says nothing of its accuracy on a real network",
			o.TrainWorlds, p.era, o.Size.Validators/32/o.Size.Committees)
		m, _, err := train.Fit(ctx, join(worlds), fit)
		if err != nil {
			return nil, err
		}
		models = append(models, m)
	}
	return classify.Join(models...)
}
