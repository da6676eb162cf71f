package follow

import (
	"context"
	"sync"
	"time"

	"blockprint"
)

// silentSlots is for how many slots a node may be silent before the follower is not ready.
const silentSlots = 8

// health is what Ready, the metrics and the status lines report.
type health struct {
	mu       sync.Mutex
	network  *blockprint.Network // nil until the start succeeds
	failure  error               // why the start has not succeeded
	answered time.Time           // when the node last reported a head that makes sense
	nodeErr  error               // why it has not done so since; nil if it has
	headErr  error               // why the head could not be stored, apart from the database; nil if it could
	writeErr error               // why nothing can be stored; nil if something could
	written  time.Time           // when something was stored
	head     blockprint.Slot     // the newest head that is stored
	blocks   uint64              // stored since the start
	missing  uint64              // slots of history that are not covered
}

// note makes a change.
func (h *health) note(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// heard notes the node's answer about its head.
func (h *health) heard(err error, now time.Time) {
	h.note(func() {
		if h.nodeErr = err; err == nil {
			h.answered = now
		}
	})
}

// wrote notes how a change of the database ended.
func (h *health) wrote(err error, now time.Time) {
	h.note(func() {
		if h.writeErr = err; err == nil {
			h.written = now
		}
	})
}

// stored notes that the database contains the chain up to a slot.
func (h *health) stored(head blockprint.Slot) { h.note(func() { h.head = max(h.head, head) }) }

// count adds stored blocks.
func (h *health) count(blocks int) { h.note(func() { h.blocks += uint64(blocks) }) }

// Ready returns nil while the follower does its work, and otherwise the reason: it has not begun, nothing can be stored,
// the node does not answer or belongs to another network, or the database is further behind the clock than Tolerance, which
// also happens when the network has a fork that this version does not know. A gap for which the node has no blocks does
// not count. It is safe for concurrent use.
func (f *Follower) Ready() error {
	h := &f.health
	h.mu.Lock()
	defer h.mu.Unlock()
	no := func(format string, args ...any) error {
		return blockprint.Errorf(blockprint.Unavailable, format, args...)
	}
	switch {
	case h.failure != nil:
		return no("following has not begun: %w", h.failure)
	case h.network == nil:
		return no("following has not begun")
	case h.writeErr != nil:
		return no("nothing can be stored: %w", h.writeErr)
	case blockprint.CodeOf(h.nodeErr) == blockprint.Conflict:
		return h.nodeErr
	}
	now := f.o.Clock()
	silence, present := now.Sub(h.answered), h.network.SlotAt(now)
	behind := present - min(present, h.head)
	fork := h.network.UnknownForkAt(h.network.EpochOf(present))
	switch {
	case silence > silentSlots*h.network.SlotDuration && h.nodeErr != nil:
		return no("the beacon node has not answered for %s: %w", silence.Round(time.Second), h.nodeErr)
	case silence > silentSlots*h.network.SlotDuration && h.headErr == nil:
		return no("the beacon node has not answered for %s", silence.Round(time.Second))
	case uint64(behind) <= f.o.Tolerance:
		return nil
	case fork != "":
		return no("the database is %d slots behind the clock: the network has begun the fork %s, which this version does not know; look for a newer one", behind, fork)
	case h.headErr != nil:
		return no("the database is %d slots behind the clock: %w", behind, h.headErr)
	}
	return no("the database is %d slots behind the clock: the node's head is not newer", behind)
}

// standing returns the state as attributes of a log line.
func (f *Follower) standing() []any {
	final := f.finalized().slot
	h := &f.health
	h.mu.Lock()
	defer h.mu.Unlock()
	present := h.network.SlotAt(f.o.Clock())
	return []any{"head_slot", h.head, "slots_behind", present - min(present, h.head), "blocks_stored", h.blocks, "missing_slots", h.missing, "finalized_slot", final}
}

// watchLoop updates the metrics of time, logs the state once an epoch, at most once a minute, and reports when
// readiness changes.
func (f *Follower) watchLoop(ctx context.Context) {
	tick := time.NewTicker(f.o.Poll)
	defer tick.Stop()
	every := max(time.Duration(f.network.SlotsPerEpoch)*f.network.SlotDuration, time.Minute)
	status := time.NewTicker(every)
	defer status.Stop()
	ready, fork := true, "" // what the log has said
	unready := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-status.C:
			if ready {
				f.log.Info("following the chain", f.standing()...)
			} else {
				f.log.Warn("not in step with the chain", append(f.standing(), "error", f.Ready())...)
			}
			continue
		case <-tick.C:
		}
		present := f.network.SlotAt(f.o.Clock())
		if name := f.network.UnknownForkAt(f.network.EpochOf(present)); name != fork {
			fork = name
			f.log.Error("the network has begun a fork that this version does not know: its blocks cannot be followed; look for a newer version", "fork", name)
		}
		err := f.Ready()
		f.o.Metrics.show(f, present, err == nil)
		switch {
		case err == nil && !ready:
			f.log.Info("in step with the chain again", f.standing()...)
			ready = true
		case err != nil && ready && unready > 0: // twice in a row
			f.log.Error("not in step with the chain", append(f.standing(), "error", err)...)
			ready = false
		}
		if unready++; err == nil {
			unready = 0
		}
	}
}

// show brings the gauges of time up to date.
func (m *Metrics) show(f *Follower, present blockprint.Slot, ready bool) {
	h := &f.health
	h.mu.Lock()
	defer h.mu.Unlock()
	m.SlotsBehind.Set(float64(present - min(present, h.head)))
	m.LastAnswer.Set(seconds(h.answered))
	m.LastWrite.Set(seconds(h.written))
	m.Ready.Set(0)
	if ready {
		m.Ready.Set(1)
	}
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
