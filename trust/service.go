package trust

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
	"blockprint/dream"
	"blockprint/estimate"
	"blockprint/greylist"
)

// Service judges as time goes by, in a process that gauges, or reports what another process found.
type Service struct {
	store    Store
	settings Settings
	network  func(context.Context) (*blockprint.Network, error)
	now      func() time.Time
	log      *slog.Logger

	shelf     greylist.Shelf
	keeper    *Keeper // of the shelf's book
	reported  atomic.Pointer[Report]
	forgotten time.Time // when Run last forgot old observations
}

// ServiceOptions change how a Service works; the zero value is right for most uses.
type ServiceOptions struct {
	Now    func() time.Time
	Logger *slog.Logger
}

// reportAge is how old a report may be where another process judges.
const reportAge = 10 * time.Second

// NewService returns a service. network returns the chain's clock.
func NewService(s Store, settings Settings, network func(context.Context) (*blockprint.Network, error), o ServiceOptions) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	out := &Service{store: s, settings: settings, network: network, now: o.Now, log: o.Logger}
	out.shelf.Age, out.shelf.Now, out.shelf.Open = reportAge, o.Now, out.open
	return out
}

// open reads the log.
func (s *Service) open(ctx context.Context) (*greylist.Book, error) {
	if network, err := s.network(ctx); err == nil {
		s.settings = s.settings.On(network) // the period stays, once it is known
	}
	k, err := Open(ctx, s.store, s.settings)
	if err != nil {
		return nil, err
	}
	s.keeper = k
	return k.book, nil
}

// with hands the keeper to use, with the network and the current slot. do says how: Read or Write of the shelf.
func (s *Service) with(ctx context.Context, do func(context.Context, func(*greylist.Book) error) error, use func(k *Keeper, n *blockprint.Network, now blockprint.Slot) error) error {
	network, err := s.network(ctx)
	if err != nil {
		return err
	}
	return do(ctx, func(*greylist.Book) error { return use(s.keeper, network, network.SlotAt(s.now())) })
}

// Advance closes the boundaries that have passed, and returns what changed.
func (s *Service) Advance(ctx context.Context) (changes []Change, err error) {
	err = s.with(ctx, s.shelf.Write, func(k *Keeper, n *blockprint.Network, now blockprint.Slot) (err error) {
		changes, err = k.Advance(ctx, n, now)
		return err
	})
	for _, c := range changes {
		s.log.Warn("trust changed", "subject", c.Subject, "status", c.Status, "reasons", c.Reasons)
	}
	return changes, err
}

// Run judges every now and then until ctx ends: when all nodes are silent, nothing else makes it look. Once an hour it forgets
// old observations.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		if _, err := s.Advance(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("labels and nodes cannot be judged", "error", err)
		} else if err == nil { // what is not judged yet must not be forgotten
			if err := s.forget(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("old observations cannot be forgotten", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// forget drops single observations, once an hour. The store keeps them for two windows, so that it recognizes repeated requests;
// what was counted stays.
func (s *Service) forget(ctx context.Context) error {
	now := s.now()
	network, err := s.network(ctx)
	if err != nil || now.Sub(s.forgotten) < time.Hour {
		return err
	}
	s.forgotten = now
	return s.store.ForgetObservations(ctx, network.SlotAt(now.Add(-2*estimate.Window)))
}

// Take is a dream.Sink, to stand behind the gauge's.
func (s *Service) Take(ctx context.Context, _ *dream.Round) error {
	_, err := s.Advance(ctx)
	return err
}

// Report says how all subjects stand. While another caller judges or reads the log, it returns the previous report: every
// counted answer of the API asks for one, and none may wait for a database that is being written to.
func (s *Service) Report(ctx context.Context) (*Report, error) {
	read := s.shelf.Read
	if s.reported.Load() != nil {
		read = s.shelf.TryRead
	}
	err := read(ctx, func(*greylist.Book) error {
		s.reported.Store(s.keeper.Report())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.reported.Load(), nil
}

// Pending returns what was observed since the newest boundary, and when the next one comes (Keeper.Pending).
func (s *Service) Pending(ctx context.Context) (list []Pending, next blockprint.Slot, err error) {
	err = s.with(ctx, s.shelf.Read, func(k *Keeper, _ *blockprint.Network, now blockprint.Slot) (err error) {
		list, next, err = k.Pending(ctx, now)
		return err
	})
	return list, next, err
}

// Set gives a subject an administrator's entry.
func (s *Service) Set(ctx context.Context, subject string, status greylist.Status) error {
	return s.with(ctx, s.shelf.Write, func(k *Keeper, n *blockprint.Network, now blockprint.Slot) error {
		return k.Set(ctx, n, subject, status, now)
	})
}

// Describe implements prometheus.Collector.
func (s *Service) Describe(out chan<- *prometheus.Desc) { out <- greylisted }

var greylisted = prometheus.NewDesc("blockprint_trust_greylisted", "1 if a label or node is greylisted.", []string{"subject"}, nil)

// Collect implements prometheus.Collector.
func (s *Service) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := s.Report(ctx)
	if err != nil {
		s.log.Error("trust cannot be reported", "error", err)
		return
	}
	for i := range r.Subjects {
		v := 0.0
		if r.Subjects[i].Status.Greylisted() {
			v = 1
		}
		out <- prometheus.MustNewConstMetric(greylisted, prometheus.GaugeValue, v, r.Subjects[i].Subject)
	}
}
