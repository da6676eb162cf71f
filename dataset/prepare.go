package dataset

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/dataset/featurefile"
	"blockprint/feature"
	"blockprint/file"
	"blockprint/rewardfile"
)

// PrepareOptions say how Prepare and PrepareFeatures work.
type PrepareOptions struct {
	Labels  Labels
	Network string // for the feature file
	Tool    string // name and version of the program, for the feature file
	// Strict makes a file that cannot be read the end of the run.
	Strict bool
	// Progress, if not nil, is called after each file.
	Progress func(done, total int)
}

// PrepareReport counts what Prepare did.
type PrepareReport struct {
	Files     int // given
	Skipped   int // in the feature file already
	Blocks    int // read
	Labelled  map[blockprint.Client]int
	Unlabeled int
	Origins   Origins
	Bad       []file.Bad
	// InFile counts the labels of the whole feature file, earlier runs included.
	InFile map[blockprint.Client]int
}

func newPrepareReport(files int) PrepareReport {
	return PrepareReport{Files: files, Labelled: map[blockprint.Client]int{}}
}

// add counts what one file gave.
func (r *PrepareReport) add(o PrepareReport) {
	r.Blocks += o.Blocks
	r.Unlabeled += o.Unlabeled
	r.Origins.add(o.Origins)
	for c, n := range o.Labelled {
		r.Labelled[c] += n
	}
}

// note reports whether err is the input's fault, which costs that file only, and records it.
func (r *PrepareReport) note(path string, err error, strict bool) bool {
	if strict || blockprint.CodeOf(err) == blockprint.Internal || errors.Is(err, context.Canceled) {
		return false // the disk or the user, not the input
	}
	r.Bad = append(r.Bad, file.Bad{Path: path, Err: err})
	return true
}

// Prepare reads raw reward files and writes each block with a label to OUT/<Client>/<root>.json, the original's
// layout. Files that cannot be read to their end are reported and give no blocks.
func Prepare(ctx context.Context, paths []string, out string, o PrepareOptions) (PrepareReport, error) {
	report := newPrepareReport(len(paths))
	var mu sync.Mutex
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, path := range paths {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			one, err := prepareFile(path, out, &o.Labels)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && !report.note(path, err, o.Strict) {
				return err
			}
			report.add(one)
			done++
			if o.Progress != nil {
				o.Progress(done, len(paths))
			}
			return nil
		})
	}
	err := g.Wait()
	slices.SortFunc(report.Bad, func(a, b file.Bad) int { return slices.Compare([]byte(a.Path), []byte(b.Path)) })
	return report, err
}

// prepareFile reads a file twice: once to learn that it is whole, then to write its blocks, so that a bad file
// leaves nothing half-written and a large one is never in memory.
func prepareFile(path, out string, labels *Labels) (PrepareReport, error) {
	report := newPrepareReport(1)
	directory, err := labels.directory(path)
	if err != nil {
		return report, err
	}
	if path != "-" {
		for _, err := range rewardfile.ReadFile(path) {
			if err != nil {
				return report, err
			}
		}
	}
	for r, err := range rewardfile.ReadFile(path) {
		if err != nil {
			return report, err
		}
		report.Blocks++
		client := labels.of(directory, r, &report.Origins)
		if client == "" {
			report.Unlabeled++
			continue
		}
		report.Labelled[client]++
		dir := filepath.Join(out, string(client))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return report, err
		}
		if err := file.WriteAtomic(filepath.Join(dir, r.BlockRoot.String()+".json"), rewardfile.Append(nil, r)); err != nil {
			return report, err
		}
	}
	return report, nil
}

// batchRows is how many rows a worker gathers before it hands them on.
const batchRows = 4096

// extraction is one input file on its way into a feature file.
type extraction struct {
	path   string
	source featurefile.Source     // valid when the file is done
	rows   chan *featurefile.Rows // closed when the file is done
	report PrepareReport          // of this file; valid then
	err    error
}

// PrepareFeatures reads raw reward files and writes the features of each block with a label into a feature file, in
// the order of the paths. It does not read again what an earlier run has put there. A file that cannot be read
// to its end is reported and contributes no blocks; the next run tries it again. Memory does not depend on the size of
// the input.
func PrepareFeatures(ctx context.Context, paths []string, out string, o PrepareOptions) (PrepareReport, error) {
	report := newPrepareReport(len(paths))
	header := featurefile.NewHeader(o.Tool, o.Network, o.Labels.String(), feature.Names())
	w, err := featurefile.Resume(out, header)
	if err != nil {
		return report, err
	}
	var jobs []*extraction
	for _, path := range paths {
		if have, done := w.Done()[path]; done {
			source, err := sourceOf(path)
			if err == nil && (have.Size != source.Size || have.Modified != source.Modified) {
				err = blockprint.Errorf(blockprint.Conflict, "%s has changed since its blocks were put into %s: remove %s to start again", path, out, out)
			}
			if err != nil {
				return report, errors.Join(err, w.Close())
			}
			report.Skipped++
			continue
		}
		jobs = append(jobs, &extraction{path: path, rows: make(chan *featurefile.Rows, 1), report: newPrepareReport(1)})
	}
	if err := writeFeatures(ctx, w, jobs, header, o, &report); err != nil {
		return report, errors.Join(err, w.Close())
	}
	err = w.Finish()
	report.InFile = w.Summary()
	return report, err
}

