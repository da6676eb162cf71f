package stats_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"blockprint/gridcoin/stats"
)

// site is a project's server.
type site struct {
	mu       sync.Mutex
	body     []byte
	modified time.Time
	status   int // 0 means the right one
	breakAt  int // after so many bytes the connection breaks off, once
	ranges   []string
	asked    int
	work     string
}

func (s *site) set(total string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = fmt.Fprintf(z, "<users>\n%s</users>\n", user(total))
	_ = z.Close()
	s.body, s.modified = b.Bytes(), s.modified.Add(time.Hour)
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/server_status.php") {
		if s.work == "" {
			http.NotFound(w, r)
			return
		}
		_, _ = fmt.Fprintf(w, "<server_status><database_file_states><results_ready_to_send>%s</results_ready_to_send></database_file_states></server_status>", s.work)
		return
	}
	s.asked++
	if r.URL.Path != "/stats/user.gz" || s.status != 0 {
		http.Error(w, "", max(s.status, 404))
		return
	}
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	w.Header().Set("ETag", fmt.Sprintf(`"%d-%d"`, s.modified.Unix(), len(s.body)))
	if s.breakAt > 0 {
		w.Header().Set("Last-Modified", s.modified.UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Length", fmt.Sprint(len(s.body)))
		_, _ = w.Write(s.body[:s.breakAt])
		s.breakAt = 0
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(w, r, "user.gz", s.modified, bytes.NewReader(s.body))
}

type fetchRig struct {
	t    *testing.T
	f    *stats.Fetcher
	now  time.Time
	list []stats.Project
}

func newFetch(t *testing.T, sites map[string]http.Handler, names ...string) *fetchRig {
	t.Helper()
	r := &fetchRig{t: t, now: time.Unix(1_780_000_000, 0)}
	r.f = &stats.Fetcher{Dir: t.TempDir(), Now: func() time.Time { return r.now }, Status: true}
	for _, n := range names {
		server := httptest.NewServer(sites[n])
		t.Cleanup(server.Close)
		r.list = append(r.list, stats.Project{Name: n, Base: server.URL + "/"})
	}
	return r
}

func (r *fetchRig) fetch() map[string]stats.Figure {
	r.t.Helper()
	list, err := r.f.Fetch(r.t.Context(), r.list)
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string]stats.Figure{}
	for _, f := range list {
		out[f.Project] = f
	}
	return out
}

func newSite(total string) *site {
	s := &site{modified: time.Unix(1_779_000_000, 0)}
	s.set(total)
	return s
}

// TestFetch: the findings from day to day, and how long a figure stays valid that cannot be renewed.
func TestFetch(t *testing.T) {
	good, dead, page := newSite("100.4"), newSite("50"), newSite("1")
	good.work = "17"
	page.body = []byte("<html>login</html>")
	r := newFetch(t, map[string]http.Handler{"good": good, "dead": dead, "page": page}, "good", "dead", "page")
	day := r.fetch()
	if f := day["good"]; f.Finding != stats.New || *f.Total != 100 || f.Exact != "100.400000" || f.Users != 1 || *f.ReadyToSend != 17 {
		t.Errorf("%+v", f)
	}
	if f := day["page"]; f.Finding != stats.Missing || f.Total != nil || !strings.Contains(f.Error, "not a gzip file") {
		t.Errorf("%+v", f)
	}
	r.now = r.now.Add(24 * time.Hour)
	good.set("150.6")
	dead.status = 503
	day = r.fetch()
	if f := day["good"]; f.Finding != stats.Grown || *f.Total != 151 {
		t.Errorf("%+v", f)
	}
	if f := day["dead"]; f.Finding != stats.Kept || *f.Total != 50 || f.AgeS != 86400 || !strings.Contains(f.Error, "status 503") || f.ReadyToSend != nil {
		t.Errorf("%+v", f)
	}
	r.now = r.now.Add(25 * time.Hour)
	asked := good.asked
	day = r.fetch()
	if f := day["good"]; f.Finding != stats.Unchanged || *f.Total != 151 || f.AgeS != 0 || good.asked != asked+1 {
		t.Errorf("%+v, asked %d times", f, good.asked-asked)
	}
	if f := day["dead"]; f.Finding != stats.Missing || f.Total != nil {
		t.Errorf("after 49 hours: %+v", f)
	}
	good.set("140")
	dead.status = 0
	day = r.fetch()
	if day["good"].Finding != stats.Smaller || *day["good"].Total != 140 || day["dead"].Finding != stats.Unchanged || *day["dead"].Total != 50 {
		t.Errorf("%+v", day)
	}
	// An export without a user does not mean that the total is 0.
	good.body = zipped(t, []byte("<users>\n</users>\n"))
	good.modified = good.modified.Add(time.Hour)
	if f := r.fetch()["good"]; f.Finding != stats.Kept || *f.Total != 140 || !strings.Contains(f.Error, "but no credit") {
		t.Errorf("%+v", f)
	}
}

