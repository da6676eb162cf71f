package greylist

import "blockprint"

// Status says how a subject stands. An entry has one that an administrator gave it; the effective one follows from it
// and from what the rules found. The numbers are those of Gridcoin's contracts.
type Status int

// The statuses.
const (
	Unknown      Status = iota // an entry without a status: becomes Active
	Deleted                    // not a subject any more
	Active                     // judged by the rules
	Manual                     // greylisted by an administrator
	AutoGreylist               // greylisted by the rules: effective only, never an entry's
	AutoOverride               // active whatever the rules find
	numStatuses
)

// statusTexts are stable words, and how the status is shown.
var statusTexts = [numStatuses]struct{ word, text string }{
	{"UNKNOWN", "Unknown"},
	{"DELETED", "Deleted"},
	{"ACTIVE", "Active"},
	{"MAN_GREYLISTED", "Manually Greylisted"},
	{"AUTO_GREYLISTED", "Automatically Greylisted"},
	{"AUTO_GREYLIST_OVERRIDE", "Active by Greylist Override"},
}

// String returns the stable word.
func (s Status) String() string { return statusTexts[s].word }

// Text returns the status as it is shown.
func (s Status) Text() string { return statusTexts[s].text }

// Greylisted tells whether a subject of this effective status is on the greylist.
func (s Status) Greylisted() bool { return s == Manual || s == AutoGreylist }

// Counts tells whether a subject of this effective status is active.
func (s Status) Counts() bool { return s == Active || s == AutoOverride }

// ParseStatus reads a stable word.
func ParseStatus(word string) (Status, error) {
	for i, t := range statusTexts {
		if t.word == word {
			return Status(i), nil
		}
	}
	return Unknown, blockprint.Errorf(blockprint.Invalid, "unknown status %q", word)
}

// MarshalText writes the stable word.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the stable word.
func (s *Status) UnmarshalText(b []byte) (err error) {
	*s, err = ParseStatus(string(b))
	return err
}

// Situation is what a policy decides by.
type Situation struct {
	Entry Status // of the subject's newest entry
	Meets bool   // the criteria were met at the current boundary
	// Lifted tells that a manual greylisting was lifted since the current boundary.
	Lifted bool
}

// Policy makes an effective status of a situation. It has no memory of its own: everything follows from the events
// that are left after a reorganization.
type Policy interface {
	Name() string
	Effective(s Situation) Status
}

// policy is a Policy of a function.
type policy struct {
	name      string
	effective func(Situation) Status
}

func (p policy) Name() string                 { return p.name }
func (p policy) Effective(s Situation) Status { return p.effective(s) }

// The policies differ in the reason that they show, and in what follows when a manual greylisting is lifted.
var policies = []policy{
	{"rules-first", func(s Situation) Status { // as on Gridcoin's main network: what the rules find is shown first
		if s.Meets && (s.Entry == Active || s.Entry == Manual) {
			return AutoGreylist
		}
		return s.Entry
	}},
	{"manual-first", func(s Situation) Status { // as first proposed: the administrator's word is shown first
		if s.Meets && s.Entry == Active {
			return AutoGreylist
		}
		return s.Entry
	}},
	{"fsm", func(s Situation) Status { // the reviewer's simplification: who leaves Manual waits for the next boundary
		if s.Entry == Active && (s.Meets || s.Lifted) {
			return AutoGreylist
		}
		return s.Entry
	}},
}

// PolicyOf returns the policy of a name: rules-first, manual-first or fsm. The first one was called landed before.
func PolicyOf(name string) (Policy, error) {
	if name == "landed" {
		name = policies[0].name
	}
	for _, p := range policies {
		if p.name == name {
			return p, nil
		}
	}
	return nil, blockprint.Errorf(blockprint.Invalid, "unknown policy %q: expected rules-first, manual-first or fsm", name)
}
