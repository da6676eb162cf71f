package gridcoin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/greylist"
	"blockprint/gridcoin"
	"blockprint/gridcoin/rules"
	"blockprint/store"
	_ "blockprint/store/sqlite"
)

type obj map[string]any

// fake is a Gridcoin node as far as its RPC goes.
type fake struct {
	projects    map[string]obj
	superblocks []obj // oldest first
	old         bool  // without getrawprojectstatus
	info        obj   // of getblockchaininfo
	asked       []int // lookbacks
}

const genesis = 1_780_000_000

func (f *fake) add(height int, totals map[string]uint64, greylisted ...string) {
	credits, status := []obj{}, []obj{}
	for name, n := range totals {
		credits = append(credits, obj{"project": name, "all_cpid_total_credit": n})
	}
	for _, name := range greylisted {
		status = append(status, obj{"project": name, "status": "Automatically Greylisted"})
	}
	f.superblocks = append(f.superblocks, obj{
		"height": fmt.Sprint(height), "block": fmt.Sprintf("%064x", height), "wallet_version": "5.5",
		"date":              time.Unix(genesis+int64(height), 0).UTC().Format("01-02-2006 15:04:05"),
		"contract_contents": obj{"version": 3, "project_greylist_status": status, "project_all_cpid_total_credits": credits},
	})
}

func (f *fake) list(name, status string, height int) {
	if f.projects == nil {
		f.projects = map[string]obj{}
	}
	f.projects[name] = obj{
		"version": 4, "display_name": strings.ReplaceAll(name, "_", " "), "url": "https://" + name + ".example/@", "gdpr_controls": false, "status": status,
		"time": time.Unix(genesis+int64(height), 0).UTC().Format("2006-01-02 15:04:05 UTC"), "current_project_entry_tx_hash": fmt.Sprintf("%063x-%s", height, name), "previous_project_entry_tx_hash": "null",
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, password, _ := r.BasicAuth(); name != "user" || password != "secret" {
		http.Error(w, "", http.StatusUnauthorized)
		return
	}
	var q struct {
		Method string
		Params []any
		ID     any
	}
	reply := obj{"result": nil, "error": nil}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		reply["error"] = obj{"code": -32700, "message": "Parse error"}
	}
	reply["id"] = q.ID
	switch {
	case q.Method == "getrawprojectstatus" && !f.old:
		reply["result"] = f.projects
	case q.Method == "getblockchaininfo" && f.info != nil:
		reply["result"] = f.info
	case q.Method == "listprojects":
		reply["result"] = f.projects
	case q.Method == "superblocks" && len(q.Params) == 2:
		f.asked = append(f.asked, int(q.Params[0].(float64)))
		n := min(int(q.Params[0].(float64)), len(f.superblocks))
		newest := slices.Clone(f.superblocks[len(f.superblocks)-n:])
		slices.Reverse(newest)
		reply["result"] = newest
	default:
		reply["error"] = obj{"code": -32601, "message": "Method not found"}
		w.WriteHeader(http.StatusNotFound)
	}
	_ = json.NewEncoder(w).Encode(reply)
}

func horrible(t *testing.T) (credits []*uint64) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "golden", "greylist", "horrible-project.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Total *uint64 `json:"total_credit"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		credits = append(credits, l.Total)
	}
	return credits
}

type rig struct {
	t    *testing.T
	node *fake
	url  string
	path string
}

