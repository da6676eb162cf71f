package demo

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"blockprint"
	"blockprint/store"
)

// summary reads the result from the database, as a user of it would see it.
func (d *demo) summary(ctx context.Context) (Summary, error) {
	s := Summary{
		Labels: map[blockprint.Client]int{}, Confusion: map[blockprint.Client]map[blockprint.Client]int{},
		Slots: int(d.world.Now()-d.first) + 1, Skipped: d.skipped, Reorgs: int(counterValue(d.metrics.Reorgs)), LatencyMs: d.latencies(),
	}
	// The healer may still be at work on the last slots.
	var gaps blockprint.Intervals
	_, head := d.world.Head()
	if head < d.first {
		return s, nil
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if gaps, err = d.store.Gaps(ctx, blockprint.Interval{Start: d.first, End: head}); err != nil {
			return s, err
		}
		if len(gaps) == 0 || time.Now().After(deadline) {
			break
		}
	}
	s.Gaps, s.Synced = len(gaps), len(gaps) == 0
	for b, err := range d.store.Blocks(ctx, blockprint.Interval{Start: d.first, End: head}, store.Query{Orphaned: true}) {
		if err != nil {
			return s, err
		}
		if b.Canonical == store.Orphaned {
			s.Orphaned++
			continue
		}
		truth, _, _ := d.world.Truth(b.Root)
		s.Blocks++
		s.Labels[b.Single]++
		if s.Confusion[truth] == nil {
			s.Confusion[truth] = map[blockprint.Client]int{}
		}
		s.Confusion[truth][b.Single]++
		if b.Single == truth {
			s.Correct++
		}
	}
	if s.Blocks > 0 {
		s.Accuracy = float64(s.Correct) / float64(s.Blocks)
	}
	st, err := d.store.Status(ctx)
	s.Finalized = st.Finalized
	return s, err
}

// latencies are quantiles of the time from a world's step, which includes the packing, to the stored label.
func (d *demo) latencies() map[string]float64 {
	if len(d.latency) == 0 {
		return map[string]float64{}
	}
	sorted := slices.Clone(d.latency)
	slices.Sort(sorted)
	at := func(q float64) float64 {
		return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) / 1000
	}
	return map[string]float64{"p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1)}
}

func counterValue(c prometheus.Counter) float64 {
	var m dto.Metric
	if c.Write(&m) != nil {
		return 0
	}
	return m.GetCounter().GetValue()
}
