package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"blockprint/demo"
	"blockprint/sim"
)

func options() demo.Options {
	c := sim.DefaultConfig(3)
	if testing.Short() { // the race detector makes large worlds slow
		c.Validators, c.Committees = 4096, 4
	}
	return demo.Options{World: c, TrainEpochs: 16, Slots: 100, Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}
}

// TestDemo runs the whole program: every block of the followed slots is stored with its label, there are no gaps,
// and the API says the same as the summary.
func TestDemo(t *testing.T) {
	o := options()
	var started demo.Started
	rows := 0
	o.Started = func(s demo.Started) { started = s }
	o.Each = func(demo.Row) {
		if rows++; rows == 100 {
			res, err := http.Get(started.API + "/sync/status")
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = res.Body.Close() }()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Error(err)
			}
			var status struct {
				Greatest int `json:"greatest_block_slot"`
			}
			if err := json.Unmarshal(b, &status); err != nil || status.Greatest < 16*32+90 {
				t.Errorf("status %s (%v)", b, err)
			}
		}
	}
	s, err := demo.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if rows != 100 || s.Slots != 100 || s.Gaps != 0 || !s.Synced || s.Blocks+s.Skipped+s.Orphaned != 100 || s.TrainBlocks < 480 {
		t.Errorf("%d rows, %+v", rows, s)
	}
	if s.Accuracy < 0.9 && !testing.Short() {
		t.Errorf("accuracy %.2f on a network like the one trained on: %v", s.Accuracy, s.Confusion)
	}
}

// TestStop: a demonstration that is stopped follows no further slot and cleans up.
func TestStop(t *testing.T) {
	o := options()
	o.Slots, o.SlotTime, o.TrainEpochs = 0, 20*time.Millisecond, 2
	ctx, cancel := context.WithCancel(t.Context())
	after := 0
	o.Each = func(r demo.Row) {
		if ctx.Err() != nil {
			after++
		}
		if r.Slot > 70 {
			cancel()
		}
	}
	if s, err := demo.Run(ctx, o); err != nil && !errors.Is(err, context.Canceled) || s.Gaps != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if after > 0 {
		t.Errorf("it followed %d slots after it was stopped", after)
	}
}
