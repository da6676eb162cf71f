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
	"sync"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"blockprint"
	"blockprint/classify"
	"blockprint/dataset"
	"blockprint/estimate"
)

// Study says what can be learned from a set, and with which features: the answers to "which features matter", "how
// many blocks are enough", "can the probabilities be believed" and "who is taken for whom".
type Study struct {
	Tool       string              `json:"tool"`
	Data       string              `json:"data"`
	Type       string              `json:"type"`
	Blocks     int                 `json:"blocks"`
	Classes    []blockprint.Client `json:"classes"`
	Counts     map[string]int      `json:"blocks_per_client"`
	Left       LeftOut             `json:"left_out"`
	Validation *Validation         `json:"validation"`
	// Uncalibrated is the calibration error before the correction.
	Uncalibrated float64      `json:"calibration_error_uncorrected"`
	Importance   []Importance `json:"importance"`
	Curve        Curve        `json:"learning_curve"`
	Mistakes     []Mistake    `json:"mistakes"`
	Warnings     []string     `json:"warnings,omitempty"`
}

// Importance is how much balanced accuracy is lost when a feature's values are exchanged between blocks at random,
// so that it says nothing. Near zero, the other features make up for it.
type Importance struct {
	Feature   string  `json:"feature"`
	Loss      float64 `json:"loss"`
	Deviation float64 `json:"deviation"` // between folds and repetitions
}

// Curve is how accuracy grows with the number of training blocks, and the law fitted to it:
// limit - factor * blocks^-exponent.
type Curve struct {
	Points   []CurvePoint `json:"points"`
	Limit    float64      `json:"limit"`
	Factor   float64      `json:"factor"`
	Exponent float64      `json:"exponent"`
	// Enough is the number of training blocks from which on the law is within Margin of its limit; 0 if the points
	// do not show it.
	Enough float64 `json:"enough"`
	Margin float64 `json:"margin"`
	// Sentence says it in words.
	Sentence string `json:"sentence"`
}

// CurvePoint is the balanced accuracy on unseen blocks after training on so many.
type CurvePoint struct {
	Blocks    int     `json:"blocks"`
	Balanced  float64 `json:"balanced_accuracy"`
	Deviation float64 `json:"deviation"`
}

// leastExponent bounds how slowly the law may approach its limit: measured curves of classifiers lie above it, and
// slower laws fit noise with limits that no one can check.
const leastExponent = 0.3

// curveMargin is how near to the limit is near enough: half a percentage point.
const curveMargin = 0.005

// NewStudy examines a set with an algorithm. Progress, if not nil, is called after each step.
func NewStudy(ctx context.Context, set *dataset.Set, o Options, progress func(done, total int)) (*Study, error) {
	m, err := o.matrix(set)
	if err != nil {
		return nil, err
	}
	s := &Study{Tool: o.Tool, Type: o.Type, Blocks: m.Rows(), Classes: m.Classes, Counts: map[string]int{}, Left: m.Left}
	division := m.divide(&o)
	s.Warnings = append(warnings(m, &o), division.warnings()...)
	for c, n := range m.counts() {
		s.Counts[string(m.Classes[c])] = n
	}
	sizes := curveSizes(m, division)
	report := reporter(progress, 1+division.count+len(sizes)*curveRepeats)
	answers, err := s.importance(ctx, m, &o, division, report)
	if err != nil {
		return nil, err
	}
	s.Uncalibrated = NewScores(m.Classes, answers.y, answers.proba).CalibrationError
	s.Validation = answers.summarise(m, &o)
	report()
	if s.Curve, err = learningCurve(ctx, m, &o, division, sizes, report); err != nil {
		return nil, err
	}
	s.Mistakes = s.Validation.Mistakes()
	return s, nil
}

// reporter counts steps for a progress function.
func reporter(progress func(done, total int), total int) func() {
	var mu sync.Mutex
	done := 0
	return func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		if progress != nil {
			progress(done, total)
		}
	}
}

// Permutation importance asks so many rows of each fold, so many times.
const (
	permutedRows    = 3000
	permutedRepeats = 3
)

