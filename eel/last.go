package eel

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// An execution client that hangs, or that is being restarted, must not stop the consensus clients: its port still accepts,
// and a client that thinks its execution client is gone stops to sync and loses its peers. So what an execution client says
// of itself is asked once for all who want to know it, within the Engine API's time, and answered from its last answer if
// it says nothing.

// lasting are the methods whose last answer stands in for one that does not come, and for how long.
var lasting = map[string]time.Duration{
	// These cannot change while an execution client runs, and seldom do when it is started again.
	"engine_exchangeCapabilities": 24 * time.Hour,
	"engine_getClientVersionV1":   24 * time.Hour,
	"eth_chainId":                 24 * time.Hour,
	"eth_config":                  24 * time.Hour, // tells the next fork, too
	"web3_clientVersion":          24 * time.Hour,
	"eth_syncing":                 5 * time.Minute, // as long as a restart may take
}

// largestLasting is how many bytes of an answer are kept.
const largestLasting = 1 << 20

// lastAnswers are the last answers to lasting methods.
type lastAnswers struct {
	flights singleflight.Group // of questions, by method: one at a time

	mu      sync.Mutex
	results map[string]lastAnswer
}

type lastAnswer struct {
	result json.RawMessage
	at     time.Time
}

func (l *lastAnswers) get(method string) (lastAnswer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.results[method]
	return a, ok
}

func (l *lastAnswers) set(method string, a lastAnswer) {
	if len(a.result) > largestLasting || string(a.result) == "null" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.results == nil {
		l.results = map[string]lastAnswer{}
	}
	l.results[method] = a
}

// fly asks the execution client a lasting question, or joins who is asking it. The asking ends by its own limit and not with
// whoever began it.
func (e *Eel) fly(ctx context.Context, method string, body []byte) <-chan singleflight.Result {
	ctx = context.WithoutCancel(ctx)
	return e.last.flights.DoChan(method, func() (any, error) {
		r, err := e.fetch(ctx, method, body)
		if err == nil && r.Error == nil {
			e.last.set(method, lastAnswer{r.Result, e.c.Now()})
			if method == "eth_chainId" {
				_ = e.identify(r.Result) // the log tells
			}
		}
		return r, err
	})
}

// lastingReply answers a lasting question: by the execution client, or by its last answer if that is not too old. While the
// execution client is known to fail, nobody waits for it.
func (e *Eel) lastingReply(ctx context.Context, method string, body []byte, keep time.Duration) (reply, string, error) {
	last, ok := e.last.get(method)
	ok = ok && e.c.Now().Sub(last.at) < keep
	remembered := func() (reply, string, error) { return reply{Result: last.result}, "remembered", nil }
	answered := e.fly(ctx, method, body)
	if ok && e.execution.failing() {
		return remembered()
	}
	select {
	case f := <-answered:
		r, _ := f.Val.(reply)
		if f.Err != nil && ok {
			return remembered()
		}
		return r, "ok", f.Err
	case <-ctx.Done():
		if ok {
			return remembered()
		}
		return reply{}, "", ctx.Err()
	}
}

// vitals is what is known of how the execution client does.
type vitals struct {
	waiting atomic.Int64 // calls that it has not answered yet

	mu     sync.Mutex
	at     time.Time // of the last reply
	wrong  time.Time // of the last failure
	reason string    // of the failure; empty after a reply
}

// replied tells whether it had failed before.
func (v *vitals) replied(now time.Time) (again bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	again = v.reason != ""
	v.at, v.reason = now, ""
	return again
}

// failed tells whether it had not failed before.
func (v *vitals) failed(now time.Time, reason string) (first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	first = v.reason == ""
	v.wrong, v.reason = now, reason
	return first
}

func (v *vitals) failing() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reason != ""
}

func (v *vitals) get() (at time.Time, reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.at, v.reason
}

// freshFor is how long a reply, or a failure, says how the execution client does.
const freshFor = time.Second

// judge tells how the execution client does, if that is known: by a failure just now, or a reply just now unless a call
// waits, which may wait for ever.
func (v *vitals) judge(now time.Time) (well, known bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.reason != "" {
		return false, now.Sub(v.wrong) < freshFor
	}
	return true, v.waiting.Load() == 0 && !v.at.IsZero() && now.Sub(v.at) < freshFor
}

// probe is the cheapest question.
const probe = `{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}`

// answers tells whether the execution client answers: a reply has come within the last second and no call waits, or one comes
// now to a question of our own. A page is no answer.
func (e *Eel) answers(ctx context.Context) bool {
	if well, known := e.execution.judge(e.c.Now()); known {
		return well
	}
	select {
	case f := <-e.fly(ctx, "eth_chainId", []byte(probe)):
		return f.Err == nil
	case <-ctx.Done():
		return false
	}
}
