package greylist

import "blockprint"

// Status says how a subject stands. An administrator gives an entry its status; the effective status follows from that and from
// what the rules find. The numbers are those of Gridcoin's contracts.
type Status int

// The statuses.
const (
	Unknown      Status = iota // an entry without a status: becomes Active
	Deleted                    // no longer a subject
	Active                     // judged by the rules
	Manual                     // greylisted by an administrator
	AutoGreylist               // greylisted by the rules: effective only, never an entry's
	AutoOverride               // active whatever the rules find
	numStatuses
)

// statusTexts has each status's stable word, and how people are shown it.
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

// Text returns the status as people are shown it.
func (s Status) Text() string { return statusTexts[s].text }

// Greylisted reports whether a subject of this effective status is on the greylist.
func (s Status) Greylisted() bool { return s == Manual || s == AutoGreylist }

// Counts reports whether a subject of this effective status is active.
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

// Situation is what a policy decides from.
type Situation struct {
	Entry Status // of the subject's newest entry
	Meets bool   // the criteria were met at the current boundary
	// Lifted is true if a manual greylisting was lifted since the current boundary.
	Lifted bool
}

// Policy derives an effective status from a situation. It has no memory of its own: everything follows from the events that are
// left after a reorganization.
type Policy struct {
	Name      string
	Effective func(Situation) Status
}

// The policies differ in the reason that they show, and in what follows when a manual greylisting is lifted.
var policies = []Policy{
	{"rules-first", func(s Situation) Status { // as on Gridcoin's main network: the rules' finding is shown first
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
	{"fsm", func(s Situation) Status { // the reviewer's simplification: a subject that leaves Manual waits for the next boundary
		if s.Entry == Active && (s.Meets || s.Lifted) {
			return AutoGreylist
		}
		return s.Entry
	}},
}

// PolicyOf returns the policy with a name: rules-first, manual-first or fsm. The first one's former name is landed.
func PolicyOf(name string) (Policy, error) {
	if name == "landed" {
		name = policies[0].Name
	}
	for _, p := range policies {
		if p.Name == name {
			return p, nil
		}
	}
	return Policy{}, blockprint.Errorf(blockprint.Invalid, "unknown policy %q: expected rules-first, manual-first or fsm", name)
}
