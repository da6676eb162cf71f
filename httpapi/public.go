package httpapi

import (
	"context"
	"net/http"
	"sort"

	"github.com/danielgtaylor/huma/v2"

	"blockprint"
	"blockprint/store"
)

// maxEpoch keeps slot arithmetic far from overflow.
const maxEpoch = 1 << 40

func (s *Server) publicRoutes() {
	op := func(path, summary string) huma.Operation {
		return huma.Operation{Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"public"}}
	}
	register(s, op("/blocks_per_client/{start_epoch}", "Blocks of one epoch by label"), func(ctx context.Context, in *struct {
		Start uint64 `path:"start_epoch" maximum:"1099511627776" doc:"First epoch."`
		PartialParam
		TrustParam
	},
	) (*countsOutput, error) {
		return s.blocksPerClient(ctx, in.Start, in.Start+1, in.Partial, in.TrustParam)
	})
	register(s, op("/blocks_per_client/{start_epoch}/{end_epoch}", "Blocks of the epochs from start to before end, by label"), func(ctx context.Context, in *struct {
		Start uint64 `path:"start_epoch" maximum:"1099511627776" doc:"First epoch."`
		End   uint64 `path:"end_epoch" maximum:"1099511627776" doc:"The epoch after the last one."`
		PartialParam
		TrustParam
	},
	) (*countsOutput, error) {
		return s.blocksPerClient(ctx, in.Start, in.End, in.Partial, in.TrustParam)
	})
	register(s, op("/sync/status", "How far the database is in step with the chain"), func(ctx context.Context, _ *struct{}) (*bodyOf[syncStatus], error) {
		return s.syncStatus(ctx)
	})
	register(s, op("/sync/gaps", "Missing slots of history"), func(ctx context.Context, _ *struct{}) (*bodyOf[[]blockprint.Interval], error) {
		st, gaps, err := s.historyGaps(ctx)
		if err != nil || st.Empty {
			return &bodyOf[[]blockprint.Interval]{Body: []blockprint.Interval{}}, err
		}
		return &bodyOf[[]blockprint.Interval]{Body: append([]blockprint.Interval{}, gaps...)}, nil
	})
	registerDear(s, op("/clients", "All labels, with their blocks in the whole database"), func(ctx context.Context, _ *struct{}) (*clientsOutput, error) {
		return s.clients(ctx)
	})
	registerDear(s, op("/epochs/{start_epoch}/{end_epoch}", "Blocks by label for each epoch from start to before end"), func(ctx context.Context, in *struct {
		Start uint64 `path:"start_epoch" maximum:"1099511627776" doc:"First epoch."`
		End   uint64 `path:"end_epoch" maximum:"1099511627776" doc:"The epoch after the last one."`
		PartialParam
	},
	) (*epochsOutput, error) {
		return s.epochs(ctx, in.Start, in.End, in.Partial)
	})
}

// bodyOf is an answer without headers.
type bodyOf[T any] struct{ Body T }

type countsOutput struct {
	AnswerHeaders
	Body map[blockprint.Client]int64 `doc:"The original's eight labels are always there; further ones when they have blocks."`
}

// epochRange checks a range of epochs and turns it into slots.
func (s *Server) epochRange(ctx context.Context, start, end uint64, partial bool) (AnswerHeaders, error) {
	if end < start {
		return AnswerHeaders{}, blockprint.Errorf(blockprint.Invalid, "end_epoch %d is before start_epoch %d", end, start)
	}
	n, err := s.slotsPerEpoch(ctx)
	if err != nil {
		return AnswerHeaders{}, err
	}
	return s.covered(ctx, blockprint.Slot(start*n), blockprint.Slot(end*n), partial)
}

func (s *Server) blocksPerClient(ctx context.Context, start, end uint64, partial bool, trusted TrustParam) (*countsOutput, error) {
	h, err := s.epochRange(ctx, start, end, partial)
	if err != nil {
		return nil, err
	}
	counts, err := s.store.CountByClient(ctx, blockprint.Epoch(start), blockprint.Epoch(end))
	if err != nil {
		return nil, err
	}
	for _, c := range blockprint.OriginalKeys() {
		counts[c] += 0
	}
	if err := s.distrust(ctx, counts, trusted); err != nil {
		return nil, err
	}
	return &countsOutput{h, counts}, nil
}

type syncStatus struct {
	GreatestBlockSlot blockprint.Slot `json:"greatest_block_slot"`
	Synced            bool            `json:"synced" doc:"There are blocks, no gaps in history, and the newest covered slot is within the tolerance of the clock's."`
	CoveredSlot       blockprint.Slot `json:"covered_slot" doc:"The newest slot that is known, with or without a block."`
	FinalizedSlot     blockprint.Slot `json:"finalized_slot" doc:"Everything up to this slot is settled."`
	HistoryStart      blockprint.Slot `json:"history_start"`
	MissingSlots      uint64          `json:"missing_slots"`
	SlotsBehind       uint64          `json:"slots_behind" doc:"How far the newest covered slot is behind the clock's; 0 for a database without a network, which has no clock."`
}

