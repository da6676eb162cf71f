package greylist

import (
	"context"
	"encoding/json"
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
	// Announce writes every change with the events that made it, to be told; but for those of the first events.
	Announce bool
	// Words makes of two states what is announced, for tenants whose statuses are more than the engine's; then the first
	// events are announced, too. nil announces changes of the engine's effective statuses.
	Words func(before, after *Engine) []Change

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

// Replace makes the log what is given, reverting what is not in it and applying what is missing, and keeps that. It
// returns the changes of effective statuses on the way, those by reverting first. What is reverted and comes back in the same
// way is no change.
func (b *Book) Replace(ctx context.Context, events []Event) ([]Change, error) {
	events, err := normal(events)
	if err != nil {
		return nil, err
	}
	keep := 0
	for keep < len(events) && keep < len(b.Engine.log) && reflect.DeepEqual(events[keep], b.Engine.log[keep]) {
		keep++
	}
	if keep == len(b.Engine.log) && keep == len(events) {
		return nil, nil
	}
	// All of it must be possible before anything is kept or shown: it is tried with another engine, which takes the
	// place of this one then.
	first := len(b.Engine.log) == 0
	next := New(b.o)
	for _, ev := range b.Engine.log {
		if err := next.Apply(ev); err != nil {
			return nil, err
		}
	}
	var changes []Change
	for next.Len() > keep {
		_, c, err := next.RevertAndCompare()
		if err != nil {
			return nil, err
		}
		changes = append(changes, c...)
	}
	reverted := len(changes)
	var texts [][]byte
	for _, ev := range events[keep:] {
		c, err := next.ApplyAndCompare(ev)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c...)
		text, err := json.Marshal(ev)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	changes = settled(changes[:reverted], changes[reverted:])
	var notices [][]byte
	if b.Announce {
		news := changes
		switch {
		case b.Words != nil:
			news = b.Words(b.Engine, next)
		case first: // what was before anybody looked is no news
			news = nil
		}
		for _, c := range news {
			text, err := json.Marshal(c)
			if err != nil {
				return nil, err
			}
			notices = append(notices, text)
		}
	}
	if err := b.log.ChangeEvents(ctx, b.tenant, len(b.Engine.log), keep, texts, notices); err != nil {
		return nil, err
	}
	b.Engine = next
	return changes, nil
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

// current tells whether the log is still the one that was read, as far as its length and its last event tell.
func (b *Book) current(ctx context.Context) (bool, error) {
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
