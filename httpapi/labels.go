package httpapi

import (
	"context"
	"fmt"

	"blockprint/classify"
	"blockprint/gauge"
	"blockprint/graffiti"
	"blockprint/label"
	"blockprint/store"
	"blockprint/trust"
)

// LabelsOptions are those of the API of a database.
type LabelsOptions struct {
	Options
	// HeadTolerance is how many slots the newest covered one may be behind the clock before the difference counts
	// as a gap. 0 means DefaultHeadTolerance.
	HeadTolerance uint64
	// Trust returns which labels are greylisted; nil reads it from the store.
	Trust func(context.Context) (*trust.Report, error)
	// Ready returns, in a process that also follows the chain, why it cannot do so now, or nil. Without it the API is
	// one of what the database holds, however old that is: ready when the database answers.
	Ready func() error
}

// DefaultHeadTolerance is two epochs of mainnet.
const DefaultHeadTolerance = 64

// Labels serves a database of labeled blocks.
type Labels struct {
	*base
	store    store.Store
	labeling *label.Local // nil: labels are served but not made
	gates    *gates
	o        LabelsOptions
}

// NewLabels returns the API of a database. Without a model it cannot label blocks.
func NewLabels(s store.Store, m *classify.Model, rules *graffiti.Rules, o LabelsOptions) (*Labels, error) {
	if o.HeadTolerance == 0 {
		o.HeadTolerance = DefaultHeadTolerance
	}
	b, err := newBase(o.Options, "Which consensus client built each block of Ethereum's beacon chain.")
	if err != nil {
		return nil, err
	}
	l := &Labels{base: b, store: s, o: o}
	if l.gates, err = newGates(b, l.state); err != nil {
		return nil, err
	}
	if o.Trust == nil {
		judge := trust.NewService(s, trust.DefaultSettings(), store.NetworkOf(s), trust.ServiceOptions{Now: l.Now, Logger: l.Logger})
		l.Registry.MustRegister(judge)
		l.o.Trust = judge.Report
	}
	if m != nil {
		if l.labeling, err = label.NewLocal(s, m, rules, nil); err != nil {
			return nil, err
		}
	}
	l.Registry.MustRegister(&storeMetrics{l})
	l.clientRoutes()
	l.coverageRoutes()
	accuracyRoutes(l.gates, gauge.NewReader(s, store.NetworkOf(s), l.Now))
	l.distanceRoutes()
	trustRoutes(b, l.o.Trust)
	l.shareRoutes()
	l.graffitiRoutes()
	l.blockRoutes()
	l.validatorRoutes()
	l.classifyRoutes()
	l.syncRoutes()
	b.finish(l.ready)
	return l, nil
}

// ready returns why the API cannot do its work, or nil.
func (l *Labels) ready(ctx context.Context) error {
	if err := l.store.Ping(ctx); err != nil || l.o.Ready == nil {
		return err
	}
	return l.o.Ready()
}

// state names the state of the database.
func (l *Labels) state(ctx context.Context) (string, error) {
	st, err := l.store.Status(ctx)
	return fmt.Sprint(st), err
}
