package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"blockprint"
	"blockprint/dataset/featurefile"
	"blockprint/file"
)

// BalanceOptions say how Balance resamples.
type BalanceOptions struct {
	// MaxImbalance is how many times the smallest client's number of blocks another client may have; 1 or more.
	MaxImbalance float64
	Disable      []blockprint.Client // left out, and not counted as the smallest
	Seed         uint64
	Tool         string
	Progress     func(done, total int)
}

// BalanceReport says how many blocks of each client there were, and how many were taken.
type BalanceReport struct {
	Before, After map[blockprint.Client]int
}

// Balance writes training data with a random part of the blocks of frequent clients: a directory from a directory, a
// feature file from a feature file. The output must not exist.
func Balance(ctx context.Context, in, out string, o BalanceOptions) (BalanceReport, error) {
	if !(o.MaxImbalance >= 1) {
		return BalanceReport{}, blockprint.Errorf(blockprint.Invalid, "an imbalance of at most %g makes no sense: expected 1 or more", o.MaxImbalance)
	}
	for _, path := range []string{out, out + ".partial"} {
		if entries, err := os.ReadDir(path); err == nil && len(entries) == 0 {
			continue
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return BalanceReport{}, blockprint.Errorf(blockprint.Conflict, "%s exists, and blocks of two samples must not mix: choose another name or remove it", path)
		}
	}
	if featurefile.IsFile(in) {
		return balanceFile(ctx, in, out, o)
	}
	return balanceDir(ctx, in, out, o)
}

// take chooses rows of labeled data: all of small clients, a random part of the others, in their order.
func (o *BalanceOptions) take(labels []blockprint.Client) ([]int, BalanceReport, error) {
	report := BalanceReport{map[blockprint.Client]int{}, map[blockprint.Client]int{}}
	byClient := map[blockprint.Client][]int{}
	var clients []blockprint.Client
	for i, c := range labels {
		report.Before[c]++
		if slices.Contains(o.Disable, c) {
			continue
		}
		if byClient[c] == nil {
			clients = append(clients, c)
		}
		byClient[c] = append(byClient[c], i)
	}
	if len(clients) == 0 {
		return nil, report, blockprint.Errorf(blockprint.Invalid, "no blocks are left to balance")
	}
	slices.Sort(clients)
	least := math.MaxInt
	for _, rows := range byClient {
		least = min(least, len(rows))
	}
	most := int(min(o.MaxImbalance*float64(least), math.MaxInt32))
	rng := rand.New(rand.NewPCG(o.Seed, 0xba1))
	var taken []int
	for _, c := range clients {
		rows := byClient[c]
		if len(rows) > most {
			rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
			rows = rows[:most]
		}
		report.After[c] = len(rows)
		taken = append(taken, rows...)
	}
	slices.Sort(taken)
	return taken, report, nil
}

func balanceDir(ctx context.Context, in, out string, o BalanceOptions) (BalanceReport, error) {
	files, err := dirFiles(in)
	if err != nil {
		return BalanceReport{}, err
	}
	labels := make([]blockprint.Client, len(files))
	for i, f := range files {
		labels[i] = f.client
	}
	taken, report, err := o.take(labels)
	if err != nil {
		return report, err
	}
	for done, i := range taken {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		dir := filepath.Join(out, string(files[i].client))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return report, fmt.Errorf("balance: %w", err)
		}
		if err := copyFile(files[i].path, filepath.Join(dir, filepath.Base(files[i].path))); err != nil {
			return report, fmt.Errorf("balance: %w", err)
		}
		if o.Progress != nil {
			o.Progress(done+1, len(taken))
		}
	}
	return report, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // read only
	return file.Write(to, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

func balanceFile(ctx context.Context, in, out string, o BalanceOptions) (report BalanceReport, err error) {
	f, err := featurefile.Open(in)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var labels []blockprint.Client
	err = f.Read(ctx, nil, func(rows *featurefile.Rows) error {
		for _, c := range rows.Clients {
			labels = append(labels, f.Header.Clients[c])
		}
		return nil
	})
	if err != nil {
		return report, blockprint.Errorf(blockprint.CodeOf(err), "feature file %s: %w", in, err)
	}
	taken, report, err := o.take(labels)
	if err != nil {
		return report, err
	}
	header := f.Header
	header.Tool = o.Tool
	w, err := featurefile.Resume(out, header)
	if err != nil {
		return report, err
	}
	w.Begin()
	n, next := 0, 0
	err = f.Read(ctx, header.Features(), func(rows *featurefile.Rows) error {
		some := featurefile.NewRows(len(rows.Values))
		values := make([]float64, len(rows.Values))
		for i := range rows.Len() {
			if next < len(taken) && taken[next] == n {
				next++
				for f := range values {
					values[f] = rows.Values[f][i]
				}
				some.Add(rows.Slots[i], rows.Proposers[i], rows.Roots[i], rows.Clients[i], values)
			}
			n++
		}
		if o.Progress != nil {
			o.Progress(n, len(labels))
		}
		return w.Append(some)
	})
	if err != nil {
		return report, errors.Join(err, w.Close())
	}
	w.End(featurefile.Source{Path: fmt.Sprintf("%s, balanced (seed %d)", in, o.Seed), Blocks: len(labels), Labelled: len(taken)})
	return report, w.Finish()
}
