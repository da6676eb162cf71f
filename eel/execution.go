package eel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-faster/jx"

	"blockprint/jsonhttp"
)

// Time limits of eel's own calls: nine tenths of what the Engine API gives, so that whoever waits for the answer gets one
// in time. The controller's calls have the limits that the controller gives them.
const (
	quickLimit = 900 * time.Millisecond  // of 1 s: what needs no execution and no search
	slowLimit  = 7200 * time.Millisecond // of 8 s
)

// slow are the methods for which an execution client executes or searches.
var slow = []string{
	"engine_getPayloadBodiesByHashV1", "engine_getPayloadBodiesByHashV2", "engine_getPayloadBodiesByRangeV1", "engine_getPayloadBodiesByRangeV2",
	"eth_call", "eth_getBlockByHash", "eth_getBlockByNumber", "eth_getLogs",
}

// largestAnswer is how many bytes of an answer, or of the answers to a batch, are kept in memory.
const largestAnswer = 32 << 20

// incoming is an answer of the execution client. A JSON-RPC reply begins there, unless it is empty.
type incoming struct {
	*bufio.Reader
	io.Closer
	status int
}

// forward sends a request to the execution client. silent tells that it may expect no answer: an empty one is passed on
// then. The answer is the caller's to close. What is no JSON-RPC reply, such as the page of a proxy, is an error: nobody but the execution client knows JSON-RPC.
func (e *Eel) forward(ctx context.Context, body []byte, silent bool) (*incoming, error) {
	token, err := e.c.ExecutionSecret.sign(e.c.Now())
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, e.c.Execution, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the execution client's URL cannot be used")
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+token)
	e.execution.waiting.Add(1)
	defer e.execution.waiting.Add(-1)
	res, err := e.client.Do(q)
	if err != nil {
		return nil, e.unanswered(ctx, jsonhttp.WithoutURL(err))
	}
	in := &incoming{Reader: bufio.NewReaderSize(res.Body, beginning), Closer: res.Body, status: res.StatusCode}
	start, err := in.Peek(beginning)
	switch {
	case silent && len(start) == 0 && in.status < 300: // says nothing of the execution client, either
		return in, nil
	case isReply(start, in.status) && in.status >= http.StatusInternalServerError: // a proxy's, or of one that can do no more
		_ = e.failed("status %d", in.status)
		return in, nil
	case isReply(start, in.status):
		if e.execution.replied(e.c.Now()) { // it may have been started anew, on another chain
			e.c.Logger.Info("the execution client answers again")
			e.fly(ctx, "eth_chainId", []byte(probe))
		}
		return in, nil
	case err != nil && !errors.Is(err, io.EOF):
		err = e.unanswered(ctx, err)
	case in.status == http.StatusUnauthorized || in.status == http.StatusForbidden:
		err = e.failed("it refuses our JWT secret: %.200s", bytes.TrimSpace(start))
	default:
		err = e.failed("status %d and no JSON-RPC", in.status)
	}
	_ = res.Body.Close() // read only
	return nil, err
}

// empty tells whether there is no answer.
func (in *incoming) empty() bool {
	_, err := in.Peek(1)
	return err != nil
}

// beginning is how much of an answer is looked at before it is passed on.
const beginning = 4 << 10

// isReply tells whether an answer that begins so is a JSON-RPC reply, or a batch of them.
func isReply(start []byte, status int) (yes bool) {
	d := jx.DecodeBytes(start)
	object := func(d *jx.Decoder) error {
		return d.ObjBytes(func(d *jx.Decoder, name []byte) error {
			// Some write the result, which may be long, before the version.
			if string(name) == "jsonrpc" || string(name) == "result" && status == http.StatusOK {
				yes = true
				return errFound
			}
			return d.Skip()
		})
	}
	switch d.Next() {
	case jx.Object:
		_ = object(d) // it may be broken off
	case jx.Array:
		_ = d.Arr(func(d *jx.Decoder) error { return errors.Join(object(d), errFound) }) // the first one will do
	}
	return yes
}

// errFound ends a search.
var errFound = errors.New("found")

