// Package notify tells changes of effective statuses: by a command of the operator's, by webhook, and as an Atom feed.
//
// Changes are kept with the events that made them, so that none is lost; each receiver is told of all, in order, at
// least once, across crashes and restarts. A receiver that fails is tried again and holds up only itself.
package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"blockprint"
	"blockprint/greylist"
)

// Notice is a change that was kept.
type Notice struct {
	ID int64
	greylist.Change
}

// Source keeps changes.
type Source interface {
	// After returns up to limit notices after one, in order; with newest, the last ones, newest first.
	After(ctx context.Context, id int64, limit int, newest bool) ([]Notice, error)
	Told(ctx context.Context, receiver string) (int64, error)
	// Log keeps a try to tell a receiver, at a time in seconds since 1970. Without a failure it has been told.
	Log(ctx context.Context, receiver string, id, at int64, failure string) error
}

// Receiver is told of changes.
type Receiver interface {
	// Name tells receivers apart, in what is kept of them.
	Name() string
	Tell(ctx context.Context, n Notice) error
}

// Dispatcher tells receivers what they have not been told yet.
type Dispatcher struct {
	Source    Source
	Receivers []Receiver
	Logger    *slog.Logger
	// Tries is how often a notice is tried before the rest waits for the next run; 0 for 3. Pause lies between, and
	// doubles; 0 for a second.
	Tries int
	Pause time.Duration
}

// batch is how many notices are read at once.
const batch = 100

// Dispatch tells all receivers, one after another. It returns an error for those that could not be told; they are told
// by a later run.
func (d *Dispatcher) Dispatch(ctx context.Context) error {
	var failures []error
	for _, r := range d.Receivers {
		if err := d.dispatch(ctx, r); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", r.Name(), err))
		}
	}
	return errors.Join(failures...)
}

func (d *Dispatcher) dispatch(ctx context.Context, r Receiver) error {
	told, err := d.Source.Told(ctx, r.Name())
	if err != nil {
		return err
	}
	for {
		list, err := d.Source.After(ctx, told, batch, false)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, n := range list {
			if err := d.tell(ctx, r, n); err != nil {
				return err
			}
			d.Logger.Info("change told", "receiver", r.Name(), "subject", n.Subject, "old", n.Old, "new", n.New, "reason", n.Reason)
			told = n.ID
		}
	}
}

func (d *Dispatcher) tell(ctx context.Context, r Receiver, n Notice) error {
	tries, pause := d.Tries, d.Pause
	if tries == 0 {
		tries = 3
	}
	if pause == 0 {
		pause = time.Second
	}
	for try := 1; ; try++ {
		err := r.Tell(ctx, n)
		failure := ""
		if err != nil {
			failure = err.Error()
		}
		// What was told is kept even if we are being stopped: else it would be told twice.
		if failed := d.Source.Log(context.WithoutCancel(ctx), r.Name(), n.ID, time.Now().Unix(), failure); failed != nil {
			return errors.Join(err, failed)
		}
		if err == nil || try == tries || ctx.Err() != nil {
			return err
		}
		d.Logger.Warn("change could not be told, trying again", "receiver", r.Name(), "subject", n.Subject, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// Command runs a program of the operator's for each change, without a shell.
type Command struct {
	args    []string
	timeout time.Duration
}

// NewCommand returns a receiver that runs a command line: words by blanks. Where a word holds %s, the hash takes its
// place, and the other arguments are left out, as scripts in Gridcoin's field expect it; else HASH SUBJECT OLD NEW REASON
// are appended. The environment tells the same and more.
func NewCommand(line string, timeout time.Duration) (*Command, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil, blockprint.Errorf(blockprint.Invalid, "a command to be told of changes is empty")
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return nil, blockprint.Errorf(blockprint.Invalid, "command %q: %w", words[0], err)
	}
	return &Command{words, timeout}, nil
}

// Name implements Receiver.
func (c *Command) Name() string { return "command " + c.args[0] }

// Tell implements Receiver.
func (c *Command) Tell(ctx context.Context, n Notice) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	args := make([]string, len(c.args))
	replaced := false
	for i, a := range c.args {
		args[i] = strings.ReplaceAll(a, "%s", n.Hash)
		replaced = replaced || args[i] != a
	}
	if !replaced {
		args = append(args, n.Hash, n.Subject, n.Old.String(), n.New.String(), n.Reason)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second // a child that keeps the output open must not hold us up
	cmd.Env = append(os.Environ(),
		"GREYLIST_HASH="+n.Hash, "GREYLIST_SUBJECT="+n.Subject, "GREYLIST_OLD="+n.Old.String(), "GREYLIST_NEW="+n.New.String(), "GREYLIST_REASON="+n.Reason,
		"GREYLIST_BOUNDARY="+strconv.Itoa(n.Boundary), "GREYLIST_HEIGHT="+strconv.FormatUint(n.Height, 10),
		"GREYLIST_ZCD="+strconv.Itoa(n.ZCD), "GREYLIST_WAS="+n.WAS)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("it did not end within %s", c.timeout)
	}
	if err != nil {
		return fmt.Errorf("%w: %.200s", err, bytes.TrimSpace(out))
	}
	return nil
}

// Webhook posts each change as JSON, signed if there is a secret: the header Blockprint-Signature is sha256= and the
// HMAC-SHA-256 of the body in hex. Blockprint-Delivery is the same for a notice that is told again.
type Webhook struct {
	url    string
	secret []byte
	http   *http.Client
}

// NewWebhook returns a receiver that posts to a URL.
func NewWebhook(raw, secret string) (*Webhook, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, blockprint.Errorf(blockprint.Invalid, "webhook: expected a URL such as https://example.org/hook")
	}
	return &Webhook{raw, []byte(secret), &http.Client{Timeout: 30 * time.Second}}, nil
}

