package train

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/stat"

	"blockprint"
	"blockprint/classify"
	"blockprint/classify/algorithm"
	"blockprint/dataset"
	"blockprint/estimate"
)

// Validation is the result of a k-fold cross-validation.
type Validation struct {
	*Scores
	Type     string    `json:"type"`
	Features []string  `json:"features"`
	Folds    []float64 `json:"folds"` // balanced accuracy of each
	// Apart says what is whole on either side of a fold; empty if only the blocks are.
	Apart string  `json:"apart,omitempty"`
	Left  LeftOut `json:"left_out"`
	// ByAttestations and ByBlocks say how well blocks are recognized by how many attestations they hold, and validators
	// by how many of their blocks are taken together.
	ByAttestations []estimate.Shown `json:"by_attestations,omitempty"`
	ByBlocks       []estimate.Shown `json:"validators_by_blocks,omitempty"`
	// Correction is the calibration that was fitted; nil if the options want none.
	Correction *classify.Calibration `json:"correction,omitempty"`
}

// MeanAndDeviation returns the mean of the folds' balanced accuracies and their standard deviation.
func (v *Validation) MeanAndDeviation() (mean, deviation float64) {
	return stat.PopMeanStdDev(v.Folds, nil)
}

// Text is the result for people: each fold, their mean, and the confusion matrix.
func (v *Validation) Text() string {
	var b strings.Builder
	for i, score := range v.Folds {
		fmt.Fprintf(&b, "fold %d: balanced accuracy %.4f\n", i+1, score)
	}
	mean, deviation := v.MeanAndDeviation()
	fmt.Fprintf(&b, "mean %.4f, standard deviation %.4f; accuracy %.4f over %d blocks (%s)\n", mean, deviation, v.Accuracy, v.Blocks, v.Method())
	if left := v.Left.String(); left != "" {
		fmt.Fprintf(&b, "left out: %s\n", left)
	}
	fmt.Fprintf(&b, "%s with %s\n\n%s%s", v.Type, strings.Join(v.Features, ", "), v.Table(), estimate.ShownText(v.ByAttestations, v.ByBlocks))
	return b.String()
}

// Method says how the figures were measured.
func (v *Validation) Method() string {
	method := fmt.Sprintf("%d-fold cross-validation", len(v.Folds))
	if v.Apart != "" {
		method += ", " + v.Apart
	}
	return method
}

// Validate measures how well an algorithm classifies blocks that it has not seen: the blocks are divided into folds, and
// a classifier that was fitted to the other folds is asked for each. Whole groups of the set are kept apart if there are
// several; otherwise whole validators and days, as far as every client has enough of them.
func Validate(ctx context.Context, set *dataset.Set, o Options) (*Validation, error) {
	m, err := o.matrix(set)
	if err != nil {
		return nil, err
	}
	return validate(ctx, m, &o)
}

func validate(ctx context.Context, m *Matrix, o *Options) (*Validation, error) {
	f, err := crossValidate(ctx, m, o, m.divide(o), nil)
	if err != nil {
		return nil, err
	}
	return f.summarise(m, o), nil
}

// summarize corrects the answers, if the options want it, and scores them.
func (f *folded) summarise(m *Matrix, o *Options) *Validation {
	v := &Validation{Type: o.Type, Features: m.Features, Left: m.Left, Apart: f.apart}
	if o.calibrates() {
		forks := cmp.Or(o.Forks, m.forks())
		f.silent = func(i int) bool { return classify.Silent(forks, float64(m.Attestations[f.row[i]])) }
		y, proba := f.of(func(i int) bool { return !f.silent(i) })
		v.Correction = fitCalibration(len(m.Classes), y, proba)
		f.calibrate()
	}
	v.Scores = NewScores(m.Classes, f.y, f.proba)
	for fold := range f.count {
		if y, proba := f.of(func(i int) bool { return f.fold[i] == fold }); len(y) > 0 {
			v.Folds = append(v.Folds, NewScores(m.Classes, y, proba).BalancedAccuracy)
		}
	}
	var answers []estimate.Answer
	for i, row := range f.row {
		answers = append(answers, estimate.Answer{
			Truth: int(f.y[i]), P: f.proba[i*f.classes : (i+1)*f.classes],
			Attestations: m.Attestations[row], Validator: m.Proposers[row], Slot: m.Slots[row],
		})
	}
	v.ByAttestations, v.ByBlocks = estimate.ByAttestations(m.Classes, answers), estimate.ByBlocks(m.Classes, answers)
	return v
}

