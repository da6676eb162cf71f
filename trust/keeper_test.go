package trust_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"blockprint"
	"blockprint/greylist"
	"blockprint/greylist/notify"
	"blockprint/store"
	_ "blockprint/store/sqlite"
	"blockprint/trust"
)

func mainnet() *blockprint.Network {
	return &blockprint.Network{Spec: blockprint.MainnetSpec(), GenesisTime: time.Unix(1_700_000_000, 0)}
}

type live struct {
	t     *testing.T
	store store.Store
	s     trust.Settings
	slot  blockprint.Slot
}

func newLive(t *testing.T) *live {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "trust.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	l := &live{t: t, store: s, s: trust.DefaultSettings(), slot: 100}
	l.s.Period = 100
	return l
}

// dream adds observations of nodes, one a slot, and closes boundaries. guess says by node what its blocks are called.
func (l *live) dream(slots int, guess map[string]blockprint.Client) []trust.Change {
	l.t.Helper()
	ctx := l.t.Context()
	for range slots {
		var list []store.Observation
		for node, c := range guess {
			label := map[byte]blockprint.Client{'t': blockprint.Teku, 'p': blockprint.Prysm}[node[0]]
			list = append(list, store.Observation{Slot: l.slot, Node: node, Label: label, Guess: c, Model: "m", Day: "2024-01-01"})
		}
		if _, err := l.store.Observe(ctx, list); err != nil {
			l.t.Fatal(err)
		}
		l.slot++
	}
	k, err := trust.Open(ctx, l.store, l.s) // as after a restart
	if err != nil {
		l.t.Fatal(err)
	}
	changes, err := k.Advance(ctx, mainnet(), l.slot)
	if err != nil {
		l.t.Fatal(err)
	}
	return changes
}

func (l *live) subject(name string) trust.Subject {
	l.t.Helper()
	k, err := trust.Open(l.t.Context(), l.store, l.s)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, s := range k.Report().Subjects {
		if s.Subject == name {
			return s
		}
	}
	l.t.Fatalf("no %s in %+v", name, k.Report())
	return trust.Subject{}
}

// TestLive: healthy labels stay, silence is named at the second boundary and cleared, and a long time without anybody
// makes no boundary for each day of it, and loses no observation.
func TestLive(t *testing.T) {
	l := newLive(t)
	good := map[string]blockprint.Client{"t1": "Teku", "p1": "Prysm"}
	if c := l.dream(1000, good); len(c) != 0 {
		t.Errorf("%+v", c)
	}
	if s := l.subject("label:Teku"); s.Status != greylist.Active || s.Right != 1000 || s.Blocks != 1000 {
		t.Errorf("%+v", s)
	}
	c := l.dream(250, map[string]blockprint.Client{"p1": "Prysm"})
	if len(c) != 2 || c[0].Subject != "label:Teku" || c[1].Subject != "node:t1" || !strings.Contains(fmt.Sprint(c[1].Reasons), "silent: no block since slot 1099") {
		t.Errorf("%+v", c)
	}
	c = l.dream(150, good)
	if len(c) != 2 || c[0].Status != "ACTIVE" || c[0].Reasons[0] != "recovered" {
		t.Errorf("%+v", c)
	}
	before := l.subject("node:p1").Right
	l.dream(5, good)
	l.slot += 100 * 1000 // nobody is there for a thousand boundaries
	if c := l.dream(1, nil); len(c) != 4 {
		t.Errorf("%+v", c)
	}
	l.dream(100, good)
	if s := l.subject("node:p1"); s.Latest != uint64(l.slot-1) && s.Latest < uint64(l.slot)-110 {
		t.Errorf("%+v after %d right ones", s, before)
	}
	events := 0
	for _, err := range l.store.Events(t.Context(), trust.Tenant) {
		if err != nil {
			t.Fatal(err)
		}
		events++
	}
	if events > 100 {
		t.Errorf("%d events for a thousand empty boundaries", events)
	}
}

