package eel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// contradiction is the outcome of a payload that contradicts itself.
const contradiction = "contradiction"

// bodyTimeout is how long a client may take to send a body, and to read the answer.
const bodyTimeout = 30 * time.Second

// served are the methods that are answered from memory.
var served = append(versions("engine_newPayload", "engine_forkchoiceUpdated", "engine_getPayload"), "engine_exchangeCapabilities", "engine_exchangeTransitionConfigurationV1")

// versions returns all versions of methods.
func versions(names ...string) (out []string) {
	for _, name := range names {
		for i := range versionForks[name] {
			out = append(out, fmt.Sprintf("%sV%d", name, i+1))
		}
	}
	return out
}

// proxied are the methods that read from the execution client and change nothing there. eth_sendRawTransaction, which
// execution clients serve beside the Engine API, is not among them, and no consensus client uses it. The answer to
// engine_getClientVersionV1 lists execution clients only: an entry of our own would make Lighthouse leave the execution
// client's code out of its graffiti.
var proxied = []string{
	"engine_getPayloadBodiesByHashV1", "engine_getPayloadBodiesByHashV2", "engine_getPayloadBodiesByRangeV1", "engine_getPayloadBodiesByRangeV2",
	"engine_getClientVersionV1", "engine_getBlobsV1", "engine_getBlobsV2", "engine_getBlobsV3", "engine_getBlobsV4",
	"eth_blockNumber", "eth_call", "eth_chainId", "eth_config", "eth_getBlockByHash", "eth_getBlockByNumber", "eth_getCode", "eth_getLogs",
	"eth_syncing", "web3_clientVersion",
}

// answered is the answer to a client's call.
type answered struct {
	result  any
	outcome string // for logs and metrics: a status, or another word
	// block is what the call is about; nil for no block.
	block *hash32
}

// mostCalls is how many calls of clients are answered at once, including those that wait for the controller.
const mostCalls = 512

// serveClient answers a client's call, or batch of calls. A newPayload call that says the same as a known one is never in
// memory as a whole.
func (e *Eel) serveClient(w http.ResponseWriter, r *http.Request, who string) {
	if !e.answering.TryAcquire(1) {
		e.c.Logger.Warn("turning a call away: too many at once", "client", who, "limit", mostCalls)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many calls at once", http.StatusServiceUnavailable)
		return
	}
	defer e.answering.Release(1)
	held := int64(0)
	hold := func() error { // what is stored must fit into memory, however many clients send at once
		weight := r.ContentLength
		if weight < 0 {
			weight = e.c.BodyLimit
		}
		err := e.stored.Acquire(r.Context(), weight)
		if err == nil {
			held = weight
		}
		return err
	}
	defer func() { e.stored.Release(held) }()
	// A client that stops sending a body, or reading the answer, must not hold its share forever. Not all writers have
	// deadlines.
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(bodyTimeout))
	c, same, body, err := e.known.read(r.Body, r.ContentLength, hold)
	if err != nil {
		unread(w, err)
		return
	}
	_ = connection.SetReadDeadline(time.Time{})
	_ = connection.SetWriteDeadline(time.Now().Add(slowLimit + bodyTimeout))
	defer func() { _ = connection.SetWriteDeadline(time.Time{}) }() // the connection's next request may not be for us
	if same != nil {
		if c.silent() {
			write(w, http.StatusOK, nil)
			return
		}
		write(w, http.StatusOK, e.answerClient(r.Context(), c, same, who))
		return
	}
	if !e.serveBody(r.Context(), w, body.Bytes(), who) {
		release(body)
	}
}

