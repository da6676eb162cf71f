// Package notify tells changes of effective statuses: by a command of the operator's, by webhook, and as an Atom feed.
//
// Changes are kept with the events that made them, so that none is lost; each receiver is told of all, those of a subject in
// order, at least once, across crashes and restarts. A receiver that fails is tried again, after pauses that grow up to an
// hour, and holds up only itself. A change that it never takes, though it takes the next one of another subject, is passed
// over, and that is kept among its deliveries.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"blockprint/greylist"
)

// Notice is a change that was kept.
type Notice struct {
	ID int64
	greylist.Change
}

// Source keeps changes.
type Source interface {
	// After returns up to limit notices after one, in order; with newest, the last ones, newest first.
	After(ctx context.Context, id int64, limit int, newest bool) ([]Notice, error)
	Told(ctx context.Context, receiver string) (int64, error)
	// Log keeps a try to tell a receiver, at a time in seconds since 1970. Without a failure it has been told.
	Log(ctx context.Context, receiver string, id, at int64, failure string) error
}

// Receiver is told of changes.
type Receiver interface {
	// Name tells receivers apart, in what is kept of them.
	Name() string
	Tell(ctx context.Context, n Notice) error
}

// Dispatcher tells receivers what they have not been told yet. It is not safe for concurrent use.
type Dispatcher struct {
	Source    Source
	Receivers []Receiver
	Logger    *slog.Logger
	// Tries is how often a notice is tried before the rest waits for a later run; 0 for 3. Pause lies between, and doubles; 0
	// for a second.
	Tries int
	Pause time.Duration
	// Now is the clock; nil for time.Now.
	Now func() time.Time

	waits map[string]*wait // by receiver's name
}

// wait is how long a receiver that fails is left alone, and what was last kept of its failing.
type wait struct {
	until   time.Time
	pause   time.Duration // 0 if it does not fail
	notice  int64
	failure string
}

const (
	batch     = 100 // notices that are read at once
	probes    = 5   // notices that are tried to see whether a receiver takes any
	restPause = 5 * time.Second
	mostPause = time.Hour
)

func (d *Dispatcher) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// Dispatch tells all receivers, one after another, but for those that have failed and are to be left alone still. It
// returns an error for those that could not be told now; they are told by a later run.
func (d *Dispatcher) Dispatch(ctx context.Context) error {
	if d.waits == nil {
		d.waits = map[string]*wait{}
	}
	var failures []error
	for _, r := range d.Receivers {
		w := d.waits[r.Name()]
		if w == nil {
			w = &wait{}
			d.waits[r.Name()] = w
		}
		if d.now().Before(w.until) {
			continue
		}
		if err := d.dispatch(ctx, r, w); err != nil {
			w.pause = min(max(2*w.pause, restPause), mostPause)
			w.until = d.now().Add(w.pause)
			failures = append(failures, fmt.Errorf("%s: %w", r.Name(), err))
		} else {
			*w = wait{}
		}
	}
	return errors.Join(failures...)
}

// Run dispatches every five seconds until ctx ends. What a receiver does not take is logged once, and tried again.
func (d *Dispatcher) Run(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Second)
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

func (d *Dispatcher) dispatch(ctx context.Context, r Receiver, w *wait) error {
	told, err := d.Source.Told(ctx, r.Name())
	if err != nil {
		return err
	}
	for {
		list, err := d.Source.After(ctx, told, batch, false)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, n := range list {
			failed, err := d.tell(ctx, r, n, w)
			if err != nil {
				return err
			}
			if told = n.ID; failed == nil {
				continue
			}
			if told, err = d.pass(ctx, r, n, w); err != nil || told == 0 {
				return errors.Join(failed, err)
			}
			break // what follows is read again
		}
	}
}

// tell tries to tell a notice, several times if the receiver has not failed before. It returns why it failed at last, and an
// error if that could not be kept.
func (d *Dispatcher) tell(ctx context.Context, r Receiver, n Notice, w *wait) (failed, err error) {
	tries, pause := d.Tries, d.Pause
	if tries == 0 {
		tries = 3
	}
	if pause == 0 {
		pause = time.Second
	}
	if w.pause > 0 {
		tries = 1
	}
	for try := 1; ; try++ {
		failed = r.Tell(ctx, n)
		if err := d.keep(ctx, r, n, w, failed); err != nil {
			return nil, errors.Join(failed, err)
		}
		if failed == nil || try == tries || ctx.Err() != nil {
			return failed, nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err(), nil
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// keep keeps that a receiver was told, or, once, why it was not.
func (d *Dispatcher) keep(ctx context.Context, r Receiver, n Notice, w *wait, failed error) error {
	failure := ""
	if failed != nil {
		failure = failed.Error()
		if w.notice == n.ID && w.failure == failure {
			return nil
		}
	} else {
		d.Logger.Info("change told", "receiver", r.Name(), "subject", greylist.Printable(n.Subject, most), "old", n.Old, "new", n.New, "reason", n.Reason)
	}
	w.notice, w.failure = n.ID, failure
	// What was told is kept even if we are being stopped: else it would be told twice.
	return d.Source.Log(context.WithoutCancel(ctx), r.Name(), n.ID, d.now().Unix(), failure)
}

// pass looks whether a receiver that has refused a notice takes a later one of another subject. If it does, it is not the
// receiver that fails: notices before that one that it refuses once more are passed over. It returns the last notice that is
// done with; 0 if the receiver takes none.
func (d *Dispatcher) pass(ctx context.Context, r Receiver, refused Notice, w *wait) (last int64, err error) {
	between := []Notice{refused}
	later, err := d.Source.After(ctx, refused.ID, batch, false)
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
		if failed := r.Tell(ctx, n); failed != nil {
			if errors.As(failed, &unreachable{}) || ctx.Err() != nil {
				return 0, nil //nolint:nilerr // nothing is decided: the receiver is asked again later
			}
			between = append(between, n)
			continue
		}
		// It counts as told when those before are done with: if we are stopped until then, all of them are told again.
		for _, b := range between {
			failed := r.Tell(ctx, b)
			if failed != nil {
				failed = fmt.Errorf("passed over, since later changes are taken: %w", failed)
				d.Logger.Warn("change passed over", "receiver", r.Name(), "subject", greylist.Printable(b.Subject, most), "error", failed)
			}
			if err := d.keep(ctx, r, b, w, failed); err != nil {
				return 0, err
			}
		}
		return n.ID, d.keep(ctx, r, n, w, nil)
	}
	return 0, nil
}

// unreachable is an error of a receiver that cannot be told anything now, whatever it is.
type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }

// most is how many bytes of a stranger's text are handed on where it must fit: a system bounds arguments and variables.
const most = 4096
