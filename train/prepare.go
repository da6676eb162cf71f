package train

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/file"
)

// PrepareReport counts what Prepare did.
type PrepareReport struct {
	Files     int
	Blocks    int // read
	Labelled  map[blockprint.Client]int
	Unlabeled int
	Bad       []BadFile
}

// Prepare reads raw reward files and writes each block whose graffiti names a client to
// OUT/<Client>/<root>.json. Files that cannot be read to their end are reported and give no blocks. progress, if
// not nil, is told of each finished file.
func Prepare(ctx context.Context, paths []string, out string, rules *blockprint.GraffitiRules, disable []blockprint.Client, progress func(done, total int)) (PrepareReport, error) {
	report := PrepareReport{Files: len(paths), Labelled: map[blockprint.Client]int{}}
	var mu sync.Mutex
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, path := range paths {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			one, err := prepareFile(path, out, rules, disable)
			mu.Lock()
			defer mu.Unlock()
			if blockprint.CodeOf(err) == blockprint.Internal && err != nil {
				return err // the disk, not the input
			}
			if err != nil {
				report.Bad = append(report.Bad, BadFile{path, err})
			}
			report.Blocks += one.Blocks
			report.Unlabeled += one.Unlabeled
			for c, n := range one.Labelled {
				report.Labelled[c] += n
			}
			done++
			if progress != nil {
				progress(done, len(paths))
			}
			return nil
		})
	}
	err := g.Wait()
	slices.SortFunc(report.Bad, func(a, b BadFile) int { return slices.Compare([]byte(a.Path), []byte(b.Path)) })
	return report, err
}

// prepareFile reads a file twice: once to learn that it is whole, then to write its blocks, so that a bad file
// leaves nothing half-written and a large one is never in memory.
func prepareFile(path, out string, rules *blockprint.GraffitiRules, disable []blockprint.Client) (PrepareReport, error) {
	report := PrepareReport{Labelled: map[blockprint.Client]int{}}
	if path != "-" {
		if err := file.ReadRewards(path, func(*blockprint.BlockReward) error { return nil }); err != nil {
			return report, err
		}
	}
	err := file.ReadRewards(path, func(r *blockprint.BlockReward) error {
		report.Blocks++
		client := rules.Guess(r.Meta.Graffiti, disable...).Client
		if client == "" {
			report.Unlabeled++
			return nil
		}
		report.Labelled[client]++
		dir := filepath.Join(out, string(client))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return file.WriteAtomic(filepath.Join(dir, r.BlockRoot.String()+".json"), r.AppendJSON(nil))
	})
	return report, err
}
