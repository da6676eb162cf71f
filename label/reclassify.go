package label

import (
	"context"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/classify"
	"blockprint/graffiti"
	"blockprint/store"
)

// ReclassifyReport counts what Reclassify did.
type ReclassifyReport struct {
	Blocks     int // relabeled
	Changed    int // of these, those whose client is another one now
	NoFeatures int // kept as they were: stored without features, or without some that the model needs
	// Moves counts the relabeled blocks by the client before and after.
	Moves map[blockprint.Client]map[blockprint.Client]int
}

// Relabeler is what Reclassify needs of a store.
type Relabeler interface {
	Blocks
	Status(ctx context.Context) (store.Status, error)
	Relabel(ctx context.Context, labels []store.Label) (changed int, err error)
}

// reclassifySlots is how many slots are relabeled in one transaction, which other writers wait for.
const reclassifySlots = 1024

// Reclassify labels all stored blocks with a model, from their stored features. It works in small transactions, so
// the store can be read and written meanwhile. It may be interrupted: blocks that the model has labeled are
// not labeled again. Blocks that arrive meanwhile keep the label that their follower's model gives them.
func Reclassify(ctx context.Context, s Relabeler, m *classify.Model, rules *graffiti.Rules, slots blockprint.Interval, progress func(done, total int)) (ReclassifyReport, error) {
	report := ReclassifyReport{Moves: map[blockprint.Client]map[blockprint.Client]int{}}
	st, err := s.Status(ctx)
	if err != nil || st.Empty {
		return report, err
	}
	last := min(slots.End, st.Newest)
	for start := slots.Start; start <= last; start += reclassifySlots {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		chunk := blockprint.Interval{Start: start, End: min(start+reclassifySlots-1, last)}
		if err := reclassifyChunk(ctx, s, m, rules, chunk, &report); err != nil {
			return report, err
		}
		if progress != nil {
			progress(int(chunk.End-slots.Start)+1, int(last-slots.Start)+1)
		}
	}
	return report, nil
}

func reclassifyChunk(ctx context.Context, s Relabeler, m *classify.Model, rules *graffiti.Rules, chunk blockprint.Interval, report *ReclassifyReport) error {
	var blocks []store.Block
	for b, err := range s.Blocks(ctx, chunk, store.Query{Orphaned: true, Features: true, NotModel: m.Name}) {
		if err != nil {
			return err
		}
		blocks = append(blocks, b)
	}
	labels, err := newLabels(ctx, blocks, m, rules)
	if err != nil {
		return err
	}
	var batch []store.Label
	for i, l := range labels {
		if l == nil {
			report.NoFeatures++
			continue
		}
		batch = append(batch, *l)
		before := blocks[i].Single
		if report.Moves[before] == nil {
			report.Moves[before] = map[blockprint.Client]int{}
		}
		report.Moves[before][l.Single]++
	}
	if len(batch) == 0 {
		return nil
	}
	changed, err := s.Relabel(ctx, batch)
	if err != nil {
		return err
	}
	report.Blocks += len(batch)
	report.Changed += changed
	return nil
}

// newLabels classifies blocks by their stored features, in parallel. Those that keep their labels are nil.
func newLabels(ctx context.Context, blocks []store.Block, m *classify.Model, rules *graffiti.Rules) ([]*store.Label, error) {
	// Each place is written by one worker; blocks that cannot be labeled stay nil.
	labels := make([]*store.Label, len(blocks))
	g, stopped := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		g.Go(func() error {
			for i := w; i < len(blocks); i += workers {
				b := &blocks[i]
				if !hasFeatures(m, b) {
					continue
				}
				says := rules.Guess(b.Graffiti)
				c := m.Classify(b.Slot, b.Features, says)
				if c.Reason != "" && b.Single != blockprint.Uncertain {
					continue // the model lacks what it needs: the old label is worth more
				}
				if b.Graffiti == "" { // databases of the original kept the guess, but not the text
					says = b.Says
				}
				labels[i] = &store.Label{BlockID: store.BlockID{Slot: b.Slot, Root: b.Root}, Classification: c, Says: says, Model: m.Name}
			}
			return stopped.Err()
		})
	}
	return labels, g.Wait()
}

// hasFeatures reports whether any feature is stored that the model's part for the block's slot uses.
func hasFeatures(m *classify.Model, b *store.Block) bool {
	if b.Features.Values == nil {
		return false
	}
	needed := m.FeaturesAt(b.Slot, b.Features)
	return len(needed) == 0 || slices.ContainsFunc(b.Features.In(needed, nil), func(v float64) bool { return !math.IsNaN(v) })
}
