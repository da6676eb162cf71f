package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
	"blockprint/gauge"
	"blockprint/greylist/notify"
	"blockprint/store"
	"blockprint/trust"
)

// Measuring says how labels are measured by dreamt blocks.
type Measuring struct {
	Labels []string // allowed besides the clients' names
	// Settings, if not nil, replace the default ones: for networks whose days are short.
	Settings *trust.Settings
	Notify   []notify.Notifier // of changes in trust
}

// measures are the gauge and the judge of a database.
type measures struct {
	gauge *gauge.Gauge
	judge *trust.Service
}

// measures makes a gauge and a judge, and registers their metrics.
func (p Process) measures(s store.Store, m Measuring, rewards gauge.Rewarder, labels gauge.Classifier, network func(context.Context) (*blockprint.Network, error), registry prometheus.Registerer) measures {
	settings := trust.DefaultSettings()
	if m.Settings != nil {
		settings = *m.Settings
	}
	out := measures{
		gauge: gauge.New(s, labels, network, gauge.Options{Rewarder: rewards, Labels: m.Labels, Now: p.Now}),
		judge: trust.NewService(s, settings, network, trust.ServiceOptions{Now: p.Now, Logger: p.logger()}),
	}
	registry.MustRegister(gauge.NewCollector(out.gauge.Reader), out.judge)
	return out
}
