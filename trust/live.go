package trust

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"blockprint"
	"blockprint/estimate"
	"blockprint/greylist"
	"blockprint/store"
)

// Tenant names the events of labels and nodes in a store.
const Tenant = "trust"

// Settings say how a gauge's observations are judged as they come.
type Settings struct {
	Period   blockprint.Slot // of a boundary; 0 for a day of the network
	Silent   int             // boundaries without a block that are too many
	Window   int             // boundaries that count for rates
	Rate     float64         // least true-positive rate
	Precise  float64         // least precision
	Criteria greylist.Criteria
}

const day = 24 * time.Hour // between boundaries

// DefaultSettings has a boundary a day, and otherwise DefaultLimits.
func DefaultSettings() Settings {
	l := DefaultLimits()
	return Settings{Silent: 2, Window: int(estimate.Window / day), Rate: l.Rate, Precise: l.Precision, Criteria: l.Criteria}
}

// On returns the settings for a network: a day has more slots where slots are shorter. A network that is not known counts
// as mainnet.
func (s Settings) On(n *blockprint.Network) Settings {
	switch {
	case s.Period > 0:
	case n == nil || n.SlotDuration <= 0:
		s.Period = slotsPerDay
	default:
		s.Period = max(1, blockprint.Slot(day/n.SlotDuration))
	}
	return s
}

// Check refuses settings that cannot be.
func (s *Settings) Check() error {
	if s.Silent < 1 || s.Window < 1 || s.Rate < 0 || s.Rate > 1 || s.Precise < 0 || s.Precise > 1 {
		return blockprint.Errorf(blockprint.Invalid, "trust: %+v: expected a silence and window of at least one, and rates of 0 to 1", *s)
	}
	return s.Criteria.Check()
}

// Store is what keeps observations and what follows from them.
type Store interface {
	store.Gauge
	greylist.Log
}

// Keeper judges labels and nodes at each boundary. What it has found follows from its log alone: each boundary records
// sums over all time, so that a window is the difference of two. It is not safe for concurrent use.
type Keeper struct {
	settings Settings
	store    Store
	book     *greylist.Book
}

// Sums at a boundary, beside the subjects' own totals (blocks labelled rightly).
const (
	sumSeen   = "#seen"   // dreamt blocks
	sumCalled = "#called" // dreamt blocks, of whomever, that were labelled so
	sumLatest = "#latest" // slot of the newest dreamt block
)

// Open reads what was found before. Settings without a period are those of mainnet.
func Open(ctx context.Context, s Store, settings Settings) (*Keeper, error) {
	settings = settings.On(nil)
	if err := settings.Check(); err != nil {
		return nil, err
	}
	book, err := greylist.OpenBook(ctx, s, Tenant, greylist.Options{Rules: &greylist.Landed{Criteria: settings.Criteria, Label: "trust"}})
	if err != nil {
		return nil, err
	}
	k := &Keeper{settings, s, book}
	book.Announce, book.Words = true, k.news
	return k, nil
}

// firstBlocks of a node make the first boundary: with a hundred blocks a rate is known to a tenth.
const firstBlocks = 100

// Advance closes the boundaries that have passed before slot now, and returns what changed at them.
func (k *Keeper) Advance(ctx context.Context, network *blockprint.Network, now blockprint.Slot) ([]Change, error) {
	var out []Change
	for {
		end, counts, err := k.due(ctx, now)
		if err != nil || end == nil {
			return out, err
		}
		before := k.book.Engine // replaced, not changed, by what follows
		if err := k.close(ctx, network, *end, counts); err != nil {
			return out, err
		}
		out = append(out, k.changes(network, before)...)
	}
}

