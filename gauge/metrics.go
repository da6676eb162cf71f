package gauge

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector is a Prometheus collector that computes the accuracy when it is collected.
type Collector struct{ reader *Reader }

// NewCollector returns a collector for what a reader computes.
func NewCollector(r *Reader) *Collector { return &Collector{r} }

var (
	recognizedDesc = prometheus.NewDesc("blockprint_gauge_true_positive_rate", "Share of a client's dreamt blocks in the window that have the right label.", []string{"client"}, nil)
	precisionDesc  = prometheus.NewDesc("blockprint_gauge_precision", "Share of the dreamt blocks with a client's label that the client built.", []string{"client"}, nil)
	blocksDesc     = prometheus.NewDesc("blockprint_gauge_blocks", "A client's dreamt blocks in the window.", []string{"client"}, nil)
	silentDesc     = prometheus.NewDesc("blockprint_gauge_node_silent", "1 if a node has returned no block for half an hour.", []string{"node"}, nil)
	upDesc         = prometheus.NewDesc("blockprint_gauge_up", "1 if the last computation of the accuracy succeeded.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{recognizedDesc, precisionDesc, blocksDesc, silentDesc, upDesc} {
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
		send(upDesc, 0)
		return
	}
	send(upDesc, 1)
	for name, a := range s.Clients {
		send(blocksDesc, float64(a.TruePositives+a.FalseNegatives), string(name))
		if a.TruePositiveRate != nil {
			send(recognizedDesc, a.TruePositiveRate.Share, string(name))
		}
		if a.Precision != nil {
			send(precisionDesc, a.Precision.Share, string(name))
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
		send(silentDesc, v, n.Name)
	}
}
