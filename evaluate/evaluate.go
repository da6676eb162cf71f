package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/classify"
	"blockprint/classify/algorithm"
	"blockprint/dataset"
	"blockprint/estimate"
	"blockprint/feature"
	"blockprint/packer"
	"blockprint/sim"
	"blockprint/sim/record"
	"blockprint/train"
)

// Options say what to evaluate.
type Options struct {
	Era         Era
	Seed        uint64
	TrainWorlds int
	TestWorlds  int // of each shift
	Size        Size
	// Shifts are those of the worlds to test in; nil for all, and for variants left out of the training.
	Shifts []Shift
	// Model, if not nil, is tested as well, in the worlds of all shifts.
	Model *classify.Model
	// Dir is for the worlds' feature files, so that another evaluation need not run them again; empty for a
	// temporary folder.
	Dir string
	// Settings are those of our classifier's algorithm; nil for the defaults.
	Settings algorithm.Settings
	Tool     string
	Logger   *slog.Logger
	Progress func(done, total int) // of the worlds
}

func (o *Options) shifts() []Shift {
	if o.Shifts == nil {
		return Shifts()
	}
	return o.Shifts
}

// Contender is a classifier with its features.
type Contender struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Features []string `json:"features"`
}

// Contenders are the original's classifier and ours.
func Contenders() []Contender {
	return []Contender{
		{"original (kNN, its four features)", "knn", feature.Default()},
		{"ours (boosted trees, features of the client)", "gbt", feature.OfClient(feature.Names())},
	}
}

// ours is the contender that models are made of.
func ours() *Contender { return &Contenders()[1] }

// Result is how a contender did in the worlds of one scenario.
type Result struct {
	Contender string `json:"contender"`
	Scenario  string `json:"scenario"`
	*train.Scores
	// Validators is the share of the ValidatorsAsked whose client is recognized from five of their blocks.
	Validators      float64 `json:"validators_right,omitempty"`
	ValidatorsAsked int     `json:"validators,omitempty"`
	// ByAttestations and ByBlocks say how well blocks are recognized by how many attestations they hold, and validators
	// by how many of their blocks are taken together: a world's blocks of a client count as those of one validator, because
	// few validators of a short world propose often.
	ByAttestations []estimate.Shown `json:"by_attestations"`
	ByBlocks       []estimate.Shown `json:"validators_by_blocks"`
}

// Evaluation is all results.
type Evaluation struct {
	Era     Era      `json:"era"`
	Seed    uint64   `json:"seed"`
	Size    Size     `json:"size"`
	Trained int      `json:"training_blocks"`
	Results []Result `json:"results"`
	// Examples has a block of each of ours' worst mistakes in worlds drawn as in training.
	Examples []Example `json:"examples"`
	// Same says how often two packers with the same votes at hand make the same block: no feature can distinguish these.
	Same      []Agreement `json:"same_blocks"`
	Simulated bool        `json:"simulated"`
}

// Agreement is how often two packers make the same block.
type Agreement struct {
	A       string  `json:"a"`
	B       string  `json:"b"`
	Same    float64 `json:"same"`         // share of slots with the same attestations in the same order
	SameSet float64 `json:"in_any_order"` // share with the same attestations
}

// compareSlots are enough for shares to within a few percent.
const compareSlots = 200

// compare runs a world in which all nodes hear everything, and asks one node of each client's newest variant for a
// block in each slot.
func compare(ctx context.Context, o *Options) ([]Agreement, error) {
	c := Draw(o.Era, None, o.Seed, 0, o.Size)
	c.AllSubnetsRate, c.LateAggregates, c.LostAggregates, c.Nodes = 1, 0, 0, 1
	for i, list := range variants(o.Era) {
		c.Shares[i].Variant = list[len(list)-1]
	}
	w, err := sim.New(c)
	if err != nil {
		return nil, err
	}
	pairs := map[[2]string]*sim.Agreement{}
	for i := range int(2*c.SlotsPerEpoch) + min(o.Size.Slots, compareSlots) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w.Step()
		if i >= int(2*c.SlotsPerEpoch) {
			w.Compare(pairs)
		}
	}
	var out []Agreement
	for _, p := range pairs {
		out = append(out, Agreement{p.A, p.B, float64(p.Same) / float64(p.Slots), float64(p.SameSet) / float64(p.Slots)})
	}
	slices.SortFunc(out, func(a, b Agreement) int {
		return cmp.Or(cmp.Compare(b.Same, a.Same), cmp.Compare(b.SameSet, a.SameSet), cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B))
	})
	return out, nil
}

