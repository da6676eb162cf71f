package httpapi

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
	"blockprint/store"
)

// storeMetrics shows Prometheus what the database holds. Each scrape reads it.
type storeMetrics struct{ labels *Labels }

var (
	labelledDesc = prometheus.NewDesc("blockprint_labelled_blocks", "Blocks with this label in the whole database, without orphaned ones.", []string{"client"}, nil)
	shareDesc    = prometheus.NewDesc("blockprint_label_share", "Share of the newest day's blocks that have this label. /shares corrects for mistakes.", []string{"client"}, nil)
	behindDesc   = prometheus.NewDesc("blockprint_slots_behind", "How many slots the newest covered one is behind the present one.", nil, nil)
	missingDesc  = prometheus.NewDesc("blockprint_missing_slots", "Slots of the history that are not covered.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m *storeMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{labelledDesc, shareDesc, behindDesc, missingDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *storeMetrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := m.collect(ctx, out); err != nil {
		m.labels.Logger.Error("the metrics of the database cannot be read", "error", err)
		out <- prometheus.NewInvalidMetric(labelledDesc, err)
	}
}

func (m *storeMetrics) collect(ctx context.Context, out chan<- prometheus.Metric) error {
	st, gaps, err := m.labels.historyGaps(ctx)
	if err != nil {
		return err
	}
	behind, err := m.labels.behind(ctx, st)
	if err != nil {
		return err
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(behindDesc, float64(behind))
	gauge(missingDesc, float64(length(gaps)))
	counts, err := m.labels.Store.CountByClient(ctx, 0, maxEpoch)
	if err != nil {
		return err
	}
	for c, n := range counts {
		gauge(labelledDesc, float64(n), string(c))
	}
	day, all, err := m.day(ctx, st)
	for c, n := range day {
		gauge(shareDesc, float64(n)/float64(all), string(c))
	}
	return err
}

// day counts the blocks of the newest day by label.
func (m *storeMetrics) day(ctx context.Context, st store.Status) (counts map[blockprint.Client]int64, all int64, err error) {
	c, err := m.labels.clock(ctx)
	if err != nil {
		return nil, 0, err
	}
	end := c.EpochOf(st.Newest) + 1
	counts, err = m.labels.Store.CountByClient(ctx, end-min(end, blockprint.Epoch(c.epochs(day))), end)
	for _, k := range counts {
		all += k
	}
	return counts, all, err
}
