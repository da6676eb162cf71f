package trust

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"blockprint"
	"blockprint/dream"
	"blockprint/greylist"
)

// Service judges as time goes by, in a process that gauges, or tells what another one found.
type Service struct {
	store    Store
	settings Settings
	network  func(context.Context) (*blockprint.Network, error)
	now      func() time.Time
	log      *slog.Logger

	told atomic.Pointer[Report] // the newest report

	mu      sync.Mutex
	keeper  *Keeper
	opened  time.Time
	checked time.Time
}

// ServiceOptions change how a Service works; the zero value is right for most uses.
type ServiceOptions struct {
	Now    func() time.Time
	Logger *slog.Logger
}

// NewService returns a service. network tells the chain's clock.
func NewService(s Store, settings Settings, network func(context.Context) (*blockprint.Network, error), o ServiceOptions) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Service{store: s, settings: settings, network: network, now: o.Now, log: o.Logger}
}

// open reads the log if that was not done yet, or if another process has written to it. What was looked at within age counts
// as the same.
func (s *Service) open(ctx context.Context, age time.Duration) error {
	now := s.now()
	if s.keeper != nil && now.Sub(s.checked) <= age {
		return nil
	}
	if s.keeper != nil && now.Sub(s.opened) < greylist.Unread {
		current, err := s.keeper.book.Current(ctx)
		if err != nil {
			return err
		}
		if current {
			s.checked = now
			return nil
		}
	}
	if network, err := s.network(ctx); err == nil {
		s.settings = s.settings.On(network) // the period stays, once it is known
	}
	k, err := Open(ctx, s.store, s.settings)
	if err != nil {
		return err
	}
	s.keeper, s.opened, s.checked = k, now, now
	return nil
}

// Advance closes the boundaries that have passed, and tells what changed.
func (s *Service) Advance(ctx context.Context) ([]Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	network, err := s.network(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, time.Minute); err != nil { // an administrator may have written from elsewhere
		return nil, err
	}
	changes, err := s.keeper.Advance(ctx, network, network.SlotAt(s.now()))
	if err != nil {
		s.keeper = nil // what is on the disk counts
		return nil, err
	}
	for _, c := range changes {
		s.log.Warn("trust changed", "subject", c.Subject, "status", c.Status, "reasons", c.Reasons)
	}
	return changes, nil
}

// Run judges every now and then until ctx ends: when all nodes are silent, nothing else makes it look.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		if _, err := s.Advance(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("labels and nodes cannot be judged", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Take is a dream.Sink, to stand behind the gauge's.
func (s *Service) Take(ctx context.Context, _ *dream.Round) error {
	_, err := s.Advance(ctx)
	return err
}

// reportAge is how old what is told may be where another process judges.
const reportAge = 10 * time.Second

// Report tells how all subjects stand. While somebody judges or reads anew, it is the report from before: every counted
// answer of the API asks for it, and none may wait for a database that is being written to.
func (s *Service) Report(ctx context.Context) (*Report, error) {
	if !s.mu.TryLock() {
		if r := s.told.Load(); r != nil {
			return r, nil
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if err := s.open(ctx, reportAge); err != nil {
		return nil, err
	}
	r := s.keeper.Report()
	s.told.Store(r)
	return r, nil
}

// Pending tells what was observed since the newest boundary, and when the next one comes (Keeper.Pending).
func (s *Service) Pending(ctx context.Context) (list []Pending, next blockprint.Slot, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	network, err := s.network(ctx)
	if err != nil {
		return nil, 0, err
	}
	if err := s.open(ctx, reportAge); err != nil {
		return nil, 0, err
	}
	return s.keeper.Pending(ctx, network.SlotAt(s.now()))
}

// Set gives a subject an administrator's entry.
func (s *Service) Set(ctx context.Context, subject string, status greylist.Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	network, err := s.network(ctx)
	if err != nil {
		return err
	}
	if err := s.open(ctx, 0); err != nil {
		return err
	}
	return s.keeper.Set(ctx, network, subject, status, network.SlotAt(s.now()))
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
		s.log.Error("trust cannot be told", "error", err)
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