// importance cross-validates and, while the classifiers are there, asks them with each feature shuffled.
func (s *Study) importance(ctx context.Context, m *Matrix, o *Options, division *folds, report func()) (*folded, error) {
	losses := make([][]float64, len(m.Features)*division.count)
	answers, err := crossValidate(ctx, m, o, division, func(fold int, p classify.Predictor, rows []int) error {
		rows = rows[:min(len(rows), permutedRows)]
		rng := rand.New(rand.NewPCG(o.Seed, uint64(fold)))
		whole := balancedOn(m, p, rows, -1, nil)
		for f := range m.Features {
			for range permutedRepeats {
				if err := ctx.Err(); err != nil {
					return err
				}
				at := f*division.count + fold
				losses[at] = append(losses[at], whole-balancedOn(m, p, rows, f, rng.Perm(len(rows))))
			}
		}
		report()
		return nil
	})
	if err != nil {
		return nil, err
	}
	for f, name := range m.Features {
		mean, deviation := stat.PopMeanStdDev(slices.Concat(losses[f*division.count:(f+1)*division.count]...), nil)
		s.Importance = append(s.Importance, Importance{name, mean, deviation})
	}
	slices.SortStableFunc(s.Importance, func(a, b Importance) int { return cmp.Compare(b.Loss, a.Loss) })
	return answers, nil
}

// balancedOn returns the balanced accuracy on rows whose feature f is taken from the rows in order perm; f < 0
// leaves all as they are.
func balancedOn(m *Matrix, p classify.Predictor, rows []int, f int, perm []int) float64 {
	total, right := make([]int, len(m.Classes)), make([]int, len(m.Classes))
	proba, x := make([]float64, len(m.Classes)), make([]float64, len(m.Features))
	for i, r := range rows {
		copy(x, m.Row(r))
		if f >= 0 {
			x[f] = m.Row(rows[perm[i]])[f]
		}
		p.PredictProba(proba, x)
		total[m.Y[r]]++
		if floats.MaxIdx(proba) == int(m.Y[r]) {
			right[m.Y[r]]++
		}
	}
	var rates []float64
	for c, n := range total {
		if n > 0 {
			rates = append(rates, share(right[c], n))
		}
	}
	return stat.Mean(rates, nil)
}

const (
	curveRepeats = 3
	curvePoints  = 9
	curveRows    = 20_000 // that are asked at each point
)

// curveSizes chooses training sizes, evenly on a logarithmic scale, up to what every fold leaves.
func curveSizes(m *Matrix, division *folds) []int {
	most := m.Rows()
	for fold := range min(division.count, curveRepeats) {
		learn, _ := division.rows(fold)
		most = min(most, len(learn))
	}
	least := min(most, max(10*len(m.Classes), 30))
	var sizes []int
	for i := range curvePoints {
		n := int(math.Round(float64(least) * math.Pow(float64(most)/float64(least), float64(i)/(curvePoints-1))))
		if len(sizes) == 0 || n > sizes[len(sizes)-1] {
			sizes = append(sizes, n)
		}
	}
	return sizes
}

