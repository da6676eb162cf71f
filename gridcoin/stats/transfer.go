package stats

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"blockprint/jsonhttp"
)

const (
	// tries is how often a transfer is tried in a row without progress.
	tries      = 4
	firstPause = 200 * time.Millisecond
	// patience is the longest Retry-After of a server that this run still waits for.
	patience = 5 * time.Minute
	// progress is how many bytes a try must have transferred to count as progress.
	progress = 64 << 10
)

// renew fetches the export if it has changed, and sums it up.
func (f *Fetcher) renew(ctx context.Context, p Project, s *state) (string, error) {
	t := &transfer{f: f, project: p, url: p.Base + "stats/user.gz", path: f.path(p.Name, ".gz.partial"), known: s, limit: f.Limits.withDefaults().Compressed}
	defer func() { _ = os.Remove(t.path) }() // once it is read it is not needed; the next run fetches another one
	err := t.run(ctx)
	if err == nil && t.unchanged {
		s.Fetched = f.Now().Unix()
		return Unchanged, nil
	}
	e, hash, failed := f.sum(t.path)
	switch {
	case failed == nil: // its checksum proves that the file is complete, even if the transfer seemed to break off
	case err != nil:
		return "", err
	case t.resumed: // it may have been assembled from parts of different files
		*t = transfer{f: f, project: p, url: t.url, path: t.path, known: &state{}, limit: t.limit, whole: true}
		if err := t.run(ctx); err != nil {
			return "", err
		}
		if e, hash, err = f.sum(t.path); err != nil {
			return "", err
		}
	default:
		return "", failed
	}
	next := t.next
	next.Hash = hash
	return f.take(s, &next, e), nil
}

// sum reads an export and returns it with the file's hash.
func (f *Fetcher) sum(path string) (*Export, string, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = in.Close() }() // read only
	hash := sha256.New()
	e, err := ParseGzip(io.TeeReader(in, hash), f.Limits)
	if err != nil {
		return nil, "", fmt.Errorf("stats/user.gz: %w", err)
	}
	return e, hex.EncodeToString(hash.Sum(nil)), nil
}

// take makes an export the state of a project, and returns how the total has changed.
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
	next.Odd, next.FirstOdd = e.Odd, e.FirstOdd
	*s = *next
	return finding
}

// transfer fetches a file. If it breaks off, it resumes where it was as long as the server still has the same file. The ranges
// that the server reports decide where bytes are written; whether the file is complete is for its reader to decide.
type transfer struct {
	f         *Fetcher
	project   Project
	url, path string
	known     *state
	limit     int64 // bytes
	whole     bool  // do not resume

	validator string // of the part that is in path
	next      state
	unchanged bool // the server still has the known file
	resumed   bool
}

// failure says why a try failed.
type failure struct {
	error
	again bool          // another try may help
	after time.Duration // but not earlier than this
	moved bool          // the try made progress
}

// errorf makes a failure that names the document without the secrets that its address may contain.
func (t *transfer) errorf(again bool, format string, args ...any) *failure {
	return &failure{error: fmt.Errorf("%s: %w", jsonhttp.DocumentName(t.url), fmt.Errorf(format, args...)), again: again}
}

// run tries until the file is complete. It does not use backoff.Retry, which cannot start counting again after a try that made
// progress.
func (t *transfer) run(ctx context.Context) error {
	if err := os.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	pause := firstPause
	for try := 1; ; try++ {
		failed := t.try(ctx)
		switch {
		case failed == nil:
			return nil
		case ctx.Err() != nil || !failed.again || try >= tries && !failed.moved:
			return failed.error
		case failed.after > patience:
			return fmt.Errorf("%w: the server asks to be left alone for %s", failed.error, failed.after)
		case failed.moved:
			try, pause = 1, firstPause
		}
		select {
		case <-ctx.Done():
			return failed.error
		case <-time.After(max(pause, failed.after)):
		}
		pause *= 2
	}
}

// try sends one request, for the rest if a part is in path.
func (t *transfer) try(ctx context.Context) *failure {
	silence := cmp.Or(t.f.Silence, time.Minute)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := fmt.Errorf("the transfer broke off: the server sent nothing for %s", silence)
	watch := time.AfterFunc(silence, func() { cancel(silent) })
	defer watch.Stop()
	q, have, err := t.request(ctx)
	if err != nil {
		return &failure{error: err}
	}
	res, err := t.f.client.Do(q)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, silent) {
			return t.errorf(false, "%w", silent)
		}
		return t.errorf(true, "%w", jsonhttp.WithoutURL(err))
	}
	defer func() { _ = res.Body.Close() }() // read only
	start, size, done, failed := t.begin(res, have)
	if failed != nil || done {
		return failed
	}
	n, err := t.receive(start, &watched{res.Body, watch, silence})
	end := start + n
	switch {
	case end > t.limit:
		return t.errorf(false, "more than %d bytes, which is the limit", t.limit)
	case errors.Is(context.Cause(ctx), silent):
		return t.errorf(n >= progress, "at byte %d %w", end, silent)
	case err == nil && size >= 0 && end < size:
		err = fmt.Errorf("%d bytes were expected", size)
	}
	if err != nil {
		failed := t.errorf(true, "the transfer broke off at byte %d: %w", end, err)
		failed.moved = n >= progress
		return failed
	}
	return nil
}

