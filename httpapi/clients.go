package httpapi

import (
	"context"
	"sort"
	"time"

	"blockprint"
	"blockprint/estimate"
	"blockprint/names"
	"blockprint/store"
)

// maxEpoch is later than every real epoch, but small enough that slot arithmetic does not overflow.
const maxEpoch = 1 << 40

// clientStore counts blocks by label.
type clientStore interface {
	CountByClient(ctx context.Context, start, end blockprint.Epoch) (map[blockprint.Client]int64, error)
	CountByEpoch(ctx context.Context, start, end blockprint.Epoch) (map[blockprint.Epoch]map[blockprint.Client]int64, error)
	Tally(ctx context.Context, i blockprint.Interval, byProposer bool) ([]store.Tally, error)
}

// EpochParams choose the epochs from start to before end.
type EpochParams struct {
	Start uint64 `path:"start_epoch" maximum:"1099511627776" doc:"First epoch."`
	End   uint64 `path:"end_epoch" maximum:"1099511627776" doc:"The epoch after the last one."`
	PartialParam
}

func (l *Labels) clientRoutes() {
	register(l.base, public("public", "/blocks_per_client/{start_epoch}", "The blocks of one epoch by label"), func(ctx context.Context, in *struct {
		Start uint64 `path:"start_epoch" maximum:"1099511627776" doc:"First epoch."`
		PartialParam
		TrustParam
	},
	) (*countsOutput, error) {
		return l.blocksPerClient(ctx, &EpochParams{in.Start, in.Start + 1, in.PartialParam}, in.TrustParam)
	})
	register(l.base, public("public", "/blocks_per_client/{start_epoch}/{end_epoch}", "The blocks of the epochs from start to before end, by label"), func(ctx context.Context, in *struct {
		EpochParams
		TrustParam
	},
	) (*countsOutput, error) {
		return l.blocksPerClient(ctx, &in.EpochParams, in.TrustParam)
	})
	registerExpensive(l.gates, public("public", "/clients", "All labels and how many blocks of the database have them"), l.clients)
	registerExpensive(l.gates, public("public", "/epochs/{start_epoch}/{end_epoch}", "The blocks of each epoch from start to before end, by label"), l.epochs)
}

type countsOutput struct {
	AnswerHeaders
	Body map[blockprint.Client]int64 `doc:"The original's eight labels are always present, others if they have blocks."`
}

func (l *Labels) blocksPerClient(ctx context.Context, in *EpochParams, trusted TrustParam) (*countsOutput, error) {
	h, err := l.epochsCovered(ctx, in)
	if err != nil {
		return nil, err
	}
	counts, err := l.Store.CountByClient(ctx, blockprint.Epoch(in.Start), blockprint.Epoch(in.End))
	if err != nil {
		return nil, err
	}
	for _, c := range blockprint.OriginalKeys() {
		counts[c] += 0
	}
	if err := l.distrust(ctx, counts, trusted); err != nil {
		return nil, err
	}
	return &countsOutput{h, counts}, nil
}

type clientCount struct {
	Name   blockprint.Client `json:"name"`
	Blocks int64             `json:"blocks" doc:"Blocks with this label in the whole database."`
	Recent *recentClient     `json:"recent,omitempty" doc:"Blocks of the last two weeks whose graffiti names this client."`
}

type recentClient estimate.Named

func (l *Labels) clients(ctx context.Context, _ *struct{}) (*counted[[]clientCount], error) {
	h, err := l.covered(ctx, 0, 0, true)
	if err != nil {
		return nil, err
	}
	counts, err := l.Store.CountByClient(ctx, 0, maxEpoch)
	if err != nil {
		return nil, err
	}
	for _, c := range append(blockprint.Clients(), blockprint.Uncertain) {
		counts[c] += 0
	}
	recent, err := l.recent(ctx)
	if err != nil {
		return nil, err
	}
	out := &counted[[]clientCount]{AnswerHeaders: h}
	for c, n := range counts {
		out.Body = append(out.Body, clientCount{c, n, (*recentClient)(recent[c])})
	}
	sort.Slice(out.Body, func(i, j int) bool { return out.Body[i].Name < out.Body[j].Name })
	return out, nil
}

