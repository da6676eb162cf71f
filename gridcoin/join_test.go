package gridcoin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/greylist"
	"blockprint/gridcoin"
	"blockprint/gridcoin/rules"
)

// daily adds superblocks a day apart, beginning with the number from, whose hashes end with a mark.
func (f *fake) daily(from, to int, mark string, totals func(i int) map[string]uint64) {
	for i := from; i < to; i++ {
		f.add(first+960*i, totals(i))
		b := f.superblocks[len(f.superblocks)-1]
		b["block"] = fmt.Sprintf("%d%s", i, mark)
		b["date"] = time.Unix(genesis+86_400*int64(i), 0).UTC().Format("01-02-2006 15:04:05")
	}
}

func growing(i int) map[string]uint64 { return map[string]uint64{"a": uint64(1000 * (i + 1))} }

// TestJoins: superblocks that a node tells must join those that are known, else nothing changes; what is missing between is
// asked for.
func TestJoins(t *testing.T) {
	for name, c := range map[string]struct {
		now      func(f *fake)
		lookback int
		failure  string // empty if it is taken
		heights  int    // superblocks that are known then
		newest   string
	}{
		"nothing new":          {func(f *fake) {}, 10, "", 10, "9"},
		"one more":             {func(f *fake) { f.daily(10, 11, "", growing) }, 1, "", 11, "10"},
		"a hole":               {func(f *fake) { f.daily(10, 40, "", growing) }, 3, "", 40, "39"},
		"its list ends in it":  {func(f *fake) { f.superblocks = nil; f.daily(12, 40, "", growing) }, 120, "superblocks are missing between height 4008640", 10, "9"},
		"further back":         {func(f *fake) { f.superblocks = nil; f.daily(-5, 12, "", growing) }, 120, "", 17, "11"},
		"another end":          {func(f *fake) { f.superblocks = f.superblocks[:8]; f.daily(8, 11, "x", growing) }, 3, "", 11, "10x"},
		"another end, shorter": {func(f *fake) { f.superblocks = f.superblocks[:7]; f.daily(7, 8, "x", growing) }, 120, "", 8, "7x"},
		"behind":               {func(f *fake) { f.superblocks = f.superblocks[:6] }, 120, "the node is behind: its newest superblock is at height 4004800", 10, "9"},
		"behind, it says":      {func(f *fake) { f.superblocks = f.superblocks[:6]; f.info = obj{"in_sync": false, "blocks": 9_000_000} }, 120, "the node is behind", 10, "9"},
		"behind, low": {func(f *fake) {
			f.superblocks = f.superblocks[:6]
			f.info = obj{"in_sync": true, "blocks": first + 960*6}
		}, 120, "the node is behind", 10, "9"},
		"one was taken away": {func(f *fake) {
			f.superblocks = f.superblocks[:9]
			f.info = obj{"in_sync": true, "blocks": first + 960*9 + 5}
		}, 120, "", 9, "8"},
		"far behind": {func(f *fake) {
			f.superblocks = nil
			f.daily(-9, -5, "", growing)
			f.info = obj{"in_sync": true, "blocks": 9_000_000}
		}, 120, "the node is behind", 10, "9"},
		"nothing at all":        {func(f *fake) { f.superblocks = []obj{} }, 120, "no superblock was reported", 10, "9"},
		"another chain":         {func(f *fake) { f.superblocks = nil; f.daily(-3, 30, "y", growing) }, 120, "they are of another chain", 10, "9"},
		"another chain, longer": {func(f *fake) { f.superblocks = nil; f.daily(-3, 700, "y", growing) }, 120, "superblocks are missing", 10, "9"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.node.list("a", "Active", -100)
			r.node.daily(0, 10, "", growing)
			r.sync(120)
			r.node.asked = nil
			c.now(r.node)
			changes, e := r.sync(c.lookback)
			failure := strings.Join(changes, "; ")
			if (failure == "") != (c.failure == "") || !strings.Contains(failure, c.failure) {
				t.Errorf("%q, want %q", failure, c.failure)
			}
			if e.Boundaries() != c.heights || e.Back(0).Hash != c.newest {
				t.Errorf("%d superblocks are known, up to %s", e.Boundaries(), e.Back(0).Hash)
			}
			for back := 1; back < e.Boundaries() && c.failure == ""; back++ {
				if newer, older := e.Back(back-1), e.Back(back); newer.Time-older.Time != 86_400 {
					t.Errorf("there is a hole between heights %d and %d", older.Height, newer.Height)
				}
			}
			if name == "nothing new" && !slices.Equal(r.node.asked, []int{1}) {
				t.Errorf("asked for %v superblocks", r.node.asked)
			}
		})
	}
}

// TestWhitelistBehind: a whitelist that lacks what is known is taken only from a node that has caught up.
func TestWhitelistBehind(t *testing.T) {
	r := newRig(t)
	r.node.list("a", "Active", 10)
	r.node.list("b", "Active", 10)
	r.sync(0)
	delete(r.node.projects, "b")
	r.node.list("c", "Active", 20)
	if changes, _ := r.sync(0); len(changes) != 1 || !strings.Contains(changes[0], "the node is behind") {
		t.Errorf("%q", changes)
	}
	r.node.info = obj{"in_sync": true, "blocks": 1}
	if changes, _ := r.sync(0); !slices.Equal(changes, []string{"0 c UNKNOWN>ACTIVE listed"}) {
		t.Errorf("%q", changes)
	}
}

