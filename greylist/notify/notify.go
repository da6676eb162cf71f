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
	"flag"

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