// world is a recorded world.
type world struct {
	config sim.Config
	file   string
	set    *dataset.Set
}

// variantOf returns a client's variant.
func (w *world) variantOf(client blockprint.Client) string {
	for _, s := range w.config.Shares {
		if c, _, _ := packer.ClientOf(s.Variant); c == client {
			return s.Variant
		}
	}
	return ""
}

func (w *world) has(variant string) bool {
	return slices.ContainsFunc(w.config.Shares, func(s sim.Share) bool { return s.Variant == variant })
}

// Run records the worlds, trains and tests.
func Run(ctx context.Context, o Options) (*Evaluation, error) {
	if variants(o.Era) == nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "unknown era %q: expected %s or %s", o.Era, Deneb, Electra)
	}
	if o.TrainWorlds < 1 || o.TestWorlds < 1 {
		return nil, blockprint.Errorf(blockprint.Invalid, "%d worlds to train and %d to test: expected at least one each", o.TrainWorlds, o.TestWorlds)
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "blockprint-evaluate-")
		if err != nil {
			return nil, fmt.Errorf("evaluate: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o.Dir = dir
	}
	training, tests, err := recordAll(ctx, &o)
	if err != nil {
		return nil, err
	}
	e := &Evaluation{Era: o.Era, Seed: o.Seed, Size: o.Size, Simulated: true}
	if e.Same, err = compare(ctx, &o); err != nil {
		return nil, err
	}
	if err := e.challenge(&o, tests); err != nil {
		return nil, err
	}
	for _, c := range Contenders() {
		if err := e.contend(ctx, &o, c, training, tests); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return e, nil
}

// job is a world to record.
type job struct {
	shift  Shift
	i      int
	size   Size
	dreams bool // in each slot every client dreams a block too: more to train on for the same work
}

// config draws the job's world and names its file; worlds of the same name are the same.
func (j job) config(o *Options) (c sim.Config, file string) {
	c = Draw(o.Era, j.shift, o.Seed, j.i, j.size)
	c.Dreams = j.dreams
	kind := "mainnet-" + string(j.shift)
	if j.dreams {
		kind += "-dreams"
	}
	return c, fmt.Sprintf("%s-%s-%d-%d-%dx%dx%d.features", o.Era, kind, o.Seed, j.i, j.size.Slots, j.size.Validators, j.size.Committees)
}

// trainingJobs are the worlds to train in.
func trainingJobs(o *Options) []job {
	var jobs []job
	for i := range o.TrainWorlds {
		jobs = append(jobs, job{None, i, o.Size, true})
	}
	return jobs
}

// recordAll runs or reads all worlds: those to train in, and those to test in by shift.
func recordAll(ctx context.Context, o *Options) (training []*world, tests map[Shift][]*world, err error) {
	jobs := trainingJobs(o)
	for _, s := range o.shifts() {
		for i := range o.TestWorlds {
			jobs = append(jobs, job{s, o.TrainWorlds + i, o.Size, false})
		}
	}
	worlds, err := o.record(ctx, jobs)
	if err != nil {
		return nil, nil, err
	}
	tests = map[Shift][]*world{}
	for k, w := range worlds[o.TrainWorlds:] {
		s := jobs[o.TrainWorlds+k].shift
		tests[s] = append(tests[s], w)
	}
	return worlds[:o.TrainWorlds], tests, nil
}

// record runs worlds on all cores, or reads those that are in Dir, and returns them in the order of the jobs.
func (o *Options) record(ctx context.Context, jobs []job) ([]*world, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	worlds := make([]*world, len(jobs))
	var mu sync.Mutex
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for k, j := range jobs {
		g.Go(func() error {
			c, file := j.config(o)
			w, path := &world{config: c, file: file}, filepath.Join(o.Dir, file)
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				if _, err := record.WriteFile(ctx, path, []sim.Config{w.config}, j.size.Slots, o.Tool, o.Logger, nil); err != nil {
					return err
				}
			}
			var err error
			if w.set, _, err = dataset.Read(ctx, path, nil); err != nil {
				return err
			}
			if missing := slices.IndexFunc(feature.Names(), func(f string) bool { return !slices.Contains(w.set.Features, f) }); missing >= 0 {
				return blockprint.Errorf(blockprint.Conflict, "%s lacks the feature %s, so another version made it: remove it", path, feature.Names()[missing])
			}
			worlds[k] = w
			mu.Lock()
			defer mu.Unlock()
			done++
			if o.Progress != nil {
				o.Progress(done, len(jobs))
			}
			return nil
		})
	}
	return worlds, g.Wait()
}

