package train

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"

	"blockprint"
	"blockprint/beacon"
	"blockprint/reward"
)

// LoadOptions say how Load fetches and writes.
type LoadOptions struct {
	Batch      uint64 // slots in a file
	Gzip       bool
	Lighthouse bool // ask an old Lighthouse's analysis endpoint instead of computing
	Exact      bool // ask for a registry an epoch however long the range is
	Logger     *slog.Logger
	Progress   func(done, total int) // batches
}

// Load fetches the rewards of a range of slots, both ends included, into DIR/slot_X_to_Y.json (or .json.gz), both
// ends included too. Files that are there already are not fetched again; a file is there when it is whole.
func Load(ctx context.Context, node *beacon.Client, slots blockprint.Interval, dir string, o LoadOptions) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var batches []blockprint.Interval
	for start := slots.Start; start <= slots.End; start += blockprint.Slot(o.Batch) {
		batches = append(batches, blockprint.Interval{Start: start, End: min(start+blockprint.Slot(o.Batch)-1, slots.End)})
	}
	l := &loader{LoadOptions: o, node: node, dir: dir, history: &reward.HeadRegistry{Source: node}}
	for i, b := range batches {
		if !l.have(b) {
			if err := l.fetch(ctx, b); err != nil {
				return fmt.Errorf("slots %s: %w", b, err)
			}
		}
		if o.Progress != nil {
			o.Progress(i+1, len(batches))
		}
	}
	return nil
}

type loader struct {
	LoadOptions
	node    *beacon.Client
	history *reward.HeadRegistry
	dir     string
}

func (l *loader) path(b blockprint.Interval) string {
	name := fmt.Sprintf("slot_%d_to_%d.json", b.Start, b.End)
	if l.Gzip {
		name += ".gz"
	}
	return filepath.Join(l.dir, name)
}

func (l *loader) have(b blockprint.Interval) bool {
	_, err := os.Stat(l.path(b))
	return err == nil
}

// fetch writes one batch under a temporary name, so that an interrupted one is never taken for whole.
func (l *loader) fetch(ctx context.Context, b blockprint.Interval) (err error) {
	tmp, err := os.CreateTemp(l.dir, ".load-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	buffered := bufio.NewWriterSize(tmp, 1<<20)
	var w io.Writer = buffered
	closeGzip := func() error { return nil }
	if l.Gzip {
		z := gzip.NewWriter(buffered)
		w, closeGzip = z, z.Close
	}
	err = l.write(ctx, b, w)
	err = errors.Join(err, closeGzip(), buffered.Flush(), tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), l.path(b))
}

// write gives each reward a line of its own inside the list.
func (l *loader) write(ctx context.Context, b blockprint.Interval, w io.Writer) error {
	sep := "["
	each := func(r *blockprint.BlockReward) error {
		_, err := w.Write(r.AppendJSON([]byte(sep)))
		sep = ",\n"
		return err
	}
	var source reward.Source = l.node
	var err error
	if !l.Exact && !l.Lighthouse {
		if source, err = l.history.SourceFor(ctx, b); err != nil {
			return err
		}
	}
	if l.Lighthouse {
		err = l.node.LighthouseRewards(ctx, b, func(body io.Reader) error {
			in := blockprint.NewRewardReader(body)
			for {
				var r blockprint.BlockReward
				err := in.Next(&r)
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if err := each(&r); err != nil {
					return err
				}
			}
		})
	} else {
		err = reward.Walk(ctx, source, l.Logger, b, reward.Walker{Block: func(r reward.Rated) error { return each(r.Reward) }})
	}
	if err != nil {
		return err
	}
	if sep == "[" {
		_, err = io.WriteString(w, "[")
	}
	if err == nil {
		_, err = io.WriteString(w, "]\n")
	}
	return err
}
