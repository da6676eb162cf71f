package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/store"
)

// syncRoutes are how a follower on another machine writes: the methods of follow.Recorder, one route each.
func (l *Labels) syncRoutes() {
	op := func(method, path, summary string) huma.Operation {
		return private("sync", method, "/sync/store/"+path, summary)
	}
	get, post := http.MethodGet, http.MethodPost
	register(l.base, op(get, "status", "State of the store"), func(ctx context.Context, _ *struct{}) (*bodyOf[store.Status], error) {
		return answered(l.store.Status(ctx))
	})
	register(l.base, op(post, "identify", "Tie the database to a network"), func(ctx context.Context, in *struct{ Body store.Identity }) (*struct{}, error) {
		return nil, l.identify(ctx, in.Body)
	})
	register(l.base, op(post, "floor", "Set the first slot of history"), func(ctx context.Context, in *struct{ Body blockprint.Slot }) (*struct{}, error) {
		return nil, l.store.SetFloor(ctx, in.Body)
	})
	type span struct {
		Start uint64 `path:"start" maximum:"9223372036854775807" doc:"First slot."`
		End   uint64 `path:"end" maximum:"9223372036854775807" doc:"Last slot."`
	}
	register(l.base, op(get, "gaps/{start}/{end}", "Missing slots, both ends included"), func(ctx context.Context, in *span) (*bodyOf[[]blockprint.Interval], error) {
		gaps, err := l.store.Gaps(ctx, blockprint.Interval{Start: blockprint.Slot(in.Start), End: blockprint.Slot(in.End)})
		return answered(append([]blockprint.Interval{}, gaps...), err)
	})
	register(l.base, op(get, "undecided/{start}/{end}", "Blocks that are neither final nor orphaned"), func(ctx context.Context, in *span) (*bodyOf[[]store.BlockID], error) {
		ids, err := l.store.Undecided(ctx, blockprint.Interval{Start: blockprint.Slot(in.Start), End: blockprint.Slot(in.End)})
		return answered(append([]store.BlockID{}, ids...), err)
	})
	register(l.base, op(get, "ancestors/{slot}/{root}/{down}", "A stored block and those before it by their parents' roots, newest first, none before slot down"), func(ctx context.Context, in *struct {
		Slot uint64 `path:"slot" maximum:"9223372036854775807" doc:"Slot of the block."`
		Root string `path:"root" doc:"All zeros: the oldest final block at or after the slot."`
		Down uint64 `path:"down" maximum:"9223372036854775807" doc:"Last slot to go down to."`
	},
	) (*bodyOf[wireAncestors], error) {
		root, err := blockprint.ParseRoot(in.Root)
		if err != nil {
			return nil, err
		}
		list, next, err := l.store.Ancestors(ctx, store.BlockID{Slot: blockprint.Slot(in.Slot), Root: root}, blockprint.Slot(in.Down))
		return answered(wireAncestors{append([]store.BlockID{}, list...), next}, err)
	})
	register(l.base, op(post, "record", "Label and store a batch"), func(ctx context.Context, in *struct{ RawBody []byte }) (*struct{}, error) {
		return nil, l.record(ctx, in.RawBody)
	})
}

// identify ties the database to a network. The model learns when the network's forks are.
func (l *Labels) identify(ctx context.Context, id store.Identity) error {
	if err := l.store.Identify(ctx, id); err != nil || l.labeling == nil {
		return err
	}
	if schedule, ok := id.Schedule(); ok {
		l.labeling.model.SetSchedule(schedule)
	}
	return nil
}

// wireBatch is follow.Batch on the wire; its rewards are read one by one.
type wireBatch struct {
	Rewards   json.RawMessage       `json:"rewards"`
	Covered   []blockprint.Interval `json:"covered"`
	Uncovered []blockprint.Interval `json:"uncovered"`
	Chains    []store.Chain         `json:"chains"`
	Finalized *blockprint.Slot      `json:"finalized"`
}

// wireAncestors is what store.Store.Ancestors returns.
type wireAncestors struct {
	Blocks []store.BlockID `json:"blocks"`
	Next   store.BlockID   `json:"next"`
}

func (l *Labels) record(ctx context.Context, body []byte) error {
	if l.labeling == nil {
		return errNoModel()
	}
	var w wireBatch
	if err := json.Unmarshal(body, &w); err != nil {
		return blockprint.Errorf(blockprint.Invalid, "batch: %w", err)
	}
	b := store.Batch{Covered: w.Covered, Uncovered: w.Uncovered, Chains: w.Chains, Finalized: w.Finalized}
	if len(w.Rewards) > 0 {
		rewards, err := readRewards(bytes.NewReader(w.Rewards))
		if err != nil {
			return err
		}
		b.Blocks = l.labeling.blocks(rewards)
	}
	_, err := l.store.Apply(ctx, b)
	return err
}
