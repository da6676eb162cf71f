package stats

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/file"
)

// Project is where a project's statistics are.
type Project struct {
	Name string
	Base string // URL, with a slash at its end
	// Adapter tells that the project exports nothing itself: its figures come from the operator's command.
	Adapter bool
}

// Findings of a fetch.
const (
	Grown     = "grown"
	Unchanged = "unchanged" // the same total, or the very same file
	Smaller   = "smaller"
	New       = "new"     // there was no figure before
	Kept      = "kept"    // it could not be fetched; the last figure still holds
	Missing   = "missing" // it could not be fetched for too long, or never
)

// Figure is what is known of a project's total credit.
type Figure struct {
	Project string `json:"project"`
	Finding string `json:"finding"`
	// Total is nil if the figure is missing.
	Total  *uint64 `json:"total_credit"`
	Exact  string  `json:"exact_total,omitempty"`
	Users  int     `json:"users,omitempty"`
	Error  string  `json:"error,omitempty"`
	AgeS   int64   `json:"age_s,omitempty"`        // since the last successful fetch
	Export int64   `json:"export_age_s,omitempty"` // since the project made its export, as it says
	// ReadyToSend is how many results the project has to give out, as it says: an early warning, never a rule.
	ReadyToSend *int64 `json:"results_ready_to_send,omitempty"`
}

// state is what is kept of a project between fetches.
type state struct {
	ETag         string  `json:"etag,omitempty"`
	LastModified string  `json:"last_modified,omitempty"`
	Hash         string  `json:"sha256,omitempty"` // of the file
	Total        *uint64 `json:"total_credit"`
	Exact        string  `json:"exact_total"`
	Users        int     `json:"users"`
	Fetched      int64   `json:"fetched"` // seconds since 1970
	Modified     int64   `json:"modified,omitempty"`
	Ready        *int64  `json:"results_ready_to_send,omitempty"`
}

// Retention is how long a figure holds that cannot be renewed.
const Retention = 48 * time.Hour

// Fetcher brings projects' exports. Its folder keeps what is known of each, and transfers that broke off.
type Fetcher struct {
	Dir      string
	Parallel int // projects at once; 0 for 8
	Limits   Limits
	Timeout  time.Duration // of a project; 0 for an hour
	Now      func() time.Time
	// Status asks each project's server_status.php too.
	Status bool
	// Adapter is a command and its arguments for projects that need one; a project's name and URL are appended. It prints
	// an export of users, compressed or not.
	Adapter []string
	// Progress, if not nil, is told when a project is done.
	Progress func(done, total int)

	client http.Client
}

