package gauge

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector is a Prometheus collector that computes the accuracy when it is collected.
type Collector struct {
	reader                                        *Reader
	recognized, precision, blocks, silent, failed *prometheus.Desc
}

// NewCollector returns a collector for what a reader computes.
func NewCollector(r *Reader) *Collector {
	desc := func(name, help, label string) *prometheus.Desc {
		var labels []string
		if label != "" {
			labels = []string{label}
		}
		return prometheus.NewDesc("blockprint_gauge_"+name, help, labels, nil)
	}
	return &Collector{
		reader:     r,
		recognized: desc("true_positive_rate", "Share of a client's dreamt blocks in the window that have the right label.", "client"),
		precision:  desc("precision", "Share of the dreamt blocks with a client's label that the client built.", "client"),
		blocks:     desc("blocks", "A client's dreamt blocks in the window.", "client"),
		silent:     desc("node_silent", "1 if a node has returned no block for half an hour.", "node"),
		failed:     desc("up", "1 if the last computation of the accuracy succeeded.", ""),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.recognized, c.precision, c.blocks, c.silent, c.failed} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s, err := c.reader.Summarize(ctx)
	if err != nil {
		send(c.failed, 0)
		return
	}
	send(c.failed, 1)
	for name, a := range s.Clients {
		send(c.blocks, float64(a.TruePositives+a.FalseNegatives), string(name))
		if a.TruePositiveRate != nil {
			send(c.recognized, a.TruePositiveRate.Share, string(name))
		}
		if a.Precision != nil {
			send(c.precision, a.Precision.Share, string(name))
		}
	}
	seen := map[string]bool{}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if seen[n.Name] { // it had another label before
			continue
		}
		seen[n.Name] = true
		v := 0.0
		if n.Silent {
			v = 1
		}
		send(c.silent, v, n.Name)
	}
}