// join puts worlds together. Each is a group, so that the accuracy and the calibration that a model is given are
// those of other worlds than it was trained in.
func join(worlds []*world) *dataset.Set {
	out := dataset.NewSet(worlds[0].set.Features)
	for _, w := range worlds {
		out.AppendGroups(w.set)
	}
	return out
}

// options are those that a contender is trained with.
func (c *Contender) options(o *Options) train.Options {
	out := train.DefaultOptions(c.Type)
	out.Features, out.Settings, out.Seed, out.Tool, out.Source = c.Features, o.Settings, o.Seed, o.Tool, record.Source
	return out
}

// fit trains a contender in worlds.
func (c *Contender) fit(ctx context.Context, o *Options, worlds []*world) (*classify.Part, error) {
	m, _, err := train.Fit(ctx, join(worlds), c.options(o))
	if err != nil {
		return nil, err
	}
	return &m.Parts[0], nil
}

// challenge tests the options' model, if there is one.
func (e *Evaluation) challenge(o *Options, tests map[Shift][]*world) error {
	if o.Model == nil {
		return nil
	}
	at := slices.IndexFunc(o.Model.Parts, func(p classify.Part) bool { return p.Forks == nil || p.Forks.Overlaps(o.Era.forks()) })
	if at < 0 {
		return blockprint.Errorf(blockprint.NotFound, "model %s has no part for blocks of %s", o.Model.Name, o.Era)
	}
	for _, shift := range o.shifts() {
		r, _, err := test(&o.Model.Parts[at], tests[shift])
		if err != nil {
			return err
		}
		r.Contender, r.Scenario = o.Model.Name, string(shift)
		e.Results = append(e.Results, *r)
	}
	return nil
}

// contend trains a contender and tests it in all scenarios.
func (e *Evaluation) contend(ctx context.Context, o *Options, c Contender, training []*world, tests map[Shift][]*world) error {
	part, err := c.fit(ctx, o, training)
	if err != nil {
		return err
	}
	all := join(training)
	e.Trained = all.Len()
	for _, shift := range o.shifts() {
		r, answers, err := test(part, tests[shift])
		if err != nil {
			return err
		}
		r.Contender, r.Scenario = c.Name, string(shift)
		e.Results = append(e.Results, *r)
		if shift == None { // the last contender's stay
			mistakes := r.Mistakes()
			e.Examples = findExamples(mistakes[:min(len(mistakes), 5)], c.Features, all, tests[None], answers)
		}
	}
	if o.Shifts != nil {
		return nil
	}
	for _, variant := range Variants(o.Era) {
		var without, with []*world
		for _, w := range training {
			if !w.has(variant) {
				without = append(without, w)
			}
		}
		for _, w := range append(slices.Clone(training), tests[None]...) {
			if w.has(variant) {
				with = append(with, w)
			}
		}
		if len(without) == 0 || len(with) == 0 {
			continue // too few worlds
		}
		part, err := c.fit(ctx, o, without)
		if err != nil {
			return err
		}
		r, _, err := test(part, with)
		if err != nil {
			return err
		}
		r.Contender, r.Scenario = c.Name, "without "+variant
		e.Results = append(e.Results, *r)
	}
	return nil
}

// test asks a part in worlds and returns the result, and the answers in each world.
func test(p *classify.Part, worlds []*world) (*Result, []*train.Answers, error) {
	r := &Result{}
	var answers []*train.Answers
	var truth []uint8
	var proba []float64
	var shown, owners []estimate.Answer
	for i, w := range worlds {
		a, err := train.Test(p, w.set)
		if err != nil {
			return nil, nil, err
		}
		answers = append(answers, a)
		truth, proba = append(truth, a.Truth...), append(proba, a.Proba...)
		for _, b := range a.Shown(w.set) {
			b.Validator += uint64(i) << 32
			shown = append(shown, b)
			b.Validator = uint64(i*len(p.Classes) + b.Truth)
			owners = append(owners, b)
		}
	}
	r.Scores = train.NewScores(p.Classes, truth, proba)
	if five := estimate.ByBlocks(p.Classes, shown); len(five) > 0 && five[0].Blocks == 5 {
		r.Validators, r.ValidatorsAsked = five[0].Right, five[0].Count
	}
	r.ByAttestations, r.ByBlocks = estimate.ByAttestations(p.Classes, shown), estimate.ByBlocks(p.Classes, owners)
	return r, answers, nil
}