// TestResume: a transfer that breaks off is resumed.
func TestResume(t *testing.T) {
	s := &site{modified: time.Unix(1_779_000_000, 0), breakAt: 10_000}
	rng := rand.New(rand.NewPCG(5, 6))
	var text strings.Builder
	text.WriteString("<users>\n")
	for range 5000 {
		text.WriteString(user(fmt.Sprintf("%.6f", rng.Float64())))
	}
	text.WriteString("</users>\n")
	s.body = zipped(t, []byte(text.String()))
	r := newFetch(t, map[string]http.Handler{"p": s}, "p")
	f := r.fetch()["p"]
	if f.Finding != stats.New || f.Users != 5000 || len(s.ranges) != 2 || s.ranges[0] != "" || s.ranges[1] != "bytes=10000-" {
		t.Errorf("%+v, ranges %q", f, s.ranges)
	}
	if left, err := filepath.Glob(filepath.Join(r.f.Dir, "*.partial")); err != nil || len(left) > 0 {
		t.Errorf("%v was left (%v)", left, err)
	}
}

// TestLimits: files that are too large, answers that never end, and damaged state.
func TestLimits(t *testing.T) {
	s := newSite("5")
	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	})
	r := newFetch(t, map[string]http.Handler{"large": s, "endless": endless}, "large", "endless")
	r.f.Limits.Compressed, r.f.Timeout = 50, 300*time.Millisecond
	day := r.fetch()
	if f := day["large"]; !strings.Contains(f.Error, "but only 50") {
		t.Errorf("%+v", f)
	}
	if f := day["endless"]; f.Error == "" {
		t.Errorf("%+v", f)
	}
	r.f.Limits.Compressed = 0
	if err := os.WriteFile(filepath.Join(r.f.Dir, "large.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if f := r.fetch()["large"]; f.Finding != stats.Missing || !strings.Contains(f.Error, "large.json") {
		t.Errorf("%+v", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.f.Fetch(ctx, r.list); err == nil {
		t.Error("a fetch that was stopped says nothing")
	}
}

// TestAdapter: a command fetches the export of a project that has none; it may print a compressed or a plain one, and its
// error output is reported. Known then needs no request.
func TestAdapter(t *testing.T) {
	r := newFetch(t, map[string]http.Handler{}, "p")
	r.list[0].Adapter = true
	if f := r.fetch()["p"]; f.Finding != stats.Missing || !strings.Contains(f.Error, "give its command with --adapter") {
		t.Errorf("without a command: %+v", f)
	}
	plain, packed := filepath.Join(t.TempDir(), "plain"), filepath.Join(t.TempDir(), "packed")
	text := []byte("<users>\n" + user("7") + "</users>\n")
	for path, b := range map[string][]byte{plain: text, packed: zipped(t, text)} {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.f.Adapter = []string{"sh", "-c", `test "$1" = p && cat ` + plain, "adapter"}
	if f := r.fetch()["p"]; f.Finding != stats.New || *f.Total != 7 {
		t.Errorf("%+v", f)
	}
	r.f.Adapter = []string{"sh", "-c", "cat " + packed}
	if f := r.fetch()["p"]; f.Finding != stats.Unchanged || *f.Total != 7 {
		t.Errorf("%+v", f)
	}
	r.f.Adapter = []string{"sh", "-c", "echo no network >&2; cat " + plain + "; exit 3"}
	if f := r.fetch()["p"]; f.Finding != stats.Kept || *f.Total != 7 || !strings.Contains(f.Error, "exit status 3: no network") {
		t.Errorf("%+v", f)
	}
	r.now = r.now.Add(47 * time.Hour)
	if f, err := r.f.Known(r.list); err != nil || f[0].Total == nil || *f[0].Total != 7 || f[0].AgeS != 47*3600 {
		t.Errorf("%+v, %v", f, err)
	}
	r.now = r.now.Add(2 * time.Hour)
	if f, err := r.f.Known(r.list); err != nil || f[0].Total != nil || f[0].Finding != stats.Missing {
		t.Errorf("after 49 hours: %+v, %v", f, err)
	}
}

// TestStatus: the one number that matters is read whatever text surrounds it; if it is missing, the figure says why.
func TestStatus(t *testing.T) {
	page := "%s<server_status>\n<host>M\xfcnchen&nbsp;\x80</host><database_file_states>\n<results_ready_to_send>%s</results_ready_to_send></database_file_states>"
	for declaration, c := range map[string]struct {
		number, failure string
		want            int64
	}{
		`<?xml version="1.0" encoding="ISO-8859-1" ?>`:  {"1234", "", 1234},
		`<?xml version="1.0" encoding="windows-1252"?>`: {" 7\n", "", 7},
		`<?xml version="1.0" encoding="US-ASCII"?>`:     {"0", "", 0},
		``:           {"5", "", 5},
		`<!-- a -->`: {"-5", "not a number of results", 0},
		`<html>`:     {"many", `is "many", not a number of results`, 0},
	} {
		s := newSite("1")
		r := newFetch(t, map[string]http.Handler{"p": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/server_status.php") {
				_, _ = fmt.Fprintf(w, page, declaration, c.number)
				return
			}
			s.ServeHTTP(w, r)
		})}, "p")
		f := r.fetch()["p"]
		if f.Error != "" || (f.ReadyToSend == nil) != (c.failure != "") || f.ReadyToSend != nil && *f.ReadyToSend != c.want || c.failure != "" && !strings.Contains(f.StatusError, c.failure) || c.failure == "" && f.StatusError != "" {
			t.Errorf("%s: %+v", declaration, f)
		}
	}
	r := newFetch(t, map[string]http.Handler{"p": newSite("1")}, "p")
	if f := r.fetch()["p"]; f.Error != "" || !strings.Contains(f.StatusError, "/server_status.php: status 404") {
		t.Errorf("%+v", f)
	}
}

