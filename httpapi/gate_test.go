package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"blockprint"
	"blockprint/httpapi"
	"blockprint/nodetest"
	"blockprint/service"
	"blockprint/store"
	"blockprint/store/storetest"
)

// slowStore is a store that answers when the test wants it to.
type slowStore struct {
	store.Store
	tallies atomic.Int64
	entered chan struct{} // a question is being worked on
	leave   chan struct{} // closed: questions may be answered
	blocks  iter.Seq2[store.Block, error]
}

func (s *slowStore) Tally(ctx context.Context, i blockprint.Interval, byProposer bool) ([]store.Tally, error) {
	s.tallies.Add(1)
	s.entered <- struct{}{}
	<-s.leave
	return s.Store.Tally(ctx, i, byProposer)
}

func (s *slowStore) Blocks(context.Context, blockprint.Interval, store.Query) iter.Seq2[store.Block, error] {
	return s.blocks
}

func newSlow(t *testing.T) (*api, *slowStore) {
	t.Helper()
	a := newAPI(t, service.Options{})
	a.apply(chain(1, 200))
	slow := &slowStore{Store: a.store, entered: make(chan struct{}, 100), leave: make(chan struct{})}
	a.serve(slow, nil, nil, httpapi.LabelsOptions{Options: httpapi.Options{Options: service.Options{Logger: slog.New(slog.DiscardHandler)}}})
	return a, slow
}

// cheap expects answers from the cheap routes.
func (a *api) cheap() {
	a.t.Helper()
	for _, path := range []string{"/readyz", "/healthz", "/sync/status", "/blocks_per_client/1/3"} {
		if w := a.call("GET", path, "", nil); w.Code != http.StatusOK {
			a.t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestExpensive: two expensive questions are worked on at once, each only once for everybody who asks it. Further ones get
// 503 with the time to come back, the cheap ones never wait, and answers are reused until the next block.
func TestExpensive(t *testing.T) {
	a, slow := newSlow(t)
	a.labels.SetPatience(0)
	var wg sync.WaitGroup
	ask := func(path string, times int) {
		for range times {
			wg.Go(func() {
				if w := a.call("GET", path, "", nil); w.Code != http.StatusOK || w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Content-Type") != "application/json" {
					t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
				}
			})
		}
	}
	ask("/shares/0/2", 5)
	<-slow.entered
	ask("/shares/0/3", 5)
	<-slow.entered
	if w := a.call("GET", "/shares/0/4", "", nil); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("a third question: %d %v", w.Code, w.Header())
	}
	a.cheap()
	close(slow.leave)
	wg.Wait()
	ask("/shares/0/2", 1)
	wg.Wait()
	if n := slow.tallies.Load(); n != 2 {
		t.Errorf("the database was asked %d times", n)
	}
	a.apply(store.Batch{Blocks: []store.Block{storetest.Block(202, 200, 0, 0, blockprint.Teku)}})
	ask("/shares/0/2", 1)
	wg.Wait()
	if n := slow.tallies.Load(); n != 3 {
		t.Errorf("after another block the database was asked %d times", n)
	}
}

// TestGivenUp: a client that goes away does not cost the others their answer.
func TestGivenUp(t *testing.T) {
	a, slow := newSlow(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/shares/0/2", nil)
		a.server.ServeHTTP(httptest.NewRecorder(), r)
	}()
	<-slow.entered
	cancel()
	<-gone
	close(slow.leave)
	if w := a.call("GET", "/shares/0/2", "", nil); w.Code != http.StatusOK || slow.tallies.Load() != 1 {
		t.Errorf("%d %s after %d questions", w.Code, w.Body, slow.tallies.Load())
	}
}

// endless yields blocks for ever.
func endless(yield func(store.Block, error) bool) {
	for slot := blockprint.Slot(1); yield(storetest.Block(slot, slot-1, 0, 0, blockprint.Teku), nil); slot++ {
	}
}

// TestSlowReaders: clients that do not read do not slow down the cheap routes, their number is limited, and one that leaves
// makes room for another.
func TestSlowReaders(t *testing.T) {
	a, slow := newSlow(t)
	slow.blocks = endless
	a.labels.SetPatience(time.Millisecond)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- a.labels.Serve(ctx, l) }()
	var clients []net.Conn
	open := func() (status string) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, conn)
		if _, err := fmt.Fprintf(conn, "GET /blocks/1/190 HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		status, err = bufio.NewReaderSize(conn, 16).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	reading := 0
	for ; reading < 100 && strings.Contains(open(), " 200 "); reading++ {
	}
	if reading < 2 || reading == 100 {
		t.Errorf("%d clients that do not read at once", reading)
	}
	a.cheap()
	if err := clients[0].Close(); err != nil {
		t.Fatal(err)
	}
	nodetest.Await(t, "room for another one", func() bool { return strings.Contains(open(), " 200 ") })
	for _, c := range clients {
		_ = c.Close() // the first one is closed already
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// breaking yields some blocks and then an error that contains a node's address.
func breaking(blocks int) iter.Seq2[store.Block, error] {
	away := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("10.1.2.3 is away")}
	return func(yield func(store.Block, error) bool) {
		for i := range blocks {
			if !yield(storetest.Block(blockprint.Slot(i+1), 0, 0, 0, blockprint.Teku), nil) {
				return
			}
		}
		yield(store.Block{}, blockprint.Errorf(blockprint.Unavailable, "read http://user:secret@10.1.2.3/key: %w", away))
	}
}

// TestBrokenOff: half an answer does not look like a whole one.
func TestBrokenOff(t *testing.T) {
	a, slow := newSlow(t)
	slow.blocks = breaking(1)
	s := httptest.NewServer(a.server)
	defer s.Close()
	res, err := http.Get(s.URL + "/blocks/1/7")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		err = errors.Join(err, res.Body.Close())
	}
	if err == nil {
		t.Error("an answer that broke off looks whole")
	}
}

// TestNoAddresses: errors do not show the addresses of our nodes.
func TestNoAddresses(t *testing.T) {
	a, slow := newSlow(t)
	slow.blocks = breaking(0)
	e := a.fails("GET", "/blocks/1/7", "", http.StatusServiceUnavailable, "unavailable")
	if text := fmt.Sprint(e["error"]); strings.Contains(text, "10.1.2.3") || strings.Contains(text, "secret") || !strings.Contains(text, "no connection") {
		t.Error(text)
	}
}
