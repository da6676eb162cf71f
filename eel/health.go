package eel

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ready tells whether clients can be served, and why not: the execution client has to answer, and the controller to call.
func (e *Eel) ready(ctx context.Context) (answers bool, reason string) {
	if answers = e.answers(ctx); !answers {
		if _, reason = e.execution.get(); reason == "" {
			reason = "nothing is known yet"
		}
		return false, "the execution client does not answer: " + reason
	}
	last := e.began
	if at := e.called.Load(); at != 0 {
		last = time.Unix(0, at)
	}
	if silent := e.c.Now().Sub(last); e.c.Silence > 0 && silent > e.c.Silence {
		return true, fmt.Sprintf("the controller has not called for %s: clients learn of no new block", silent.Round(time.Second))
	}
	return true, ""
}

// status is what /health tells.
func (e *Eel) status(ctx context.Context) ([]byte, error) {
	out := struct {
		Status    string `json:"status"`
		Reason    string `json:"reason,omitempty"` // of another status than ok
		Network   string `json:"network"`
		Newest    uint64 `json:"newest_block"`
		Clients   int    `json:"clients"`
		Execution string `json:"execution_client"`
		// When the execution client last answered, the controller last called, and a block was last found valid.
		Answered  string `json:"execution_client_answered,omitempty"`
		Called    string `json:"controller_called,omitempty"`
		Validated string `json:"block_validated,omitempty"`
		Genesis   uint64 `json:"genesis_time,omitempty"`
		// Forks are the times that are known.
		Forks map[string]uint64 `json:"forks,omitempty"`
	}{Status: "ok", Network: "unknown", Newest: e.memory.last(), Clients: len(e.c.Clients), Execution: "unreachable"}
	answers, reason := e.ready(ctx)
	if answers {
		out.Execution = "answers"
	}
	if out.Reason = reason; reason != "" {
		out.Status = "unavailable"
	}
	if n := e.schedule.get(); n != nil {
		out.Network, out.Genesis, out.Forks = n.Name, n.Genesis, map[string]uint64{}
		for f, at := range n.Forks {
			if at != Unscheduled {
				out.Forks[strings.ToLower(Fork(f).String())] = at
			}
		}
	}
	if at, _ := e.execution.get(); !at.IsZero() {
		out.Answered = at.UTC().Format(time.RFC3339)
	}
	out.Called, out.Validated = stamp(&e.called), stamp(&e.validated)
	return json.Marshal(out)
}

// stamp writes a time in nanoseconds since 1970, empty for never.
func stamp(at *atomic.Int64) string {
	n := at.Load()
	if n == 0 {
		return ""
	}
	return time.Unix(0, n).UTC().Format(time.RFC3339)
}

// gauges are the metrics of what /health tells.
func (e *Eel) gauges() (out []prometheus.Collector) {
	seconds := func(at *atomic.Int64) float64 { return float64(at.Load()) / 1e9 }
	for _, g := range []struct {
		name, help string
		value      func() float64
	}{
		{"execution_client_up", "1 if the last that was heard of the execution client is a reply.", func() float64 {
			if at, reason := e.execution.get(); reason != "" || at.IsZero() {
				return 0
			}
			return 1
		}},
		{"newest_block", "Number of the block that was last found valid.", func() float64 { return float64(e.memory.last()) }},
		{"controller_call_timestamp_seconds", "Time of the controller's last call, 0 before the first.", func() float64 { return seconds(&e.called) }},
		{"block_validated_timestamp_seconds", "Time at which a block was last found valid, 0 before the first.", func() float64 { return seconds(&e.validated) }},
	} {
		out = append(out, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "blockprint_eel", Name: g.name, Help: g.help}, g.value))
	}
	return out
}
