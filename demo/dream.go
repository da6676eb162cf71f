package demo

import (
	"context"

	"blockprint"
	"blockprint/classify"
	"blockprint/dream"
	"blockprint/gauge"
	"blockprint/trust"
)

// GaugeSummary is how blocks that the network's nodes dreamt were labelled.
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

// dreaming asks a node of every variant for a block in each slot, and measures the labels by them.
type dreaming struct {
	dreamer *dream.Dreamer
	gauge   *gauge.Gauge
	trust   *trust.Service
	// opinion is of the present slot; Likely is empty if there is none, or if it is too close to call.
	opinion dream.Opinion
	sum     GaugeSummary
}

// startDreaming serves the nodes and makes the dreamer and the gauge.
func (d *demo) startDreaming(ctx context.Context, model *classify.Model, rules *blockprint.GraffitiRules) error {
	c := &dream.Config{Network: d.world.Network().ConfigName, CanonicalBN: d.nodeURL}
	seen := map[string]bool{}
	for i, n := range d.world.Nodes() {
		if seen[n.Variant] {
			continue
		}
		seen[n.Variant] = true
		url, err := d.serve(ctx, "127.0.0.1:0", d.world.NodeHandler(i))
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, dream.NodeConfig{Name: n.Variant, Label: string(n.Client), URL: url, V3: true})
	}
	classifier, err := gauge.NewLocalClassifier(model, rules)
	if err != nil {
		return err
	}
	network := func(context.Context) (*blockprint.Network, error) { return d.world.Network(), nil }
	d.dreaming.gauge = gauge.New(d.store, classifier, network, gauge.Options{Now: d.world.Clock})
	settings := trust.DefaultSettings()
	settings.Period, settings.Silent, settings.Window = blockprint.Slot(d.o.World.SlotsPerEpoch), 2, 8 // epochs, as days are too long here
	d.dreaming.trust = trust.NewService(d.store, settings, network, trust.ServiceOptions{Now: d.world.Clock, Logger: d.log})
	keep := gauge.KeepOpinions(d.store)
	d.dreaming.dreamer, err = dream.New(c, dream.Options{
		Sinks: []dream.Sink{d.dreaming.gauge.Take, d.dreaming.trust.Take}, Logger: d.log, Now: d.world.Clock,
		Opinions: func(ctx context.Context, v dream.Opinion) error {
			d.dreaming.opinion = v
			return keep(ctx, v)
		},
	})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, d.dreaming.dreamer.Close)
	return nil
}

// dreamSlot lets the nodes dream before a slot.
func (d *demo) dreamSlot(ctx context.Context, slot blockprint.Slot) {
	d.dreaming.dreamer.Hand(ctx, d.dreaming.dreamer.Ask(ctx, slot))
}

// measure compares the slot's block with the dreamt ones, and sums up.
func (d *demo) measure(ctx context.Context, slot blockprint.Slot, truth blockprint.Client) error {
	g := &d.dreaming
	g.opinion = dream.Opinion{}
	if err := g.dreamer.Compare(ctx, slot); err != nil {
		return err
	}
	if g.opinion.Slot == slot && truth != "" {
		switch g.opinion.Likely {
		case "":
			g.sum.TooClose++
		case truth:
			g.sum.Opinions++
			g.sum.OpinionsRight++
		default:
			g.sum.Opinions++
		}
	}
	s, err := g.gauge.Summarise(ctx)
	if err != nil {
		return err
	}
	g.sum.Blocks = 0
	for _, m := range s.Models {
		g.sum.Blocks += m.Blocks
	}
	report, err := g.trust.Report(ctx)
	if err != nil {
		return err
	}
	g.sum.Greylisted = report.Greylisted()
	if s.BalancedAccuracy != nil {
		g.sum.BalancedAccuracy = *s.BalancedAccuracy
	}
	return nil
}
