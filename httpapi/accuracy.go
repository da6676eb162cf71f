package httpapi

import (
	"context"
	"time"

	"blockprint"
	"blockprint/gauge"
)

// accuracyRoutes serve what a gauge measured.
func accuracyRoutes(g *gates, r *gauge.Reader) {
	for _, path := range []string{"/accuracy", "/confusion"} {
		registerExpensive(g, public("accuracy", path, "How the dreamt blocks of the last two weeks were labeled, by client and by node"), plainly(r.Summarize))
	}
	registerExpensive(g, public("accuracy", "/accuracy/days/{first}/{last}", "The accuracy by day and by model, for days (YYYY-MM-DD) from first to last"), func(ctx context.Context, in *struct {
		First string `path:"first" doc:"First day, YYYY-MM-DD."`
		Last  string `path:"last" doc:"Last day, YYYY-MM-DD."`
	},
	) (*bodyOf[[]gauge.Day], error) {
		for _, day := range []string{in.First, in.Last} {
			if _, err := time.Parse(time.DateOnly, day); err != nil {
				return nil, blockprint.Errorf(blockprint.Invalid, "%.40q is not a day: expected YYYY-MM-DD", day)
			}
		}
		return answered(r.Days(ctx, in.First, in.Last))
	})
}
