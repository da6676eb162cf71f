package label

import (
	"context"

	"blockprint"
	"blockprint/classify"
	"blockprint/file"
	"blockprint/graffiti"
	"blockprint/rewardfile"
	"blockprint/store"
)

// Applier is what BuildDB needs of a store.
type Applier interface {
	Apply(ctx context.Context, b store.Batch) (store.Result, error)
}

// BuildReport counts what BuildDB did.
type BuildReport struct {
	Blocks, Known int
	Bad           []file.Bad
}

// BuildDB labels the blocks in reward files and stores them, each file whole or not at all. If a file's name says which
// slots it holds (see rewardfile.Name), these are covered, with or without blocks.
func BuildDB(ctx context.Context, paths []string, s Applier, m *classify.Model, rules *graffiti.Rules, progress func(done, total int)) (BuildReport, error) {
	var report BuildReport
	l, err := m.NewLabeler(rules)
	if err != nil {
		return report, err
	}
	for i, path := range paths {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		var b store.Batch
		span, named := rewardfile.Span(path)
		var err error
		for r, readErr := range rewardfile.ReadFile(path) {
			if err = readErr; err != nil {
				break
			}
			if named && (r.Meta.Slot < span.Start || r.Meta.Slot > span.End) {
				err = blockprint.Errorf(blockprint.Invalid, "%s holds a block of slot %d", path, r.Meta.Slot)
				break
			}
			b.Blocks = append(b.Blocks, labeled(l, r, m.Name))
		}
		if err != nil {
			report.Bad = append(report.Bad, file.Bad{Path: path, Err: err})
			continue
		}
		if named {
			b.Covered = append(b.Covered, span)
		}
		result, err := s.Apply(ctx, b)
		if code := blockprint.CodeOf(err); code == blockprint.Conflict || code == blockprint.Invalid {
			report.Bad = append(report.Bad, file.Bad{Path: path, Err: blockprint.Errorf(code, "%s: %w", path, err)})
			continue
		}
		if err != nil {
			return report, err
		}
		report.Blocks += result.Inserted
		report.Known += result.Known
		if progress != nil {
			progress(i+1, len(paths))
		}
	}
	return report, nil
}