// TestLiveRates: a label that is never recognized, and one that swallows it.
func TestLiveRates(t *testing.T) {
	l := newLive(t)
	l.dream(500, map[string]blockprint.Client{"t1": "Prysm", "t2": "Prysm", "p1": "Prysm"})
	if s := l.subject("label:Teku"); s.Status != greylist.AutoGreylist || !strings.Contains(s.Reasons[0], "never recognised: 0 of 1000") {
		t.Errorf("%+v", s)
	}
	if s := l.subject("label:Prysm"); s.Status != greylist.AutoGreylist || !strings.Contains(s.Reasons[0], "precision: 33.3 % of 1500") {
		t.Errorf("%+v", s)
	}
	if s := l.subject("node:p1"); s.Status != greylist.Active {
		t.Errorf("%+v", s)
	}
	k, err := trust.Open(t.Context(), l.store, l.s)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Set(t.Context(), mainnet(), "label:Prysm", greylist.AutoOverride, l.slot); err != nil {
		t.Fatal(err)
	}
	if s := l.subject("label:Prysm"); s.Status != greylist.AutoOverride || len(s.Reasons) != 0 {
		t.Errorf("%+v", s)
	}
	bad := l.s
	bad.Window = 0
	if _, err := trust.Open(t.Context(), l.store, bad); blockprint.CodeOf(err) != blockprint.Invalid {
		t.Errorf("%v", err)
	}
}

// TestNews: what changes is kept to be told, with the reasons, from the first boundary on; administrators' entries, too.
func TestNews(t *testing.T) {
	l := newLive(t)
	want := l.dream(250, map[string]blockprint.Client{"t1": "Lodestar", "p1": "Prysm"})
	if len(want) == 0 {
		t.Fatal("a label that is never recognised was not greylisted")
	}
	k, err := trust.Open(t.Context(), l.store, l.s)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []greylist.Status{greylist.AutoOverride, greylist.Active} {
		if err := k.Set(t.Context(), mainnet(), "label:Teku", s, l.slot); err != nil {
			t.Fatal(err)
		}
	}
	notices, err := notify.Log{Store: l.store, Tenant: trust.Tenant}.After(t.Context(), 0, 100, false)
	if err != nil || len(notices) != len(want)+2 {
		t.Fatalf("%d notices (%v) of %d changes and two entries: %+v", len(notices), err, len(want), notices)
	}
	for i, c := range want {
		if n := notices[i]; n.Subject != c.Subject || n.New.String() != c.Status || n.Reason != strings.Join(c.Reasons, "; ") {
			t.Errorf("notice %+v of the change %+v", n, c)
		}
	}
	over, lifted := notices[len(want)].Change, notices[len(want)+1].Change
	if over.Old != greylist.AutoGreylist || over.New != greylist.AutoOverride || over.Reason != greylist.Override {
		t.Errorf("override: %+v", over)
	}
	if lifted.New != greylist.AutoGreylist || !strings.Contains(lifted.Reason, "never recognised") {
		t.Errorf("lifted: %+v", lifted)
	}
}