// learningCurve trains on growing samples and asks blocks of a fold that was held back.
func learningCurve(ctx context.Context, m *Matrix, o *Options, division *folds, sizes []int, report func()) (Curve, error) {
	balanced := make([][]float64, len(sizes))
	for i := range balanced {
		balanced[i] = make([]float64, curveRepeats)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := len(sizes) - 1; i >= 0; i-- { // the longest first
		for r := range curveRepeats {
			g.Go(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				learn, ask := division.rows(r % division.count)
				rng := rand.New(rand.NewPCG(o.Seed, uint64(i*curveRepeats+r)))
				p, err := o.fit(m.pick(m.sample(learn, sizes[i], rng)))
				if err != nil {
					return fmt.Errorf("learning curve, %d blocks: %w", sizes[i], err)
				}
				balanced[i][r] = balancedOn(m, p, m.sample(ask, min(len(ask), curveRows), rng), -1, nil)
				report()
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return Curve{}, err
	}
	c := Curve{Margin: curveMargin}
	for i, n := range sizes {
		mean, deviation := stat.PopMeanStdDev(balanced[i], nil)
		c.Points = append(c.Points, CurvePoint{n, mean, deviation})
	}
	c.fit()
	return c, nil
}

// fit finds the law that the points follow: for each exponent, limit and factor by least squares; the exponent
// with the least error. The many-block end counts more, as it is what the law is asked about.
func (c *Curve) fit() {
	best := math.Inf(1)
	for e := leastExponent; e <= 2; e += 0.01 {
		var sw, sx, sy, sxx, sxy float64
		for i, p := range c.Points {
			w, x := float64(i+1), math.Pow(float64(p.Blocks), -e)
			sw += w
			sx += w * x
			sy += w * p.Balanced
			sxx += w * x * x
			sxy += w * x * p.Balanced
		}
		slope := 0.0
		if d := sw*sxx - sx*sx; d > 0 {
			slope = min((sw*sxy-sx*sy)/d, 0) // more blocks never make it worse
		}
		limit := min((sy-slope*sx)/sw, 1)
		sum := 0.0
		for i, p := range c.Points {
			d := limit + slope*math.Pow(float64(p.Blocks), -e) - p.Balanced
			sum += float64(i+1) * d * d
		}
		if sum < best-1e-15 {
			best, c.Limit, c.Factor, c.Exponent = sum, limit, -slope, e
		}
	}
	if c.Factor > 0 {
		c.Enough = math.Ceil(math.Pow(c.Factor/c.Margin, 1/c.Exponent))
	}
	c.Sentence = c.sentence()
}

// At returns what the law gives for a number of training blocks.
func (c *Curve) At(blocks float64) float64 {
	return c.Limit - c.Factor*math.Pow(blocks, -c.Exponent)
}

// sentence answers "how many blocks are enough".
func (c *Curve) sentence() string {
	last := c.Points[len(c.Points)-1]
	now := fmt.Sprintf("After %s training blocks %.1f %% of the blocks of an average client are recognised", thousands(float64(last.Blocks)), 100*last.Balanced)
	switch {
	case len(c.Points) < 4:
		return now + "; there are too few blocks to say how many are enough."
	case c.Factor == 0:
		return now + "; more blocks have not helped from the start, so other features would be needed."
	case c.Enough > float64(last.Blocks) && c.Exponent < leastExponent+0.005:
		return now + "; accuracy still grows slowly and no limit shows, so it cannot be said how many are enough."
	case c.Enough <= float64(last.Blocks):
		return fmt.Sprintf("%s; the curve levels off at %.1f %%, and %s blocks are enough to come within %.1f percentage points of that: more blocks of this kind will hardly help, better features might.",
			now, 100*c.Limit, thousands(c.Enough), 100*c.Margin)
	default:
		return fmt.Sprintf("%s; the curve points to %.1f %%, and about %s blocks would be needed to come within %.1f percentage points of that: more blocks help.",
			now, 100*c.Limit, thousands(c.Enough), 100*c.Margin)
	}
}

// thousands writes a whole number with two or three significant digits, and commas.
func thousands(v float64) string {
	if v >= 1000 {
		unit := math.Pow(10, math.Floor(math.Log10(v))-2)
		v = math.Round(v/unit) * unit
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Text returns the study for a terminal.
func (s *Study) Text() string {
	var b strings.Builder
	v := s.Validation
	mean, deviation := v.MeanAndDeviation()
	fmt.Fprintf(&b, "%s: %d blocks, %d features, classifier %s\n", s.Data, s.Blocks, len(v.Features), s.Type)
	if left := s.Left.String(); left != "" {
		fmt.Fprintf(&b, "left out: %s\n", left)
	}
	for _, w := range s.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	fmt.Fprintf(&b, "\nBalanced accuracy %.2f %% (%s: %.2f %% +- %.2f)\n\n%s", 100*v.BalancedAccuracy, v.Method(), 100*mean, 100*deviation, v.Table())
	b.WriteString(estimate.ShownText(v.ByAttestations, v.ByBlocks))
	fmt.Fprintf(&b, "\nHow many blocks are enough\n  %s\n", s.Curve.Sentence)
	for _, p := range s.Curve.Points {
		fmt.Fprintf(&b, "  %9d blocks %6.2f %% +- %.2f   law %6.2f %%\n", p.Blocks, 100*p.Balanced, 100*p.Deviation, 100*s.Curve.At(float64(p.Blocks)))
	}
	b.WriteString("\nWhat each feature adds (balanced accuracy lost when its values are shuffled)\n")
	for _, i := range s.Importance {
		fmt.Fprintf(&b, "  %-34s %6.2f +- %.2f\n", i.Feature, 100*i.Loss, 100*i.Deviation)
	}
	fmt.Fprintf(&b, "\nCan the probabilities be believed\n  expected calibration error %.2f %%", 100*v.CalibrationError)
	if v.Correction != nil {
		fmt.Fprintf(&b, " (%.2f %% before correction)", 100*s.Uncalibrated)
	}
	fmt.Fprintf(&b, "\n  %.1f %% of the answers name one client with confidence, of which %.2f %% are right; %.1f %% are Uncertain\n", 100*v.Confident, 100*v.ConfidentPrecision, 100*v.Uncertain)
	for _, bin := range v.Calibration {
		if bin.Blocks > 0 {
			fmt.Fprintf(&b, "  said %3.0f to %3.0f %%: %7d blocks, mean %6.2f %%, right %6.2f %%\n", 100*bin.From, 100*bin.From+10, bin.Blocks, 100*bin.Said, 100*bin.Right)
		}
	}
	b.WriteString("\nMost often confused\n")
	for _, m := range s.Mistakes[:min(len(s.Mistakes), 10)] {
		fmt.Fprintf(&b, "  %-11s called %-11s %6.2f %% (%d blocks)\n", m.Truth, m.Called, 100*m.Share, m.Blocks)
	}
	if len(s.Mistakes) == 0 {
		b.WriteString("  nothing\n")
	}
	return b.String()
}
