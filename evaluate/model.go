package evaluate

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"blockprint"
	"blockprint/classify"
	"blockprint/train"
)

// ModelOptions say how BuildModel trains.
type ModelOptions struct {
	Options
	Sizes []Size // of the networks, in turn; Options.Size is not used
}

// BuildModel trains a model of two parts, for the time before Electra and since, in simulated networks with all known
// variants of all clients. It says in the model that it knows simulated blocks only.
func BuildModel(ctx context.Context, o ModelOptions) (*classify.Model, error) {
	if len(o.Sizes) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "build a model: no sizes of networks")
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "blockprint-worlds-")
		if err != nil {
			return nil, fmt.Errorf("build a model: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o.Dir = dir
	}
	var models []*classify.Model
	for _, era := range []Era{Deneb, Electra} {
		o.Era = era
		forks := era.forks()
		jobs := trainingJobs(&o.Options)
		for i := range jobs {
			jobs[i].size = o.Sizes[i%len(o.Sizes)]
		}
		worlds, err := o.record(ctx, jobs)
		if err != nil {
			return nil, err
		}
		fit := ours().options(&o.Options)
		fit.Source = fmt.Sprintf("simulated networks only (%d of %s, %s members a committee): says nothing of its accuracy on a real network",
			o.TrainWorlds, era, members(o.Sizes))
		m, _, err := train.Fit(ctx, join(worlds), fit)
		if err != nil {
			return nil, err
		}
		m.Parts[0].Forks = &forks // of all blocks, also of those that do not show it
		models = append(models, m)
	}
	return classify.Join(models...)
}

// members lists how many members the committees have.
func members(sizes []Size) string {
	var out []string
	for _, s := range sizes {
		out = append(out, strconv.Itoa(s.Validators/32/s.Committees))
	}
	return strings.Join(slices.Compact(out), ", ")
}