// TestFirstBoundary: what was measured is seen at once; the first boundary comes with enough blocks, however young the
// network, and not before; those after it lie at multiples of the period.
func TestFirstBoundary(t *testing.T) {
	l := newLive(t)
	l.s.Period, l.slot = 7200, 3
	wrong := map[string]blockprint.Client{"t1": "Prysm", "p1": "Prysm"}
	keeper := func() *trust.Keeper {
		t.Helper()
		k, err := trust.Open(t.Context(), l.store, l.s)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	l.dream(0, nil)
	if list, next, err := keeper().Pending(t.Context(), l.slot); len(list) != 0 || next != 0 || err != nil || keeper().Report().Measured {
		t.Errorf("nobody dreams: %+v, %d, %v", list, next, err)
	}
	if c := l.dream(99, wrong); len(c) != 0 || keeper().Report().Measured {
		t.Errorf("99 blocks: %+v", c)
	}
	list, next, err := keeper().Pending(t.Context(), l.slot)
	want := []trust.Pending{{"label:Prysm", 99, 99}, {"label:Teku", 99, 0}, {"node:p1", 99, 99}, {"node:t1", 99, 0}}
	if !slices.Equal(list, want) || next != 0 || err != nil {
		t.Errorf("99 blocks: %+v, %d, %v", list, next, err)
	}
	c := l.dream(1, wrong)
	if len(c) == 0 || !strings.Contains(fmt.Sprint(c), "never recognised: 0 of 100") {
		t.Errorf("100 blocks: %+v", c)
	}
	if list, next, err := keeper().Pending(t.Context(), l.slot); len(list) != 0 || next != 7199 || err != nil {
		t.Errorf("after the first boundary: %+v, %d, %v", list, next, err)
	}
	l.slot = 7198
	l.dream(2, wrong)
	if r := keeper().Report(); r.Slot != 7199 {
		t.Errorf("the second boundary is slot %d", r.Slot)
	}
}

// TestLateLabel: a label that nodes measure late is judged by what came since, and not by all that was mistaken for it before.
func TestLateLabel(t *testing.T) {
	l := newLive(t)
	l.s.Period, l.s.Window = 100, 5
	l.dream(1000, map[string]blockprint.Client{"p1": "Teku", "p2": "Prysm"})
	k, err := trust.Open(t.Context(), l.store, l.s)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Set(t.Context(), mainnet(), "label:Teku", greylist.Active, l.slot); err != nil {
		t.Fatal(err)
	}
	l.dream(1000, map[string]blockprint.Client{"p1": "Nimbus", "p2": "Prysm"}) // it is left to the rules, and not measured yet
	l.dream(100, map[string]blockprint.Client{"t1": "Teku", "p2": "Prysm"})
	if s := l.subject("label:Teku"); s.Status != greylist.Active || len(s.Reasons) != 0 || s.Blocks != 100 {
		t.Errorf("listed before it was measured: %+v", s)
	}

	l = newLive(t)
	l.s.Period, l.s.Window = 100, 5
	l.dream(1000, map[string]blockprint.Client{"p1": "Teku", "p2": "Prysm"})
	l.dream(1000, map[string]blockprint.Client{"p1": "Nimbus", "p2": "Prysm"})
	l.dream(100, map[string]blockprint.Client{"t1": "Teku", "p2": "Prysm"})
	if s := l.subject("label:Teku"); s.Status != greylist.Active || len(s.Reasons) != 0 {
		t.Errorf("not listed before it was measured: %+v", s)
	}
}

// TestFewBlocks: nodes that fell silent before there were enough blocks are judged after a period.
func TestFewBlocks(t *testing.T) {
	l := newLive(t)
	l.dream(5, map[string]blockprint.Client{"t1": "Teku"})
	l.slot += 100
	l.dream(0, nil)
	if s := l.subject("node:t1"); s.Blocks != 5 {
		t.Errorf("%+v", s)
	}
}

// TestPeriod: a boundary is a day of the network's own slots.
func TestPeriod(t *testing.T) {
	for slot, want := range map[time.Duration]blockprint.Slot{12 * time.Second: 7200, 5 * time.Second: 17280, time.Second: 86400, 0: 7200} {
		n := mainnet()
		n.SlotDuration = slot
		if got := trust.DefaultSettings().On(n).Period; got != want {
			t.Errorf("slots of %s: %d of them are a day", slot, got)
		}
	}
	if got := (trust.Settings{Period: 5}).On(mainnet()).Period; got != 5 {
		t.Errorf("a period that was set became %d", got)
	}
}

// TestSetUnseen: a label can be set before anything was measured, and counts; one of no client, or a node that nobody has
// seen, cannot.
func TestSetUnseen(t *testing.T) {
	l := newLive(t)
	service := trust.NewService(l.store, trust.DefaultSettings(), func(context.Context) (*blockprint.Network, error) { return mainnet(), nil }, trust.ServiceOptions{})
	ctx := t.Context()
	if err := service.Set(ctx, "label:Lodestar", greylist.Manual); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"label:Nobody", "node:t1", "Lodestar", "label:Uncertain"} {
		if err := service.Set(ctx, subject, greylist.Manual); blockprint.CodeOf(err) != blockprint.NotFound || !strings.Contains(err.Error(), "label:Teku") {
			t.Errorf("%s: %v", subject, err)
		}
	}
	r, err := service.Report(ctx)
	if err != nil || r.Measured || !slices.Equal(r.Greylisted(), []blockprint.Client{blockprint.Lodestar}) {
		t.Errorf("%+v, %v", r, err)
	}
	l.dream(30, map[string]blockprint.Client{"t1": "Teku"})
	if err := service.Set(ctx, "node:t1", greylist.AutoOverride); err != nil {
		t.Errorf("a node that was seen: %v", err)
	}
	l.dream(200, map[string]blockprint.Client{"t1": "Teku"})
	if s := l.subject("label:Lodestar"); s.Status != greylist.Manual {
		t.Errorf("after a boundary: %+v", s)
	}
	if err := service.Set(ctx, "label:Lodestar", greylist.Active); err != nil {
		t.Fatal(err)
	}
	if s := l.subject("label:Lodestar"); s.Status != greylist.Active || len(s.Reasons) != 0 {
		t.Errorf("left to the rules, which know nothing of it: %+v", s)
	}
}

// slowLog is a store whose log takes as long to read as the test wants.
type slowLog struct {
	store.Store
	entered, leave chan struct{}
}

func (s *slowLog) Events(ctx context.Context, tenant string) iter.Seq2[[]byte, error] {
	s.entered <- struct{}{}
	<-s.leave
	return s.Store.Events(ctx, tenant)
}