// TestFiguresOfOdd: a clock that is ahead gives no negative age, malformed records are reported, and projects whose names
// differ only in characters that file names cannot have do not share a file.
func TestFiguresOfOdd(t *testing.T) {
	ahead, other := newSite("5"), newSite("6")
	ahead.modified = time.Unix(1_790_000_000, 0)
	ahead.body = zipped(t, []byte("<users>"+user("5")+"<user><name><3</name><total_credit>1</total_credit></user></users>"))
	r := newFetch(t, map[string]http.Handler{"a/b": ahead, "a_b": other, "..": newSite("7"), ".": newSite("8")}, "a/b", "a_b", "..", ".")
	f := r.fetch()
	if p := f["a/b"]; p.Export != 0 || !strings.Contains(p.Remark, "clock is ahead") || p.OddUsers != 1 || p.FirstOdd == 0 || *p.Total != 6 {
		t.Errorf("%+v", p)
	}
	r.now = r.now.Add(-time.Hour)
	known, err := r.f.Known(r.list)
	if err != nil || *known[0].Total != 6 || *known[1].Total != 6 || *known[2].Total != 7 || *known[3].Total != 8 || known[0].OddUsers != 1 || known[1].OddUsers != 0 || known[1].AgeS != 0 {
		t.Errorf("%+v (%v)", known, err)
	}
}

// TestLarge streams an export of five million users, made on the fly, from a server.
func TestLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a file of five million users")
	}
	const n = 5_000_000
	server := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = fmt.Fprint(z, "<users>\n")
		for i := range n {
			_, _ = fmt.Fprintf(z, "<user>\n <id>%d</id>\n <name>u%d</name>\n <total_credit>%d.500000</total_credit>\n <cpid>%032x</cpid>\n</user>\n", i, i, i%1000, i)
		}
		_, _ = fmt.Fprint(z, "</users>\n")
		_ = z.Close()
	})
	r := newFetch(t, map[string]http.Handler{"p": server}, "p")
	began := time.Now()
	f := r.fetch()["p"]
	if f.Finding != stats.New || f.Users != n || *f.Total != n/1000*499500+n/2 {
		t.Errorf("%+v", f)
	}
	t.Logf("five million users in %s", time.Since(began).Round(time.Millisecond))
}
