package beacon

import (
	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
)

// metrics are figures for each node.
type metrics struct{ answers, head, preferred *prometheus.GaugeVec }

func newMetrics(r prometheus.Registerer) *metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "blockprint_beacon", Name: name, Help: help}, []string{"node"})
	}
	m := &metrics{
		answers:   gauge("node_up", "1 if the node answered the last request and is on the right network."),
		head:      gauge("node_head_slot", "Slot of the node's head, updated once an epoch."),
		preferred: gauge("node_preferred", "1 for the node that is asked first, 0 for the others."),
	}
	if r != nil {
		r.MustRegister(m.answers, m.head, m.preferred)
	}
	return m
}

func (m *metrics) up(n *node, up bool) {
	m.answers.WithLabelValues(n.name).Set(number(up))
}

func (m *metrics) sees(n *node, head blockprint.Slot) {
	m.head.WithLabelValues(n.name).Set(float64(head))
}

func (m *metrics) prefer(all []*node, preferred *node) {
	for _, n := range all {
		m.preferred.WithLabelValues(n.name).Set(number(n == preferred))
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
