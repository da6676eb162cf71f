package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"blockprint/service"
)

// The cheap never waits for the expensive. The database has connections for quick questions that nothing else can take
// (store/sqlite), but long questions still cost memory and time. So at most two expensive public ones are worked on at
// once, and one expensive private one; further ones wait a little and are then sent away. A question that is asked again
// before the next block is answered from memory. At most maxStreams long answers are under way.

const (
	expensivePublic  = 2
	expensivePrivate = 1
	maxStreams       = 8
	// patience is how long a request waits for its turn.
	patience = 2 * time.Second
	// cachedAnswers of at most cachedBytes each are reused until the next block, but no longer than cachedFor, since old blocks
	// may be filled in or labeled anew.
	cachedAnswers = 64
	cachedBytes   = 1 << 20
	cachedFor     = 12 * time.Second
	// expensiveTime bounds the work on an answer that perhaps nobody is waiting for any more.
	expensiveTime = time.Minute
)

// gates bound how much an API works on at once.
type gates struct {
	base                     *base
	state                    func(context.Context) (string, error) // names the state of the data that answers depend on
	public, private, streams *semaphore.Weighted
	patience                 time.Duration
	flight                   singleflight.Group
	cache                    *lru.Cache[string, cachedAnswer]
}

func newGates(b *base, state func(context.Context) (string, error)) (*gates, error) {
	cache, err := lru.New[string, cachedAnswer](cachedAnswers)
	return &gates{
		base: b, state: state, patience: patience, cache: cache,
		public: semaphore.NewWeighted(expensivePublic), private: semaphore.NewWeighted(expensivePrivate), streams: semaphore.NewWeighted(maxStreams),
	}, err
}

// enter waits for a turn. Call leave to end it.
func (g *gates) enter(ctx context.Context, gate *semaphore.Weighted) (leave func(), err error) {
	wait, cancel := context.WithTimeout(ctx, g.patience)
	defer cancel()
	if !gate.TryAcquire(1) && gate.Acquire(wait, 1) != nil {
		return nil, cmp.Or(ctx.Err(), errBusy())
	}
	return func() { gate.Release(1) }, nil
}

// errBusy asks a client to come back.
func errBusy() error {
	return service.NewStatusError(http.StatusServiceUnavailable, "too many requests of this kind at once: try again in a few seconds")
}

// inTurn does what is expensive and private when its turn comes.
func inTurn[T any](ctx context.Context, g *gates, read func() (T, error)) (out T, err error) {
	leave, err := g.enter(ctx, g.private)
	if err != nil {
		return out, err
	}
	defer leave()
	return read()
}

// registerExpensive is register for a public GET that costs more than a few rows.
func registerExpensive[I, O any](g *gates, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	registerIn(g.base, op, g.once, handler)
}

// cachedAnswer is the answer of an expensive route, with the state that it was true for.
type cachedAnswer struct {
	state string
	at    time.Time
	*answer
}

// once makes a route answer the same question only once for everybody who asks it.
func (g *gates) once(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state, err := g.state(r.Context())
		if err != nil {
			g.base.Fail(w, err)
			return
		}
		question := r.URL.Path + "?" + r.URL.RawQuery
		if k, ok := g.cache.Get(question); ok && k.state == state {
			if age := g.base.Now().Sub(k.at); age >= 0 && age < cachedFor {
				k.writeTo(w)
				return
			}
		}
		result := g.flight.DoChan(state+question, func() (any, error) { return g.answer(h, r, state, question) })
		select {
		case <-r.Context().Done(): // the client is gone; others may wait for the answer
		case done := <-result:
			if done.Err != nil {
				g.base.Fail(w, done.Err)
				return
			}
			done.Val.(*answer).writeTo(w)
		}
	})
}

// answer asks a route when its turn comes, and caches the answer.
func (g *gates) answer(h http.Handler, r *http.Request, state, question string) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), expensiveTime)
	defer cancel()
	leave, err := g.enter(ctx, g.public)
	if err != nil {
		return nil, err
	}
	defer leave()
	a := g.capture(h, r.Clone(ctx))
	if a.status == http.StatusOK && a.body.Len() <= cachedBytes {
		g.cache.Add(question, cachedAnswer{state, g.base.Now(), a})
	}
	return a, nil
}

// capture lets a route answer into memory. A panic of the route must not end the process: this goroutine is not the HTTP
// server's, which would recover.
func (g *gates) capture(h http.Handler, r *http.Request) (a *answer) {
	defer func() {
		if v := recover(); v != nil {
			g.base.Logger.Error("a route panicked", "route", r.URL.Path, "panic", v)
			a = &answer{header: http.Header{}}
			service.WriteError(a, service.NewStatusError(http.StatusInternalServerError, "internal error; the log says more"))
		}
	}()
	a = &answer{header: http.Header{}}
	h.ServeHTTP(a, r)
	a.WriteHeader(http.StatusOK)
	return a
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
