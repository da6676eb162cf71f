package httpapi

import (
	"context"
	"net/http"

	"blockprint"
	"blockprint/estimate"
)

// The types' names are those of the API's description.
type (
	sharesJSON    estimate.SharesReport
	graffitiJSON  estimate.GraffitiReport
	namesJSON     estimate.NamesReport
	confusionJSON estimate.Hits
)

func (l *Labels) graffitiRoutes() {
	registerExpensive(l.gates, public("public", "/shares/{start_epoch}/{end_epoch}", "Each client's share of the blocks, corrected for measured mistakes, with 95 % intervals"), func(ctx context.Context, in *EpochParams) (*counted[sharesJSON], error) {
		h, census, err := l.tally(ctx, in, l.Names)
		if err != nil {
			return nil, err
		}
		return &counted[sharesJSON]{h, sharesJSON(census.Shares())}, nil
	})
	registerExpensive(l.gates, public("public", "/graffiti/{start_epoch}/{end_epoch}", "How blocks that name their client are labeled, by client and by release, and which execution clients they name"), func(ctx context.Context, in *EpochParams) (*counted[graffitiJSON], error) {
		h, census, err := l.tally(ctx, in, nil)
		if err != nil {
			return nil, err
		}
		return &counted[graffitiJSON]{h, graffitiJSON(census.Graffiti())}, nil
	})
	registerExpensive(l.gates, public("public", "/names/{start_epoch}/{end_epoch}", "How blocks of validators that are known to run a client are labeled, and where graffiti say otherwise"), func(ctx context.Context, in *EpochParams) (*counted[namesJSON], error) {
		if l.Names == nil {
			return nil, blockprint.Errorf(blockprint.NotFound, "no names of validators: start with --names FILE")
		}
		h, census, err := l.tally(ctx, in, l.Names)
		if err != nil {
			return nil, err
		}
		return &counted[namesJSON]{h, namesJSON(census.Names())}, nil
	})
	register(l.base, private("private", http.MethodGet, "/confusion/{client}/{start_slot}/{end_slot}", "How labels agree with graffiti for one client"), func(ctx context.Context, in *struct {
		Client string `path:"client" doc:"Name of a client."`
		Start  uint64 `path:"start_slot" maximum:"9223372036854775807" doc:"First slot."`
		End    uint64 `path:"end_slot" maximum:"9223372036854775807" doc:"The slot after the last one."`
		PartialParam
	},
	) (*counted[confusionJSON], error) {
		return l.confusion(ctx, in.Client, in.Start, in.End, in.Partial)
	})
}

func (l *Labels) confusion(ctx context.Context, client string, start, end uint64, partial bool) (*counted[confusionJSON], error) {
	c, err := blockprint.ParseClient(client)
	if err != nil {
		return nil, err
	}
	if end < start {
		return nil, blockprint.Errorf(blockprint.Invalid, "end_slot %d is before start_slot %d", end, start)
	}
	h, err := l.covered(ctx, blockprint.Slot(start), blockprint.Slot(end), partial)
	if err != nil || end == start {
		return &counted[confusionJSON]{h, confusionJSON{}}, err
	}
	census, err := inTurn(ctx, l.gates, func() (*estimate.Census, error) {
		return l.census(ctx, blockprint.Interval{Start: blockprint.Slot(start), End: blockprint.Slot(end - 1)}, nil)
	})
	if err != nil {
		return nil, err
	}
	return &counted[confusionJSON]{h, confusionJSON(census.Against(c))}, nil
}
