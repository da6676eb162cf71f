package httpapi

import (
	"context"
	"fmt"
	"net/http"
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
		return h, s.notCovered(ctx, st, gaps)
	}
	h.Gaps = formatGaps(gaps)
	return h, nil
}

// notCovered says which slots are missing, and what there is instead.
func (s *Server) notCovered(ctx context.Context, st store.Status, gaps blockprint.Intervals) error {
	text := (&blockprint.NotCoveredError{Gaps: gaps}).Error()
	n, err := s.slotsPerEpoch(ctx)
	switch {
	case err != nil:
		return err
	case st.Empty || st.Covered < st.Floor:
		text += ": the database has no blocks yet"
	default:
		text += fmt.Sprintf(": history here is of slots %d to %d (epochs %d to %d)", st.Floor, st.Covered, uint64(st.Floor)/n, uint64(st.Covered)/n)
	}
	return &statusError{http.StatusNotFound, text + "; ?partial=true answers with what there is", string(blockprint.NotCovered), gaps}
}

// gaps returns the missing slots from start to end-1. Future slots are not missing, and those between the newest
// covered one and the clock's only when they are more than the tolerance; but a range that begins after the newest
// covered slot is missing as a whole: there is nothing to count in it.
func (s *Server) gaps(ctx context.Context, st store.Status, start, end blockprint.Slot) (blockprint.Intervals, error) {
	if end <= start {
		return nil, nil
	}
	newest := st.Covered
	if start > newest {
		return blockprint.Intervals{{Start: start, End: end - 1}}, nil
	}
	present, known, err := s.clock(ctx)
	if err != nil {
		return nil, err
	}
	if known {
		end = min(end, max(present, newest)+1)
	} else {
		present = end - 1 // without a network there is no clock: every slot may have been
	}
	if end > newest+1 && uint64(present-min(present, newest)) <= s.o.HeadTolerance {
		end = newest + 1
	}
	return s.store.Gaps(ctx, blockprint.Interval{Start: start, End: end - 1})
}

// clock returns the present slot, if the database is tied to a network.
func (s *Server) clock(ctx context.Context) (now blockprint.Slot, known bool, err error) {
	id, known, err := s.store.Identity(ctx)
	if err != nil || !known {
		return 0, false, err
	}
	return slotAt(id, s.o.Now()), true, nil
}

// behind returns how many slots the newest covered one is behind the clock; 0 if there is no clock.
func (s *Server) behind(ctx context.Context, st store.Status) (uint64, error) {
	now, known, err := s.clock(ctx)
	if err != nil || !known {
		return 0, err
	}
	return uint64(now - min(now, st.Covered)), nil
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
