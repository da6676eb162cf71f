package httpapi

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
	"blockprint/store"
)

// storeMetrics tells Prometheus what the store holds, read when it is asked for.
type storeMetrics struct{ s *Server }

var (
	labelledDesc = prometheus.NewDesc("blockprint_labelled_blocks", "Blocks with a label in the whole database, orphaned ones left out.", []string{"client"}, nil)
	shareDesc    = prometheus.NewDesc("blockprint_label_share", "Share of the blocks of the newest day that have a label, as labelled; /shares corrects for mistakes.", []string{"client"}, nil)
	behindDesc   = prometheus.NewDesc("blockprint_slots_behind", "Slots from the newest covered one to the clock's.", nil, nil)
	missingDesc  = prometheus.NewDesc("blockprint_missing_slots", "Slots of history that are not covered.", nil, nil)
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
		m.s.o.Logger.Error("what the database holds cannot be read for the metrics", "error", err)
		out <- prometheus.NewInvalidMetric(labelledDesc, err)
	}
}

func (m *storeMetrics) collect(ctx context.Context, out chan<- prometheus.Metric) error {
	st, gaps, err := m.s.historyGaps(ctx)
	if err != nil {
		return err
	}
	behind, err := m.s.behind(ctx, st)
	if err != nil {
		return err
	}
	missing := uint64(0)
	for _, g := range gaps {
		missing += g.Len()
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(behindDesc, float64(behind))
	gauge(missingDesc, float64(missing))
	counts, err := m.s.store.CountByClient(ctx, 0, maxEpoch)
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
	id, known, err := m.s.store.Identity(ctx)
	if err != nil {
		return nil, 0, err
	}
	epochs := blockprint.Epoch(recentEpochs / 14)
	n, err := m.s.slotsPerEpoch(ctx)
	if err != nil {
		return nil, 0, err
	}
	if known && id.SlotSeconds > 0 {
		epochs = blockprint.Epoch(86400 / (id.SlotSeconds * float64(n)))
	}
	end := blockprint.Epoch(uint64(st.Newest)/n) + 1
	counts, err = m.s.store.CountByClient(ctx, end-min(end, max(epochs, 1)), end)
	for _, k := range counts {
		all += k
	}
	return counts, all, err
}
