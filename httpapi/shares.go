package httpapi

import (
	"context"

	"blockprint/estimate"
)

type sharesOutput struct {
	AnswerHeaders
	Body sharesJSON
}

type sharesJSON estimate.SharesReport

func (l *Labels) shareRoutes() {
	registerExpensive(l.gates, public("public", "/shares/{start_epoch}/{end_epoch}", "Each client's share of the blocks, corrected for measured mistakes, with 95 % intervals"), func(ctx context.Context, in *EpochParams) (*sharesOutput, error) {
		h, census, err := l.tally(ctx, in)
		if err != nil {
			return nil, err
		}
		return &sharesOutput{h, sharesJSON(census.Shares())}, nil
	})
}
