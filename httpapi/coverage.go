package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"blockprint"
	"blockprint/service"
	"blockprint/store"
)

// AnswerHeaders come with every answer that counts or lists blocks. (The type is exported because the OpenAPI library
// ignores embedded types that are not.)
type AnswerHeaders struct {
	AsOf  string `header:"Blockprint-As-Of-Slot" doc:"The newest covered slot."`
	Model string `header:"Blockprint-Model" doc:"The model that labels new blocks."`
	Trust string `header:"Blockprint-Trust" doc:"ok, unmeasured, or the greylisted labels, separated by commas."`
	Gaps  string `header:"Blockprint-Gaps" doc:"With ?partial=true, the missing slots as start-end, separated by commas."`
}

// counted is an answer with these headers.
type counted[T any] struct {
	AnswerHeaders
	Body T
}

// PartialParam lets a caller ask for a range with gaps.
type PartialParam struct {
	Partial bool `query:"partial" doc:"Answer even if slots are missing; the header Blockprint-Gaps names them."`
}

// coverageStore knows which network a database is tied to and which of its slots are covered.
type coverageStore interface {
	Status(ctx context.Context) (store.Status, error)
	Identity(ctx context.Context) (id store.Identity, ok bool, err error)
	Gaps(ctx context.Context, i blockprint.Interval) (blockprint.Intervals, error)
}

func (l *Labels) coverageRoutes() {
	register(l.base, public("public", "/sync/status", "How closely the database follows the chain"), plainly(l.syncStatus))
	register(l.base, public("public", "/sync/gaps", "The slots that are missing from the history"), func(ctx context.Context, _ *struct{}) (*bodyOf[[]blockprint.Interval], error) {
		_, gaps, err := l.historyGaps(ctx)
		return answered(append([]blockprint.Interval{}, gaps...), err)
	})
}

type syncStatus struct {
	GreatestBlockSlot blockprint.Slot `json:"greatest_block_slot"`
	Synced            bool            `json:"synced" doc:"The database holds blocks, its history has no gaps, and its newest covered slot is close enough to the present one."`
	CoveredSlot       blockprint.Slot `json:"covered_slot" doc:"The newest covered slot: one known to have a block, or to have none."`
	FinalizedSlot     blockprint.Slot `json:"finalized_slot" doc:"Nothing up to this slot can change any more."`
	HistoryStart      blockprint.Slot `json:"history_start"`
	MissingSlots      uint64          `json:"missing_slots"`
	SlotsBehind       uint64          `json:"slots_behind" doc:"How far the newest covered slot is behind the present one; 0 if the database is tied to no network and so has no clock."`
}

func (l *Labels) syncStatus(ctx context.Context) (out syncStatus, err error) {
	st, gaps, err := l.historyGaps(ctx)
	if err != nil {
		return out, err
	}
	behind, err := l.behind(ctx, st)
	synced := !st.Empty && len(gaps) == 0 && behind <= l.headTolerance
	return syncStatus{st.Newest, synced, st.Covered, st.Finalized, st.Floor, length(gaps), behind}, err
}

// length returns the number of slots in gaps.
func length(gaps blockprint.Intervals) (n uint64) {
	for _, g := range gaps {
		n += g.Len()
	}
	return n
}

// historyGaps returns the gaps between the start of history and the newest covered slot.
func (l *Labels) historyGaps(ctx context.Context) (store.Status, blockprint.Intervals, error) {
	st, err := l.Store.Status(ctx)
	if err != nil || st.Empty || st.Covered < st.Floor {
		return st, nil, err
	}
	gaps, err := l.Store.Gaps(ctx, blockprint.Interval{Start: st.Floor, End: st.Covered})
	return st, gaps, err
}

