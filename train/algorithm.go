package train

import (
	"fmt"
	"slices"
	"strings"

	"blockprint"
	"blockprint/classify"
	"blockprint/classify/gbt"
	"blockprint/classify/knn"
	"blockprint/classify/mlp"
	"blockprint/dataset"
	"blockprint/feature"
)

// Options say how a model is fitted. Fields of another algorithm than Type's are ignored.
type Options struct {
	Selection
	Type   string
	K      int     // knn: neighbours
	Hidden []int   // mlp: widths of the hidden layers; nil for the default
	Rounds int     // gbt: trees per class at most; 0 for the default
	Leaves int     // gbt: of a tree; 0 for the default
	Rate   float64 // mlp and gbt: learning rate; 0 for the default
	Seed   uint64
	// Folds of the cross-validation that measures the accuracy and fits the calibration; 0 for DefaultFolds.
	Folds int
	// Calibrate is on, off, or auto: on for algorithms but knn, whose probabilities are the original's to the bit.
	Calibrate string
	Slots     *blockprint.Interval // where the model is to be used; nil means everywhere
	Tool      string               // name and version of the program, for the model file
	Network   string               // of the data, for the model file; may be empty
	Source    string               // where the data came from, in a few words, for the model file; may be empty
	// Progress, if not nil, is called after each classifier that Fit has trained: the model's own, and one a fold of the
	// cross-validation.
	Progress func(done, total int)
}

// DefaultK is the original's number of neighbours, DefaultFolds that of cross-validation.
const (
	DefaultK     = 9
	DefaultFolds = 5
)

// Best is the classifier that recognises most in every measurement there is (docs/evaluation.md): what commands take unless
// they are asked for another.
const Best = "gbt"

// DefaultOptions are those of an algorithm with the default features.
func DefaultOptions(algorithm string) Options {
	return Options{Type: algorithm, K: DefaultK, Folds: DefaultFolds, Calibrate: "auto", Selection: Selection{Features: feature.Default()}}
}

// algorithm is a kind of classifier.
type algorithm struct {
	missing   bool // takes rows with missing values
	calibrate bool // by default
	fit       func(m *Matrix, o *Options) (classify.Predictor, error)
	// parameters are what the model file keeps of the options and of what training found.
	parameters func(o *Options, p classify.Predictor) map[string]float64
}

var algorithms = map[string]algorithm{
	"knn": {
		fit: func(m *Matrix, o *Options) (classify.Predictor, error) {
			// A fold may have fewer rows than neighbours: all of them are asked then.
			return knn.Fit(m.X, m.Y, len(m.Features), len(m.Classes), min(o.K, m.Rows()))
		},
		parameters: func(_ *Options, p classify.Predictor) map[string]float64 {
			c, _ := p.(*knn.Classifier)
			return map[string]float64{"k": float64(c.K())}
		},
	},
	"mlp": {
		calibrate: true,
		fit: func(m *Matrix, o *Options) (classify.Predictor, error) {
			return mlp.Fit(m.X, m.Y, len(m.Features), len(m.Classes), mlp.Options{Hidden: o.Hidden, Rate: o.Rate, Seed: o.Seed})
		},
		parameters: func(_ *Options, p classify.Predictor) map[string]float64 {
			c, _ := p.(*mlp.Classifier)
			out := map[string]float64{}
			for i, w := range c.Hidden() {
				out[fmt.Sprintf("hidden_%d", i+1)] = float64(w)
			}
			return out
		},
	},
	"gbt": {
		missing: true, calibrate: true,
		fit: func(m *Matrix, o *Options) (classify.Predictor, error) {
			return gbt.Fit(m.X, m.Y, len(m.Features), len(m.Classes), gbt.Options{Rounds: o.Rounds, Leaves: o.Leaves, Rate: o.Rate, Seed: o.Seed})
		},
		parameters: func(_ *Options, p classify.Predictor) map[string]float64 {
			c, _ := p.(*gbt.Classifier)
			return map[string]float64{"rounds": float64(c.Rounds())}
		},
	},
}

// Algorithms lists the classifier types.
func Algorithms() []string {
	var out []string
	for name := range algorithms {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// algorithm returns the options' algorithm after checking them.
func (o *Options) algorithm() (algorithm, error) {
	a, ok := algorithms[o.Type]
	bad := func(format string, args ...any) (algorithm, error) {
		return a, blockprint.Errorf(blockprint.Invalid, format, args...)
	}
	switch {
	case !ok:
		return bad("unknown classifier type %q: expected one of %s", o.Type, strings.Join(Algorithms(), ", "))
	case o.Type == "knn" && o.K < 1:
		return bad("k = %d neighbours: expected 1 or more", o.K)
	case o.Folds < 0 || o.Folds == 1 || o.Folds > 100:
		return bad("%d folds: expected 2 to 100", o.Folds)
	case o.Rounds < 0 || o.Leaves < 0 || o.Leaves == 1 || o.Rate < 0:
		return bad("rounds %d, leaves %d, rate %g: expected positive numbers, and two leaves or more", o.Rounds, o.Leaves, o.Rate)
	}
	switch o.Calibrate {
	case "on", "off", "auto", "":
	default:
		return bad("calibrate %q: expected on, off or auto", o.Calibrate)
	}
	return a, nil
}

// matrix checks the options and selects the rows for their algorithm.
func (o *Options) matrix(set *dataset.Set) (*Matrix, error) {
	a, err := o.algorithm()
	if err != nil {
		return nil, err
	}
	m, err := Select(set, o.Selection, a.missing)
	if err != nil {
		return nil, err
	}
	if o.Type == "knn" && m.Rows() < o.K {
		left := m.Left.String()
		if left != "" {
			left = " (left out: " + left + ")"
		}
		return nil, blockprint.Errorf(blockprint.Invalid, "k = %d neighbours, but there are only %d blocks to learn from%s", o.K, m.Rows(), left)
	}
	return m, nil
}

// calibrates tells whether probabilities are to be corrected.
func (o *Options) calibrates() bool {
	switch o.Calibrate {
	case "on":
		return true
	case "off":
		return false
	}
	return algorithms[o.Type].calibrate
}

func (o *Options) folds() int {
	if o.Folds == 0 {
		return DefaultFolds
	}
	return o.Folds
}
