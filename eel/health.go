package eel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ready says why clients cannot be served; empty if they can. The execution client has to answer, and the controller to
// call. answers reports on the execution client alone.
func (e *Eel) ready(ctx context.Context) (answers bool, reason string) {
	if answers = e.asker.answers(ctx); !answers {
		if _, reason = e.asker.heard(); reason == "" {
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
	_, _, disputed := e.asker.agreement()
	return true, disputed
}

// notReady returns why clients cannot be served, with the state of each of several execution clients; nil if they can.
func (e *Eel) notReady(ctx context.Context) error {
	_, reason := e.ready(ctx)
	if reason == "" {
		return nil
	}
	if list := e.executions(); len(list) > 1 {
		for i, s := range list {
			reason += fmt.Sprintf("; %s: %s, last answer %gs ago", e.asker.list[i].host(), s.State, s.Age)
		}
	}
	return errors.New(reason)
}

// status returns the answer of /health.
func (e *Eel) status(ctx context.Context) any {
	out := struct {
		Status    string `json:"status"`
		Reason    string `json:"reason,omitempty"` // of another status than ok
		Network   string `json:"network"`
		Newest    uint64 `json:"newest_block"`
		Clients   int    `json:"clients"`
		Execution string `json:"execution_client"`
		// When the execution client last answered, when the controller last called, and when a block was last found valid.
		Answered  string `json:"execution_client_answered,omitempty"`
		Called    string `json:"controller_called,omitempty"`
		Validated string `json:"block_validated,omitempty"`
		Genesis   uint64 `json:"genesis_time,omitempty"`
		// Forks holds the known times, in seconds since 1970.
		Forks      map[string]uint64 `json:"forks,omitempty"`
		Executions []executionStatus `json:"execution_clients"`
		Agreed     int               `json:"execution_clients_agreed,omitempty"` // about the controller's last block
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
	at, _ := e.asker.heard()
	out.Answered, out.Executions = moment(at), e.executions()
	out.Agreed, _, _ = e.asker.agreement()
	out.Called, out.Validated = stamp(&e.called), stamp(&e.validated)
	return out
}

// executionStatus is an execution client in /health.
type executionStatus struct {
	Server   string  `json:"server"`
	State    string  `json:"state"`
	Reason   string  `json:"reason,omitempty"`
	Answered string  `json:"answered,omitempty"`
	Age      float64 `json:"answer_age_seconds"` // -1 before the first answer
}

func (e *Eel) executions() (out []executionStatus) {
	for _, c := range e.asker.list {
		at, _ := c.heard()
		state, reason := c.state()
		s := executionStatus{c.name, state, reason, moment(at), -1}
		if !at.IsZero() {
			s.Age = e.c.Now().Sub(at).Round(time.Millisecond).Seconds()
		}
		out = append(out, s)
	}
	return out
}

// moment writes a time, empty for never.
func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// stamp writes a time in nanoseconds since 1970, empty for never.
func stamp(at *atomic.Int64) string {
	if n := at.Load(); n != 0 {
		return moment(time.Unix(0, n))
	}
	return ""
}

// register makes and registers the metrics.
func (e *Eel) register() error {
	const namespace = "blockprint_eel"
	e.calls = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "calls_total", Help: "Calls by method, client and outcome."}, []string{"method", "client", "outcome"})
	e.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "call_duration_seconds", Help: "Time to answer by method and client.", Buckets: prometheus.ExponentialBuckets(0.0002, 4, 9)}, []string{"method", "client"})
	e.refused = prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "refused_total", Help: "Requests without valid credentials, by path."}, []string{"path"})
	var errs []error
	add := func(metrics ...prometheus.Collector) {
		for _, m := range metrics {
			errs = append(errs, e.c.Registry.Register(m))
		}
	}
	add(e.calls, e.duration, e.refused)
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) {
		add(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help, ConstLabels: labels}, value))
	}
	seconds := func(at *atomic.Int64) func() float64 { return func() float64 { return float64(at.Load()) / 1e9 } }
	gauge("execution_client_up", "1 if the execution client, or one of several, answered last time.", nil, func() float64 {
		at, reason := e.asker.heard()
		return one(reason == "" && !at.IsZero())
	})
	gauge("newest_block", "Number of the block that was last found valid.", nil, func() float64 { return float64(e.memory.last()) })
	gauge("controller_call_timestamp_seconds", "Time of the controller's last call, 0 before the first.", nil, seconds(&e.called))
	gauge("block_validated_timestamp_seconds", "Time at which a block was last found valid, 0 before the first.", nil, seconds(&e.validated))
	for _, c := range e.asker.list {
		for _, state := range []string{stateOK, stateSyncing, stateFailing, stateForeign, stateUnknown} {
			gauge("execution_client_state", "1 for the state that the execution client is in.", prometheus.Labels{"server": c.name, "state": state}, func() float64 {
				now, _ := c.state()
				return one(now == state)
			})
		}
		gauge("execution_client_answer_timestamp_seconds", "Time of the execution client's last reply, 0 before the first.", prometheus.Labels{"server": c.name}, func() float64 {
			at, _ := c.heard()
			if at.IsZero() {
				return 0
			}
			return float64(at.UnixNano()) / 1e9
		})
	}
	if len(e.asker.list) > 1 {
		gauge("execution_clients_agreed", "Execution clients that gave the last verdict about a block of the controller's.", nil, func() float64 {
			agreed, _, _ := e.asker.agreement()
			return float64(agreed)
		})
		gauge("execution_clients_disputed_blocks", "Blocks since the start that are VALID for one execution client and INVALID for another.", nil, func() float64 {
			_, disputes, _ := e.asker.agreement()
			return float64(disputes)
		})
	}
	return errors.Join(errs...)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