// sync brings the database in step with the node, as one start of the program.
func (r *rig) sync(lookback int) (changes []string, engine *greylist.Engine) {
	r.t.Helper()
	ctx := r.t.Context()
	s, err := store.Open(ctx, r.path, store.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	book, err := greylist.OpenBook(ctx, s, gridcoin.Tenant, greylist.Options{Rule: rules.Mainnet()})
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := gridcoin.NewClient(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	projects, superblocks, err := c.Bring(ctx, book.Log(), lookback)
	if err != nil {
		return []string{err.Error()}, book.Engine
	}
	list, err := book.Replace(ctx, gridcoin.Chain(book.Log(), projects, superblocks, gridcoin.Networks["main"]))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range list {
		changes = append(changes, fmt.Sprintf("%d %s %s>%s %s", c.Height, c.Subject, c.Old, c.New, c.Reason))
	}
	if len(superblocks) == 0 {
		return changes, book.Engine
	}
	if d := gridcoin.Compare(book.Engine, &superblocks[len(superblocks)-1]); len(d) > 0 {
		changes = append(changes, fmt.Sprintf("differs: %+v", d))
	}
	return changes, book.Engine
}

func newRig(t *testing.T) *rig {
	node := &fake{}
	server := httptest.NewServer(node)
	t.Cleanup(server.Close)
	return &rig{t, node, strings.Replace(server.URL, "http://", "http://user:secret@", 1), filepath.Join(t.TempDir(), "gridcoin.db")}
}

const first = 4_000_000

// TestSync follows a node: superblocks come, one is reorganized away, a project is greylisted by hand and listed again; a
// node that looks back less far than the database does not shorten it.
func TestSync(t *testing.T) {
	r := newRig(t)
	r.node.list("horrible", "Active", first-10)
	r.node.list("good@home", "Active", first-10)
	credits := horrible(t)
	next := func(i int) {
		totals := map[string]uint64{"good@home": uint64(1000 * (i + 1))}
		if credits[i] != nil {
			totals["horrible"] = *credits[i]
		}
		var grey []string
		if i >= 12 && i < 21 || i >= 24 {
			grey = []string{"horrible"}
		}
		r.node.add(first+100*i, totals, grey...)
	}
	for i := range 13 {
		next(i)
	}
	changes, _ := r.sync(200)
	// With the benefit of the doubt (from the first such superblock on), nothing but the twelfth differs from the series.
	want := []string{"0 good@home UNKNOWN>ACTIVE listed", "0 horrible UNKNOWN>ACTIVE listed"}
	if !slices.Equal(changes[:2], want) || len(changes) > 3 {
		t.Errorf("%q", changes)
	}
	for i := 13; i < 25; i++ {
		next(i)
	}
	r.sync(20)
	changes, e := r.sync(20)
	if len(changes) > 0 || e.Len() != 2+25 {
		t.Errorf("a second time: %q, %d events", changes, e.Len())
	}
	report, err := e.Explain("horrible")
	if err != nil || report.Status != greylist.AutoGreylist || report.Explanation.Facts.(*rules.Facts).WAS.Value != "5/176" || report.Since.Height != first+2400 {
		t.Errorf("%+v (%v)", report, err)
	}
	// The newest superblock is staked anew, with another total.
	r.node.superblocks = r.node.superblocks[:24]
	r.node.add(first+2401, map[string]uint64{"good@home": 25000, "horrible": 6000})
	if changes, _ = r.sync(20); !slices.Equal(changes, []string{"4002400 horrible AUTO_GREYLISTED>ACTIVE reorganisation"}) {
		t.Errorf("%q", changes)
	}
	r.node.list("good@home", "Manually Greylisted", first+2410)
	if changes, _ = r.sync(20); len(changes) != 2 || changes[0] != "0 good@home ACTIVE>MAN_GREYLISTED manual" {
		t.Errorf("%q", changes)
	}
	r.node.old = true
	r.node.list("good@home", "Automatically Greylisted", first+2420) // of the contract it tells nothing
	if changes, _ = r.sync(5); len(changes) == 0 || changes[0] != "0 good@home MAN_GREYLISTED>ACTIVE manual-lifted" {
		t.Errorf("%q", changes)
	}
}

// TestReads: answers are read as they come, wrapped or not, and bad ones are named.
func TestReads(t *testing.T) {
	if p, err := gridcoin.ParseProjects([]byte(`{"result":{"A":{"url":"u","time":"2026-04-18 09:12:00 UTC","status":"Active by Greylist Override"}},"error":null,"id":1}`)); err != nil || p[0].Status != greylist.AutoOverride || p[0].Time != 1776503520 {
		t.Errorf("%+v (%v)", p, err)
	}
	for text, want := range map[string]string{
		`[]`:                         "keyed by name",
		`{"A":{"time":"yesterday"}}`: `project "A": time`,
	} {
		if _, err := gridcoin.ParseProjects([]byte(text)); blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	block := func(height, rest string) string {
		return `{"height":"` + height + `","block":"b","date":"04-18-2026 09:12:00"` + rest + `}`
	}
	full := `,"contract_contents":{"version":3,"project_all_cpid_total_credits":[{"project":"A","all_cpid_total_credit":18446744073709551615}]}`
	if b, err := gridcoin.ParseSuperblocks([]byte("[" + block("9", full) + "," + block("7", full) + "]")); err != nil || b[0].Height != 7 || b[1].Totals["A"] != 1<<64-1 || b[0].Time != 1776503520 {
		t.Errorf("%+v (%v)", b, err)
	}
	for text, want := range map[string]string{
		`{}`:                         "expected a list",
		`[` + block("0", full) + `]`: "no height",
		`[` + block("5", "") + `]`:   "contract_contents",
		`[` + block("5", full) + `,` + block("5", full) + `]`: "two superblocks at height 5",
		`[{"height":"5","block":"b","date":"soon"}]`:          "date",
		`[` + block("5", `,"contract_contents":{"version":3,"project_all_cpid_total_credits":[{"project":"A","all_cpid_total_credit":-1}]}`) + `]`:                                          "expected a list",
		`[` + block("5", `,"contract_contents":{"version":3,"project_all_cpid_total_credits":[{"project":"A","all_cpid_total_credit":1},{"project":"A","all_cpid_total_credit":2}]}`) + `]`: `has "A" twice`,
	} {
		if _, err := gridcoin.ParseSuperblocks([]byte(text)); blockprint.CodeOf(err) != blockprint.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestClientErrors: wrong credentials and answers that are none.
func TestClientErrors(t *testing.T) {
	r := newRig(t)
	c, err := gridcoin.NewClient(strings.Replace(r.url, "secret", "guess", 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Projects(t.Context()); blockprint.CodeOf(err) != blockprint.Unauthorized || strings.Contains(err.Error(), "guess") {
		t.Errorf("%v", err)
	}
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>") }))
	t.Cleanup(html.Close)
	if c, err = gridcoin.NewClient(html.URL); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Superblocks(t.Context(), 5); blockprint.CodeOf(err) != blockprint.Unavailable {
		t.Errorf("%v", err)
	}
	if _, err := gridcoin.NewClient("127.0.0.1:15715"); err == nil {
		t.Error("something that is no URL was taken")
	}
}