// unanswered makes the error of a call that was not answered. If the caller has gone away, or its time was up, that says
// nothing of the execution client.
func (e *Eel) unanswered(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case cause == nil:
		return e.failed("%v", err)
	case errors.Is(cause, errQuick):
		return e.failed("%v", errQuick)
	}
	return fmt.Errorf("%s: %w", e.name(), cause) // a long search is no sign of a failure, either
}

// errQuick and errSlow are why calls are given up.
var (
	errQuick = fmt.Errorf("no answer within %s", quickLimit)
	errSlow  = fmt.Errorf("no answer within %s", slowLimit)
)

// name is how messages name the execution client: its address may hold secrets.
func (e *Eel) name() string { return "execution client " + jsonhttp.ServerName(e.c.Execution) }

// failed makes an error of the execution client, of which it takes note.
func (e *Eel) failed(format string, args ...any) error {
	reason := e.name() + ": " + fmt.Sprintf(format, args...)
	if e.execution.failed(e.c.Now(), reason) {
		e.c.Logger.Warn("the execution client fails", "error", reason)
	}
	return errors.New(reason)
}

// limited bounds the time of a call.
func limited(ctx context.Context, method string) (context.Context, context.CancelFunc) {
	if slices.Contains(slow, method) {
		return context.WithTimeoutCause(ctx, slowLimit, errSlow)
	}
	return context.WithTimeoutCause(ctx, quickLimit, errQuick)
}

// envelope writes a request anew: what a client has written beside the method and the parameters must not reach the
// execution client, which might read it in another way than we do.
func envelope(c *call, id json.RawMessage) ([]byte, error) {
	params := c.Params
	if params == nil {
		params = []json.RawMessage{}
	}
	return json.Marshal(call{Version: "2.0", Method: c.Method, Params: params, ID: id})
}

// fetch asks the execution client and reads its reply.
func (e *Eel) fetch(ctx context.Context, method string, body []byte) (reply, error) {
	ctx, cancel := limited(ctx, method)
	defer cancel()
	in, err := e.forward(ctx, body, false)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = in.Close() }() // read only
	text, err := io.ReadAll(io.LimitReader(in, largestAnswer+1))
	switch {
	case in.status >= http.StatusInternalServerError:
		return reply{}, e.failed("status %d: %.200s", in.status, text)
	case err != nil:
		return reply{}, e.unanswered(ctx, err)
	case len(text) > largestAnswer:
		return reply{}, &rpcError{Code: codeTooLarge, Message: fmt.Sprintf("the execution client's answer has more than %d bytes", largestAnswer)}
	}
	var r reply
	if err := json.Unmarshal(text, &r); err != nil {
		return reply{}, fmt.Errorf("the execution client's answer cannot be read: %w", plain(err))
	}
	if r.Error == nil && r.Result == nil {
		r.Result = json.RawMessage("null")
	}
	return r, nil
}

// proxy asks the execution client what a client, or the multiplexer itself, wants to know.
func (e *Eel) proxy(ctx context.Context, c *call) (reply, string) {
	body, err := envelope(c, json.RawMessage("1"))
	if err != nil {
		return answer(c, nil, err), "error"
	}
	var r reply
	outcome := "ok"
	if keep, ok := lasting[c.Method]; ok {
		r, outcome, err = e.lastingReply(ctx, c.Method, body, keep)
	} else {
		r, err = e.fetch(ctx, c.Method, body)
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

// ask calls a method of the execution client.
func (e *Eel) ask(ctx context.Context, method string, into any, params ...any) error {
	c := call{Method: method}
	for _, p := range params {
		raw, err := json.Marshal(p)
		if err != nil {
			return err
		}
		c.Params = append(c.Params, raw)
	}
	r, _ := e.proxy(ctx, &c)
	if r.Error != nil {
		return fmt.Errorf("%s: %w", method, r.Error)
	}
	if err := json.Unmarshal(r.Result, into); err != nil {
		return fmt.Errorf("%s: %w", method, plain(err))
	}
	return nil
}

// methods names those of calls, for the log.
func methods(calls []call) string {
	switch len(calls) {
	case 0:
		return "unreadable"
	case 1:
		return calls[0].Method
	}
	return "batch of " + calls[0].Method + " and others"
}