// TestFirstListing: a project was listed before the first superblock that has a total of it, and before a contract that has
// one before it, which is a bound; how far before is held against the newest superblock's own record.
func TestFirstListing(t *testing.T) {
	still := func(int) map[string]uint64 { return map[string]uint64{"a": 5} }
	none := func(int) map[string]uint64 { return nil }
	for name, c := range map[string]struct {
		totals   func(int) map[string]uint64
		previous string
		recorded bool
		status   greylist.Status
		listed   string
		bound    bool
	}{
		"its first contract":       {none, "null", false, greylist.Active, "2026-06-07 20:26:39 UTC", false},
		"a total before":           {still, "null", true, greylist.AutoGreylist, "2026-05-28 20:26:40 UTC", true},
		"and one before":           {still, "ab", true, greylist.AutoGreylist, "2026-05-28 20:26:40 UTC", true},
		"one before, and no total": {none, "ab", true, greylist.AutoGreylist, "2026-05-28 20:26:40 UTC", true},
		"one before, not recorded": {none, "ab", false, greylist.Active, "2026-06-07 20:26:39 UTC", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.node.list("a", "Active", 86_400*10-1)
			r.node.projects["a"]["previous_project_entry_tx_hash"] = c.previous
			r.node.daily(0, 12, "", c.totals)
			if c.recorded {
				r.node.superblocks[11]["contract_contents"].(obj)["project_greylist_status"] = []obj{{"project": "a", "status": "Automatically Greylisted"}}
			}
			changes, e := r.sync(120)
			if slices.ContainsFunc(changes, func(c string) bool { return strings.HasPrefix(c, "differs") }) {
				t.Errorf("%q", changes)
			}
			report, err := e.Explain("a")
			if err != nil || report.Status != c.status || report.Listed != c.listed || report.Bound != c.bound {
				t.Errorf("%s, listed %s, bound %v (%v)", report.Status, report.Listed, report.Bound, err)
			}
			if changes, _ := r.sync(120); len(changes) > 0 {
				t.Errorf("a second time: %q", changes)
			}
		})
	}
	// What is learned of a listing later rewrites what lies far back, and changes nothing else.
	r := newRig(t)
	r.node.list("a", "Active", 86_400*10-1)
	r.node.list("b", "Active", -100)
	all := func(i int) map[string]uint64 { return map[string]uint64{"a": uint64(100 + i), "b": 7} }
	r.node.daily(0, 12, "", all)
	r.sync(5)
	r.node.daily(12, 13, "", all)
	changes, e := r.sync(120)
	ofA := func(c string) bool { return strings.Contains(c, " a ") }
	if e.Boundaries() != 13 || slices.ContainsFunc(changes, ofA) || !strings.Contains(changes[0], "b ACTIVE>AUTO_GREYLISTED") {
		t.Errorf("%d superblocks, %q", e.Boundaries(), changes)
	}
}

// TestWords: words of other languages stop nothing.
func TestWords(t *testing.T) {
	p, err := gridcoin.ParseProjects([]byte(`{"A":{"time":"1","status":"Aktiv"},"B":{"time":"1","status":"Активно"},"C":{"time":"1","status":"Ativo"},"D":{"time":"1","status":"grijs"},"E":{"time":"1","status":"manually greylisted"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range p {
		want := greylist.Active
		if p.Name == "E" {
			want = greylist.Manual
		}
		if p.Status != want || (p.Word == "grijs") != (p.Name == "D") {
			t.Errorf("%+v", p)
		}
	}
	// A superblock records greylisted ones only: one of an unknown word is greylisted.
	b := gridcoin.Superblock{Recorded: map[string]greylist.Status{"a": greylist.Unknown}}
	e := greylist.New(greylist.Options{Rule: rules.Mainnet()})
	for _, status := range []greylist.Status{greylist.Active, greylist.Manual} {
		if err := e.Apply(greylist.Event{Entry: &greylist.Entry{Subject: "a", Status: status}}); err != nil {
			t.Fatal(err)
		}
		if d := gridcoin.Compare(e, &b); (len(d) == 1) != (status == greylist.Active) {
			t.Errorf("%s: %+v", status, d)
		}
	}
	if _, err := gridcoin.NewClient("http://u:geheim@[x"); blockprint.CodeOf(err) != blockprint.Invalid || strings.Contains(err.Error(), "geheim") {
		t.Errorf("%v", err)
	}
}

// FuzzAnswers: whatever a node answers, it is read or refused, and what is taken joins.
func FuzzAnswers(f *testing.F) {
	f.Add(`{"A":{"url":"u","time":"2026-04-18 09:12:00 UTC","status":"Aktiv","previous_project_entry_tx_hash":"ab"}}`,
		`[{"height":"9","block":"b","date":"04-18-2026 09:12:00","contract_contents":{"version":3,"project_greylist_status":[{"project":"A","status":"x"}],"project_all_cpid_total_credits":[{"project":"A","all_cpid_total_credit":5}]}}]`)
	f.Fuzz(func(t *testing.T, whitelist, list string) {
		projects, err := gridcoin.ParseProjects([]byte(whitelist))
		if err != nil && blockprint.CodeOf(err) != blockprint.Invalid {
			t.Fatal(err)
		}
		superblocks, err := gridcoin.ParseSuperblocks([]byte(list))
		if err != nil {
			if blockprint.CodeOf(err) != blockprint.Invalid {
				t.Fatal(err)
			}
			return
		}
		log := gridcoin.Chain(nil, projects, superblocks, gridcoin.Networks["main"])
		if len(superblocks) > 0 && slices.IsSortedFunc(superblocks, func(a, b gridcoin.Superblock) int { return int(a.Time - b.Time) }) {
			if err := gridcoin.Join(log, superblocks); err != nil {
				t.Fatal(err)
			}
			if again := gridcoin.Chain(log, projects, superblocks, gridcoin.Networks["main"]); len(again) != len(log) {
				t.Fatalf("%d events, then %d", len(log), len(again))
			}
		}
	})
}
