// Package notify delivers changes of effective statuses: to an operator's command, to a webhook, and as an Atom feed.
//
// Changes are stored with the events that caused them, so none is lost. Each receiver gets all of them at least once, across
// crashes and restarts, and those of one subject in order. The dispatcher tries a receiver that fails again after pauses that
// grow to an hour; no other receiver waits for it. A change that a receiver refuses again, although it accepts a later one of
// another subject, is passed over, which the delivery log records.
//
// Each notifier is a type in a file of its own, and a line in the table of kinds.
package notify

import (
	"context"
	"encoding/json"
	"flag"

	"blockprint"
	"blockprint/greylist"
)

// Notice is a stored change.
type Notice struct {
	ID int64
	greylist.Change
}

// Notifier delivers notices to one receiver.
type Notifier interface {
	// Name identifies the receiver in the delivery log, without secrets.
	Name() string
	Notify(ctx context.Context, n Notice) error
}

// A kind of notifier registers its flags. After they are parsed, the function that it returns makes the notifier that they ask
// for; nil if they ask for none.
type kind func(flags *flag.FlagSet, secret Secret) func() (Notifier, error)

// kinds are the notifiers that flags can ask for.
var kinds = []kind{commandFlags, webhookFlags}

// Secret reads the value of a flag that is a secret or @FILE, the name of a file that contains it.
type Secret func(flag, value string) (string, error)

// AddFlags registers the flags of all notifiers. After they are parsed, the function that it returns makes those that they
// ask for.
func AddFlags(flags *flag.FlagSet, secret Secret) func() ([]Notifier, error) {
	var asked []func() (Notifier, error)
	for _, k := range kinds {
		asked = append(asked, k(flags, secret))
	}
	return func() (list []Notifier, err error) {
		for _, notifier := range asked {
			n, err := notifier()
			if err != nil {
				return nil, err
			}
			if n != nil {
				list = append(list, n)
			}
		}
		return list, nil
	}
}

// unreachable is the error of a receiver that cannot accept any notice now.
type unreachable struct{ error }

func (u unreachable) Unwrap() error { return u.error }

// most is how many bytes of a stranger's text are passed on where space is limited: systems bound arguments and variables.
const most = 4096

// Store keeps the tenants' notices and the attempts to deliver them.
type Store interface {
	// Notices returns up to limit notices after one, in order; with newest, the last ones, newest first.
	Notices(ctx context.Context, tenant string, after int64, limit int, newest bool) (ids []int64, texts [][]byte, err error)
	// Delivered returns the last notice that was delivered to a receiver; 0 for none.
	Delivered(ctx context.Context, tenant, receiver string) (int64, error)
	// LogDelivery records an attempt, at a time in seconds since 1970. Without a failure the notice counts as delivered.
	LogDelivery(ctx context.Context, tenant, receiver string, id, at int64, failure string) error
}

// Log has a tenant's notices in a store.
type Log struct {
	Store  Store
	Tenant string
}

// After returns up to limit notices after one, in order; with newest, the last ones, newest first.
func (l Log) After(ctx context.Context, id int64, limit int, newest bool) ([]Notice, error) {
	ids, texts, err := l.Store.Notices(ctx, l.Tenant, id, limit, newest)
	if err != nil {
		return nil, err
	}
	out := make([]Notice, len(ids))
	for i := range ids {
		out[i].ID = ids[i]
		if err := json.Unmarshal(texts[i], &out[i].Change); err != nil {
			return nil, blockprint.Errorf(blockprint.Invalid, "notice %d of %s: %w", ids[i], l.Tenant, err)
		}
	}
	return out, nil
}
