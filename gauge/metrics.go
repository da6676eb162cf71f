package gauge

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector gives the accuracy to Prometheus, computed when it is asked for.
type Collector struct {
	reader                                        *Reader
	recognised, precision, blocks, silent, failed *prometheus.Desc
}

// NewCollector returns a collector of what a reader reads.
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
		recognised: desc("true_positive_rate", "Share of a client's dreamt blocks of the window that are labelled rightly.", "client"),
		precision:  desc("precision", "Share of the dreamt blocks with a label that are that client's.", "client"),
		blocks:     desc("blocks", "Dreamt blocks of a client in the window.", "client"),
		silent:     desc("node_silent", "1 if a node has given no block for some time.", "node"),
		failed:     desc("up", "1 if the accuracy can be told.", ""),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.recognised, c.precision, c.blocks, c.silent, c.failed} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	tell := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s, err := c.reader.Summarise(ctx)
	if err != nil {
		tell(c.failed, 0)
		return
	}
	tell(c.failed, 1)
	for name, a := range s.Clients {
		tell(c.blocks, float64(a.TruePositives+a.FalseNegatives), string(name))
		if a.TruePositiveRate != nil {
			tell(c.recognised, a.TruePositiveRate.Share, string(name))
		}
		if a.Precision != nil {
			tell(c.precision, a.Precision.Share, string(name))
		}
	}
	seen := map[string]bool{}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if seen[n.Name] { // with another label before
			continue
		}
		seen[n.Name] = true
		v := 0.0
		if n.Silent {
			v = 1
		}
		tell(c.silent, v, n.Name)
	}
}
