package httpapi

import (
	"cmp"
	"context"
	"fmt"

	"blockprint/gauge"
	"blockprint/label"
	"blockprint/names"
	"blockprint/trust"
)

// Store is what the API of a database asks of it, by noun.
type Store interface {
	coverageStore
	clientStore
	blockStore
	validatorStore
	distanceStore
	syncStore
	// Ping returns why the database cannot be read or written now, or nil.
	Ping(ctx context.Context) error
}

// Sources are where the answers of Labels come from.
type Sources struct {
	Store    Store
	Labeling *label.Local // makes labels; nil: they are served but not made
	Names    *names.Names // clients that validators are known to run; nil: none
	Accuracy *gauge.Reader
	Trust    func(context.Context) (*trust.Report, error) // which labels are greylisted
	// Ready returns, in a process that also follows the chain, why it cannot do so now, or nil. Without it the API is
	// one of what the database holds, however old that is: ready when the database answers.
	Ready func() error
}

// LabelsOptions are those of the API of a database.
type LabelsOptions struct {
	Options
	// HeadTolerance is how many slots the newest covered one may be behind the clock before the difference counts
	// as a gap. 0 means DefaultHeadTolerance.
	HeadTolerance uint64
}

// DefaultHeadTolerance is two epochs of mainnet.
const DefaultHeadTolerance = 64

// Labels serves a database of labeled blocks.
type Labels struct {
	*base
	Sources
	headTolerance uint64
	gates         *gates
}

// NewLabels returns the API of a database.
func NewLabels(from Sources, o LabelsOptions) (*Labels, error) {
	b, err := newBase(o.Options, "Which consensus client built each block of Ethereum's beacon chain.")
	if err != nil {
		return nil, err
	}
	l := &Labels{base: b, Sources: from, headTolerance: cmp.Or(o.HeadTolerance, DefaultHeadTolerance)}
	if l.gates, err = newGates(b, l.state); err != nil {
		return nil, err
	}
	l.Registry.MustRegister(&storeMetrics{l})
	l.clientRoutes()
	l.coverageRoutes()
	accuracyRoutes(l.gates, l.Accuracy)
	l.distanceRoutes()
	trustRoutes(b, l.Trust)
	l.graffitiRoutes()
	l.blockRoutes()
	l.validatorRoutes()
	l.classifyRoutes()
	l.syncRoutes()
	b.finish(l.able)
	return l, nil
}

// able returns why the API cannot do its work, or nil.
func (l *Labels) able(ctx context.Context) error {
	if err := l.Store.Ping(ctx); err != nil || l.Ready == nil {
		return err
	}
	return l.Ready()
}

// state names the state of the database.
func (l *Labels) state(ctx context.Context) (string, error) {
	st, err := l.Store.Status(ctx)
	return fmt.Sprint(st), err
}