// due returns the last slot of the boundary that is to be closed at slot now, with what was observed since the one
// before; nil if none is. The first comes early, so that a network of a few hours is judged, too: when a node has given
// enough blocks, or when all have been silent for a period.
func (k *Keeper) due(ctx context.Context, now blockprint.Slot) (*blockprint.Slot, []store.NodeCount, error) {
	if now == 0 {
		return nil, nil, nil
	}
	b := k.book.Back(0)
	if b != nil {
		end := k.next(blockprint.Slot(b.Height), now)
		if end >= now {
			return nil, nil, nil
		}
		counts, err := k.store.ObservedIn(ctx, blockprint.Interval{Start: blockprint.Slot(b.Height) + 1, End: end})
		return &end, counts, err
	}
	end := now - 1
	counts, err := k.store.ObservedIn(ctx, blockprint.Interval{End: end})
	if err != nil || len(counts) == 0 {
		return nil, nil, err
	}
	blocks, latest := map[string]int64{}, blockprint.Slot(0)
	for _, c := range counts {
		blocks[c.Node] += c.Blocks
		latest = max(latest, c.Latest)
	}
	most := slices.Max(slices.Collect(maps.Values(blocks)))
	if most < min(firstBlocks, int64(k.settings.Period)) && now-latest < k.settings.Period {
		return nil, nil, nil
	}
	return &end, counts, nil
}

// next returns the last slot of the boundary that comes after another. Boundaries lie at multiples of the period, and at
// least half a period apart.
func (k *Keeper) next(last, now blockprint.Slot) blockprint.Slot {
	period := k.settings.Period
	if missed := (now - min(now, last)) / period; missed > blockprint.Slot(2*k.settings.Window) {
		// Nobody was there for so long that nothing of then counts: the boundaries between would say so one by one.
		last += (missed - blockprint.Slot(k.settings.Window)) * period
	}
	return (last+max(period/2, 1)+period)/period*period - 1
}

// Pending is what was observed of a subject since the newest boundary.
type Pending struct {
	Subject string
	Blocks  int64
	Right   int64 // labelled as what they are
}

// Pending returns what was observed since the newest boundary, up to slot now, and the last slot of the one that comes
// next: 0 before the first, which comes when there is enough.
func (k *Keeper) Pending(ctx context.Context, now blockprint.Slot) (list []Pending, next blockprint.Slot, err error) {
	since := blockprint.Slot(0)
	if b := k.book.Back(0); b != nil {
		since = blockprint.Slot(b.Height) + 1
		next = k.next(blockprint.Slot(b.Height), now)
	}
	counts, err := k.store.ObservedIn(ctx, blockprint.Interval{Start: since, End: max(since, now)})
	if err != nil {
		return nil, 0, err
	}
	found := map[string]Pending{}
	for _, c := range counts {
		for _, subject := range []string{"node:" + c.Node, "label:" + string(c.Label)} {
			p := found[subject]
			p.Subject = subject
			p.Blocks += c.Blocks
			if c.Guess == c.Label {
				p.Right += c.Blocks
			}
			found[subject] = p
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[subject])
	}
	return list, next, nil
}

// close appends a boundary with the sums up to a slot; subjects that are new are listed before it.
func (k *Keeper) close(ctx context.Context, network *blockprint.Network, end blockprint.Slot, counts []store.NodeCount) error {
	totals := map[string]uint64{}
	if b := k.book.Back(0); b != nil {
		totals = maps.Clone(b.Totals)
	}
	add := func(key string, n int64) { totals[key] += uint64(n) }
	newest := func(key string, slot blockprint.Slot) { totals[key] = max(totals[key], uint64(slot)) }
	for _, c := range counts {
		node, label := "node:"+c.Node, "label:"+string(c.Label)
		for _, s := range []string{node, label} {
			add(s+sumSeen, c.Blocks)
			newest(s+sumLatest, c.Latest)
			add(s, 0)
			if c.Guess == c.Label {
				add(s, c.Blocks)
			}
		}
		add("label:"+string(c.Guess)+sumCalled, c.Blocks)
	}
	at := network.TimeOf(end).Unix()
	events := k.book.Log()
	for _, name := range slices.Sorted(maps.Keys(totals)) {
		if _, listed := k.book.Standing(name); !listed && !strings.Contains(name, "#") {
			events = append(events, greylist.Event{Entry: &greylist.Entry{Subject: name, Status: greylist.Active, Hash: fmt.Sprintf("first seen by slot %d", end), Time: at, Height: uint64(end)}})
		}
	}
	events = append(events, greylist.Event{Boundary: &greylist.Boundary{
		Height: uint64(end), Hash: fmt.Sprintf("slot %d", end), Time: at, Judged: true, Totals: totals,
	}})
	_, err := k.book.Replace(ctx, events)
	return err
}

