// Package classify determines which client built a block, from the features of its reward and its graffiti.
//
// A Model is read from a file with Open (package train makes them) and asked through a Labeler:
//
//	model, err := classify.Open("mainnet.model")
//	labeler, err := model.NewLabeler(rules)
//	answer, features := labeler.Label(reward)
//
// Clients change, so a model has parts, each for a range of forks, of slots, or of both. The block's own fork chooses
// the part. A slot number alone does so only if the fork cannot be known, because it means another time on every
// network (choose.go). A block without a part, or whose attestations contradict its fork's part, is Uncertain, with
// the reason.
package classify

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"blockprint"
	"blockprint/classify/algorithm"
	"blockprint/classify/gbt"
	"blockprint/classify/knn"
	"blockprint/classify/mlp"
	"blockprint/feature"
	"blockprint/graffiti"
)

// Predictor is a fitted algorithm. It is safe for concurrent use.
type Predictor = algorithm.Predictor

// Algorithms are the kinds of classifiers, sorted by name: what can be trained, and what model files can hold.
var Algorithms = []*algorithm.Algorithm{&gbt.Algorithm, &knn.Algorithm, &mlp.Algorithm}

// Lookup returns the algorithm of a name, nil if there is none.
func Lookup(name string) *algorithm.Algorithm {
	for _, a := range Algorithms {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// Model is a trained classifier.
type Model struct {
	// Name is the file's name and the start of its checksum, for headers and logs.
	Name  string
	Parts []Part

	schedule atomic.Pointer[blockprint.ForkSchedule]
}

// Part is a classifier for a range of forks or slots.
type Part struct {
	PartInfo
	Predictor Predictor
}

// PartInfo says what a part is and what it was made from. It is the part's JSON in the model file.
type PartInfo struct {
	Type     string              `json:"type"`
	Features []string            `json:"features"`
	Classes  []blockprint.Client `json:"classes"` // sorted by name; the predictor's classes in this order
	// GraffitiOnly lists clients that are labeled when the graffiti says so, and never else.
	GraffitiOnly []blockprint.Client `json:"graffiti_only"`
	// Grouped lists clients whose training blocks were taken as Other.
	Grouped []blockprint.Client `json:"grouped,omitempty"`
	// Forks are those of the blocks that the part is for; nil if it is not known.
	Forks *blockprint.ForkRange `json:"forks,omitempty"`
	// Slots is where the part is to be used; nil means everywhere.
	Slots *blockprint.Interval `json:"slots,omitempty"`
	// Calibration corrects the predictor's probabilities; nil leaves them as they are.
	Calibration *Calibration `json:"calibration,omitempty"`
	// Training says what the part was made from.
	Training Training `json:"training"`
}

// Training summarizes the training data of a part.
type Training struct {
	Blocks     map[blockprint.Client]int `json:"blocks"`
	Slots      blockprint.Interval       `json:"slots"`
	Parameters map[string]float64        `json:"parameters,omitempty"`
	Tool       string                    `json:"tool"`
	Seed       uint64                    `json:"seed,omitempty"`
	// Network is that of the data, if it is known, and Dates the days of Slots on it (UTC, YYYY-MM-DD).
	Network string   `json:"network,omitempty"`
	Dates   []string `json:"dates,omitempty"`
	// Source says where the blocks came from in a few words of the trainer's, "simulated network" say.
	Source string `json:"source,omitempty"`
	// Accuracy is the measured true-positive rate of each class, by the method named in AccuracyMethod, and
	// BalancedAccuracy their mean.
	Accuracy         map[blockprint.Client]float64 `json:"accuracy,omitempty"`
	BalancedAccuracy float64                       `json:"balanced_accuracy,omitempty"`
	AccuracyMethod   string                        `json:"accuracy_method,omitempty"`
}

// Features returns the names of all features that the model's parts read.
func (m *Model) Features() []string {
	var names []string
	for _, p := range m.Parts {
		for _, f := range p.Features {
			if !slices.Contains(names, f) {
				names = append(names, f)
			}
		}
	}
	return names
}

// FeaturesAt returns the names of the features that the model reads of a block, of which it knows the values v; none if
// it has no part for the block.
func (m *Model) FeaturesAt(slot blockprint.Slot, v blockprint.Vector) []string {
	if p, _ := m.choose(origin{slot: slot, shape: NewShape(v.Names).Of(v.Values)}); p != nil {
		return p.Features
	}
	return nil
}

// Classify labels a block by its features, and by its graffiti for clients that the model has not learned. The
// block's fork follows from the schedule, if there is one, or from the features.
func (m *Model) Classify(slot blockprint.Slot, v blockprint.Vector, says blockprint.Graffiti) blockprint.Classification {
	return m.classify(origin{slot: slot, shape: NewShape(v.Names).Of(v.Values)}, v, says)
}

func (m *Model) classify(from origin, v blockprint.Vector, says blockprint.Graffiti) blockprint.Classification {
	p, reason := m.choose(from)
	if p == nil {
		return uncertain("%s", reason)
	}
	if slices.Contains(p.GraffitiOnly, says.Client) {
		return blockprint.NewClassification([]blockprint.Probability{{Client: says.Client, P: 1}})
	}
	x := v.In(p.Features, nil)
	for i, value := range x {
		if math.IsNaN(value) && !p.Predictor.Missing() {
			return uncertain("feature %s has no value for this block", p.Features[i])
		}
	}
	if p.silent(x) {
		return uncertain("the block holds a single attestation, which does not show its client")
	}
	proba := make([]float64, len(p.Classes))
	p.Proba(proba, x)
	list := make([]blockprint.Probability, len(proba))
	for i, v := range proba {
		list[i] = blockprint.Probability{Client: p.Classes[i], P: v}
	}
	return blockprint.NewClassification(list)
}

// uncertain is the answer for a block that cannot be labeled.
func uncertain(format string, args ...any) blockprint.Classification {
	return blockprint.Classification{Single: blockprint.Uncertain, Multi: string(blockprint.Uncertain), Reason: fmt.Sprintf(format, args...)}
}

// Proba writes the corrected probability of each class for the row x, one number per feature, into dst.
func (p *Part) Proba(dst, x []float64) {
	if p.silent(x) {
		Chance(dst)
		return
	}
	p.Predictor.PredictProba(dst, x)
	p.Calibration.Apply(dst)
}

// silent reports whether a row's block shows nothing of its client. Parts whose probabilities are not corrected answer as
// the original does, for every block.
func (p *Part) silent(x []float64) bool {
	at := slices.Index(p.Features, ShapeFeatures[0])
	return at >= 0 && p.Calibration != nil && Silent(p.Forks, x[at])
}

// Silent reports whether a block of some forks with so many attestations shows nothing of its client. Since Electra one
// attestation holds all committees, and every client packs it alike if it is the only one.
func Silent(forks *blockprint.ForkRange, attestations float64) bool {
	return attestations == 1 && forks != nil && blockprint.SinceElectra.Contains(*forks)
}

// Chance makes all probabilities equal: the honest answer for a block that shows nothing.
func Chance(proba []float64) {
	for i := range proba {
		proba[i] = 1 / float64(len(proba))
	}
}

// Labeler labels block rewards. It keeps scratch memory: make one for each goroutine.
type Labeler struct {
	model     *Model
	rules     *graffiti.Rules
	extractor *feature.Extractor
}

// Labeled is a labeled block: the answer and what it was made from.
type Labeled struct {
	blockprint.Classification
	Says     blockprint.Graffiti // what the block's text says
	Features blockprint.Vector
}

// NewLabeler returns a labeler that extracts the named features: all features if there are no names, which is
// what is stored; model.Features() is enough for labeling alone.
func (m *Model) NewLabeler(rules *graffiti.Rules, features ...string) (*Labeler, error) {
	e, err := feature.NewExtractor(features)
	if err != nil {
		return nil, err
	}
	for _, name := range m.Features() {
		if !slices.Contains(e.Names(), name) {
			return nil, blockprint.Errorf(blockprint.Conflict, "model %s needs feature %q, which is not extracted", m.Name, name)
		}
	}
	return &Labeler{model: m, rules: rules, extractor: e}, nil
}

// Labelers returns a pool of such labelers, for several goroutines.
func (m *Model) Labelers(rules *graffiti.Rules, features ...string) (*sync.Pool, error) {
	first, err := m.NewLabeler(rules, features...)
	if err != nil {
		return nil, err
	}
	pool := &sync.Pool{New: func() any {
		l, _ := m.NewLabeler(rules, features...) // it succeeds like the first
		return l
	}}
	pool.Put(first)
	return pool, nil
}

// Label classifies a block. The feature values are valid until the next call.
func (l *Labeler) Label(r *blockprint.BlockReward) Labeled {
	out := Labeled{Says: l.rules.Guess(r.Meta.Graffiti), Features: l.extractor.Vector(r)}
	out.Classification = l.model.classify(origin{r.Meta.Slot, r.Meta.Fork, r.Shape()}, out.Features, out.Says)
	return out
}

// Nearest is a training block near a query.
type Nearest struct {
	Client   blockprint.Client
	Distance float64
}

// Nearest returns the training blocks nearest to a block's features, and the features that were compared; none if the
// model keeps no training blocks.
func (m *Model) Nearest(slot blockprint.Slot, v blockprint.Vector) ([]Nearest, []string) {
	p, _ := m.choose(origin{slot: slot, shape: NewShape(v.Names).Of(v.Values)})
	if p == nil {
		return nil, nil
	}
	near, ok := p.Predictor.(*knn.Classifier)
	x := v.In(p.Features, nil)
	if !ok || slices.ContainsFunc(x, math.IsNaN) {
		return nil, p.Features
	}
	var out []Nearest
	for _, n := range near.Neighbors(nil, x) {
		out = append(out, Nearest{p.Classes[n.Class], n.Distance})
	}
	return out, p.Features
}
