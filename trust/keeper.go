package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"blockprint"
	"blockprint/greylist"
	"blockprint/store"
)

// Tenant names the events of labels and nodes in a store.
const Tenant = "trust"

// Store is what keeps observations and what follows from them.
type Store interface {
	store.Gauge
	greylist.Log
}

// Keeper judges labels and nodes at each boundary. Its findings follow from its log alone: each boundary records sums over all
// time, so that a window is the difference of two. It is not safe for concurrent use.
type Keeper struct {
	settings Settings
	store    Store
	book     *greylist.Book
}

// Open reads the log. Settings without a period are those of mainnet.
func Open(ctx context.Context, s Store, settings Settings) (*Keeper, error) {
	settings = settings.On(nil)
	if err := settings.Check(); err != nil {
		return nil, err
	}
	// An administrator's word is shown first, and a new subject is not news as long as nothing is wrong with it.
	policy, err := greylist.PolicyOf("manual-first")
	if err != nil {
		return nil, err
	}
	book, err := greylist.OpenBook(ctx, earlier{s}, Tenant, greylist.Options{Rule: settings.rule(), Policy: policy, QuietListings: true})
	if err != nil {
		return nil, err
	}
	book.Announce = true
	return &Keeper{settings, s, book}, nil
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
		changes, err := k.close(ctx, network.TimeOf(*end), *end, counts)
		if err != nil {
			return out, err
		}
		out = append(out, changes...)
	}
}

// due returns the last slot of the boundary that is to be closed at slot now, with what was observed since the previous one; nil
// if none is. The first boundary comes early, so that a network of a few hours is judged, too: when a node has given enough
// blocks, or when all nodes have been silent for a period.
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

// next returns the last slot of the boundary after another one. Boundaries lie at multiples of the period, and at least half a
// period apart.
func (k *Keeper) next(last, now blockprint.Slot) blockprint.Slot {
	period := k.settings.Period
	if missed := (now - min(now, last)) / period; missed > blockprint.Slot(2*k.settings.Window) {
		// Nobody judged for so long that nothing from before counts. The boundaries in between would say so one by one.
		last += (missed - blockprint.Slot(k.settings.Window)) * period
	}
	return (last+max(period/2, 1)+period)/period*period - 1
}

// Pending is what was observed about a subject since the newest boundary.
type Pending struct {
	Subject string
	Blocks  int64
	Right   int64 // labeled as what they are
}

// Pending returns what was observed since the newest boundary, up to slot now, and the last slot of the next one; 0 before the
// first, which comes when enough is observed.
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

// close appends a boundary with the sums up to a slot, and returns what changed. It lists new subjects before it.
func (k *Keeper) close(ctx context.Context, at time.Time, end blockprint.Slot, counts []store.NodeCount) ([]Change, error) {
	b := &greylist.Boundary{
		Height: uint64(end), Hash: fmt.Sprintf("slot %d", end), Time: at.Unix(), Judged: true, Totals: map[string]uint64{}, More: map[string]map[string]uint64{},
	}
	if last := k.book.Back(0); last != nil {
		maps.Copy(b.Totals, last.Totals)
		for subject, figures := range last.More {
			b.More[subject] = maps.Clone(figures)
		}
	}
	of := func(subject string) map[string]uint64 {
		if b.More[subject] == nil {
			b.More[subject] = map[string]uint64{}
		}
		return b.More[subject]
	}
	for _, c := range counts {
		if _, listed := k.book.Standing("label:" + string(c.Label)); !listed { // blocks that were mistaken for it earlier do not count
			delete(b.More, "label:"+string(c.Label))
		}
	}
	for _, c := range counts {
		for _, subject := range []string{"node:" + c.Node, "label:" + string(c.Label)} {
			if subject == "node:" {
				continue // a label that is published although no node measures it
			}
			f := of(subject)
			f[seen] += uint64(c.Blocks)
			f[latest] = max(f[latest], uint64(c.Latest))
			b.Totals[subject] += 0
			if c.Guess == c.Label {
				b.Totals[subject] += uint64(c.Blocks)
			}
		}
		if c.Guess != "" {
			of("label:" + string(c.Guess))[called] += uint64(c.Blocks)
		}
	}
	var events []greylist.Event
	for _, name := range slices.Sorted(maps.Keys(b.Totals)) {
		if _, listed := k.book.Standing(name); !listed {
			events = append(events, greylist.Event{Entry: &greylist.Entry{Subject: name, Status: greylist.Active, Hash: fmt.Sprintf("first seen by slot %d", end), Time: at.Unix(), Height: uint64(end)}})
		}
	}
	changes, err := k.book.Append(ctx, append(events, greylist.Event{Boundary: b})...)
	if err != nil {
		return nil, err
	}
	var out []Change
	for _, c := range changes {
		reasons := []string{c.Reason}
		if s, ok := k.book.Standing(c.Subject); ok && c.New.Greylisted() {
			reasons = s.Reasons()
		}
		out = append(out, Change{Date: at.UTC().Format("2006-01-02T15:04:05Z"), Subject: c.Subject, Status: c.New.String(), Reasons: reasons})
	}
	return out, nil
}