func sourceOf(path string) (featurefile.Source, error) {
	if path == "-" {
		return newSource(path, nil), nil
	}
	info, err := os.Stat(path)
	return newSource(path, info), err
}

// newSource describes an input file; info is nil for standard input.
func newSource(path string, info fs.FileInfo) featurefile.Source {
	s := featurefile.Source{Path: path}
	if info != nil {
		s.Size, s.Modified = info.Size(), info.ModTime().UnixNano()
	}
	return s
}

// writeFeatures extracts on all cores and writes in order of the jobs. A worker that is ahead waits until it is
// its file's turn, with a batch or two in hand.
func writeFeatures(ctx context.Context, w *featurefile.Writer, jobs []*extraction, header featurefile.Header, o PrepareOptions, report *PrepareReport) error {
	workers := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	window := make(chan struct{}, 8*workers) // small files may be this far ahead of a large one
	var next atomic.Int64
	for range workers {
		g.Go(func() error {
			e, err := newFeatureWorker(header, &o.Labels)
			if err != nil {
				return err
			}
			for {
				select {
				case window <- struct{}{}:
				case <-ctx.Done():
					return ctx.Err()
				}
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return nil
				}
				jobs[i].err = e.extract(ctx, jobs[i])
				close(jobs[i].rows)
			}
		})
	}
	g.Go(func() error {
		for i, j := range jobs {
			if err := writeJob(ctx, w, j, o.Strict, report); err != nil {
				return err
			}
			<-window
			if o.Progress != nil {
				o.Progress(report.Skipped+i+1, report.Files)
			}
		}
		return nil
	})
	return g.Wait()
}

// writeJob writes the rows of one file, whole or not at all.
func writeJob(ctx context.Context, w *featurefile.Writer, j *extraction, strict bool, report *PrepareReport) error {
	w.Begin()
	for open := true; open; {
		var rows *featurefile.Rows
		select {
		case rows, open = <-j.rows:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !open {
			break
		}
		if err := w.Append(rows); err != nil {
			return err
		}
	}
	if j.err != nil {
		if !report.note(j.path, j.err, strict) {
			return j.err
		}
		return w.Abort()
	}
	w.End(j.source)
	report.add(j.report)
	return nil
}

// featureWorker extracts the features of files, one after another.
type featureWorker struct {
	labels    *Labels
	clients   []blockprint.Client
	extractor *feature.Extractor
	files     rewardfile.Reader
	row       []float64
}

func newFeatureWorker(h featurefile.Header, labels *Labels) (*featureWorker, error) {
	e, err := feature.NewExtractor(h.Features())
	return &featureWorker{labels: labels, clients: h.Clients, extractor: e}, err
}

// extract hands on the rows of a file in batches.
func (e *featureWorker) extract(ctx context.Context, j *extraction) error {
	directory, err := e.labels.directory(j.path)
	if err != nil {
		return err
	}
	rows := featurefile.NewRows(len(e.extractor.Names()))
	send := func() error {
		select {
		case j.rows <- rows:
			rows = featurefile.NewRows(len(e.extractor.Names()))
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for r, readErr := range e.files.ReadFile(j.path) {
		if err = errors.Join(readErr, ctx.Err()); err != nil {
			break
		}
		j.report.Blocks++
		client := e.labels.of(directory, r, &j.report.Origins)
		at := slices.Index(e.clients, client)
		if at < 0 {
			j.report.Unlabeled++
			continue
		}
		j.report.Labelled[client]++
		e.row = e.extractor.Extract(e.row[:0], r)
		rows.Add(r.Meta.Slot, r.Meta.ProposerIndex, r.BlockRoot, uint8(at), e.row)
		if rows.Len() == batchRows {
			if err = send(); err != nil {
				break
			}
		}
	}
	if err == nil && rows.Len() > 0 {
		err = send()
	}
	j.source = newSource(j.path, e.files.Info)
	j.source.Blocks, j.source.Labelled = j.report.Blocks, j.report.Blocks-j.report.Unlabeled
	return err
}
