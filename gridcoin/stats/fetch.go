package stats

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"blockprint"
	"blockprint/file"
)

// Project says where a project's statistics are.
type Project struct {
	Name string
	Base string // URL that ends with a slash
	// Adapter means that the project exports nothing: its figures come from the operator's command.
	Adapter bool
	// Consent means that the project exports only with its users' consent (gdpr_controls), so it may want a login.
	Consent bool
}

// Findings of a fetch.
const (
	Grown     = "grown"
	Unchanged = "unchanged" // the same total, or even the same file
	Smaller   = "smaller"
	New       = "new"     // no figure was known before
	Kept      = "kept"    // the fetch failed, and the last figure is still valid
	Missing   = "missing" // fetches have failed for too long, or always
)

// Figure is what is known about a project's total credit.
type Figure struct {
	Project string `json:"project"`
	Finding string `json:"finding"`
	// Total is nil if the figure is missing.
	Total  *uint64 `json:"total_credit"`
	Exact  string  `json:"exact_total,omitempty"`
	Users  int     `json:"users,omitempty"`
	Error  string  `json:"error,omitempty"`
	AgeS   int64   `json:"age_s,omitempty"`        // since the last successful fetch
	Export int64   `json:"export_age_s,omitempty"` // since the export was made, according to the project; never negative
	// OddUsers is how many records of the export are malformed, and FirstOdd the byte of its text where the first of them is.
	// Their credit counts.
	OddUsers int   `json:"odd_users,omitempty"`
	FirstOdd int64 `json:"first_odd_byte,omitempty"`
	// ReadyToSend is how much work the project says it has to give out: an early warning, never a reason to greylist.
	ReadyToSend *int64 `json:"results_ready_to_send,omitempty"`
	// StatusError says why ReadyToSend is unknown. The figure does not depend on it.
	StatusError string `json:"status_error,omitempty"`
	Remark      string `json:"remark,omitempty"`
}

// state is what the folder stores about a project between fetches.
type state struct {
	ETag         string  `json:"etag,omitempty"`
	LastModified string  `json:"last_modified,omitempty"`
	Hash         string  `json:"sha256,omitempty"` // of the file
	Total        *uint64 `json:"total_credit"`
	Exact        string  `json:"exact_total"`
	Users        int     `json:"users"`
	Fetched      int64   `json:"fetched"` // seconds since 1970
	Modified     int64   `json:"modified,omitempty"`
	Odd          int     `json:"odd_users,omitempty"`
	FirstOdd     int64   `json:"first_odd_byte,omitempty"`
	Ready        *int64  `json:"results_ready_to_send,omitempty"`
}

// Retention is how long a figure stays valid if it cannot be renewed.
const Retention = 48 * time.Hour

// Fetcher fetches projects' exports. It stores what it knows about each project in a folder.
type Fetcher struct {
	Dir      string
	Parallel int // projects at once; 0 means 8
	Limits   Limits
	Timeout  time.Duration // for each project; 0 means an hour
	Now      func() time.Time
	// Status also asks each project's server_status.php.
	Status bool
	// Adapter is the command, with arguments, for projects that need one. The project's name and URL are appended. It prints an
	// export of users, compressed or plain.
	Adapter []string
	// Agent is the User-Agent of requests; empty means "blockprint".
	Agent string
	// Logins has names and passwords for the projects that want them.
	Logins Logins
	// Done, if not nil, gets each project's figure as soon as it is known, one at a time.
	Done func(Figure)
	// Progress, if not nil, is called whenever a project is done.
	Progress func(done, total int)
	// Silence is how long a server may send nothing before its transfer is given up; 0 means a minute.
	Silence time.Duration

	client http.Client
}

// Fetch fetches all projects and returns a figure for each, in the same order. A failure concerns its own project only.
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
			if f.Done != nil {
				f.Done(out[i])
			}
			if f.Progress != nil {
				f.Progress(done, len(projects))
			}
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	return out, ctx.Err()
}

// one fetches one project.
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
	statusError := ""
	if f.Status && !p.Adapter {
		s.Ready = nil // an old number is no early warning
		if n, err := f.readyToSend(ctx, p); err == nil {
			s.Ready = &n
		} else {
			statusError = err.Error()
		}
	}
	err = errors.Join(err, f.save(p.Name, s))
	fig := f.figure(p, s)
	fig.StatusError = statusError
	if err != nil {
		fig.Error = err.Error()
	} else {
		fig.Finding = finding
	}
	return fig
}

// Known returns the stored figures of projects. It sends no requests.
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

// figure returns the stored figure of a project if it is still valid.
func (f *Fetcher) figure(p Project, s *state) Figure {
	now := f.Now().Unix()
	age := max(now-s.Fetched, 0) // a clock may have been set back
	if s.Total == nil || age > int64(Retention/time.Second) {
		return Figure{Project: p.Name, Finding: Missing, ReadyToSend: s.Ready}
	}
	fig := Figure{
		Project: p.Name, Finding: Kept, Total: s.Total, Exact: s.Exact, Users: s.Users, AgeS: age, OddUsers: s.Odd, FirstOdd: s.FirstOdd,
		ReadyToSend: s.Ready,
	}
	switch ahead := time.Duration(s.Modified-now) * time.Second; {
	case s.Modified <= 0:
	case ahead <= 0:
		fig.Export = now - s.Modified
	default:
		fig.Remark = fmt.Sprintf("the project's clock is ahead: its export is dated %s, %s from now", time.Unix(s.Modified, 0).UTC().Format(time.RFC3339), ahead)
	}
	return fig
}

// path returns the path of a project's file; kind is the end of its name. A project name that is not safe as a file name is
// changed and gets a digest, so that no two projects share a file.
func (f *Fetcher) path(name, kind string) string {
	safe := strings.TrimLeft(strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r < ' ' {
			return '_'
		}
		return r
	}, name), ".")
	if len(safe) > 150 { // a file name may have 255 bytes, with the digest and kind
		safe = strings.ToValidUTF8(safe[:150], "")
	}
	if safe != name {
		h := sha256.Sum256([]byte(name))
		safe += "-" + hex.EncodeToString(h[:4])
	}
	return filepath.Join(f.Dir, safe+kind)
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
