package trust_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/greylist"
	"blockprint/greylist/notify"
	"blockprint/store"
	"blockprint/store/sqlite"
	"blockprint/trust"
)

func mainnet() *blockprint.Network {
	return &blockprint.Network{Spec: blockprint.MainnetSpec(), GenesisTime: time.Unix(1_700_000_000, 0)}
}

type live struct {
	t     *testing.T
	store *sqlite.Store
	s     trust.Settings
	slot  blockprint.Slot
}

func newLive(t *testing.T) *live {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "trust.db"))
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

// TestLiveRates: a label that is never recognised, and one that swallows it.
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
	notices, err := notify.Kept(l.store, trust.Tenant).After(t.Context(), 0, 100, false)
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
