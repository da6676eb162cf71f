package notify_test

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
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"blockprint"
	"blockprint/greylist"
	"blockprint/greylist/notify"
	"blockprint/gridcoin/rules"
	"blockprint/store"
	_ "blockprint/store/sqlite"
)

// book is a greylist that stores its changes.
func book(t *testing.T, path string) (*greylist.Book, store.Store) {
	t.Helper()
	s, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b, err := greylist.OpenBook(t.Context(), s, "test", greylist.Options{Rule: rules.Mainnet()})
	if err != nil {
		t.Fatal(err)
	}
	b.Announce = true
	return b, s
}

func change(t *testing.T, b *greylist.Book, statuses ...greylist.Status) {
	t.Helper()
	for _, s := range statuses {
		at := int64(1_780_000_000 + b.Len())
		e := &greylist.Entry{Subject: "p", Status: s, Hash: fmt.Sprintf("%064d", b.Len()), Time: at, Height: uint64(b.Len())}
		if _, err := b.Replace(t.Context(), append(b.Log(), greylist.Event{Entry: e})); err != nil {
			t.Fatal(err)
		}
	}
}

func dispatcher(s store.Store, r ...notify.Notifier) *notify.Dispatcher {
	return &notify.Dispatcher{Log: notify.Log{Store: s, Tenant: "test"}, Notifiers: r, Logger: slog.New(slog.DiscardHandler), Pause: time.Millisecond}
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notified.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCommand: the program runs once for each change, in order, with arguments and environment. A later run delivers what
// failed, and nothing is delivered twice.
func TestCommand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "g.db")
	out := filepath.Join(t.TempDir(), "out")
	b, s := book(t, path)
	change(t, b, greylist.Active, greylist.Manual, greylist.AutoOverride, greylist.AutoOverride, greylist.Active)
	failing, err := notify.NewCommand(script(t, "echo broken; exit 3"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := dispatcher(s, failing).Dispatch(t.Context()); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("%v", err)
	}
	// The same program, repaired.
	repaired := script(t, `echo "$2 $3 $4 $5 $GREYLIST_HEIGHT" >> `+out+"\n")
	c, err := notify.NewCommand(repaired, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := dispatcher(s, c).Dispatch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, s = book(t, path) // after a restart
	if err := dispatcher(s, c).Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	// The very first event is not reported, and a status that stays the same is not a change.
	want := "p ACTIVE MAN_GREYLISTED manual 1\np MAN_GREYLISTED AUTO_GREYLIST_OVERRIDE override 2\np AUTO_GREYLIST_OVERRIDE ACTIVE override-lifted 4\n"
	if err != nil || string(got) != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	hash := filepath.Join(t.TempDir(), "hash")
	inField, err := notify.NewCommand(script(t, `echo "$# $1" > `+hash)+" %s", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := dispatcher(s, inField).Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(hash); err != nil || string(got) != fmt.Sprintf("1 %064d\n", 4) {
		t.Errorf("%s (%v)", got, err)
	}
	slow, err := notify.NewCommand(script(t, "exec sleep 20"), 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := dispatcher(s, slow).Dispatch(t.Context()); err == nil || !strings.Contains(err.Error(), "did not end") || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	for _, bad := range []string{"", "  ", "/nowhere/to/be/found"} {
		if _, err := notify.NewCommand(bad, time.Minute); blockprint.CodeOf(err) != blockprint.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestWebhook: changes are posted with a signature, a failed one is posted again before the next, and one receiver does not
// hold up another.
func TestWebhook(t *testing.T) {
	b, s := book(t, filepath.Join(t.TempDir(), "g.db"))
	change(t, b, greylist.Active, greylist.Manual, greylist.Active)
	var deliveries, statuses []string
	failures := 2
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, []byte("key"))
		mac.Write(body)
		if r.Header.Get("Blockprint-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("signature %q", r.Header.Get("Blockprint-Signature"))
		}
		deliveries = append(deliveries, r.Header.Get("Blockprint-Delivery"))
		if failures > 0 {
			failures--
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		var c greylist.Change
		if err := json.Unmarshal(body, &c); err != nil {
			t.Error(err)
		}
		statuses = append(statuses, c.New.String())
	}))
	t.Cleanup(hook.Close)
	good, err := notify.NewWebhook(hook.URL+"/secret-path", "key")
	if err != nil {
		t.Fatal(err)
	}
	dead, err := notify.NewWebhook("http://127.0.0.1:1/secret-path", "")
	if err != nil {
		t.Fatal(err)
	}
	err = dispatcher(s, dead, good).Dispatch(t.Context())
	if err == nil || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("%v", err)
	}
	if !slices.Equal(statuses, []string{"MAN_GREYLISTED", "ACTIVE"}) || !slices.Equal(deliveries, []string{"1", "1", "1", "2"}) {
		t.Errorf("%q, deliveries %q", statuses, deliveries)
	}
	if _, err := notify.NewWebhook("example.org", ""); err == nil {
		t.Error("something that is no URL was taken")
	}
}

// TestCrash: a notice whose delivery could not be recorded is delivered again: at least once.
func TestCrash(t *testing.T) {
	b, s := book(t, filepath.Join(t.TempDir(), "g.db"))
	change(t, b, greylist.Active, greylist.Manual, greylist.Active)
	r := &recorder{}
	d := dispatcher(s, r)
	d.Log.Store = &crashing{d.Log.Store}
	if err := d.Dispatch(t.Context()); err == nil {
		t.Error("the crash was not noticed")
	}
	if err := dispatcher(s, r).Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.got, []int64{1, 1, 2}) {
		t.Errorf("got %v", r.got)
	}
}

type recorder struct{ got []int64 }

func (r *recorder) Name() string { return "recorder" }

func (r *recorder) Notify(_ context.Context, n notify.Notice) error {
	r.got = append(r.got, n.ID)
	return nil
}

type crashing struct{ notify.Store }

func (c *crashing) LogDelivery(context.Context, string, string, int64, int64, string) error {
	return errors.New("crashed")
}

// TestFeed: the feed has the newest changes first and is well-formed, whatever the subjects are called.
func TestFeed(t *testing.T) {
	b, s := book(t, filepath.Join(t.TempDir(), "g.db"))
	change(t, b, greylist.Active, greylist.Manual, greylist.Active)
	e := &greylist.Entry{Subject: "<a> & b", Status: greylist.Active, Hash: "h", Time: 1_780_000_100}
	if _, err := b.Replace(t.Context(), append(b.Log(), greylist.Event{Entry: e})); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := dispatcher(s).Log.WriteFeed(t.Context(), "urn:x", "Title", &out); err != nil {
		t.Fatal(err)
	}
	var feed struct {
		Updated string `xml:"updated"`
		Entries []struct {
			ID    string `xml:"id"`
			Title string `xml:"title"`
		} `xml:"entry"`
	}
	if err := xml.Unmarshal(out.Bytes(), &feed); err != nil || len(feed.Entries) != 3 || feed.Entries[0].Title != "<a> & b: Active" || feed.Entries[2].Title != "p: Manually Greylisted" || feed.Updated != "2026-05-28T20:28:20Z" {
		t.Errorf("%+v (%v)\n%s", feed, err, out.String())
	}
}