// TestReportDoesNotWait: while somebody judges, the report from before is told.
func TestReportDoesNotWait(t *testing.T) {
	l := newLive(t)
	slow := &slowLog{Store: l.store, entered: make(chan struct{}, 1), leave: make(chan struct{}, 1)}
	now := time.Unix(1_700_000_000, 0)
	var clock atomic.Int64
	service := trust.NewService(slow, l.s, func(context.Context) (*blockprint.Network, error) { return mainnet(), nil }, trust.ServiceOptions{
		Now: func() time.Time { return now.Add(time.Duration(clock.Load())) },
	})
	slow.leave <- struct{}{}
	if _, err := service.Report(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-slow.entered
	clock.Store(int64(time.Hour)) // it must be read again
	done := make(chan error, 1)
	go func() {
		_, err := service.Advance(t.Context())
		done <- err
	}()
	<-slow.entered
	if r, err := service.Report(t.Context()); r == nil || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	slow.leave <- struct{}{}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// countedLog counts how often the whole log is read.
type countedLog struct {
	store.Store
	reads int
}

func (c *countedLog) Events(ctx context.Context, tenant string) iter.Seq2[[]byte, error] {
	c.reads++
	return c.Store.Events(ctx, tenant)
}

// TestLogIsReadAgain: the log is read again when another process has written to it, and otherwise not for a while.
func TestLogIsReadAgain(t *testing.T) {
	l := newLive(t)
	log, now := &countedLog{Store: l.store}, time.Unix(1_700_000_000, 0)
	network := func(context.Context) (*blockprint.Network, error) { return mainnet(), nil }
	service := trust.NewService(log, l.s, network, trust.ServiceOptions{Now: func() time.Time { return now }})
	other := trust.NewService(l.store, l.s, network, trust.ServiceOptions{Now: func() time.Time { return now }})
	for i, step := range []struct {
		after      time.Duration
		write      bool
		reads, say int
	}{{0, false, 1, 0}, {time.Minute, false, 1, 0}, {time.Minute, true, 2, 1}, {time.Minute, false, 2, 1}, {time.Hour, false, 3, 1}} {
		now = now.Add(step.after)
		if step.write {
			if err := other.Set(t.Context(), "label:Teku", greylist.Manual); err != nil {
				t.Fatal(err)
			}
		}
		r, err := service.Report(t.Context())
		if err != nil || log.reads != step.reads || len(r.Greylisted()) != step.say {
			t.Errorf("step %d: read %d times, %v (%v)", i, log.reads, r, err)
		}
	}
}

// forgetfulLog notes what is forgotten, and what was judged by then.
type forgetfulLog struct {
	store.Store
	before []blockprint.Slot
	events []int
}

func (f *forgetfulLog) ForgetObservations(ctx context.Context, before blockprint.Slot) error {
	n, _, err := f.LastEvent(ctx, trust.Tenant)
	f.before, f.events = append(f.before, before), append(f.events, n)
	return errors.Join(err, f.Store.ForgetObservations(ctx, before))
}

// TestForget: once an hour, Run drops the single observations from before two windows, after it has judged them; the sums stay.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 14 * 7200
		l := newLive(t)
		network := mainnet()
		network.GenesisTime = time.Now().Add(-(2*window + 300) * network.SlotDuration)
		log := &forgetfulLog{Store: l.store}
		for _, slot := range []blockprint.Slot{250, 2*window + 150} {
			if _, err := l.store.Observe(t.Context(), []store.Observation{{Slot: slot, Node: "t1", Label: blockprint.Teku, Guess: blockprint.Teku, Model: "m", Day: "2000-01-01"}}); err != nil {
				t.Fatal(err)
			}
		}
		service := trust.NewService(log, l.s, func(context.Context) (*blockprint.Network, error) { return network, nil }, trust.ServiceOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute)
		defer cancel()
		if err := service.Run(ctx); err != nil {
			t.Error(err)
		}
		if !slices.Equal(log.before, []blockprint.Slot{300, 600}) || log.events[0] == 0 {
			t.Errorf("forgotten up to %v, after %v events", log.before, log.events)
		}
		for i, want := range []int64{1, 2} { // single observations, and sums
			counts, err := l.store.ObservedIn(t.Context(), blockprint.Interval{End: 1 << 40})
			if i == 1 {
				counts, err = l.store.Observed(t.Context(), 0)
			}
			if err != nil || len(counts) != 1 || counts[0].Blocks != want {
				t.Errorf("%+v (%v), want %d", counts, err, want)
			}
		}
	})
}