// covered checks that the slots from start to end-1 are covered, and returns the headers of the answer.
func (l *Labels) covered(ctx context.Context, start, end blockprint.Slot, partial bool) (AnswerHeaders, error) {
	st, err := l.Store.Status(ctx)
	if err != nil {
		return AnswerHeaders{}, err
	}
	h := AnswerHeaders{AsOf: strconv.FormatUint(uint64(st.Covered), 10)}
	if h.Trust, _, err = l.distrusted(ctx); err != nil {
		return AnswerHeaders{}, err
	}
	if l.Labeling != nil {
		h.Model = l.Labeling.Model.Name
	}
	gaps, err := l.gaps(ctx, st, start, end)
	if err != nil || len(gaps) == 0 {
		return h, err
	}
	if !partial {
		return h, l.notCovered(ctx, st, gaps)
	}
	h.Gaps = formatGaps(gaps)
	return h, nil
}

// notCovered says which slots are missing and which ones the database has.
func (l *Labels) notCovered(ctx context.Context, st store.Status, gaps blockprint.Intervals) error {
	text := (&blockprint.NotCoveredError{Gaps: gaps}).Error()
	c, err := l.clock(ctx)
	switch {
	case err != nil:
		return err
	case st.Empty || st.Covered < st.Floor:
		text += ": the database has no blocks yet"
	default:
		text += fmt.Sprintf(": the database has slots %d to %d (epochs %d to %d)", st.Floor, st.Covered, c.EpochOf(st.Floor), c.EpochOf(st.Covered))
	}
	return &service.StatusError{
		Status: http.StatusNotFound, Text: text + "; add ?partial=true for an answer without them", Code: string(blockprint.NotCovered), Gaps: gaps,
	}
}

// gaps returns the missing slots from start to end-1. Future slots are never missing, and slots between the newest
// covered one and the present one are missing only if they exceed the tolerance. But a range that begins after the newest
// covered slot is missing as a whole: nothing in it can be counted.
func (l *Labels) gaps(ctx context.Context, st store.Status, start, end blockprint.Slot) (blockprint.Intervals, error) {
	if end <= start {
		return nil, nil
	}
	newest := st.Covered
	if start > newest {
		return blockprint.Intervals{{Start: start, End: end - 1}}, nil
	}
	c, err := l.clock(ctx)
	if err != nil {
		return nil, err
	}
	present := end - 1 // without a network there is no clock, so no slot is known to be in the future
	if c.known {
		present = c.SlotAt(l.Now())
		end = min(end, max(present, newest)+1)
	}
	if end > newest+1 && uint64(present-min(present, newest)) <= l.headTolerance {
		end = newest + 1
	}
	return l.Store.Gaps(ctx, blockprint.Interval{Start: start, End: end - 1})
}

// behind returns by how many slots the newest covered one is behind the present one; 0 without a clock.
func (l *Labels) behind(ctx context.Context, st store.Status) (uint64, error) {
	c, err := l.clock(ctx)
	if err != nil || !c.known {
		return 0, err
	}
	now := c.SlotAt(l.Now())
	return uint64(now - min(now, st.Covered)), nil
}

// formatGaps writes gaps for a header, only as many as fit there.
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

const day = 24 * time.Hour

// clock counts slots and epochs as the database's network does. If the database is tied to no network, it uses mainnet's
// lengths and there is no present slot.
type clock struct {
	*blockprint.Network
	known bool // whether the database is tied to a network
}

func (l *Labels) clock(ctx context.Context) (clock, error) {
	id, known, err := l.Store.Identity(ctx)
	if err != nil || !known {
		return clock{Network: &blockprint.Network{Spec: blockprint.MainnetSpec()}}, err
	}
	return clock{id.Network(), true}, nil
}

// slots returns how many slots a duration has, at least one.
func (c clock) slots(d time.Duration) uint64 { return max(1, uint64(d/c.SlotDuration)) }

// epochs returns how many epochs a duration has, at least one.
func (c clock) epochs(d time.Duration) uint64 { return max(1, c.slots(d)/c.SlotsPerEpoch) }