// Fetch brings all projects and returns a figure for each, in their order. What fails of one concerns that one only.
func (f *Fetcher) Fetch(ctx context.Context, projects []Project) ([]Figure, error) {
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("statistics: %w", err)
	}
	parallel := f.Parallel
	if parallel == 0 {
		parallel = 8
	}
	out := make([]Figure, len(projects))
	var g errgroup.Group
	g.SetLimit(parallel)
	var mu sync.Mutex
	done := 0
	for i, p := range projects {
		g.Go(func() error {
			out[i] = f.one(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			done++
			if f.Progress != nil {
				f.Progress(done, len(projects))
			}
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	return out, ctx.Err()
}

// one brings one project.
func (f *Fetcher) one(ctx context.Context, p Project) Figure {
	timeout := f.Timeout
	if timeout == 0 {
		timeout = time.Hour
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := f.load(p.Name)
	if err != nil {
		return Figure{Project: p.Name, Finding: Missing, Error: err.Error()}
	}
	renew := f.renew
	if p.Adapter {
		renew = f.adapt
	}
	finding, err := renew(ctx, p, s)
	if f.Status && !p.Adapter {
		s.Ready = nil // an early warning must be of now
		if n, err := f.readyToSend(ctx, p); err == nil {
			s.Ready = &n
		}
	}
	err = errors.Join(err, f.save(p.Name, s))
	fig := f.figure(p, s)
	if err != nil {
		fig.Error = err.Error()
	} else {
		fig.Finding = finding
	}
	return fig
}

// Known returns what is known of projects without asking anybody.
func (f *Fetcher) Known(projects []Project) ([]Figure, error) {
	var out []Figure
	for _, p := range projects {
		s, err := f.load(p.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, f.figure(p, s))
	}
	return out, nil
}

// figure tells what is kept of a project, as long as it holds.
func (f *Fetcher) figure(p Project, s *state) Figure {
	age := f.Now().Unix() - s.Fetched
	if s.Total == nil || age > int64(Retention/time.Second) {
		return Figure{Project: p.Name, Finding: Missing, ReadyToSend: s.Ready}
	}
	fig := Figure{Project: p.Name, Finding: Kept, Total: s.Total, Exact: s.Exact, Users: s.Users, AgeS: age, ReadyToSend: s.Ready}
	if s.Modified > 0 {
		fig.Export = f.Now().Unix() - s.Modified
	}
	return fig
}

// path returns a project's file of a kind. Names are made safe for a file system.
func (f *Fetcher) path(name, kind string) string {
	safe := strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r < ' ' {
			return '_'
		}
		return r
	}, name)
	return filepath.Join(f.Dir, strings.TrimLeft(safe, ".")+kind)
}

func (f *Fetcher) load(name string) (*state, error) {
	b, err := os.ReadFile(f.path(name, ".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return &state{}, nil
	}
	if err != nil {
		return &state{}, err
	}
	s := &state{}
	if err := json.Unmarshal(b, s); err != nil {
		return &state{}, blockprint.Errorf(blockprint.Invalid, "%s: %w", f.path(name, ".json"), err)
	}
	return s, nil
}

func (f *Fetcher) save(name string, s *state) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return file.WriteAtomic(f.path(name, ".json"), b)
}

// tries is how often a transfer that breaks off goes on.
const tries = 4

// renew asks for the export if it has changed, and sums it up.
func (f *Fetcher) renew(ctx context.Context, p Project, s *state) (string, error) {
	partial := f.path(p.Name, ".gz.partial")
	next, unchanged, err := f.download(ctx, p.Base+"stats/user.gz", partial, s)
	if err != nil {
		return "", err
	}
	if unchanged {
		s.Fetched = f.Now().Unix()
		return Unchanged, nil
	}
	defer func() { _ = os.Remove(partial) }() // it is read; another one is fetched next time
	in, err := os.Open(partial)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }() // read only
	hash := sha256.New()
	e, err := ParseGzip(io.TeeReader(in, hash), f.Limits)
	if err != nil {
		return "", fmt.Errorf("stats/user.gz: %w", err)
	}
	next.Hash = hex.EncodeToString(hash.Sum(nil))
	return f.take(s, next, e), nil
}

// take makes an export what is known of a project, and tells how that differs from before.
func (f *Fetcher) take(s, next *state, e *Export) string {
	finding := New
	if s.Total != nil {
		switch {
		case e.Total > *s.Total:
			finding = Grown
		case e.Total == *s.Total:
			finding = Unchanged
		default:
			finding = Smaller
		}
	}
	next.Total, next.Exact, next.Users, next.Fetched, next.Ready = &e.Total, e.Exact, e.Users, f.Now().Unix(), s.Ready
	*s = *next
	return finding
}

// adapt reads what the operator's command prints of a project.
func (f *Fetcher) adapt(ctx context.Context, p Project, s *state) (string, error) {
	if len(f.Adapter) == 0 {
		return "", blockprint.Errorf(blockprint.Invalid, "the project needs an external adapter, but there is no command for it")
	}
	args := append(slices.Clone(f.Adapter[1:]), p.Name, p.Base)
	cmd := exec.CommandContext(ctx, f.Adapter[0], args...)
	cmd.WaitDelay = time.Second // a child that keeps the pipe open does not hold up the others
	var complaint tail
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("adapter: %w", err)
	}
	e, err := parseEither(out, f.Limits)
	if err != nil {
		_ = cmd.Process.Kill() // it would wait for somebody to read on
	}
	if failed := cmd.Wait(); failed != nil && (err == nil || len(complaint) > 0) {
		err = fmt.Errorf("%w: %s", failed, strings.TrimSpace(string(complaint)))
	}
	if err != nil {
		return "", fmt.Errorf("adapter: %w", err)
	}
	return f.take(s, &state{}, e), nil
}

