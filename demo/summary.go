package demo

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"blockprint"
	"blockprint/dream"
	"blockprint/store"
)

// summary reads the result from the database, as a user of it would see it.
func (d *demo) summary(ctx context.Context) (Summary, error) {
	s := Summary{
		Labels: map[blockprint.Client]int{}, Confusion: map[blockprint.Client]map[blockprint.Client]int{},
		Slots: int(d.world.Now()-d.first) + 1, Skipped: d.skipped, Reorgs: int(counterValue(d.house.Metrics.Reorgs)), LatencyMs: d.latencies(),
	}
	// The healer may still be at work on the last slots.
	var gaps blockprint.Intervals
	_, head := d.world.Head()
	if head < d.first {
		return s, nil
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if gaps, err = d.house.Store.Gaps(ctx, blockprint.Interval{Start: d.first, End: head}); err != nil {
			return s, err
		}
		if len(gaps) == 0 || time.Now().After(deadline) {
			break
		}
	}
	s.Gaps, s.Synced = len(gaps), len(gaps) == 0
	for b, err := range d.house.Store.Blocks(ctx, blockprint.Interval{Start: d.first, End: head}, store.Query{Orphaned: true}) {
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
	st, err := d.house.Store.Status(ctx)
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

// GaugeSummary is how blocks that the network's nodes dreamt were labeled.
type GaugeSummary struct {
	Blocks           int64   `json:"blocks"`
	BalancedAccuracy float64 `json:"balanced_accuracy"`
	// Opinions counts the canonical blocks of which the distance to dreamt ones names a builder, and OpinionsRight
	// those of which it names the right one; TooClose the others.
	Opinions      int `json:"opinions"`
	OpinionsRight int `json:"opinions_right"`
	TooClose      int `json:"too_close_to_call"`
	// Greylisted are the labels that were not to be trusted at the end of the last epoch.
	Greylisted []blockprint.Client `json:"greylisted_labels"`
}

// measure compares the slot's block with the dreamt ones, and sums up.
func (d *demo) measure(ctx context.Context, slot blockprint.Slot, truth blockprint.Client) error {
	g := &d.sum
	d.opinion = dream.Opinion{}
	if err := d.house.Dreamer.Compare(ctx, slot); err != nil {
		return err
	}
	if d.opinion.Slot == slot && truth != "" {
		switch d.opinion.Likely {
		case "":
			g.TooClose++
		case truth:
			g.Opinions++
			g.OpinionsRight++
		default:
			g.Opinions++
		}
	}
	s, err := d.house.Gauge.Summarize(ctx)
	if err != nil {
		return err
	}
	g.Blocks = 0
	for _, m := range s.Models {
		g.Blocks += m.Blocks
	}
	report, err := d.house.Trust.Report(ctx)
	if err != nil {
		return err
	}
	g.Greylisted = report.Greylisted()
	if s.BalancedAccuracy != nil {
		g.BalancedAccuracy = *s.BalancedAccuracy
	}
	return nil
}
