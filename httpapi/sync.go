package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/follow"
	"blockprint/store"
)

// syncRoutes are how a follower on another machine writes: the methods of follow.Recorder, one route each.
func (s *Server) syncRoutes() {
	op := func(method, path, summary string) huma.Operation {
		return huma.Operation{Method: method, Path: path, Summary: summary, Tags: []string{"sync"}, Security: credentials}
	}
	register(s, op(http.MethodGet, "/sync/store/status", "State of the store"), func(ctx context.Context, _ *struct{}) (*bodyOf[store.Status], error) {
		st, err := s.store.Status(ctx)
		return &bodyOf[store.Status]{st}, err
	})
	register(s, op(http.MethodPost, "/sync/store/identify", "Tie the database to a network"), func(ctx context.Context, in *struct{ Body store.Identity }) (*struct{}, error) {
		if s.recorder != nil { // its model learns of the network, too
			return nil, s.recorder.Identify(ctx, in.Body)
		}
		return nil, s.store.Identify(ctx, in.Body)
	})
	register(s, op(http.MethodPost, "/sync/store/floor", "Set the first slot of history"), func(ctx context.Context, in *struct{ Body blockprint.Slot }) (*struct{}, error) {
		return nil, s.store.SetFloor(ctx, in.Body)
	})
	type span struct {
		Start uint64 `path:"start" maximum:"9223372036854775807" doc:"First slot."`
		End   uint64 `path:"end" maximum:"9223372036854775807" doc:"Last slot."`
	}
	register(s, op(http.MethodGet, "/sync/store/gaps/{start}/{end}", "Missing slots, both ends included"), func(ctx context.Context, in *span) (*bodyOf[[]blockprint.Interval], error) {
		gaps, err := s.store.Gaps(ctx, blockprint.Interval{Start: blockprint.Slot(in.Start), End: blockprint.Slot(in.End)})
		return &bodyOf[[]blockprint.Interval]{append([]blockprint.Interval{}, gaps...)}, err
	})
	register(s, op(http.MethodGet, "/sync/store/undecided/{start}/{end}", "Blocks that are neither final nor orphaned"), func(ctx context.Context, in *span) (*bodyOf[[]store.BlockID], error) {
		ids, err := s.store.Undecided(ctx, blockprint.Interval{Start: blockprint.Slot(in.Start), End: blockprint.Slot(in.End)})
		return &bodyOf[[]store.BlockID]{append([]store.BlockID{}, ids...)}, err
	})
	register(s, op(http.MethodGet, "/sync/store/ancestors/{slot}/{root}/{down}", "A stored block and those before it by their parents' roots, newest first, none before slot down"), func(ctx context.Context, in *struct {
		Slot uint64 `path:"slot" maximum:"9223372036854775807" doc:"Slot of the block."`
		Root string `path:"root" doc:"All zeros: the oldest final block at or after the slot."`
		Down uint64 `path:"down" maximum:"9223372036854775807" doc:"Last slot to go down to."`
	},
	) (*bodyOf[wireAncestors], error) {
		root, err := blockprint.ParseRoot(in.Root)
		if err != nil {
			return nil, err
		}
		list, next, err := s.store.Ancestors(ctx, store.BlockID{Slot: blockprint.Slot(in.Slot), Root: root}, blockprint.Slot(in.Down))
		return &bodyOf[wireAncestors]{wireAncestors{append([]store.BlockID{}, list...), next}}, err
	})
	register(s, op(http.MethodPost, "/sync/store/record", "Label and store a batch"), func(ctx context.Context, in *struct{ RawBody []byte }) (*struct{}, error) {
		return nil, s.record(ctx, in.RawBody)
	})
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

func (s *Server) record(ctx context.Context, body []byte) error {
	if s.recorder == nil {
		return blockprint.Errorf(blockprint.Unavailable, "this server has no model: start it with --model")
	}
	var w wireBatch
	if err := json.Unmarshal(body, &w); err != nil {
		return blockprint.Errorf(blockprint.Invalid, "batch: %w", err)
	}
	b := follow.Batch{Covered: w.Covered, Uncovered: w.Uncovered, Chains: w.Chains, Finalized: w.Finalized}
	if len(w.Rewards) > 0 {
		var err error
		if b.Rewards, err = readRewards(bytes.NewReader(w.Rewards)); err != nil {
			return err
		}
	}
	return s.recorder.Record(ctx, b)
}
