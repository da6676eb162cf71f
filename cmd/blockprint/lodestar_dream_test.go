package main_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"blockprint"
	"blockprint/beacon"
	"blockprint/classify"
	"blockprint/dream"
	"blockprint/gauge"
	"blockprint/graffiti"
	"blockprint/reward"
	"blockprint/store"
)

// dreamed is what a dreamer brought of a real Lodestar, which is asked twice in each slot: for SSZ, which it cannot
// give, by the third version of the endpoint, which it does not have; and for JSON by the second.
type dreamed struct {
	rounds map[blockprint.Slot]*dream.Round
	stop   func()
	gauge  *gauge.Gauge
}

// dreamOf asks a real node for blocks until stop is called, and gauges what it builds.
func dreamOf(t *testing.T, url, modelPath string) *dreamed {
	t.Helper()
	model, err := classify.Open(modelPath)
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := gauge.NewLocalClassifier(model, graffiti.Default("minimal"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "gauge.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	client, err := beacon.New([]string{url}, beacon.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := &dreamed{rounds: map[blockprint.Slot]*dream.Round{}}
	out.gauge = gauge.New(s, classifier, client.Network, gauge.Options{})
	no := false
	d, err := dream.New(&dream.Config{CanonicalBN: url, Nodes: []dream.NodeConfig{
		{Name: "ssz-v3", Label: "Lodestar", URL: url, SkipRandao: true, V3: true},
		{Name: "json-v2", Label: "Lodestar", URL: url, SSZ: &no},
	}}, dream.Options{Timeout: 2 * time.Second, Logger: slog.Default(), Sinks: []dream.Sink{
		func(_ context.Context, n *dream.Round) error {
			out.rounds[n.Slot] = n
			return nil
		},
		out.gauge.Take,
	}, Opinions: gauge.KeepOpinions(s)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stopped := false
	out.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the dreamer ended with %v", err)
		}
		d.Close()
	}
	t.Cleanup(out.stop)
	return out
}

// check compares what was dreamt with the chain: blocks of both ways are rated, and where a dreamt block packs what the
// slot's own block does, it earns the same, which the node's states confirm for the own block.
func (d *dreamed) check(t *testing.T, ctx context.Context, c *beacon.Client, last blockprint.Slot) {
	t.Helper()
	d.stop()
	same, compared := 0, 0
	if err := reward.Walk(ctx, c, slog.Default(), blockprint.Interval{Start: 1, End: last}, reward.Walker{Block: func(r reward.Rated) error {
		n := d.rounds[r.Block.Slot]
		if n == nil || r.Reward.Meta.ParentSlot == 0 { // the node does not serve the genesis block, so that nothing can be rated on top of it
			return nil
		}
		for _, b := range n.Blocks {
			if b.Reward == nil || b.Endpoint != 2 || b.Slot != r.Block.Slot {
				t.Errorf("slot %d: the block of %s came by version %d, rated %v", r.Block.Slot, b.Name, b.Endpoint, b.Reward != nil)
				continue
			}
			compared++
			if b.ParentRoot != r.Block.ParentRoot || !samePacking(b.Attestations, r.Block.Attestations) {
				continue
			}
			same++
			if b.Reward.Attestations.Total != r.Reward.Attestations.Total || !reflect.DeepEqual(b.Reward.Attestations.Worth, r.Reward.Attestations.Worth) {
				t.Errorf("slot %d: the dreamt block of %s earns %d, the same packing of the chain %d", r.Block.Slot, b.Name, b.Reward.Attestations.Total, r.Reward.Attestations.Total)
			}
		}
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	s, err := d.gauge.Summarize(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("dreamt in %d slots: %d blocks compared, %d with the packing of the slot's own block; the gauge saw %+v of Lodestar", len(d.rounds), compared, same, s.Clients[blockprint.Lodestar].GaugeLabel)
	if len(d.rounds) < 24 || compared < 2*20 || same < 4 || len(s.Nodes) != 2 {
		t.Errorf("dreamt in %d slots, %d blocks compared, %d the same, nodes %+v", len(d.rounds), compared, same, s.Nodes)
	}
}

func samePacking(a, b []beacon.Attestation) bool { return reflect.DeepEqual(a, b) }