// parseEither reads an export that may be compressed.
func parseEither(r io.Reader, l Limits) (*Export, error) {
	in := bufio.NewReader(r)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		text, err := unpack(in)
		if err != nil {
			return nil, err
		}
		return Parse(text, l) // not ahead: a command that has been read enough of must not be waited for
	}
	return Parse(in, l)
}

// tail keeps the last of what is written to it.
type tail []byte

func (t *tail) Write(b []byte) (int, error) {
	const keep = 300
	*t = append(*t, b...)
	*t = (*t)[max(0, len(*t)-keep):]
	return len(b), nil
}

// download brings a file, going on where a transfer broke off as long as the server still has the same one.
func (f *Fetcher) download(ctx context.Context, url, path string, s *state) (next *state, unchanged bool, err error) {
	limits := f.Limits.withDefaults()
	validator := "" // of what lies in path
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	pause := 200 * time.Millisecond
	for try := 1; ; try++ {
		next, unchanged, done, err := f.transfer(ctx, url, path, s, &validator, limits.Compressed)
		if done || ctx.Err() != nil || try == tries {
			return next, unchanged, err
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// transfer asks once, for the rest if a part is there; done is set unless trying again may help.
func (f *Fetcher) transfer(ctx context.Context, url, path string, s *state, validator *string, limit int64) (next *state, unchanged, done bool, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, false, true, err
	}
	q.Header.Set("Accept-Encoding", "identity") // the file is compressed itself
	have := int64(0)
	if info, err := os.Stat(path); err == nil && *validator != "" {
		have = info.Size()
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		q.Header.Set("If-Range", *validator)
	} else if s.Total != nil {
		if s.ETag != "" {
			q.Header.Set("If-None-Match", s.ETag)
		}
		if s.LastModified != "" {
			q.Header.Set("If-Modified-Since", s.LastModified)
		}
	}
	res, err := f.client.Do(q)
	if err != nil {
		return nil, false, false, err
	}
	defer func() { _ = res.Body.Close() }() // read only
	flag := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	switch {
	case res.StatusCode == http.StatusNotModified:
		return nil, true, true, nil
	case res.StatusCode == http.StatusPartialContent && have > 0:
		flag = os.O_WRONLY | os.O_APPEND
	case res.StatusCode == http.StatusOK:
		have = 0
	default:
		return nil, false, res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests, fmt.Errorf("%s: status %d", url, res.StatusCode)
	}
	next = &state{ETag: res.Header.Get("ETag"), LastModified: res.Header.Get("Last-Modified")}
	if t, err := http.ParseTime(next.LastModified); err == nil {
		next.Modified = t.Unix()
	}
	if *validator = next.ETag; strings.HasPrefix(*validator, "W/") || *validator == "" {
		*validator = next.LastModified
	}
	if res.ContentLength > limit-have {
		return nil, false, true, fmt.Errorf("%s: %d bytes, more than the %d that are allowed", url, have+res.ContentLength, limit)
	}
	out, err := os.OpenFile(path, flag, 0o644)
	if err != nil {
		return nil, false, true, err
	}
	n, err := io.Copy(out, io.LimitReader(res.Body, limit-have+1))
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, false, false, fmt.Errorf("%s: the transfer broke off at byte %d: %w", url, have+n, err)
	}
	if have+n > limit {
		return nil, false, true, fmt.Errorf("%s: more than the %d bytes that are allowed", url, limit)
	}
	return next, false, true, nil
}

// readyToSend asks server_status.php for how much work there is.
func (f *Fetcher) readyToSend(ctx context.Context, p Project) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Base+"server_status.php?xml=1", nil)
	if err != nil {
		return 0, err
	}
	res, err := f.client.Do(q)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }() // read only
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %d", res.StatusCode)
	}
	var status struct {
		Ready string `xml:"database_file_states>results_ready_to_send"`
	}
	if err := xml.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&status); err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(status.Ready), 10, 64)
}
