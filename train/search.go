package train

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/dataset"
)

// SearchOptions say what Search tries.
type SearchOptions struct {
	Options         // its Features are the candidates
	NumFeatures int // features at a time; 0 tries the candidates together
	NumGrouped  int // clients taken together as Other at a time; 0 groups none but Options.Group
	Progress    func(done, total int)
}

// Found is one combination with how well it does.
type Found struct {
	Features  []string            `json:"features"`
	Group     []blockprint.Client `json:"group,omitempty"`
	Balanced  float64             `json:"balanced_accuracy"` // mean over the folds
	Deviation float64             `json:"deviation"`
	Worst     float64             `json:"worst_fold"`
	LogLoss   float64             `json:"log_loss"`
}

// Search cross-validates every combination of features and of grouped clients, on all cores, and returns the best
// first: by mean balanced accuracy, then by the worst fold. All see the same folds.
func Search(ctx context.Context, set *dataset.Set, o SearchOptions) ([]Found, error) {
	a, err := o.algorithm()
	if err != nil {
		return nil, err
	}
	most := a.Combinations
	features, err := combinations(o.Features, o.NumFeatures, most, "features")
	if err != nil {
		return nil, err
	}
	var clients []blockprint.Client
	for c := range set.Counts() {
		if !slices.Contains(o.Disable, c) && !slices.Contains(o.GraffitiOnly, c) {
			clients = append(clients, c)
		}
	}
	slices.Sort(clients)
	groups := [][]blockprint.Client{o.Group}
	if o.NumGrouped > 0 {
		if groups, err = combinations(clients, o.NumGrouped, most, "clients"); err != nil {
			return nil, err
		}
	}
	if n := len(features) * len(groups); n > most {
		return nil, blockprint.Errorf(blockprint.TooLarge, "%d combinations are more than %d: name fewer candidates with --features, take fewer at a time, or search with --type knn", n, most)
	}
	var found []Found
	for _, group := range groups {
		o.Group = group
		m, err := o.matrix(set)
		if err != nil {
			return nil, err
		}
		some, err := searchFeatures(ctx, m, &o, features, len(found), len(groups)*len(features))
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	slices.SortStableFunc(found, func(a, b Found) int {
		return cmp.Or(cmp.Compare(b.Balanced, a.Balanced), cmp.Compare(b.Worst, a.Worst))
	})
	return found, nil
}

// searchFeatures tries the combinations of features with one grouping.
func searchFeatures(ctx context.Context, m *Matrix, o *SearchOptions, features [][]string, before, total int) ([]Found, error) {
	found := make([]Found, len(features))
	var mu sync.Mutex
	done := before
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, names := range features {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			var columns []int
			for _, n := range names {
				columns = append(columns, slices.Index(m.Features, n))
			}
			v, err := validate(ctx, m.project(columns), &o.Options)
			if err != nil {
				return err
			}
			mean, deviation := v.MeanAndDeviation()
			found[i] = Found{names, slices.Clone(o.Group), mean, deviation, slices.Min(v.Folds), v.LogLoss}
			mu.Lock()
			defer mu.Unlock()
			done++
			if o.Progress != nil {
				o.Progress(done, total)
			}
			return nil
		})
	}
	return found, g.Wait()
}

// combinations lists the ways to take n of a list, in order; all of them at once if n is 0.
func combinations[T any](list []T, n, most int, what string) ([][]T, error) {
	if n == 0 {
		return [][]T{list}, nil
	}
	if n < 0 || n > len(list) {
		return nil, blockprint.Errorf(blockprint.Invalid, "cannot take %d of %d %s", n, len(list), what)
	}
	if choose(len(list), n) > float64(most) {
		return nil, blockprint.Errorf(blockprint.TooLarge, "%d of %d %s make more than %d combinations: name fewer candidates, or take fewer at a time", n, len(list), what, most)
	}
	var out [][]T
	places := make([]int, n)
	for i := range places {
		places[i] = i
	}
	for {
		some := make([]T, n)
		for i, p := range places {
			some[i] = list[p]
		}
		out = append(out, some)
		i := n - 1
		for i >= 0 && places[i] == len(list)-n+i {
			i--
		}
		if i < 0 {
			return out, nil
		}
		places[i]++
		for j := i + 1; j < n; j++ {
			places[j] = places[j-1] + 1
		}
	}
}

// choose returns the number of ways to take k of n, as a float so that it cannot overflow.
func choose(n, k int) float64 {
	out := 1.0
	for i := range k {
		out *= float64(n-i) / float64(i+1)
	}
	return out
}

// Candidates returns a set's features that can be of use: those with more than one value, which all but one
// in a hundred rows have.
func Candidates(s *dataset.Set) []string {
	var out []string
	for f, name := range s.Features {
		missing, different := 0, false
		first := math.NaN()
		for i := range s.Len() {
			switch v := s.Row(i)[f]; {
			case math.IsNaN(v):
				missing++
			case math.IsNaN(first):
				first = v
			case v != first:
				different = true
			}
		}
		if different && missing*100 <= s.Len() {
			out = append(out, name)
		}
	}
	return out
}