// Set gives a subject an entry of an administrator's: greylist.Manual, AutoOverride, Active or Deleted. The subject need
// not have been judged yet, but must be the label of a client or a node that was seen.
func (k *Keeper) Set(ctx context.Context, network *blockprint.Network, subject string, s greylist.Status, now blockprint.Slot) error {
	known, err := k.subjects(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(known, subject) {
		return blockprint.Errorf(blockprint.NotFound, "there is no subject %q: known are %s", subject, strings.Join(known, ", "))
	}
	entry := &greylist.Entry{Subject: subject, Status: s, Hash: fmt.Sprintf("set at slot %d", now), Time: network.TimeOf(now).Unix(), Height: uint64(now)}
	_, err = k.book.Replace(ctx, append(k.book.Log(), greylist.Event{Entry: entry}))
	return err
}

// subjects returns what may be given an entry: the labels of all clients, and what was judged or observed.
func (k *Keeper) subjects(ctx context.Context) ([]string, error) {
	known := map[string]bool{}
	for _, c := range blockprint.Clients() {
		known["label:"+string(c)] = true
	}
	for _, s := range k.book.Standings() {
		known[s.Subject] = true
	}
	counts, err := k.store.Observed(ctx, 0)
	for _, c := range counts {
		known["node:"+c.Node], known["label:"+string(c.Label)] = true, true
	}
	return slices.Sorted(maps.Keys(known)), err
}

// Subject is how a label or node stands.
type Subject struct {
	Subject string          `json:"subject"`
	Status  greylist.Status `json:"status"`
	Reasons []string        `json:"reasons"`
	// Blocks of the window, and how many of them were labelled rightly.
	Blocks uint64 `json:"blocks"`
	Right  uint64 `json:"right"`
	Latest uint64 `json:"latest_slot"`
}

// Report is how all labels and nodes stand at the newest boundary; before the first one, those that an administrator has set.
type Report struct {
	// Measured tells whether there is a boundary at all.
	Measured bool            `json:"measured"`
	Slot     blockprint.Slot `json:"as_of_slot"`
	Period   blockprint.Slot `json:"boundary_slots"`
	Window   int             `json:"window_boundaries"`
	Subjects []Subject       `json:"subjects"`
}

// Greylisted returns the labels that are on the greylist.
func (r *Report) Greylisted() []blockprint.Client {
	var out []blockprint.Client
	for _, s := range r.Subjects {
		if name, ok := strings.CutPrefix(s.Subject, "label:"); ok && s.Status.Greylisted() {
			out = append(out, blockprint.Client(name))
		}
	}
	return out
}

// Report tells how all subjects stand.
func (k *Keeper) Report() *Report { return k.report(k.book.Engine) }

func (k *Keeper) report(e *greylist.Engine) *Report {
	r := &Report{Period: k.settings.Period, Window: k.settings.Window, Subjects: []Subject{}}
	b := e.Back(0)
	if b == nil {
		b = &greylist.Boundary{} // an administrator's entries count all the same
	} else {
		r.Measured, r.Slot = true, blockprint.Slot(b.Height)
	}
	for _, s := range e.Standings() {
		r.Subjects = append(r.Subjects, k.judge(e, &s, b))
	}
	return r
}

// judge says how a subject stands at the newest boundary: by its entry and credit as the greylist finds, and by the rules
// over the sums of the window.
func (k *Keeper) judge(e *greylist.Engine, s *greylist.Standing, b *greylist.Boundary) Subject {
	var old map[string]uint64 // sums at the boundary before the window; none if it reaches back to the beginning
	if before := e.Back(k.settings.Window); before != nil {
		old = before.Totals
	}
	in := func(key string) uint64 { return b.Totals[key] - old[key] }
	out := Subject{Subject: s.Subject, Status: s.Effective, Reasons: []string{}, Blocks: in(s.Subject + sumSeen), Right: in(s.Subject), Latest: b.Totals[s.Subject+sumLatest]}
	if s.Effective == greylist.Deleted || s.Effective == greylist.AutoOverride {
		return out
	}
	if s.Entry.Status == greylist.Manual {
		out.Reasons = append(out.Reasons, "manual: greylisted by an administrator")
	}
	if _, seen := b.Totals[s.Subject+sumSeen]; !seen { // an administrator has named it, and nothing else is known of it
		if out.Status != greylist.Manual {
			out.Status = greylist.Active
		}
		return out
	}
	silent := b.Height-min(b.Height, out.Latest) >= uint64(k.settings.Silent)*uint64(k.settings.Period)
	if silent {
		out.Reasons = append(out.Reasons, fmt.Sprintf("%s: no block since slot %d", Silent, out.Latest))
	}
	if label, ok := strings.CutPrefix(s.Subject, "label:"); ok {
		out.Reasons = append(out.Reasons, k.rates(label, out.Right, out.Blocks, in(s.Subject+sumCalled))...)
	}
	if f := s.Finding; f != nil && !silent { // that nothing is recognised follows from silence
		if f.ZCDMet {
			out.Reasons = append(out.Reasons, fmt.Sprintf("%s: no block recognised at %d of the last %d boundaries", ZeroCreditDays, f.ZCD, k.settings.Criteria.ZCDWindow))
		}
		if f.WASMet && f.Long > 0 {
			out.Reasons = append(out.Reasons, fmt.Sprintf("%s: blocks recognised fell to %d/%d of the average", LowWork, f.WAS.Num, f.WAS.Den))
		}
	}
	switch {
	case out.Status == greylist.Manual:
	case len(out.Reasons) > 0:
		out.Status = greylist.AutoGreylist
	default:
		out.Status = greylist.Active // credit alone says so only with a reason
	}
	return out
}

// rates judges a label's rates over the window.
func (k *Keeper) rates(label string, right, own, called uint64) (out []string) {
	switch _, high := estimate.Wilson(int64(right), int64(own)); {
	case own == 0:
	case right == 0 && high < k.settings.Rate:
		out = append(out, fmt.Sprintf("%s: 0 of %d dreamt blocks", NeverKnown, own))
	case high < k.settings.Rate:
		out = append(out, fmt.Sprintf("%s: %.1f %% of %d dreamt blocks are recognised, at most %.1f %%, which is below %.0f %%", LowRate, 100*float64(right)/float64(own), own, 100*high, 100*k.settings.Rate))
	}
	if _, high := estimate.Wilson(int64(right), int64(called)); called > 0 && right > 0 && high < k.settings.Precise {
		out = append(out, fmt.Sprintf("%s: %.1f %% of %d dreamt blocks called %s are of it, at most %.1f %%, which is below %.0f %%", LowPrecision, 100*float64(right)/float64(called), called, label, 100*high, 100*k.settings.Precise))
	}
	return out
}

// change is a subject whose status is another one than before; greylist.Unknown if there was none.
type change struct {
	Subject
	old greylist.Status
}

// differ compares two states. That a subject is new is no news as long as nothing is wrong with it.
func (k *Keeper) differ(before, after *greylist.Engine) []change {
	old := map[string]greylist.Status{}
	for _, s := range k.report(before).Subjects {
		old[s.Subject] = s.Status
	}
	var out []change
	for _, s := range k.report(after).Subjects {
		was, known := old[s.Subject]
		if was == s.Status || !known && s.Status == greylist.Active {
			continue
		}
		if len(s.Reasons) == 0 {
			s.Reasons = []string{"recovered"}
			switch {
			case s.Status == greylist.AutoOverride:
				s.Reasons[0] = greylist.Override
			case was == greylist.AutoOverride:
				s.Reasons[0] = greylist.OverrideLifted
			}
		}
		out = append(out, change{s, was})
	}
	return out
}

// changes tells what differs from an earlier state.
func (k *Keeper) changes(network *blockprint.Network, before *greylist.Engine) []Change {
	var out []Change
	at := network.TimeOf(k.Report().Slot).UTC().Format("2006-01-02T15:04:05Z")
	for _, c := range k.differ(before, k.book.Engine) {
		out = append(out, Change{Date: at, Subject: c.Subject.Subject, Status: c.Status.String(), Reasons: c.Reasons})
	}
	return out
}

// news words what differs for those who want to be told.
func (k *Keeper) news(before, after *greylist.Engine) []greylist.Change {
	b := after.Back(0)
	if b == nil {
		return nil
	}
	var out []greylist.Change
	for _, c := range k.differ(before, after) {
		out = append(out, greylist.Change{
			Subject: c.Subject.Subject, Old: c.old, New: c.Status, Reason: strings.Join(c.Reasons, "; "), Boundary: after.Boundaries() - 1,
			Height: b.Height, Hash: b.Hash, Time: b.Time,
		})
	}
	return out
}
