// Package demo runs the whole program in one process on a simulated network: with the model that ships, or one trained
// on the network's first epochs, whose builders are known, it follows the chain through the node's Beacon API, labels,
// stores and serves.
//
// Its figures describe a simulated network, not a real one.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"blockprint"
	"blockprint/app"
	"blockprint/beacon"
	"blockprint/classify"
	"blockprint/classify/builtin"
	"blockprint/dataset"
	"blockprint/dream"
	"blockprint/feature"
	"blockprint/graffiti"
	"blockprint/reward"
	"blockprint/sim"
	"blockprint/store"
	"blockprint/train"
	"blockprint/trust"
)

// Options say what to run.
type Options struct {
	World       sim.Config
	TrainEpochs int           // run first, to train a model on; 0 to use the model that ships
	Slots       int           // slots to follow; 0 for no end
	SlotTime    time.Duration // real time of a slot; 0 for as fast as possible
	Listen      string        // address of the API
	Dir         string        // where the database and the model go; empty for a temporary folder
	Version     string        // of the program
	Logger      *slog.Logger
	Started     func(Started) // if not nil, receives the addresses and the model before the first slot
	Each        func(Row)     // if not nil, receives each slot
}

// Started says what is running.
type Started struct {
	API, Node   string // URLs
	Model       string
	TrainBlocks int // of this network; 0 with the model that ships
	Took        time.Duration
}

// Row is a slot of the live table.
type Row struct {
	Slot    blockprint.Slot
	Block   bool // the slot has a block
	Label   blockprint.Client
	Truth   blockprint.Client
	Right   int // blocks labeled rightly so far
	Blocks  int
	Shares  map[blockprint.Client]int // labels so far
	Gaps    int
	Gauge   GaugeSummary      // of the slots so far
	Opinion blockprint.Client // of the distance to dreamt blocks; empty if it is too close to call
}

// Summary is the result of a demonstration.
type Summary struct {
	Blocks       int                                             `json:"blocks"`
	Correct      int                                             `json:"correct"`
	Accuracy     float64                                         `json:"accuracy"`
	Gaps         int                                             `json:"gaps"`
	Orphaned     int                                             `json:"orphaned"`
	Reorgs       int                                             `json:"reorgs"`
	Slots        int                                             `json:"slots"`
	Skipped      int                                             `json:"skipped"`
	Synced       bool                                            `json:"synced"`
	Finalized    blockprint.Slot                                 `json:"finalized_slot"`
	Labels       map[blockprint.Client]int                       `json:"labels"`
	Confusion    map[blockprint.Client]map[blockprint.Client]int `json:"confusion"`
	TrainBlocks  int                                             `json:"train_blocks"`
	LatencyMs    map[string]float64                              `json:"latency_ms"`
	Seconds      float64                                         `json:"seconds"`
	Gauge        GaugeSummary                                    `json:"gauge"`
	SimulatedNet bool                                            `json:"simulated"`
}

// demo is a running demonstration.
type demo struct {
	o       Options
	world   *sim.World
	network *Network
	house   *app.House
	first   blockprint.Slot // of the followed part
	arrived chan struct{}   // has a token when a block was stored
	latency []time.Duration
	row     Row
	skipped int
	opinion dream.Opinion // on the present slot; Likely is empty if there is none, or if it is too close to call
	sum     GaugeSummary
}

// Run runs a demonstration until its slots are over or ctx ends.
func Run(ctx context.Context, o Options) (_ Summary, err error) {
	began := time.Now()
	d := &demo{o: o, arrived: make(chan struct{}, 1)}
	d.row.Shares = map[blockprint.Client]int{}
	// Genesis lies so far back that the first followed slot is now.
	back := time.Duration(uint64(o.history())*o.World.SlotsPerEpoch*o.World.SecondsPerSlot) * time.Second
	d.o.World.GenesisTime = began.Add(-back).Truncate(time.Second)
	if d.world, err = sim.New(d.o.World); err != nil {
		return Summary{}, err
	}
	if d.network, err = Serve(ctx, d.world, "127.0.0.1:0", true); err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, d.network.Close()) }()
	model, trained, err := d.prepare(ctx)
	if err != nil {
		return Summary{}, err
	}
	dir := o.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "blockprint-demo-"); err != nil {
			return Summary{}, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if d.house, err = d.open(ctx, model, dir); err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, d.house.Close()) }()
	if o.Started != nil {
		o.Started(Started{"http://" + d.house.Address, d.network.URL, model.Name, trained, time.Since(began)})
	}
	ctx, stop := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stop(d.house.Run(ctx)) // what fails ends the slots, too
	}()
	defer func() { stop(nil); <-ended }()
	if err := d.steps(ctx); err != nil {
		return Summary{}, err
	}
	s, err := d.summary(context.WithoutCancel(ctx))
	s.TrainBlocks, s.Seconds, s.SimulatedNet, s.Gauge = trained, time.Since(began).Seconds(), true, d.sum
	return s, err
}

// history is how many epochs of the network are run before following begins: rewards and pools need two.
func (o *Options) history() int { return max(o.TrainEpochs, 2) }

