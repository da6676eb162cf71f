package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"blockprint/greylist"
	"blockprint/greylist/notify"
	"blockprint/gridcoin/rules"
	"blockprint/httpapi"
	"blockprint/store"
	_ "blockprint/store/sqlite"
)

// TestGreylist serves a list while another book of the same database writes to it.
func TestGreylist(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "g.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	open := func(ctx context.Context) (*greylist.Book, error) {
		return greylist.OpenBook(ctx, s, "projects", greylist.Options{Rule: rules.Mainnet(), Exclusions: true})
	}
	book, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shelf := &greylist.Shelf{Open: open, Age: time.Nanosecond}
	server, err := httpapi.NewGreylist(httpapi.GreylistSource{Snapshot: shelf.Snapshot, Feed: func(ctx context.Context, id string, out io.Writer) error {
		return notify.Log{Store: s, Tenant: "projects"}.WriteFeed(ctx, id, "Projects", out)
	}}, httpapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string, status int) string {
		t.Helper()
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != status {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	if got := get("/greylist", 200); !strings.Contains(got, `"evaluated":false,"boundary":null`) {
		t.Errorf("before anything is known: %s", got)
	}
	events := []greylist.Event{
		{Entry: &greylist.Entry{Subject: "a b@home/1", Status: greylist.Active, Hash: "x", Time: 1}},
		{Entry: &greylist.Entry{Subject: "gone", Status: greylist.Deleted, Hash: "y", Time: 1}},
	}
	for i := range 12 {
		totals := map[string]uint64{"a b@home/1": 7}
		if i == 11 {
			totals = nil
		}
		events = append(events, greylist.Event{Boundary: &greylist.Boundary{Height: uint64(100 + i), Hash: fmt.Sprint(i), Time: int64(2 + i), Judged: true, Totals: totals}})
	}
	book.Announce = true
	for _, n := range []int{2, len(events) - 1, len(events)} {
		if _, err := book.Replace(t.Context(), events[:n]); err != nil {
			t.Fatal(err)
		}
	}
	var list struct {
		Evaluated bool
		Boundary  *greylist.BoundaryPlace
		Subjects  []struct {
			Subject  string
			Status   greylist.Status
			Reasons  []string
			Excluded bool
			ZCD      int
			WAS      float64
		}
	}
	if err := json.Unmarshal([]byte(get("/greylist", 200)), &list); err != nil {
		t.Fatal(err)
	}
	if !list.Evaluated || list.Boundary.Height != 111 || len(list.Subjects) != 1 {
		t.Fatalf("%+v", list)
	}
	if s := list.Subjects[0]; s.Status != greylist.AutoGreylist || s.ZCD < 8 || !s.Excluded || !reflect.DeepEqual(s.Reasons, []string{"zcd", "was"}) {
		t.Errorf("%+v", s)
	}
	if got := get("/greylist?all=true", 200); !strings.Contains(got, `"subject":"gone","status":"DELETED"`) {
		t.Errorf("%s", got)
	}
	want, err := book.Explain("a b@home/1")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got := get("/greylist/subjects/a%20b@home%2F1", 200); strings.TrimSpace(got) != string(text) {
		t.Errorf("%s, want %s", got, text)
	}
	if got := get("/greylist/subjects/none", 404); !strings.Contains(got, `there is no subject \"none\"`) {
		t.Error(got)
	}
	var history []greylist.Change
	if err := json.Unmarshal([]byte(get("/greylist/history?subject=a+b@home/1&limit=2", 200)), &history); err != nil || len(history) != 2 || !strings.Contains(history[0].Reason, "was") && !strings.Contains(history[0].Reason, "zcd") || history[1].Reason != greylist.Excluded {
		t.Errorf("%v: %+v", err, history)
	}
	get("/greylist/history?limit=0", 400)
	if got := get("/greylist/feed.atom", 200); !strings.Contains(got, "<title>a b@home/1: excluded</title>") || !strings.Contains(got, "<id>http://example.com/greylist/feed.atom</id>") {
		t.Error(got)
	}
	if got := get("/metrics", 200); !strings.Contains(got, `blockprint_greylisted{subject="a b@home/1"} 1`) {
		t.Error(got)
	}
	if got := get("/docs", 200); !strings.Contains(got, "/greylist/subjects/{name}") || !strings.Contains(got, "gone silent or bad") {
		t.Error(got)
	}
	get("/readyz", 200)
}
