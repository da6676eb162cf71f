package dataset

import (
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
	"blockprint/file"
	"blockprint/reward"
	"blockprint/rewardfile"
)

// LoadOptions say how Load fetches and writes.
type LoadOptions struct {
	Batch      uint64 // slots in a file
	Gzip       bool
	Lighthouse bool // ask an old Lighthouse's analysis endpoint instead of computing
	Exact      bool // ask for a registry an epoch however long the range is
	Finalized  bool // stop at the finalized slot rather than at the head
	Logger     *slog.Logger
	Progress   func(done, total int) // batches
}

// Load fetches the rewards of a range of slots, both ends included, into DIR/slot_X_to_Y.json (or .json.gz), both
// ends included too. A file is written when all its slots are over, and when the parents of blocks prove that those
// without a block are empty; Load stops before the first file that has slots after the head, and says so by a NotCovered
// error. Existing files stay. Load checks again those that may be incomplete: files of other programs, of earlier
// versions, and those whose last slots were not final yet.
func Load(ctx context.Context, node *beacon.Client, slots blockprint.Interval, dir string, o LoadOptions) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	l := &loader{LoadOptions: o, node: node, dir: dir, history: &reward.HeadRegistry{Source: node}}
	last, what, err := l.last(ctx)
	if err != nil {
		return err
	}
	var batches []blockprint.Interval
	next := slots.Start
	for next <= slots.End {
		b := blockprint.Interval{Start: next, End: min(next+blockprint.Slot(o.Batch)-1, slots.End)}
		if b.End > last {
			break
		}
		batches = append(batches, b)
		next = b.End + 1
	}
	for i, b := range batches {
		if err := l.batch(ctx, b); err != nil {
			return fmt.Errorf("slots %s: %w", b, err)
		}
		if o.Progress != nil {
			o.Progress(i+1, len(batches))
		}
	}
	if next <= slots.End {
		return blockprint.Errorf(blockprint.NotCovered, "slots %d to %d were not loaded: %s is slot %d; the same command loads them later", next, slots.End, what, last)
	}
	return nil
}

type loader struct {
	LoadOptions
	node    *beacon.Client
	history *reward.HeadRegistry
	dir     string
	final   blockprint.Slot
}

// last returns the newest slot that may be loaded, and what it is.
func (l *loader) last(ctx context.Context) (blockprint.Slot, string, error) {
	network, err := l.node.Network(ctx)
	if err != nil {
		return 0, "", err
	}
	finality, err := l.node.Finality(ctx)
	if err != nil {
		return 0, "", err
	}
	l.final = network.StartOf(finality.Finalized.Epoch)
	if l.Finalized {
		return l.final, "the newest final slot", nil
	}
	head, err := l.node.Header(ctx, beacon.Head)
	return head.Slot, "the head", err
}

func (l *loader) path(b blockprint.Interval) string {
	name := rewardfile.Name(b)
	if l.Gzip {
		name += ".gz"
	}
	return filepath.Join(l.dir, name)
}

// batch makes sure that a batch's file is there and whole.
func (l *loader) batch(ctx context.Context, b blockprint.Interval) error {
	_, err := os.Stat(l.path(b))
	if errors.Is(err, os.ErrNotExist) {
		return l.fetch(ctx, b)
	}
	if err != nil {
		return err
	}
	fault, err := l.fault(ctx, b)
	if err != nil || fault == "" {
		return err
	}
	l.Logger.Warn("a reward file is incomplete and is loaded again", "file", l.path(b), "reason", fault)
	if err := l.fetch(ctx, b); err != nil {
		return fmt.Errorf("%s is incomplete (%s) and cannot be loaded again: %w", l.path(b), fault, err)
	}
	return nil
}

// provenMark begins a file whose blocks are final and proven to be all.
const provenMark = "[\n"

// fault says what a file lacks; "" if nothing, as far as the node knows.
func (l *loader) fault(ctx context.Context, b blockprint.Interval) (string, error) {
	c, proven, fault, err := readRewardFile(l.path(b), b)
	if err != nil || proven || fault != "" {
		return fault, err
	}
	err = c.end(ctx, l.node)
	switch code := blockprint.CodeOf(err); {
	case err == nil:
		return "", nil
	case code == blockprint.NotCovered:
		return err.Error(), nil
	case code == blockprint.NotFound || code == blockprint.Invalid:
		return "", nil // the node has no such history, so the file is all there is
	}
	return "", err
}

