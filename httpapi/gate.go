package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

// The cheap never waits for the dear. The database has connections for what is quick that nothing else can take
// (store/sqlite), but long questions still cost memory and time: at most two dear public ones are worked on at once, and
// one dear private one; whoever else comes waits a little and is then sent away. A question that is asked again before
// the next block is not asked of the database again. There are at most maxStreams long answers on their way.

const (
	dearPublic  = 2
	dearPrivate = 1
	maxStreams  = 8
	// patience is how long a request waits for its turn.
	patience = 2 * time.Second
	// keptAnswers of at most keptBytes each are kept, until the next block, but not longer than keptFor, since old blocks
	// may be filled in or labelled anew.
	keptAnswers = 64
	keptBytes   = 1 << 20
	keptFor     = 12 * time.Second
	// dearTime bounds the work on an answer that perhaps nobody waits for any more.
	dearTime = time.Minute
)

// gates bound what goes on at once.
type gates struct {
	public, private, streams *semaphore.Weighted
	patience                 time.Duration
	flight                   singleflight.Group
	kept                     *lru.Cache[string, keptAnswer]
}

func newGates() (*gates, error) {
	kept, err := lru.New[string, keptAnswer](keptAnswers)
	return &gates{
		public: semaphore.NewWeighted(dearPublic), private: semaphore.NewWeighted(dearPrivate), streams: semaphore.NewWeighted(maxStreams),
		patience: patience, kept: kept,
	}, err
}

// enter waits for a turn, and returns what ends it.
func (g *gates) enter(ctx context.Context, gate *semaphore.Weighted) (leave func(), err error) {
	wait, cancel := context.WithTimeout(ctx, g.patience)
	defer cancel()
	if !gate.TryAcquire(1) && gate.Acquire(wait, 1) != nil {
		return nil, cmp.Or(ctx.Err(), errBusy())
	}
	return func() { gate.Release(1) }, nil
}

// errBusy tells a client to come back.
func errBusy() error {
	return newStatusError(http.StatusServiceUnavailable, "too many requests of this kind at once: try again in a few seconds")
}

// keptAnswer is an answer of a dear route.
type keptAnswer struct {
	state string // of the database
	at    time.Time
	*answer
}

// serveDear answers a dear public route: the same question once for all who ask it.
func (s *Server) serveDear(w http.ResponseWriter, r *http.Request) {
	state, err := s.state(r.Context())
	if err != nil {
		writeError(w, s.toStatus(err))
		return
	}
	question := r.URL.Path + "?" + r.URL.RawQuery
	if k, ok := s.gates.kept.Get(question); ok && k.state == state {
		if age := s.o.Now().Sub(k.at); age >= 0 && age < keptFor {
			k.writeTo(w)
			return
		}
	}
	result := s.gates.flight.DoChan(state+question, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), dearTime)
		defer cancel()
		leave, err := s.gates.enter(ctx, s.gates.public)
		if err != nil {
			return nil, err
		}
		defer leave()
		a := s.capture(r.Clone(ctx))
		if a.status == http.StatusOK && a.body.Len() <= keptBytes {
			s.gates.kept.Add(question, keptAnswer{state, s.o.Now(), a})
		}
		return a, nil
	})
	select {
	case <-r.Context().Done(): // the client is gone; others may wait for the answer
	case done := <-result:
		if done.Err != nil {
			writeError(w, s.toStatus(done.Err))
			return
		}
		done.Val.(*answer).writeTo(w)
	}
}

// state names a state of the database; a gauge alone has none.
func (s *Server) state(ctx context.Context) (string, error) {
	if s.store == nil {
		return "", nil
	}
	st, err := s.store.Status(ctx)
	return fmt.Sprint(st), err
}

// answer is an http.ResponseWriter that holds what was written.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

func (a *answer) writeTo(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // the client is gone
}

// capture lets the route answer into memory. It runs outside of the HTTP server's goroutine, which would survive a
// panic of the route.
func (s *Server) capture(r *http.Request) (a *answer) {
	defer func() {
		if v := recover(); v != nil {
			s.o.Logger.Error("a route panicked", "route", r.URL.Path, "panic", v)
			a = &answer{header: http.Header{}}
			writeError(a, newStatusError(http.StatusInternalServerError, "internal error; the log says more"))
		}
	}()
	a = &answer{header: http.Header{}}
	s.mux.ServeHTTP(a, r)
	a.WriteHeader(http.StatusOK)
	return a
}
