package gridcoin

import (
	"cmp"
	"slices"

	"blockprint/greylist"
	"blockprint/gridcoin/rules"
)

// Chain makes a greylist's log of what was known before and what a node tells now: superblocks from the oldest one that it
// tells on are those that it tells, older ones stay; of each project the entries that are known stay, and its present one
// is added if it is new. Contracts take effect in the order of their time. The superblocks must join (see Join).
func Chain(known []greylist.Event, projects []Project, superblocks []Superblock, h Heights) []greylist.Event {
	var events []greylist.Event
	type contract struct {
		subject, hash string
		status        greylist.Status
	}
	have := map[contract]bool{}
	for _, ev := range known {
		if ev.Boundary != nil && len(superblocks) > 0 && ev.Boundary.Height >= superblocks[0].Height {
			continue
		}
		if n := ev.Entry; n != nil {
			have[contract{n.Subject, n.Hash, n.Status}] = true
		}
		events = append(events, ev)
	}
	for _, b := range superblocks {
		events = append(events, greylist.Event{Boundary: &greylist.Boundary{
			Height: b.Height, Hash: b.Hash, Time: b.Time, Judged: b.Version >= 3 || b.Version == 0 && b.Height >= h.Totals,
			Doubt: b.Height >= h.Doubt, Totals: b.Totals,
		}})
	}
	earlier := map[string]bool{} // hashes of entries that are not a project's first
	for _, p := range projects {
		earlier[p.Hash] = p.Earlier
		if !have[contract{p.Name, p.Hash, p.Status}] {
			events = append(events, greylist.Event{Entry: &greylist.Entry{Subject: p.Name, Status: p.Status, Hash: p.Hash, Time: p.Time, Data: p.data()}})
		}
	}
	at := func(ev greylist.Event) int64 {
		if ev.Entry != nil {
			return ev.Entry.Time
		}
		return ev.Boundary.Time
	}
	// At the same second a contract comes first: it stands in a block, the superblock in that or a later one.
	slices.SortStableFunc(events, func(a, b greylist.Event) int {
		return cmp.Or(cmp.Compare(at(a), at(b)), boolCompare(a.Boundary != nil, b.Boundary != nil))
	})
	boundListings(events, earlier)
	if len(superblocks) > 0 {
		boundByRecord(events, &superblocks[len(superblocks)-1])
	}
	return events
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// firstEntries returns the places of the first entries that are known of subjects.
func firstEntries(events []greylist.Event) map[string]int {
	out := map[string]int{}
	for i, ev := range events {
		if ev.Entry == nil {
			continue
		}
		if _, ok := out[ev.Entry.Subject]; !ok {
			out[ev.Entry.Subject] = i
		}
	}
	return out
}

// bound says in an entry by when its subject was listed at the latest.
func bound(ev *greylist.Event, listed int64) {
	n := *ev.Entry // others hold the one before
	n.Listed = min(n.Time, listed)
	if ev.Entry.Listed > 0 {
		n.Listed = min(n.Listed, ev.Entry.Listed)
	}
	ev.Entry = &n
}

// boundListings looks for the first listings of projects. A node tells only the newest contract; a superblock with a total
// proves that the project was listed before it, and a contract with one before it that it was listed before that contract.
func boundListings(events []greylist.Event, earlier map[string]bool) {
	first := firstEntries(events)
	for name, i := range first {
		if n := events[i].Entry; earlier[n.Hash] {
			bound(&events[i], n.Time)
		}
		for _, ev := range events[:i] {
			if ev.Boundary == nil {
				continue
			}
			if _, ok := ev.Boundary.Totals[name]; ok {
				bound(&events[i], ev.Boundary.Time)
				break
			}
		}
	}
}

// boundByRecord holds bounds against the newest superblock's own record: a project that it records as greylisted by the
// rules, and that is too new to be judged by what is known of it, was listed before all superblocks that are known, if that
// makes the rules find the same.
func boundByRecord(events []greylist.Event, newest *Superblock) {
	first := firstEntries(events)
	var oldest *greylist.Boundary
	for _, ev := range events {
		if oldest == nil && ev.Boundary != nil && ev.Boundary.Judged {
			oldest = ev.Boundary
		}
	}
	greylisted := func(name string) bool {
		e := greylist.New(greylist.Options{Rule: rules.Mainnet()})
		for _, ev := range events {
			if e.Apply(ev) != nil { // will be said when the log is applied
				return false
			}
		}
		s, _ := e.Standing(name)
		return s.Effective.Greylisted()
	}
	for name, status := range newest.Recorded {
		i, ok := first[name]
		if !ok || oldest == nil || status == greylist.Manual || events[i].Entry.Listed == 0 || greylisted(name) {
			continue
		}
		before := events[i]
		if bound(&events[i], oldest.Time); !greylisted(name) {
			events[i] = before
		}
	}
}