// request makes the request for what follows the have bytes in path, or for the file if it has changed.
func (t *transfer) request(ctx context.Context) (q *http.Request, have int64, err error) {
	if q, err = t.f.request(ctx, t.project, t.url); err != nil {
		return nil, 0, err
	}
	q.Header.Set("Accept-Encoding", "identity") // the file itself is compressed
	if info, err := os.Stat(t.path); err == nil && t.validator != "" && !t.whole && info.Size() > 0 {
		have = info.Size()
		q.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		q.Header.Set("If-Range", t.validator)
	} else if t.known.Total != nil {
		if t.known.ETag != "" {
			q.Header.Set("If-None-Match", t.known.ETag)
		}
		if t.known.LastModified != "" {
			q.Header.Set("If-Modified-Since", t.known.LastModified)
		}
	}
	return q, have, nil
}

// begin reads the status and headers of an answer. It returns the byte of the file where the body starts, and the size of the
// whole file, -1 if that is unknown. done means that the body need not be read.
func (t *transfer) begin(res *http.Response, have int64) (start, size int64, done bool, failed *failure) {
	sent := res.Request.Header
	switch {
	case res.StatusCode == http.StatusNotModified && (sent.Get("If-None-Match") != "" || sent.Get("If-Modified-Since") != ""):
		t.unchanged = true
		return 0, 0, true, nil
	case res.StatusCode == http.StatusOK:
		size = res.ContentLength
	case res.StatusCode == http.StatusPartialContent:
		var ok bool
		if start, size, ok = contentRange(res.Header.Get("Content-Range")); !ok || start > have {
			t.validator = "" // start again from the beginning
			return 0, 0, false, t.errorf(true, "the request was for what follows byte %d, but the answer has the range %.60q", have, res.Header.Get("Content-Range"))
		}
		t.resumed = t.resumed || start > 0
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable && have > 0:
		if _, size, _ := contentRange(res.Header.Get("Content-Range")); size == have {
			return 0, 0, true, nil // path has the whole file
		}
		t.validator = ""
		return 0, 0, false, t.errorf(true, "status 416 for a request for what follows byte %d", have)
	default:
		return 0, 0, false, t.refused(res)
	}
	t.next = state{ETag: res.Header.Get("ETag"), LastModified: res.Header.Get("Last-Modified")}
	if at, err := http.ParseTime(t.next.LastModified); err == nil {
		t.next.Modified = at.Unix()
	}
	if t.validator = t.next.ETag; strings.HasPrefix(t.validator, "W/") || t.validator == "" {
		t.validator = t.next.LastModified
	}
	if size > t.limit {
		return 0, 0, false, t.errorf(false, "%d bytes, but only %d are allowed", size, t.limit)
	}
	return start, size, false, nil
}

// refused makes the failure for a status that is not expected.
func (t *transfer) refused(res *http.Response) *failure {
	failed := t.errorf(res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests, "status %d", res.StatusCode)
	switch {
	case failed.again:
		failed.after = retryAfter(res.Header.Get("Retry-After"), t.f.Now())
	case res.StatusCode == http.StatusUnauthorized && t.project.Consent:
		failed.error = fmt.Errorf("%w: the project exports only with its users' consent (gdpr_controls): add its login to the file for --credentials", failed.error)
	case res.StatusCode == http.StatusUnauthorized:
		failed.error = fmt.Errorf("%w: add the project's login to the file for --credentials", failed.error)
	}
	return failed
}

// receive writes the body into the file, from byte start on.
func (t *transfer) receive(start int64, from io.Reader) (n int64, err error) {
	out, err := os.OpenFile(t.path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	err = out.Truncate(start)
	if err == nil {
		_, err = out.Seek(start, io.SeekStart)
	}
	if err == nil {
		n, err = io.Copy(out, io.LimitReader(from, t.limit-start+1))
	}
	return n, errors.Join(err, out.Close())
}

// watched resets a timer whenever something is read.
type watched struct {
	io.Reader
	watch *time.Timer
	limit time.Duration
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if n > 0 {
		w.watch.Reset(w.limit)
	}
	return n, err
}

// contentRange parses a Content-Range header (RFC 9110, 14.4): the first byte of the part and the size of the whole, -1 for
// what the header does not say.
func contentRange(text string) (start, size int64, ok bool) {
	text, found := strings.CutPrefix(text, "bytes ")
	part, all, both := strings.Cut(strings.TrimSpace(text), "/")
	if !found || !both {
		return -1, -1, false
	}
	size, err := strconv.ParseInt(all, 10, 64)
	if err != nil || size < 0 {
		size = -1 // "*"
	}
	first, _, _ := strings.Cut(part, "-")
	start, err = strconv.ParseInt(first, 10, 64)
	if err != nil || start < 0 {
		return -1, size, false
	}
	return start, size, true
}

// retryAfter parses a Retry-After header, which has seconds or a time (RFC 9110, 10.2.3).
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32); err == nil {
		return max(time.Duration(n)*time.Second, 0)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