// recent counts the blocks of the last two weeks that name a client, by that client.
func (l *Labels) recent(ctx context.Context) (map[blockprint.Client]*estimate.Named, error) {
	st, err := l.Store.Status(ctx)
	if err != nil || st.Empty {
		return nil, err
	}
	c, err := l.clock(ctx)
	if err != nil {
		return nil, err
	}
	census, err := l.census(ctx, blockprint.Interval{Start: st.Newest - min(st.Newest, blockprint.Slot(c.slots(14*day))), End: st.Newest}, nil)
	if err != nil {
		return nil, err
	}
	return census.Named(), nil
}

// census compares the labels of an interval's blocks with what is known of their builders: their graffiti, and by what
// names say, if they are given, the clients of their proposers. These make it count each proposer's blocks apart.
func (l *Labels) census(ctx context.Context, i blockprint.Interval, by *names.Names) (*estimate.Census, error) {
	list, err := l.Store.Tally(ctx, i, by != nil)
	if err != nil {
		return nil, err
	}
	counts := map[estimate.Tally]int64{}
	for _, t := range list {
		counts[estimate.Tally{Graffiti: t.Graffiti, Named: by.Client(t.Proposer), Single: t.Single, Model: t.Model}] += t.Blocks
	}
	tallies := make([]estimate.Tally, 0, len(counts))
	for t, n := range counts {
		t.Blocks = n
		tallies = append(tallies, t)
	}
	if l.Labeling == nil {
		return estimate.NewCensus(tallies, "", nil), nil
	}
	var unlearned []blockprint.Client
	for _, p := range l.Labeling.Model.Parts {
		unlearned = append(unlearned, p.GraffitiOnly...)
	}
	return estimate.NewCensus(tallies, l.Labeling.Model.Name, unlearned), nil
}

type epochCount struct {
	Epoch  blockprint.Epoch            `json:"epoch"`
	Blocks map[blockprint.Client]int64 `json:"blocks"`
}

func (l *Labels) epochs(ctx context.Context, in *EpochParams) (*counted[[]epochCount], error) {
	if err := l.atMost(ctx, in, 28*day); err != nil {
		return nil, err
	}
	h, err := l.epochsCovered(ctx, in)
	if err != nil {
		return nil, err
	}
	counts, err := l.Store.CountByEpoch(ctx, blockprint.Epoch(in.Start), blockprint.Epoch(in.End))
	if err != nil {
		return nil, err
	}
	out := &counted[[]epochCount]{AnswerHeaders: h, Body: []epochCount{}}
	for e := blockprint.Epoch(in.Start); e < blockprint.Epoch(in.End); e++ {
		if counts[e] != nil {
			out.Body = append(out.Body, epochCount{e, counts[e]})
		}
	}
	return out, nil
}

// atMost rejects a range of epochs that takes longer than a given time.
func (l *Labels) atMost(ctx context.Context, in *EpochParams, longest time.Duration) error {
	c, err := l.clock(ctx)
	if err != nil {
		return err
	}
	if most := c.epochs(longest); in.End > in.Start+most {
		return blockprint.Errorf(blockprint.Invalid, "epochs %d to %d are %d epochs: ask for at most %d at once", in.Start, in.End, in.End-in.Start, most)
	}
	return nil
}

// epochsCovered checks that a range of epochs is covered, and returns the headers of the answer.
func (l *Labels) epochsCovered(ctx context.Context, in *EpochParams) (AnswerHeaders, error) {
	if in.End < in.Start {
		return AnswerHeaders{}, blockprint.Errorf(blockprint.Invalid, "end_epoch %d is before start_epoch %d", in.End, in.Start)
	}
	c, err := l.clock(ctx)
	if err != nil {
		return AnswerHeaders{}, err
	}
	return l.covered(ctx, blockprint.Slot(in.Start*c.SlotsPerEpoch), blockprint.Slot(in.End*c.SlotsPerEpoch), in.Partial)
}

// tally counts the blocks of at most 31 days by their graffiti and their labels.
func (l *Labels) tally(ctx context.Context, in *EpochParams, by *names.Names) (AnswerHeaders, *estimate.Census, error) {
	if err := l.atMost(ctx, in, 31*day); err != nil {
		return AnswerHeaders{}, nil, err
	}
	h, err := l.epochsCovered(ctx, in)
	if err != nil {
		return h, nil, err
	}
	c, err := l.clock(ctx)
	if err != nil || in.End == in.Start {
		return h, estimate.NewCensus(nil, "", nil), err
	}
	census, err := l.census(ctx, blockprint.Interval{Start: blockprint.Slot(in.Start * c.SlotsPerEpoch), End: blockprint.Slot(in.End*c.SlotsPerEpoch - 1)}, by)
	return h, census, err
}
