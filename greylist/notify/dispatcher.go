package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"blockprint/greylist"
)

// Dispatcher delivers to each receiver what it has not received yet. It is not safe for concurrent use.
type Dispatcher struct {
	Log       Log
	Notifiers []Notifier
	Logger    *slog.Logger
	// Pause is the time between the first two of the three attempts that a notice gets before everything waits for a later run;
	// it doubles each time. 0 means a second.
	Pause time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	states map[string]*state // by receiver's name
}

// state is what is known about a receiver.
type state struct {
	pauses  *backoff.ExponentialBackOff // nil unless it fails
	until   time.Time                   // no delivery is tried before
	notice  int64                       // the last one for which something was recorded
	failure string
}

const (
	attempts  = 3   // for a notice in one run
	batch     = 100 // notices are read at once
	probes    = 5   // notices are tried to see whether a receiver accepts any
	restPause = 5 * time.Second
	mostPause = time.Hour
)

func pauses(first time.Duration) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: first, Multiplier: 2, MaxInterval: mostPause}
}

func (d *Dispatcher) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Run dispatches every five seconds until ctx ends. It logs a failure once, and tries again.
func (d *Dispatcher) Run(ctx context.Context) error {
	tick := time.NewTicker(restPause)
	defer tick.Stop()
	last := ""
	for {
		if err := d.Dispatch(ctx); err != nil && ctx.Err() == nil && err.Error() != last {
			last = err.Error()
			d.Logger.Warn("changes cannot be delivered, will retry after growing pauses", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Dispatch delivers to all receivers, one after another, except to those whose pause after a failure is not over. It returns an
// error for those that fail; a later run delivers to them.
func (d *Dispatcher) Dispatch(ctx context.Context) error {
	if d.states == nil {
		d.states = map[string]*state{}
	}
	var failures []error
	for _, to := range d.Notifiers {
		s := d.states[to.Name()]
		if s == nil {
			s = &state{}
			d.states[to.Name()] = s
		}
		if d.now().Before(s.until) {
			continue
		}
		if err := d.catchUp(ctx, to, s); err != nil {
			if s.pauses == nil {
				s.pauses = pauses(restPause)
			}
			s.until = d.now().Add(s.pauses.NextBackOff())
			failures = append(failures, fmt.Errorf("%s: %w", to.Name(), err))
		} else {
			*s = state{}
		}
	}
	return errors.Join(failures...)
}

// catchUp delivers to a receiver what it has not received yet.
func (d *Dispatcher) catchUp(ctx context.Context, to Notifier, s *state) error {
	last, err := d.Log.Store.Delivered(ctx, d.Log.Tenant, to.Name())
	if err != nil {
		return err
	}
	for {
		list, err := d.Log.After(ctx, last, batch, false)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, n := range list {
			failed, err := d.deliver(ctx, to, n, s)
			if err != nil {
				return err
			}
			if last = n.ID; failed == nil {
				continue
			}
			if last, err = d.passOver(ctx, to, n, s); err != nil || last == 0 {
				return errors.Join(failed, err)
			}
			break // what follows is read again
		}
	}
}

// deliver tries to deliver a notice, several times if the receiver has not failed before. It returns why the last attempt
// failed, and an error if an attempt could not be recorded.
func (d *Dispatcher) deliver(ctx context.Context, to Notifier, n Notice, s *state) (failed, err error) {
	first, tries := d.Pause, uint(attempts)
	if first == 0 {
		first = time.Second
	}
	if s.pauses != nil {
		tries = 1
	}
	_, failed = backoff.Retry(ctx, func() (struct{}, error) {
		failed := to.Notify(ctx, n)
		if err = d.record(ctx, to, n, s, failed); err != nil {
			err = errors.Join(failed, err)
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, failed
	}, backoff.WithBackOff(pauses(first)), backoff.WithMaxTries(tries), backoff.WithMaxElapsedTime(0))
	return failed, err
}

// record records that a receiver has a notice or, once, why it does not.
func (d *Dispatcher) record(ctx context.Context, to Notifier, n Notice, s *state, failed error) error {
	failure := ""
	if failed != nil {
		failure = failed.Error()
		if s.notice == n.ID && s.failure == failure {
			return nil
		}
	} else {
		d.Logger.Info("change delivered", "receiver", to.Name(), "subject", greylist.Printable(n.Subject, most), "old", n.Old, "new", n.New, "reason", n.Reason)
	}
	s.notice, s.failure = n.ID, failure
	// A delivery is recorded even while the program stops: otherwise it would be repeated.
	return d.Log.Store.LogDelivery(context.WithoutCancel(ctx), d.Log.Tenant, to.Name(), n.ID, d.now().Unix(), failure)
}

// passOver finds out whether a receiver that has refused a notice accepts a later one about another subject. If so, the receiver
// is not at fault, and passOver leaves out the earlier notices that it refuses once more. It returns the last notice that is
// dealt with; 0 if the receiver accepts none.
func (d *Dispatcher) passOver(ctx context.Context, to Notifier, refused Notice, s *state) (last int64, err error) {
	between := []Notice{refused}
	later, err := d.Log.After(ctx, refused.ID, batch, false)
	if err != nil {
		return 0, err
	}
	tried := 0
	for _, n := range later {
		if n.Subject == refused.Subject || tried == probes {
			between = append(between, n)
			continue
		}
		tried++
		if failed := to.Notify(ctx, n); failed != nil {
			if errors.As(failed, &unreachable{}) || ctx.Err() != nil {
				return 0, nil //nolint:nilerr // nothing is decided: a later run asks the receiver again
			}
			between = append(between, n)
			continue
		}
		// It counts as delivered once those before it are dealt with. If the program stops earlier, all of them are repeated.
		for _, b := range between {
			failed := to.Notify(ctx, b)
			if failed != nil {
				failed = fmt.Errorf("passed over, since later changes are taken: %w", failed)
				d.Logger.Warn("change passed over", "receiver", to.Name(), "subject", greylist.Printable(b.Subject, most), "error", failed)
			}
			if err := d.record(ctx, to, b, s, failed); err != nil {
				return 0, err
			}
		}
		return n.ID, d.record(ctx, to, n, s, nil)
	}
	return 0, nil
}
