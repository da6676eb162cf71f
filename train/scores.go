package train

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"blockprint"
	"blockprint/estimate"
)

// Scores say how good answers are, by comparing them with the truth.
type Scores struct {
	Blocks  int                 `json:"blocks"`
	Classes []blockprint.Client `json:"classes"`
	// Confusion counts the blocks of each class (first index) that were called each class (second index): the most
	// probable one, however unsure.
	Confusion [][]int `json:"confusion"`
	// For each class: the share of its blocks that were recognized, the share of the other blocks that got another
	// label, and the share of the blocks with its label that are its own. A rate without blocks is absent.
	TruePositiveRate map[blockprint.Client]float64 `json:"true_positive_rate"`
	TrueNegativeRate map[blockprint.Client]float64 `json:"true_negative_rate"`
	Precision        map[blockprint.Client]float64 `json:"precision"`
	// BalancedAccuracy is the mean of the true-positive rates, Accuracy the share of all blocks that were right.
	BalancedAccuracy float64 `json:"balanced_accuracy"`
	Accuracy         float64 `json:"accuracy"`
	// LogLoss is the mean of -ln of the probability given to the truth; CalibrationError the expected difference
	// between the probability of an answer and how often such answers are right, over ten bins.
	LogLoss          float64 `json:"log_loss"`
	CalibrationError float64 `json:"calibration_error"`
	Calibration      []Bin   `json:"calibration"`
	// Of the answers that name one client with confidence (best_guess_multi): their share, and how many are right.
	Confident          float64 `json:"confident"`
	ConfidentPrecision float64 `json:"confident_precision"`
	// Uncertain is the share of answers that name neither one client nor two.
	Uncertain float64 `json:"uncertain"`
}

// Bin is the answers whose probability lies in a tenth of 0 to 1.
type Bin struct {
	From   float64 `json:"from"`
	Blocks int     `json:"blocks"`
	Said   float64 `json:"said"`  // mean probability of the answers
	Right  float64 `json:"right"` // share of them that are right
}

const calibrationBins = 10

// NewScores compares probabilities, len(classes) for each row, with the rows' classes y.
func NewScores(classes []blockprint.Client, y []uint8, proba []float64) *Scores {
	k := len(classes)
	s := &Scores{
		Blocks: len(y), Classes: classes, Confusion: make([][]int, k), Calibration: make([]Bin, calibrationBins),
		TruePositiveRate: map[blockprint.Client]float64{}, TrueNegativeRate: map[blockprint.Client]float64{}, Precision: map[blockprint.Client]float64{},
	}
	for i := range s.Confusion {
		s.Confusion[i] = make([]int, k)
	}
	for i := range s.Calibration {
		s.Calibration[i].From = float64(i) / calibrationBins
	}
	right, confident, confidentRight, uncertain := 0, 0, 0, 0
	for i, truth := range y {
		p := proba[i*k : (i+1)*k]
		best, possible := estimate.Best(p, i), 0
		for _, v := range p {
			if v > blockprint.PossibleAbove {
				possible++
			}
		}
		s.Confusion[truth][best]++
		s.LogLoss -= math.Log(max(p[truth], 1e-15))
		bin := &s.Calibration[min(int(p[best]*calibrationBins), calibrationBins-1)]
		bin.Blocks++
		bin.Said += p[best]
		if best == int(truth) {
			bin.Right++
			right++
		}
		sure := p[best] > blockprint.ConfidentAbove || possible == 1
		switch {
		case sure:
			confident++
			if best == int(truth) {
				confidentRight++
			}
		case possible == 0 || possible > 2:
			uncertain++
		}
	}
	s.finish(right, confident, confidentRight, uncertain)
	return s
}

func sum(list []int) (total int) {
	for _, n := range list {
		total += n
	}
	return total
}

func share(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// finish computes the rates from the counts.
func (s *Scores) finish(right, confident, confidentRight, uncertain int) {
	confusion := estimate.Confusion{Clients: s.Classes, Labels: s.Classes, Blocks: make([][]float64, len(s.Classes))}
	for i, row := range s.Confusion {
		for _, n := range row {
			confusion.Blocks[i] = append(confusion.Blocks[i], float64(n))
		}
	}
	for _, c := range s.Classes {
		hits := confusion.Hits(c)
		note(s.TruePositiveRate, c, hits.TruePositiveRate())
		note(s.TrueNegativeRate, c, hits.TrueNegativeRate())
		note(s.Precision, c, hits.Precision())
	}
	s.BalancedAccuracy, _ = confusion.BalancedAccuracy()
	s.Accuracy = share(right, s.Blocks)
	s.LogLoss /= float64(max(s.Blocks, 1))
	for i := range s.Calibration {
		b := &s.Calibration[i]
		if b.Blocks == 0 {
			continue
		}
		s.CalibrationError += math.Abs(b.Said-b.Right) / float64(s.Blocks)
		b.Said /= float64(b.Blocks)
		b.Right /= float64(b.Blocks)
	}
	s.Confident = share(confident, s.Blocks)
	s.ConfidentPrecision = share(confidentRight, confident)
	s.Uncertain = share(uncertain, s.Blocks)
}

// note keeps a client's rate, if it has one.
func note(rates map[blockprint.Client]float64, c blockprint.Client, r *estimate.Rate) {
	if r != nil {
		rates[c] = r.Share
	}
}

// Mistake is how often blocks of one client are called another.
type Mistake struct {
	Truth  blockprint.Client `json:"truth"`
	Called blockprint.Client `json:"called"`
	Blocks int               `json:"blocks"`
	Share  float64           `json:"share"` // of the true client's blocks
}

// Mistakes lists the mistakes, those with the largest share first.
func (s *Scores) Mistakes() []Mistake {
	var out []Mistake
	for i, row := range s.Confusion {
		own := sum(row)
		for j, n := range row {
			if i != j && n > 0 {
				out = append(out, Mistake{s.Classes[i], s.Classes[j], n, share(n, own)})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Mistake) int { return cmp.Compare(b.Share, a.Share) })
	return out
}

// Table returns the confusion matrix as text: a line per client with its blocks, the share that was called each
// client, and the precision.
func (s *Scores) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-11s %8s ", "truth", "blocks")
	for _, c := range s.Classes {
		fmt.Fprintf(&b, " %10s", c)
	}
	fmt.Fprintf(&b, " %10s\n", "precision")
	for i, c := range s.Classes {
		own := sum(s.Confusion[i])
		fmt.Fprintf(&b, "%-11s %8d ", c, own)
		for _, n := range s.Confusion[i] {
			fmt.Fprintf(&b, " %8.2f %%", 100*share(n, own))
		}
		if p, ok := s.Precision[c]; ok {
			fmt.Fprintf(&b, " %8.2f %%\n", 100*p)
		} else {
			fmt.Fprintf(&b, " %10s\n", "-")
		}
	}
	return b.String()
}
