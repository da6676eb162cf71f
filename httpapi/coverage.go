package httpapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"blockprint"
	"blockprint/store"
)

// AnswerHeaders come with every counted answer. (It is exported because the OpenAPI library passes over embedded
// types that are not.)
type AnswerHeaders struct {
	AsOf  string `header:"Blockprint-As-Of-Slot" doc:"The newest covered slot."`
	Model string `header:"Blockprint-Model" doc:"The model that labels new blocks."`
	Trust string `header:"Blockprint-Trust" doc:"ok, unmeasured, or which labels are greylisted, by comma."`
	Gaps  string `header:"Blockprint-Gaps" doc:"With ?partial=true: the missing slots, as start-end, by comma."`
}

// PartialParam lets a caller take what there is.
type PartialParam struct {
	Partial bool `query:"partial" doc:"Answer although slots are missing; the header Blockprint-Gaps then names them."`
}

// covered checks that the slots from start to end-1 are covered, and returns the headers of the answer.
func (s *Server) covered(ctx context.Context, start, end blockprint.Slot, partial bool) (AnswerHeaders, error) {
	st, err := s.store.Status(ctx)
	if err != nil {
		return AnswerHeaders{}, err
	}
	h := AnswerHeaders{AsOf: strconv.FormatUint(uint64(st.Covered), 10)}
	if h.Trust, _, err = s.trust(ctx); err != nil {
		return AnswerHeaders{}, err
	}
	if s.model != nil {
		h.Model = s.model.Name
	}
	gaps, err := s.gaps(ctx, st, start, end)
	if err != nil || len(gaps) == 0 {
		return h, err
	}
	if !partial {
		return h, &blockprint.NotCoveredError{Gaps: gaps}
	}
	h.Gaps = formatGaps(gaps)
	return h, nil
}

// gaps returns the missing slots from start to end-1. Future slots are not missing, and those between the newest
// covered one and the clock's only when they are more than the tolerance.
func (s *Server) gaps(ctx context.Context, st store.Status, start, end blockprint.Slot) (blockprint.Intervals, error) {
	if end <= start {
		return nil, nil
	}
	id, known, err := s.store.Identity(ctx)
	if err != nil {
		return nil, err
	}
	newest := st.Covered
	present := end - 1 // without a network there is no clock: every slot may have been
	if known {
		present = slotAt(id, s.o.Now())
		end = min(end, present+1)
	}
	if end > newest+1 && uint64(present-min(present, newest)) <= s.o.HeadTolerance {
		end = newest + 1
	}
	if end <= start {
		return nil, nil
	}
	return s.store.Gaps(ctx, blockprint.Interval{Start: start, End: end - 1})
}

func slotAt(id store.Identity, now time.Time) blockprint.Slot {
	since := now.Sub(time.Unix(id.GenesisTime, 0)).Seconds()
	if since < 0 || id.SlotSeconds <= 0 {
		return 0
	}
	return blockprint.Slot(since / id.SlotSeconds)
}

// formatGaps writes gaps for a header, at most as many as fit there.
func formatGaps(gaps blockprint.Intervals) string {
	const most = 100
	var parts []string
	for _, g := range gaps[:min(len(gaps), most)] {
		parts = append(parts, strconv.FormatUint(uint64(g.Start), 10)+"-"+strconv.FormatUint(uint64(g.End), 10))
	}
	if len(gaps) > most {
		parts = append(parts, "...")
	}
	return strings.Join(parts, ",")
}

// slotsPerEpoch is mainnet's until the database is tied to a network.
func (s *Server) slotsPerEpoch(ctx context.Context) (uint64, error) {
	id, ok, err := s.store.Identity(ctx)
	if err != nil || !ok || id.SlotsPerEpoch == 0 {
		return 32, err
	}
	return id.SlotsPerEpoch, nil
}