// Set gives a subject an administrator's entry: greylist.Manual, AutoOverride, Active or Deleted. The subject may be one that was
// not judged yet, but it must be a client's label or a node that was seen.
func (k *Keeper) Set(ctx context.Context, network *blockprint.Network, subject string, s greylist.Status, now blockprint.Slot) error {
	known, err := k.subjects(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(known, subject) {
		return blockprint.Errorf(blockprint.NotFound, "there is no subject %q: known are %s", subject, strings.Join(known, ", "))
	}
	entry := &greylist.Entry{Subject: subject, Status: s, Hash: fmt.Sprintf("set at slot %d", now), Time: network.TimeOf(now).Unix(), Height: uint64(now)}
	_, err = k.book.Append(ctx, greylist.Event{Entry: entry})
	return err
}

// subjects returns what may have an entry: the labels of all clients, and everything that was judged or observed.
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
	// Blocks counts those of the window, Right those of them that have the right label.
	Blocks uint64 `json:"blocks"`
	Right  uint64 `json:"right"`
	Latest uint64 `json:"latest_slot"`
}

// Report says how all labels and nodes stand at the newest boundary. Before the first, it has those that an administrator has set.
type Report struct {
	// Measured is true once there is a boundary.
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

// Report says how all subjects stand.
func (k *Keeper) Report() *Report {
	r := &Report{Period: k.settings.Period, Window: k.settings.Window, Subjects: []Subject{}}
	now, old := &greylist.Boundary{}, &greylist.Boundary{} // an administrator's entries count even before the first boundary
	if b := k.book.Back(0); b != nil {
		r.Measured, r.Slot, now = true, blockprint.Slot(b.Height), b
	}
	if b := k.book.Back(k.settings.Window); b != nil {
		old = b
	}
	for _, s := range k.book.Standings() {
		figures := now.More[s.Subject]
		subject := Subject{
			Subject: s.Subject, Status: s.Effective, Reasons: []string{}, Latest: figures[latest],
			Blocks: figures[seen] - old.More[s.Subject][seen], Right: now.Totals[s.Subject] - old.Totals[s.Subject],
		}
		if s.Entry.Status != greylist.AutoOverride && s.Entry.Status != greylist.Deleted {
			subject.Reasons = s.Reasons()
		}
		if s.Entry.Status == greylist.Manual {
			subject.Reasons[0] += ": greylisted by an administrator"
		}
		r.Subjects = append(r.Subjects, subject)
	}
	return r
}

// earlier also reads the logs of earlier versions, in which further figures stood among the totals ("label:Teku#called").
type earlier struct{ greylist.Log }

func (e earlier) Events(ctx context.Context, tenant string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for text, err := range e.Log.Events(ctx, tenant) {
			if err == nil {
				text, err = renew(text)
			}
			if !yield(text, err) {
				return
			}
		}
	}
}

func (e earlier) LastEvent(ctx context.Context, tenant string) (int, []byte, error) {
	n, text, err := e.Log.LastEvent(ctx, tenant)
	if err != nil || n == 0 {
		return n, text, err
	}
	text, err = renew(text)
	return n, text, err
}

// renew moves the further figures in an earlier version's event to where they are now.
func renew(text []byte) ([]byte, error) {
	if !bytes.Contains(text, []byte("#")) {
		return text, nil
	}
	var ev greylist.Event
	if err := json.Unmarshal(text, &ev); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "event of %s: %w", Tenant, err)
	}
	if ev.Boundary == nil {
		return text, nil
	}
	for key, n := range ev.Boundary.Totals {
		subject, figure, ok := strings.Cut(key, "#")
		if !ok || figure != seen && figure != called && figure != latest {
			continue
		}
		if ev.Boundary.More == nil {
			ev.Boundary.More = map[string]map[string]uint64{}
		}
		if ev.Boundary.More[subject] == nil {
			ev.Boundary.More[subject] = map[string]uint64{}
		}
		ev.Boundary.More[subject][figure] = n
		delete(ev.Boundary.Totals, key)
	}
	return json.Marshal(ev)
}
