package follow

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics count what a follower does.
type Metrics struct {
	Events           *prometheus.CounterVec
	Blocks           *prometheus.CounterVec
	Refused          *prometheus.CounterVec
	Reorgs           prometheus.Counter
	FinalReorgs      prometheus.Counter
	HeadErrors       prometheus.Counter
	HealErrors       prometheus.Counter
	OtherNetwork     prometheus.Counter
	Panics           prometheus.Counter
	HeadSlot         prometheus.Gauge
	FinalizedSlot    prometheus.Gauge
	MissingSlots     prometheus.Gauge
	UnavailableSlots prometheus.Gauge
	UnsettledBlocks  prometheus.Gauge
	UnknownFork      prometheus.Gauge
	SlotsBehind      prometheus.Gauge
	LastAnswer       prometheus.Gauge
	LastWrite        prometheus.Gauge
	Ready            prometheus.Gauge
	HeadLatency      prometheus.Histogram
}

// NewMetrics registers the metrics with r, or keeps them to itself if r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	const ns = "blockprint_follow"
	with := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return with.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return with.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return with.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help})
	}
	return &Metrics{
		Events:           counters("events_total", "Events of the node by topic.", "topic"),
		Blocks:           counters("blocks_total", "Blocks recorded, at the head or by healing.", "by"),
		Refused:          counters("refused_total", "Impossible claims that were refused: a head beyond the clock, a finality, a batch that contradicts the database.", "what"),
		Reorgs:           counter("reorgs_total", "Reorganizations of the chain."),
		FinalReorgs:      counter("final_reorgs_total", "Reorganizations that left final blocks."),
		HeadErrors:       counter("head_errors_total", "Failed attempts to follow the head."),
		HealErrors:       counter("heal_errors_total", "Failed attempts to heal."),
		OtherNetwork:     counter("other_network_total", "Times that the node turned out to belong to another network."),
		Panics:           counter("panics_total", "Panics, which are bugs, after which following continued."),
		HeadSlot:         gauge("head_slot", "Slot of the newest recorded head."),
		FinalizedSlot:    gauge("finalized_slot", "Newest slot that the node calls final."),
		MissingSlots:     gauge("missing_slots", "Slots of history that are not covered."),
		UnavailableSlots: gauge("unavailable_slots", "Missing slots for which the node has no blocks; they are tried again, with pauses up to an hour."),
		UnsettledBlocks:  gauge("unsettled_blocks", "Blocks of final slots that cannot be proven on or off the chain yet."),
		UnknownFork:      gauge("unknown_fork_time_seconds", "When the network begins a fork that this version cannot follow, in seconds since 1970; 0 if none is scheduled."),
		SlotsBehind:      gauge("slots_behind", "Slots between the newest recorded head and the clock."),
		LastAnswer:       gauge("last_answer_time_seconds", "When the node last reported its head, in seconds since 1970."),
		LastWrite:        gauge("last_write_time_seconds", "When something was last stored, in seconds since 1970; 0 before."),
		Ready:            gauge("ready", "1 while the database is in step with the chain, else 0; /readyz says why."),
		HeadLatency: with.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Name: "head_latency_seconds", Help: "Time from an event to the stored label, including the node's answers.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
}
