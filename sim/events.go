package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"blockprint"
)

// event is a message of the event stream.
type event struct {
	topic string
	data  obj
}

// topics are the ones that the simulated node knows.
var topics = []string{"head", "block", "chain_reorg", "finalized_checkpoint"}

// announce sends subscribers the events of a new head b that follows the head old.
func (w *World) announce(old, b *block) {
	w.emit(event{"block", obj{"slot": dec(uint64(b.slot)), "block": b.root, "execution_optimistic": false}})
	if b.parent != old {
		depth := uint64(0)
		for x := old; x != nil && b.at(x.slot) != x; x = x.parent {
			depth++
		}
		w.emit(event{"chain_reorg", obj{
			"slot": dec(uint64(b.slot)), "depth": dec(depth), "old_head_block": old.root, "new_head_block": b.root,
			"old_head_state": old.stateRoot, "new_head_state": b.stateRoot, "epoch": dec(uint64(w.spec.EpochOf(b.slot))), "execution_optimistic": false,
		}})
	}
	w.emit(event{"head", obj{
		"slot": dec(uint64(b.slot)), "block": b.root, "state": b.stateRoot, "epoch_transition": w.spec.EpochOf(b.slot) != w.spec.EpochOf(old.slot),
		"previous_duty_dependent_root": blockprint.ZeroRoot, "current_duty_dependent_root": blockprint.ZeroRoot, "execution_optimistic": false,
	}})
	if f := b.state.Finalized; f != old.state.Finalized && f.Epoch > old.state.Finalized.Epoch {
		w.emit(event{"finalized_checkpoint", obj{"block": f.Root, "state": w.blocks[f.Root].stateRoot, "epoch": dec(uint64(f.Epoch)), "execution_optimistic": false}})
	}
}

// emit sends an event to every subscriber. A subscriber that reads too slowly misses it, as with real nodes.
func (w *World) emit(e event) {
	for ch := range w.subscribers {
		select {
		case ch <- e:
		default:
		}
	}
}

func (w *World) serveEvents(rw http.ResponseWriter, r *http.Request) {
	var wanted []string
	for _, list := range r.URL.Query()["topics"] {
		wanted = append(wanted, strings.Split(list, ",")...)
	}
	for _, t := range wanted {
		if !slices.Contains(topics, t) {
			writeError(rw, apiError{400, "unknown topic: " + t})
			return
		}
	}
	flusher, ok := rw.(http.Flusher)
	if !ok || len(wanted) == 0 {
		writeError(rw, apiError{400, "topics are missing"})
		return
	}
	ch := make(chan event, 1024)
	w.mu.Lock()
	w.subscribers[ch] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.subscribers, ch)
		w.mu.Unlock()
	}()
	rw.Header().Set("Content-Type", "text/event-stream")
	rw.WriteHeader(http.StatusOK)
	flusher.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-ch:
			if !slices.Contains(wanted, e.topic) {
				continue
			}
			data, err := json.Marshal(e.data)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(rw, "event: %s\ndata: %s\n\n", e.topic, data); err != nil {
				return
			}
			flusher.Flush()
		}
	}
}
