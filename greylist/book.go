package greylist

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"slices"

	"blockprint"
)

// Log keeps events. A store is one.
type Log interface {
	ChangeEvents(ctx context.Context, tenant string, seen, keep int, events, notices [][]byte) error
	Events(ctx context.Context, tenant string) iter.Seq2[[]byte, error]
	// LastEvent returns how many events there are, and the last one; nil if there is none.
	LastEvent(ctx context.Context, tenant string) (n int, last []byte, err error)
}

// Book is an engine whose events are stored. It is not safe for concurrent use. If a tenant has several books, one that has not
// read what another one wrote cannot write.
type Book struct {
	*Engine
	// Announce stores every change with the events that caused it, so that notifiers deliver it.
	Announce bool

	log    Log
	tenant string
}

// OpenBook reads a tenant's events and judges them.
func OpenBook(ctx context.Context, log Log, tenant string, o Options) (*Book, error) {
	b := &Book{Engine: New(o), log: log, tenant: tenant}
	for text, err := range log.Events(ctx, tenant) {
		if err != nil {
			return nil, err
		}
		var ev Event
		if err := json.Unmarshal(text, &ev); err != nil {
			return nil, blockprint.Errorf(blockprint.Invalid, "event %d of %s: %w", b.Len(), tenant, err)
		}
		if err := b.Apply(ev); err != nil {
			return nil, blockprint.Errorf(blockprint.CodeOf(err), "event %d of %s: %w", b.Len(), tenant, err)
		}
	}
	return b, nil
}

// Append adds events, stores them, and returns what they changed together.
func (b *Book) Append(ctx context.Context, events ...Event) ([]Change, error) {
	events, err := normal(events)
	if err != nil {
		return nil, err
	}
	before := b.Len()
	changes, err := b.ApplyAndCompare(events...)
	if err != nil {
		return nil, err
	}
	if err := b.keep(ctx, before, before, events, changes); err != nil {
		for range events {
			_, _ = b.Revert() // it was just applied
		}
		return nil, err
	}
	return changes, nil
}

// Replace makes the log equal to events: it reverts what is not in them, applies what is missing, and stores the result. It
// returns the changes of effective statuses on the way, those by reverting first. What is reverted and comes back as it was is not
// a change. Nothing is announced if the log was empty: what happened before anybody watched is not news.
func (b *Book) Replace(ctx context.Context, events []Event) ([]Change, error) {
	before := b.Log()
	keep := 0
	for keep < min(len(events), len(before)) && events[keep] == before[keep] { // the same pointers
		keep++
	}
	events, err := normal(events[keep:])
	if err != nil {
		return nil, err
	}
	for len(events) > 0 && keep < len(before) && reflect.DeepEqual(events[0], before[keep]) {
		keep, events = keep+1, events[1:]
	}
	if keep == len(before) && len(events) == 0 {
		return nil, nil
	}
	changes, err := b.replace(keep, events)
	if err == nil {
		news := changes
		if len(before) == 0 {
			news = nil
		}
		err = b.keep(ctx, len(before), keep, events, news)
	}
	if err != nil {
		if _, undo := b.replace(keep, before[keep:]); undo != nil {
			return nil, errors.Join(err, undo) // impossible: it was applied before
		}
		return nil, err
	}
	return changes, nil
}

// replace reverts all but the first keep events, and applies others.
func (b *Book) replace(keep int, events []Event) ([]Change, error) {
	var reverted, applied []Change
	for b.Len() > keep {
		_, c, err := b.RevertAndCompare()
		if err != nil {
			return nil, err
		}
		reverted = append(reverted, c...)
	}
	for _, ev := range events {
		c, err := b.ApplyAndCompare(ev)
		if err != nil {
			return nil, err
		}
		applied = append(applied, c...)
	}
	return settled(reverted, applied), nil
}

// keep stores a change of the log: the first keep of the events that were read stay, and others follow.
func (b *Book) keep(ctx context.Context, read, keep int, events []Event, changes []Change) error {
	var texts, notices [][]byte
	for _, ev := range events {
		text, err := json.Marshal(ev)
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	for i := 0; b.Announce && i < len(changes); i++ {
		text, err := json.Marshal(changes[i])
		if err != nil {
			return err
		}
		notices = append(notices, text)
	}
	return b.log.ChangeEvents(ctx, b.tenant, read, keep, texts, notices)
}

// settled returns the changes by reverting and by applying, without those of a subject that undo each other: rewriting an old event
// reverts everything after it, and most of that comes back as it was.
func settled(reverted, applied []Change) []Change {
	undoes := func(a, b Change) bool {
		if a.Subject != b.Subject || a.Old != b.New || a.New != b.Old {
			return false
		}
		if a.Old != a.New {
			return b.Old != b.New
		}
		return a.Reason != b.Reason // excluded and included
	}
	var out []Change
	for i := len(reverted) - 1; i >= 0; i-- {
		// Only the subject's next change can undo it: the statuses in between were different.
		k := slices.IndexFunc(applied, func(c Change) bool {
			return c.Subject == reverted[i].Subject && (c.Old == c.New) == (reverted[i].Old == reverted[i].New)
		})
		if k >= 0 && undoes(reverted[i], applied[k]) {
			applied = slices.Delete(slices.Clone(applied), k, k+1)
			continue
		}
		out = append(out, reverted[i])
	}
	slices.Reverse(out)
	return append(out, applied...)
}

// same reports whether another book has the same events.
func (b *Book) same(other *Book) bool { return reflect.DeepEqual(b.Engine.log, other.Engine.log) }

// Current reports whether the stored log is still the one that was read, judging by its length and its last event.
func (b *Book) Current(ctx context.Context) (bool, error) {
	n, last, err := b.log.LastEvent(ctx, b.tenant)
	if err != nil || n != len(b.Engine.log) {
		return false, err
	}
	if n == 0 {
		return true, nil
	}
	var ev Event
	if err := json.Unmarshal(last, &ev); err != nil {
		return false, blockprint.Errorf(blockprint.Invalid, "event %d of %s: %w", n-1, b.tenant, err)
	}
	return reflect.DeepEqual(ev, b.Engine.log[n-1]), nil
}

// normal gives events the form in which they will be read back, so that they can be compared.
func normal(events []Event) ([]Event, error) {
	out := make([]Event, len(events))
	for i, ev := range events {
		text, err := json.Marshal(ev)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &out[i]); err != nil {
			return nil, err
		}
		if n := out[i].Entry; n != nil && n.Status == Unknown {
			n.Status = Active // as applying does
		}
	}
	return out, nil
}

// Log returns the events, oldest first.
func (b *Book) Log() []Event { return slices.Clone(b.Engine.log) }