// Name implements Receiver. It does not show what may be secret in the URL.
func (w *Webhook) Name() string {
	h := sha256.Sum256([]byte(w.url))
	return "webhook " + hex.EncodeToString(h[:4])
}

// Tell implements Receiver.
func (w *Webhook) Tell(ctx context.Context, n Notice) error {
	body, err := json.Marshal(n.Change)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Blockprint-Delivery", strconv.FormatInt(n.ID, 10))
	if len(w.secret) > 0 {
		mac := hmac.New(sha256.New, w.secret)
		mac.Write(body)
		q.Header.Set("Blockprint-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	res, err := w.http.Do(q)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // its text has the URL
			err = u.Err
		}
		return err
	}
	defer func() { _ = res.Body.Close() }() // only the status counts
	if res.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return fmt.Errorf("status %d: %s", res.StatusCode, bytes.TrimSpace(text))
	}
	return nil
}

// feedLength is how many changes a feed shows.
const feedLength = 100

type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Entries []atomEntry `xml:"entry"`
}

type atomEntry struct {
	ID      string   `xml:"id"`
	Title   string   `xml:"title"`
	Updated string   `xml:"updated"`
	Author  atomName `xml:"author"`
	Content string   `xml:"content"`
}

type atomName struct {
	Name string `xml:"name"`
}

// Feed writes the newest changes as an Atom feed (RFC 4287). id is the feed's own, a URL or URN that does not change.
func Feed(ctx context.Context, s Source, id, title string, out io.Writer) error {
	list, err := s.After(ctx, 0, feedLength, true)
	if err != nil {
		return err
	}
	f := atomFeed{ID: id, Title: title, Updated: time.Unix(0, 0).UTC().Format(time.RFC3339)}
	for i, n := range list {
		at := time.Unix(n.Time, 0).UTC().Format(time.RFC3339)
		if i == 0 {
			f.Updated = at
		}
		f.Entries = append(f.Entries, atomEntry{
			ID: fmt.Sprintf("%s:%d", id, n.ID), Title: heading(n.Change), Updated: at, Author: atomName{"blockprint"},
			Content: fmt.Sprintf("%s, at height %d.", n.Sentence(), n.Height),
		})
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(out)
	enc.Indent("", "  ")
	if err := enc.Encode(f); err != nil {
		return err
	}
	_, err = io.WriteString(out, "\n")
	return err
}

// heading is a change in few words.
func heading(c greylist.Change) string {
	if c.Old == c.New {
		return c.Subject + ": " + c.Reason
	}
	return c.Subject + ": " + c.New.Text()
}