// historyGaps returns the gaps between the start of history and the newest covered slot.
func (s *Server) historyGaps(ctx context.Context) (store.Status, blockprint.Intervals, error) {
	st, err := s.store.Status(ctx)
	if err != nil || st.Empty || st.Covered < st.Floor {
		return st, nil, err
	}
	gaps, err := s.store.Gaps(ctx, blockprint.Interval{Start: st.Floor, End: st.Covered})
	return st, gaps, err
}

func (s *Server) syncStatus(ctx context.Context) (*bodyOf[syncStatus], error) {
	st, gaps, err := s.historyGaps(ctx)
	if err != nil {
		return nil, err
	}
	n, err := s.behind(ctx, st)
	if err != nil {
		return nil, err
	}
	out := syncStatus{st.Newest, !st.Empty && len(gaps) == 0 && n <= s.o.HeadTolerance, st.Covered, st.Finalized, st.Floor, 0, n}
	for _, g := range gaps {
		out.MissingSlots += g.Len()
	}
	return &bodyOf[syncStatus]{out}, nil
}

type clientCount struct {
	Name   blockprint.Client `json:"name"`
	Blocks int64             `json:"blocks" doc:"Blocks with this label in the whole database."`
	// Recent is what blocks of the last two weeks say of themselves in their graffiti.
	Recent *recentClient `json:"recent,omitempty" doc:"Blocks of the last two weeks whose graffiti names this client."`
}

type recentClient struct {
	Blocks    int64            `json:"blocks"`
	Execution map[string]int64 `json:"execution" doc:"By execution client, of those that name it."`
	Releases  map[string]int64 `json:"releases" doc:"By release or commit, of those that name it."`
}

// recentEpochs are the two weeks of mainnet over which releases and execution clients are counted.
const recentEpochs = 14 * 225

// recent counts what the newest blocks say of themselves.
func (s *Server) recent(ctx context.Context) (map[blockprint.Client]*recentClient, error) {
	st, err := s.store.Status(ctx)
	if err != nil || st.Empty {
		return nil, err
	}
	n, err := s.slotsPerEpoch(ctx)
	if err != nil {
		return nil, err
	}
	list, err := s.store.Tally(ctx, blockprint.Interval{Start: st.Newest - min(st.Newest, blockprint.Slot(recentEpochs*n)), End: st.Newest})
	out := map[blockprint.Client]*recentClient{}
	for _, t := range list {
		c := t.Graffiti.Client
		if c == "" {
			continue
		}
		if out[c] == nil {
			out[c] = &recentClient{Execution: map[string]int64{}, Releases: map[string]int64{}}
		}
		out[c].Blocks += t.Blocks
		if t.Graffiti.Execution != "" {
			out[c].Execution[t.Graffiti.Execution] += t.Blocks
		}
		if t.Graffiti.Version != "" {
			out[c].Releases[t.Graffiti.Version] += t.Blocks
		}
	}
	return out, err
}

type clientsOutput struct {
	AnswerHeaders
	Body []clientCount
}

func (s *Server) clients(ctx context.Context) (*clientsOutput, error) {
	h, err := s.covered(ctx, 0, 0, true)
	if err != nil {
		return nil, err
	}
	counts, err := s.store.CountByClient(ctx, 0, maxEpoch)
	if err != nil {
		return nil, err
	}
	for _, c := range append(blockprint.Clients(), blockprint.Uncertain) {
		counts[c] += 0
	}
	recent, err := s.recent(ctx)
	if err != nil {
		return nil, err
	}
	out := &clientsOutput{AnswerHeaders: h}
	for c, n := range counts {
		out.Body = append(out.Body, clientCount{c, n, recent[c]})
	}
	sort.Slice(out.Body, func(i, j int) bool { return out.Body[i].Name < out.Body[j].Name })
	return out, nil
}

type epochCount struct {
	Epoch  blockprint.Epoch            `json:"epoch"`
	Blocks map[blockprint.Client]int64 `json:"blocks"`
}

type epochsOutput struct {
	AnswerHeaders
	Body []epochCount
}

// maxEpochs is how many epochs one answer may have: four weeks of mainnet.
const maxEpochs = 6300

func (s *Server) epochs(ctx context.Context, start, end uint64, partial bool) (*epochsOutput, error) {
	if end > start+maxEpochs {
		return nil, blockprint.Errorf(blockprint.Invalid, "%d epochs are asked for: at most %d at once", end-start, maxEpochs)
	}
	h, err := s.epochRange(ctx, start, end, partial)
	if err != nil {
		return nil, err
	}
	counts, err := s.store.CountByEpoch(ctx, blockprint.Epoch(start), blockprint.Epoch(end))
	if err != nil {
		return nil, err
	}
	out := &epochsOutput{AnswerHeaders: h, Body: []epochCount{}}
	for e := blockprint.Epoch(start); e < blockprint.Epoch(end); e++ {
		if counts[e] != nil {
			out.Body = append(out.Body, epochCount{e, counts[e]})
		}
	}
	return out, nil
}
