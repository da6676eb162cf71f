package follow

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what a follower does.
type Metrics struct {
	Events        *prometheus.CounterVec
	Blocks        *prometheus.CounterVec
	Reorgs        prometheus.Counter
	HeadErrors    prometheus.Counter
	HealErrors    prometheus.Counter
	GivenUp       prometheus.Counter
	HeadSlot      prometheus.Gauge
	FinalizedSlot prometheus.Gauge
	MissingSlots  prometheus.Gauge
	UnknownFork   prometheus.Gauge
	HeadLatency   prometheus.Histogram
}

// NewMetrics registers the metrics with r, or keeps them to itself if r is nil.
func NewMetrics(r prometheus.Registerer) *Metrics {
	const ns = "blockprint_follow"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help})
	}
	m := &Metrics{
		Events:        prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "events_total", Help: "Events of the node by topic."}, []string{"topic"}),
		Blocks:        prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: ns, Name: "blocks_total", Help: "Blocks recorded, at the head or by healing."}, []string{"by"}),
		Reorgs:        counter("reorgs_total", "Reorganisations of the chain."),
		HeadErrors:    counter("head_errors_total", "Failed tries to follow the head."),
		HealErrors:    counter("heal_errors_total", "Failed tries to heal."),
		GivenUp:       counter("gaps_given_up_total", "Gaps that the node has no blocks for."),
		HeadSlot:      gauge("head_slot", "Slot of the newest head that was recorded."),
		FinalizedSlot: gauge("finalized_slot", "Newest slot that the node calls final."),
		MissingSlots:  gauge("missing_slots", "Slots of history that are not covered."),
		UnknownFork:   gauge("unknown_fork_time_seconds", "When the network begins a fork that this version cannot follow, in seconds since 1970; 0 if none is scheduled."),
		HeadLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Name: "head_latency_seconds", Help: "From an event to the stored label, the node's answers included.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	if r != nil {
		r.MustRegister(m.Events, m.Blocks, m.Reorgs, m.HeadErrors, m.HealErrors, m.GivenUp, m.HeadSlot, m.FinalizedSlot, m.MissingSlots, m.UnknownFork, m.HeadLatency)
	}
	return m
}
