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

// Log keeps events; a store is one.
type Log interface {
	ChangeEvents(ctx context.Context, tenant string, seen, keep int, events, notices [][]byte) error
	Events(ctx context.Context, tenant string) iter.Seq2[[]byte, error]
	// LastEvent returns how many events there are, and the last one; nil if there is none.
	LastEvent(ctx context.Context, tenant string) (n int, last []byte, err error)
}

// Book is an engine whose events are kept. It is not safe for concurrent use; of several books of one tenant, one that has
// not read what another one wrote cannot write.
type Book struct {
	*Engine
	// Announce writes every change with the events that made it, to be told.
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

// Append adds events and keeps them. It returns what changed by all of them together.
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

// Replace makes the log what is given, reverting what is not in it and applying what is missing, and keeps that. It
// returns the changes of effective statuses on the way, those by reverting first. What is reverted and comes back in the same
// way is no change. Nothing is announced when the log was empty: what was before anybody looked is no news.
func (b *Book) Replace(ctx context.Context, events []Event) ([]Change, error) {
	before := b.Log()
	keep := 0
	for keep < min(len(events), len(before)) && events[keep] == before[keep] { // the very same
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
			return nil, errors.Join(err, undo) // cannot be: it was applied before
		}
		return nil, err
	}
	return changes, nil
}

// replace reverts all but so many events, and applies others.
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

// keep writes what was changed: of the events that were read, so many stay, and others follow.
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

// settled returns changes by reverting and by applying without those of a subject that undo each other: rewriting what lies
// further back reverts everything behind it, and most of that comes back as it was.
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
		// Only the next change of the subject can undo it: statuses in between were different ones.
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

// same tells whether another book has the same events.
func (b *Book) same(other *Book) bool { return reflect.DeepEqual(b.Engine.log, other.Engine.log) }

// Current tells whether the log is still the one that was read, as far as its length and its last event tell.
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

// normal gives events the form in which they are read back, so that they can be compared.
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