// folded holds the answers of a cross-validation, one for each row that was asked.
type folded struct {
	count, classes int
	apart          string
	row            []int // in the matrix
	fold           []int // that the row belongs to
	y              []uint8
	proba          []float64
	silent         func(i int) bool // whether the block shows nothing of its client
}

// of returns the truth and the answers of some of the rows.
func (f *folded) of(which func(i int) bool) (y []uint8, proba []float64) {
	for i := range f.y {
		if which(i) {
			y = append(y, f.y[i])
			proba = append(proba, f.proba[i*f.classes:(i+1)*f.classes]...)
		}
	}
	return y, proba
}

// calibrate corrects each fold's answers by what the other folds' answers teach.
func (f *folded) calibrate() {
	fitted := make([]*classify.Calibration, f.count)
	algorithm.InParallel(f.count, func(fold int) {
		y, proba := f.of(func(i int) bool { return f.fold[i] != fold && !f.silent(i) })
		fitted[fold] = fitCalibration(f.classes, y, proba)
	})
	for i, fold := range f.fold {
		if p := f.proba[i*f.classes : (i+1)*f.classes]; f.silent(i) {
			classify.Chance(p)
		} else {
			fitted[fold].Apply(p)
		}
	}
}

// maxAsked bounds how many rows of a matrix are asked in a cross-validation: more would make no figure surer than
// a tenth of a per cent, and slow models of millions of rows.
const maxAsked = 60_000

// crossValidate asks each fold's rows of a classifier that is fitted to other rows. hook, if not nil, is called with
// each fold's classifier and the rows that were asked of it.
func crossValidate(ctx context.Context, m *Matrix, o *Options, division *folds, hook func(fold int, p classify.Predictor, rows []int) error) (*folded, error) {
	if m.Rows() < 2 {
		return nil, blockprint.Errorf(blockprint.Invalid, "cross-validation needs at least two blocks, got %d", m.Rows())
	}
	f := &folded{count: division.count, classes: len(m.Classes), apart: division.apart}
	step := (m.Rows() + maxAsked - 1) / maxAsked
	learn, places := make([][]int, f.count), make([][]int, f.count) // of each fold: rows, and places in f
	for fold := range f.count {
		var ask []int
		learn[fold], ask = division.rows(fold)
		for i := 0; i < len(ask); i += step {
			places[fold] = append(places[fold], len(f.row))
			f.row = append(f.row, ask[i])
			f.fold = append(f.fold, fold)
			f.y = append(f.y, m.Y[ask[i]])
		}
	}
	f.proba = make([]float64, len(f.row)*f.classes)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for fold, asked := range places {
		if len(asked) == 0 {
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			p, err := o.fit(m.pick(learn[fold]))
			if err != nil {
				return fmt.Errorf("fold %d: %w", fold+1, err)
			}
			rows := make([]int, len(asked))
			for j, at := range asked {
				rows[j] = f.row[at]
				p.PredictProba(f.proba[at*f.classes:(at+1)*f.classes], m.Row(f.row[at]))
			}
			if hook == nil {
				return nil
			}
			return hook(fold, p, rows)
		})
	}
	return f, g.Wait()
}

// byClass returns the rows of each class.
func (m *Matrix) byClass() [][]int {
	out := make([][]int, len(m.Classes))
	for i, y := range m.Y {
		out[y] = append(out[y], i)
	}
	return out
}

// sample draws n rows, the same share of each class, by chance; at least two of each class that has them.
func (m *Matrix) sample(rows []int, n int, rng *rand.Rand) []int {
	byClass := make([][]int, len(m.Classes))
	for _, i := range rows {
		byClass[m.Y[i]] = append(byClass[m.Y[i]], i)
	}
	var out []int
	for _, list := range byClass {
		want := int(math.Round(float64(n) * float64(len(list)) / float64(len(rows))))
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		out = append(out, list[:min(max(want, 2), len(list))]...)
	}
	slices.Sort(out)
	return out
}
