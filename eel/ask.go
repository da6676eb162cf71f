package eel

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// An execution client that hangs, or that is being restarted, must not stop the consensus clients: its port still accepts
// connections, and a client that thinks its execution client is gone stops syncing and loses its peers. So what an
// execution client says about itself is asked once for all who want to know it, within the Engine API's time, and the last
// answer stands in for one that does not come.

// lasting says for which methods the last answer stands in for one that does not come, and for how long.
var lasting = map[string]time.Duration{
	// These cannot change while an execution client runs, and seldom do when it restarts.
	"engine_exchangeCapabilities": 24 * time.Hour,
	"engine_getClientVersionV1":   24 * time.Hour,
	"eth_chainId":                 24 * time.Hour,
	"eth_config":                  24 * time.Hour, // names the next fork, too
	"web3_clientVersion":          24 * time.Hour,
	"eth_syncing":                 5 * time.Minute, // as long as a restart may take
}

// largestLasting is the size in bytes up to which an answer is kept.
const largestLasting = 1 << 20

// asker asks the execution client what clients, or the multiplexer itself, want to know.
type asker struct {
	*executionClients
	now      func() time.Time
	identify func(id json.RawMessage) error // is called with each answer to eth_chainId
	flights  singleflight.Group             // one for each lasting method

	mu   sync.Mutex
	last map[string]lastAnswer // to lasting methods
}

type lastAnswer struct {
	result json.RawMessage
	at     time.Time
}

// fly asks a lasting question, or joins those who are waiting for the answer. Its own limit ends it, not the one who began
// it.
func (a *asker) fly(ctx context.Context, method string, body []byte) <-chan singleflight.Result {
	ctx = context.WithoutCancel(ctx)
	return a.flights.DoChan(method, func() (any, error) {
		r, err := fetch(ctx, a.executionClients, method, body)
		if err == nil && r.Error == nil {
			if len(r.Result) <= largestLasting && !isNull(r.Result) {
				a.mu.Lock()
				a.last[method] = lastAnswer{r.Result, a.now()}
				a.mu.Unlock()
			}
			if method == "eth_chainId" {
				_ = a.identify(r.Result) // it is logged
			}
		}
		return r, err
	})
}

// fetch asks an execution client, or several as one, and reads the reply.
func fetch(ctx context.Context, x source, method string, body []byte) (reply, error) {
	ctx, cancel := limited(ctx, method)
	defer cancel()
	in, err := x.read(ctx, method, body)
	if err != nil {
		return reply{}, err
	}
	text, err := in.all(ctx, largestAnswer)
	switch {
	case in.status >= http.StatusInternalServerError:
		return reply{}, fmt.Errorf("execution client %s: status %d: %.200s", in.from.name, in.status, text)
	case err != nil:
		return reply{}, err
	}
	var r reply
	if err := decode(text, &r); err != nil {
		return reply{}, fmt.Errorf("the execution client's answer cannot be read: %w", err)
	}
	if r.Error == nil && r.Result == nil {
		r.Result = json.RawMessage("null")
	}
	return r, nil
}

// lastingReply answers a lasting question: from the execution client, or with its last answer if that is not too old.
// While the execution client is known to fail, nobody waits for it.
func (a *asker) lastingReply(ctx context.Context, method string, body []byte) (r reply, outcome string, err error) {
	a.mu.Lock()
	last, ok := a.last[method]
	a.mu.Unlock()
	ok = ok && a.now().Sub(last.at) < lasting[method]
	remembered := reply{Result: last.result}
	answered := a.fly(ctx, method, body)
	if _, failing := a.heard(); ok && failing != "" {
		return remembered, "remembered", nil
	}
	select {
	case f := <-answered:
		if f.Err == nil || !ok {
			r, _ := f.Val.(reply)
			return r, "ok", f.Err
		}
	case <-ctx.Done():
		if !ok {
			return reply{}, "", ctx.Err()
		}
	}
	return remembered, "remembered", nil
}

// proxy answers a question of a client, or of our own.
func (a *asker) proxy(ctx context.Context, c *call) (reply, string) {
	body, err := envelope(c, ownID)
	if err != nil {
		return answer(c, nil, err), "error"
	}
	var r reply
	outcome := "ok"
	if lasting[c.Method] > 0 {
		r, outcome, err = a.lastingReply(ctx, c.Method, body)
	} else {
		r, err = fetch(ctx, a.executionClients, c.Method, body)
	}
	if err != nil {
		return answer(c, nil, err), "unreachable"
	}
	if r.Error != nil {
		outcome = "error"
	}
	out := answer(c, nil, nil)
	out.Result, out.Error = r.Result, r.Error
	return out, outcome
}

// ask calls a method and reads its result.
func (a *asker) ask(ctx context.Context, method string, result any, params ...any) error {
	r, _ := a.proxy(ctx, newCall(method, params...))
	return r.into(method, result)
}

// probe is the cheapest question.
const probe = `{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}`

// answers reports whether the execution client answers: a reply came within the last second and no call is waiting, or one
// comes now to a question of our own. A page is no answer.
func (a *asker) answers(ctx context.Context) bool {
	if well, known := a.well(a.now()); known {
		return well
	}
	select {
	case f := <-a.fly(ctx, "eth_chainId", []byte(probe)):
		return f.Err == nil
	case <-ctx.Done():
		return false
	}
}
