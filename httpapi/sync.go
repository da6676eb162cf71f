package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/label"
	"blockprint/store"
)

// syncStore is what a follower needs of a database besides coverageStore.
type syncStore interface {
	Identify(ctx context.Context, id store.Identity) error
	SetFloor(ctx context.Context, floor blockprint.Slot) error
	Apply(ctx context.Context, b store.Batch) (store.Result, error)
	Undecided(ctx context.Context, i blockprint.Interval) ([]store.BlockID, error)
	Ancestors(ctx context.Context, from store.BlockID, down blockprint.Slot) (list []store.BlockID, next store.BlockID, err error)
}

// syncRoutes let a follower on another machine write: one route for each method of follow.Recorder.
func (l *Labels) syncRoutes() {
	op := func(method, path, summary string) huma.Operation {
		return private("sync", method, "/sync/store/"+path, summary)
	}
	get, post := http.MethodGet, http.MethodPost
	register(l.base, op(get, "status", "The state of the database"), plainly(l.Store.Status))
	register(l.base, op(post, "identify", "Tie the database to a network"), func(ctx context.Context, in *struct{ Body store.Identity }) (*struct{}, error) {
		if l.Labeling != nil { // the model needs the fork schedule, too
			return nil, l.Labeling.Identify(ctx, in.Body)
		}
		return nil, l.Store.Identify(ctx, in.Body)
	})
	register(l.base, op(post, "floor", "Set the first slot of the history"), func(ctx context.Context, in *struct{ Body blockprint.Slot }) (*struct{}, error) {
		return nil, l.Store.SetFloor(ctx, in.Body)
	})
	type span struct {
		Start uint64 `path:"start" maximum:"9223372036854775807" doc:"First slot."`
		End   uint64 `path:"end" maximum:"9223372036854775807" doc:"Last slot."`
	}
	register(l.base, op(get, "gaps/{start}/{end}", "The missing slots from start to end, both included"), func(ctx context.Context, in *span) (*bodyOf[[]blockprint.Interval], error) {
		gaps, err := l.Store.Gaps(ctx, blockprint.Interval{Start: blockprint.Slot(in.Start), End: blockprint.Slot(in.End)})
		return answered(append([]blockprint.Interval{}, gaps...), err)
	})
	register(l.base, op(get, "undecided/{start}/{end}", "The blocks from start to end that are neither final nor orphaned"), func(ctx context.Context, in *span) (*bodyOf[[]store.BlockID], error) {
		ids, err := l.Store.Undecided(ctx, blockprint.Interval{Start: blockprint.Slot(in.Start), End: blockprint.Slot(in.End)})
		return answered(append([]store.BlockID{}, ids...), err)
	})
	register(l.base, op(get, "ancestors/{slot}/{root}/{down}", "A stored block and its ancestors, newest first, down to a slot"), func(ctx context.Context, in *struct {
		Slot uint64 `path:"slot" maximum:"9223372036854775807" doc:"Slot of the block."`
		Root string `path:"root" doc:"Root of the block; all zeros for the oldest final block at or after the slot."`
		Down uint64 `path:"down" maximum:"9223372036854775807" doc:"No ancestor is before this slot."`
	},
	) (*bodyOf[label.WireAncestors], error) {
		root, err := blockprint.ParseRoot(in.Root)
		if err != nil {
			return nil, err
		}
		list, next, err := l.Store.Ancestors(ctx, store.BlockID{Slot: blockprint.Slot(in.Slot), Root: root}, blockprint.Slot(in.Down))
		return answered(label.WireAncestors{Blocks: append([]store.BlockID{}, list...), Next: next}, err)
	})
	register(l.base, op(post, "record", "Label and store a batch"), func(ctx context.Context, in *struct{ RawBody []byte }) (*struct{}, error) {
		return nil, l.record(ctx, in.RawBody)
	})
}

func (l *Labels) record(ctx context.Context, body []byte) error {
	if l.Labeling == nil {
		return errNoModel()
	}
	b, err := label.DecodeBatch(body)
	if err != nil {
		return err
	}
	return l.Labeling.Record(ctx, b)
}