// prepare runs the network's first epochs, and trains on them if there is to be a model of its own.
func (d *demo) prepare(ctx context.Context) (*classify.Model, int, error) {
	if err := Advance(ctx, d.world, d.o.history()*int(d.o.World.SlotsPerEpoch), d.o.Logger); err != nil {
		return nil, 0, err
	}
	if d.o.TrainEpochs == 0 {
		model, err := builtin.Model()
		return model, 0, err
	}
	client, err := beacon.New([]string{d.network.URL}, beacon.Options{Logger: d.o.Logger})
	if err != nil {
		return nil, 0, err
	}
	defer client.Close()
	_, head := d.world.Head()
	set := dataset.NewSet(feature.Names())
	e, err := feature.NewExtractor(nil)
	if err != nil {
		return nil, 0, err
	}
	var row []float64
	err = reward.Walk(ctx, client, d.o.Logger, blockprint.Interval{Start: 1, End: head}, reward.Walker{Block: func(r reward.Rated) error {
		truth, _, ok := d.world.Truth(r.Block.Root)
		if !ok {
			return fmt.Errorf("the world does not know block %s", r.Block.Root.Short())
		}
		row = e.Extract(row[:0], r.Reward)
		set.Add(truth, r.Block.Slot, r.Block.Root, r.Block.ProposerIndex, row)
		return nil
	}})
	if err != nil {
		return nil, 0, err
	}
	o := train.DefaultOptions("gbt")
	o.Features, o.Tool, o.Source, o.Folds = feature.Names(), "blockprint "+d.o.Version, "simulated network", 3
	model, report, err := train.Fit(ctx, set, o)
	return model, report.Rows, err
}

// open puts together what `blockprint up` runs, on this network.
func (d *demo) open(ctx context.Context, made *classify.Model, dir string) (*app.House, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "demo.model")
	if err := made.Save(path); err != nil {
		return nil, err
	}
	model, err := classify.Open(path) // what is served is what was written
	if err != nil {
		return nil, err
	}
	network := d.world.Network()
	settings := trust.DefaultSettings()
	settings.Period, settings.Silent, settings.Window = blockprint.Slot(d.o.World.SlotsPerEpoch), 2, 8 // epochs, as days are too long here
	d.first = d.world.Now() + 1
	return app.Up{
		Process:   app.Process{Version: d.o.Version, Logger: d.o.Logger, Now: d.world.Clock},
		Beacon:    app.Beacon{URLs: []string{d.network.URL}},
		Labeling:  app.Labeling{Model: model, Rules: graffiti.Default(network.ConfigName)},
		Measuring: app.Measuring{Settings: &settings},
		DB:        filepath.Join(dir, "demo.db"), Since: &d.first, Listen: d.o.Listen,
		Dream: &app.Dreaming{
			Config: &dream.Config{Network: network.ConfigName, CanonicalBN: d.network.URL, Nodes: d.network.Nodes},
			Opinion: func(_ context.Context, v dream.Opinion) error {
				d.opinion = v
				return nil
			},
		},
		Pace: app.Pace{HealPause: 100 * time.Millisecond, Poll: time.Second, Stored: d.onStored, ByHand: true},
	}.Open(ctx)
}

func (d *demo) onStored(store.Block) {
	select {
	case d.arrived <- struct{}{}:
	default:
	}
}

// steps runs the slots.
func (d *demo) steps(ctx context.Context) error {
	var tick <-chan time.Time
	if d.o.SlotTime > 0 {
		t := time.NewTicker(d.o.SlotTime)
		defer t.Stop()
		tick = t.C
	}
	for n := 0; (d.o.Slots == 0 || n < d.o.Slots) && ctx.Err() == nil; n++ {
		if err := d.step(ctx); err != nil {
			return err
		}
		if tick != nil {
			select {
			case <-ctx.Done():
			case <-tick:
			}
		}
	}
	return nil
}

// step runs a slot and waits until its label is stored.
func (d *demo) step(ctx context.Context) error {
	d.house.Dreamer.Hand(ctx, d.house.Dreamer.Ask(ctx, d.world.Now()+1)) // nodes dream before the slot
	began := time.Now()
	slot := d.world.Step()
	d.row.Slot, d.row.Block = slot.Slot, !slot.Block.IsZero()
	d.row.Label, d.row.Truth = "", ""
	if d.row.Block {
		label, err := d.await(ctx, slot)
		if err != nil {
			return err
		}
		d.latency = append(d.latency, time.Since(began))
		d.row.Label, d.row.Truth = label, slot.Client
		d.row.Blocks++
		d.row.Shares[label]++
		if label == slot.Client {
			d.row.Right++
		}
	} else {
		d.skipped++
	}
	if err := d.measure(ctx, slot.Slot, d.row.Truth); err != nil && ctx.Err() == nil {
		return err
	}
	d.row.Gauge, d.row.Opinion = d.sum, d.opinion.Likely
	gaps, err := d.house.Store.Gaps(ctx, blockprint.Interval{Start: d.first, End: max(d.first, slot.Slot-min(slot.Slot, 1))})
	if err == nil {
		d.row.Gaps = len(gaps)
	}
	if d.o.Each != nil {
		d.o.Each(d.row)
	}
	return nil
}

// await returns the label of a slot's block once it is stored.
func (d *demo) await(ctx context.Context, slot sim.Slot) (blockprint.Client, error) {
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		for b, err := range d.house.Store.Blocks(ctx, blockprint.Interval{Start: slot.Slot, End: slot.Slot}, store.Query{Orphaned: true}) {
			if err != nil || b.Root == slot.Block {
				return b.Single, err
			}
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-limit.C:
			return "", errors.New("the follower did not store a block within 30 seconds")
		case <-d.arrived:
		}
	}
}