// chain follows the blocks of a batch by what they say of their parents.
type chain struct {
	slots blockprint.Interval
	last  *blockprint.BlockMeta
	root  blockprint.Root // of the last block, zero if it is not known
}

func (c *chain) add(r *blockprint.BlockReward) error {
	m := r.Meta
	switch {
	case m.Slot < c.slots.Start || m.Slot > c.slots.End:
		return blockprint.Errorf(blockprint.NotCovered, "it holds slot %d, which is not in its range", m.Slot)
	case c.last == nil && m.ParentSlot >= c.slots.Start && m.Slot > 0:
		return blockprint.Errorf(blockprint.NotCovered, "the block of slot %d is missing", m.ParentSlot)
	case c.last != nil && m.ParentSlot != c.last.Slot:
		return blockprint.Errorf(blockprint.NotCovered, "the block of slot %d is missing before that of slot %d", m.ParentSlot, m.Slot)
	}
	c.last, c.root = &m, r.BlockRoot
	return nil
}

// end makes sure that the first block after the batch follows the last one of it.
func (c *chain) end(ctx context.Context, source reward.Source) error {
	after, err := reward.Following(ctx, source, c.slots.End)
	if err != nil {
		return err
	}
	if after == nil {
		h, err := source.Header(ctx, beacon.Head)
		if err == nil && (c.last == nil || c.last.Slot != c.slots.End || h.Slot > c.slots.End || h.Root != c.root) {
			err = blockprint.Errorf(blockprint.NotCovered, "no block follows slot %d yet", c.slots.End)
		}
		return err
	}
	parent, err := source.Header(ctx, beacon.AtRoot(after.ParentRoot))
	switch {
	case err != nil:
		return err
	case c.last == nil && parent.Slot >= c.slots.Start, c.last != nil && parent.Slot != c.last.Slot:
		return blockprint.Errorf(blockprint.NotCovered, "the block of slot %d, parent of the one of slot %d, is missing", parent.Slot, after.Slot)
	case c.last != nil && !c.root.IsZero() && parent.Root != c.root:
		return blockprint.Errorf(blockprint.NotCovered, "its block of slot %d is an orphan", c.last.Slot)
	}
	return nil
}

// fetch writes one batch, whole or not at all.
func (l *loader) fetch(ctx context.Context, b blockprint.Interval) error {
	return file.Write(l.path(b), func(w io.Writer) error {
		if !l.Gzip {
			return l.write(ctx, b, w)
		}
		z := gzip.NewWriter(w)
		return errors.Join(l.write(ctx, b, z), z.Close())
	})
}

// write gives each reward a line of its own inside the list.
func (l *loader) write(ctx context.Context, b blockprint.Interval, w io.Writer) error {
	sep := "["
	if b.End <= l.final {
		sep = provenMark
	}
	if _, err := io.WriteString(w, sep); err != nil {
		return err
	}
	sep = ""
	each := func(r *blockprint.BlockReward) error {
		_, err := w.Write(rewardfile.Append([]byte(sep), r))
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
		err = l.fromLighthouse(ctx, b, each)
	} else {
		err = reward.Walk(ctx, source, l.Logger, b, reward.Walker{Block: func(r reward.Rated) error { return each(r.Reward) }})
	}
	if err == nil {
		_, err = io.WriteString(w, "]\n")
	}
	return err
}

// fromLighthouse asks an old Lighthouse for what Walk would compute, and for the proof that it is all.
func (l *loader) fromLighthouse(ctx context.Context, b blockprint.Interval, each func(*blockprint.BlockReward) error) error {
	c := chain{slots: b}
	err := l.node.LighthouseRewards(ctx, b, func(body io.Reader) error {
		if c.last != nil {
			return blockprint.Errorf(blockprint.Unavailable, "an answer broke off; the same command asks again")
		}
		for r, err := range rewardfile.Read(body) {
			if err == nil {
				err = c.add(r)
			}
			if err == nil {
				err = each(r)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.end(ctx, l.node)
}
