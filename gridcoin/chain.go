package gridcoin

import (
	"cmp"
	"slices"

	"blockprint/greylist"
	"blockprint/gridcoin/rules"
)

// Chain makes a greylist's log from what was known and what a node reports now. The node's superblocks replace all known ones
// from its oldest on. A project's known entries stay, and its present one is added if it is new. Contracts take effect in the
// order of their time. The superblocks must join the known ones (see Join).
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
	earlier := map[string]bool{} // the hashes of entries that are not their project's first
	for _, p := range projects {
		earlier[p.Hash] = p.Earlier
		if !have[contract{p.Name, p.Hash, p.Status}] {
			events = append(events, greylist.Event{Entry: &greylist.Entry{Subject: p.Name, Status: p.Status, Hash: p.Hash, Time: p.Time, Data: p.data()}})
		}
	}
	// At the same second a contract comes first: it stands in a block, and the superblock in that block or a later one.
	at := func(ev greylist.Event) (seconds int64, turn int) {
		if ev.Entry != nil {
			return ev.Entry.Time, 0
		}
		return ev.Boundary.Time, 1
	}
	slices.SortStableFunc(events, func(a, b greylist.Event) int {
		atA, turnA := at(a)
		atB, turnB := at(b)
		return cmp.Or(cmp.Compare(atA, atB), cmp.Compare(turnA, turnB))
	})
	boundListings(events, earlier)
	if len(superblocks) > 0 {
		boundByRecord(events, &superblocks[len(superblocks)-1])
	}
	return events
}

// firstEntries returns the place of each subject's first known entry.
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

// bound notes in an entry by when its subject was listed at the latest.
func bound(ev *greylist.Event, listed int64) {
	n := *ev.Entry // a copy, since others hold the original
	n.Listed = min(n.Time, listed)
	if ev.Entry.Listed > 0 {
		n.Listed = min(n.Listed, ev.Entry.Listed)
	}
	ev.Entry = &n
}

// boundListings bounds the times of projects' first listings. A node reports only the newest contract. But a superblock with a
// project's total proves that the project was listed before it, and so does a contract that replaces an earlier one.
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

// boundByRecord corrects bounds by the newest superblock's own record. That may record a project as greylisted by the rules
// although, by what is known, the project is too new to be judged. If the rules find the same once the project counts as listed
// before all known superblocks, then it was.
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
			if e.Apply(ev) != nil { // the caller gets this error when it applies the log
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