// write sends an answer: no content if nobody expects one.
func write(w http.ResponseWriter, status int, answer any) {
	if answer == nil && status == http.StatusOK {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if answer != nil {
		_ = json.NewEncoder(w).Encode(answer) // the asker is gone
	}
}

// serveBody answers a call or a batch, and reports whether the body is still used.
func (e *Eel) serveBody(ctx context.Context, w http.ResponseWriter, body []byte, who string) (kept bool) {
	calls, batch, err := parseCalls(body)
	switch {
	case err != nil:
		e.c.Logger.Warn("a request cannot be read", "client", who, "error", err)
		write(w, http.StatusOK, answer(&call{}, nil, err))
	case batch:
		write(w, http.StatusOK, e.answerBatch(ctx, calls, who))
	case calls[0].silent(): // a notification changes nothing
		write(w, http.StatusOK, nil)
	case calls[0].refused == nil && slices.Contains(proxied, calls[0].Method) && lasting[calls[0].Method] == 0:
		e.passOn(ctx, w, &calls[0], who)
	default:
		c := &calls[0]
		c.keep = cap(body) <= 2*len(body) // otherwise the cache would hold on to much more than the call
		write(w, http.StatusOK, e.answerClient(ctx, c, nil, who))
		return c.kept
	}
	return false
}

// passOn lets the execution client answer a call. The answer may be large, so it is passed on while it comes in.
func (e *Eel) passOn(ctx context.Context, w http.ResponseWriter, c *call, who string) {
	began := time.Now()
	ctx, cancel := limited(ctx, c.Method)
	defer cancel()
	body, err := envelope(c, c.ID)
	var in *incoming
	if err == nil {
		in, err = e.asker.read(ctx, c.Method, body)
	}
	if err != nil {
		e.note(c, who, "unreachable", began, "error", err)
		write(w, http.StatusOK, answer(c, nil, err))
		return
	}
	defer func() { _ = in.Close() }() // read only
	e.relay(w, in, who, []call{*c}, began)
}

// mostBatches is how many batches are answered at once: all answers to a batch are in memory together.
const mostBatches = 8

// answerBatch answers the calls of a batch: nil if none of them expects an answer. The whole batch has the time of one
// slow call.
func (e *Eel) answerBatch(ctx context.Context, calls []call, who string) any {
	ctx, cancel := context.WithTimeoutCause(ctx, slowLimit, errSlow)
	defer cancel()
	if err := e.batches.Acquire(ctx, 1); err != nil {
		return failed(calls, true, errors.New("too many batches at once"))
	}
	defer e.batches.Release(1)
	var replies []reply
	total := 0
	for i := range calls {
		if calls[i].silent() {
			continue
		}
		r := e.answerClient(ctx, &calls[i], nil, who)
		if total += len(r.Result); total > largestAnswer {
			r = answer(&calls[i], nil, &rpcError{Code: codeTooLarge, Message: fmt.Sprintf("the answers to the batch have more than %d bytes", largestAnswer)})
		}
		replies = append(replies, r)
	}
	if replies == nil {
		return nil
	}
	return replies
}

// answerClient answers one call. same is the known call that says the same; nil if none does.
func (e *Eel) answerClient(ctx context.Context, c *call, same *knownCall, who string) reply {
	began := time.Now()
	if c.refused != nil {
		e.note(c, who, "error", began, "error", c.refused)
		return answer(c, nil, c.refused)
	}
	if slices.Contains(proxied, c.Method) {
		r, outcome := e.asker.proxy(ctx, c)
		e.note(c, who, outcome, began)
		return r
	}
	a, err := e.call(ctx, c, same)
	var about []any
	if a.block != nil {
		about = append(about, "block", a.block)
	}
	if err != nil {
		a.outcome, about = "error", append(about, "error", err)
		if refused, ok := errors.AsType[*rpcError](err); ok && refused.Code == codeUnsupportedFork {
			a.outcome = "unsupported fork"
		}
	}
	e.note(c, who, a.outcome, began, about...)
	return answer(c, a.result, err)
}

// warned are the outcomes that are logged as warnings.
var warned = []string{contradiction, "error", "unsupported fork"}

// note counts an answer and logs it. All unknown methods count as one, because their names come from the caller.
func (e *Eel) note(c *call, who, outcome string, began time.Time, about ...any) {
	method := c.Method
	if !slices.Contains(served, method) && !slices.Contains(proxied, method) {
		method = "other"
	}
	e.calls.WithLabelValues(method, who, outcome).Inc()
	e.duration.WithLabelValues(method, who).Observe(time.Since(began).Seconds())
	level := slog.LevelDebug
	if slices.Contains(warned, outcome) && len(about) > 0 {
		level = slog.LevelWarn
	}
	e.c.Logger.Log(context.Background(), level, "answered", append([]any{"client", who, "method", c.Method, "outcome", outcome}, about...)...)
}

// call answers from memory.
func (e *Eel) call(ctx context.Context, c *call, same *knownCall) (answered, error) {
	if !slices.Contains(served, c.Method) {
		return answered{}, &rpcError{Code: codeMethodNotFound, Message: "the method " + c.Method + " is not served to clients that share an execution client"}
	}
	switch name, version := versioned(c.Method); name {
	case "engine_newPayload":
		return e.newPayload(ctx, c, version, same)
	case "engine_forkchoiceUpdated":
		return e.forkchoiceUpdated(ctx, version, c.Params)
	case "engine_getPayload":
		var id string
		if len(c.Params) != 1 || decode(c.Params[0], &id) != nil {
			return answered{}, invalidParams("%s takes a payload's id", c.Method)
		}
		return e.builder.payload(version, id)
	case "engine_exchangeTransitionConfiguration": // obsolete since the merge: whatever the client sends is right
		if len(c.Params) != 1 {
			return answered{}, invalidParams("%s takes 1 parameter, not %d", c.Method, len(c.Params))
		}
		return answered{result: c.Params[0], outcome: "ok"}, nil
	}
	return e.capabilities(ctx, c)
}

// newPayload answers engine_newPayload. A payload that contradicts itself is INVALID whatever the controller may send.
func (e *Eel) newPayload(ctx context.Context, c *call, version int, same *knownCall) (answered, error) {
	if same == nil {
		own, err := newKnownCall(c.Method, c.Params)
		if err != nil {
			return answered{}, invalidParams("execution payload: %v", err)
		}
		var known bool
		same, known = e.known.find(own, !c.keep)
		c.kept = c.keep && !known
	}
	failure, err := same.check()
	if err != nil || failure != "" {
		e.known.forget(same)
	}
	if err != nil {
		return answered{}, err
	}
	p := same.claim
	a := answered{block: p.BlockHash}
	if err := e.schedule.check("engine_newPayload", version, uint64(*p.Timestamp)); err != nil {
		return a, err
	}
	if failure != "" {
		a.result, a.outcome = payloadStatus{Status: statusInvalid, ValidationError: &failure}, contradiction
		return a, nil
	}
	limit := e.c.PayloadWait
	if e.memory.old(uint64(*p.Number), e.c.Cutoff) {
		limit = 0
	}
	s := e.memory.wait(ctx, question{block: *p.BlockHash}, limit, statusOfPayload(*p.BlockHash, *p.ParentHash), e.asker.answers)
	a.result, a.outcome = s, s.Status
	return a, nil
}

// forkchoiceResponse answers engine_forkchoiceUpdated.
type forkchoiceResponse struct {
	Status    payloadStatus `json:"payloadStatus"`
	PayloadID *string       `json:"payloadId"`
}

func (e *Eel) forkchoiceUpdated(ctx context.Context, version int, params []json.RawMessage) (answered, error) {
	most := 2
	if version >= 4 {
		most = 3
	}
	if len(params) < 1 || len(params) > most {
		return answered{}, invalidParams("engine_forkchoiceUpdatedV%d takes 1 to %d parameters, not %d", version, most, len(params))
	}
	var f forkchoice
	if err := required(params[0], &f); err != nil {
		return answered{}, invalidParams("fork choice state: %v", err)
	}
	if len(params) > 2 {
		var columns [16]byte // what a client has in custody does not concern the execution client that others share
		if text := params[2]; !isNull(text) && unhex(columns[:], bytes.Trim(text, `"`)) != nil {
			return answered{}, invalidParams("custody columns: expected 16 bytes, not %.80s", text)
		}
	}
	a := answered{block: &f.Head}
	var out forkchoiceResponse
	if f.Head == (hash32{}) { // no such block can exist, so nobody waits for it
		why := "the head is 0"
		out.Status = payloadStatus{Status: statusInvalid, ValidationError: &why}
	} else {
		out.Status = e.memory.wait(ctx, question{true, f.Head}, e.c.ForkchoiceWait, statusOfForkchoice(f), e.asker.answers)
	}
	a.outcome = out.Status.Status
	if a.outcome == statusValid && len(params) > 1 && !isNull(params[1]) {
		attributes, err := parseAttributes(version, params[1])
		if err != nil {
			return a, err
		}
		if err := e.schedule.check("engine_forkchoiceUpdated", version, uint64(*attributes.Timestamp)); err != nil {
			return a, err
		}
		id, err := e.builder.prepare(ctx, f.Head, attributes)
		switch wrong, ok := errors.AsType[*rpcError](err); {
		case err == nil:
			out.PayloadID, a.outcome = &id, "building"
		case ok && wrong.Code == codeInvalidAttributes:
			return a, err
		default: // the head is VALID nevertheless, and an error would hide that
			e.c.Logger.Warn("cannot build a payload for a client", "block", f.Head, "error", err)
		}
	}
	a.result = out
	return a, nil
}

// engineMethods returns all methods of the Engine API that are served, except the one that asks for them.
func engineMethods() []string {
	return slices.DeleteFunc(slices.Concat(served, proxied), func(m string) bool {
		return !strings.HasPrefix(m, "engine_") || m == "engine_exchangeCapabilities"
	})
}

// capabilities answers engine_exchangeCapabilities with the methods of the Engine API that both we and the execution client
// serve.
func (e *Eel) capabilities(ctx context.Context, c *call) (answered, error) {
	list := engineMethods()
	var theirs []string
	if e.asker.ask(ctx, c.Method, &theirs, list) == nil && len(theirs) > 0 { // it may be away, or not know the method
		list = slices.DeleteFunc(list, func(m string) bool {
			return !slices.Contains(theirs, m) && m != "engine_exchangeTransitionConfigurationV1"
		})
	}
	return answered{result: list, outcome: "ok"}, nil
}
