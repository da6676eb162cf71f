package eel

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-faster/jx"
)

// controllerName is what the controller is called in logs and metrics.
const controllerName = "controller"

// lesson is what the answer to one of the controller's calls can teach: about a payload, or a fork choice.
type lesson struct {
	*call
	known      *knownCall // with a claim
	forkchoice *forkchoice
}

// reading is a request of the controller's, parsed. lessons has an element for each call, which is nil if the answer teaches
// nothing.
type reading struct {
	calls   []call
	batch   bool
	lessons []*lesson
}

// parseLessons parses the controller's calls. What cannot be read is left to the execution client, which will refuse it.
func parseLessons(body []byte) *reading {
	calls, batch, _ := parseCalls(body)
	out := &reading{calls, batch, make([]*lesson, len(calls))}
	for i := range calls {
		c := &calls[i]
		l := &lesson{call: c}
		name, version := versioned(c.Method)
		if len(c.Params) == 0 || version == 0 || version > len(versionForks[name]) {
			continue
		}
		var err error
		switch name {
		case "engine_newPayload":
			if l.known, err = newKnownCall(c.Method, c.Params); err == nil && l.known.claim != nil {
				out.lessons[i] = l
			}
		case "engine_forkchoiceUpdated":
			l.forkchoice = &forkchoice{}
			if decode(c.Params[0], l.forkchoice) == nil && l.forkchoice.Head != (hash32{}) {
				out.lessons[i] = l
			}
		}
	}
	return out
}

// each calls a function with what each lesson is about.
func (r *reading) each(f func(question)) {
	for _, l := range r.lessons {
		if l != nil {
			f(l.question())
		}
	}
}

// question is what a lesson is about.
func (l *lesson) question() question {
	if l.forkchoice != nil {
		return question{true, l.forkchoice.Head}
	}
	return question{block: *l.known.claim.BlockHash}
}

// serveController passes a request on as it is, and learns from the answer.
func (e *Eel) serveController(w http.ResponseWriter, r *http.Request, who string) {
	began := time.Now()
	e.called.Store(e.c.Now().UnixNano())
	var buf bytes.Buffer // not pooled: the cache of known payloads holds on to it
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(r.Body); err != nil {
		unread(w, err)
		return
	}
	body := buf.Bytes()
	parsed := sync.OnceValue(func() *reading {
		r := parseLessons(body)
		r.each(e.memory.begin)
		return r
	})
	go parsed() // while the execution client is already at work
	in, err := e.asker.drive(r.Context(), body, parsed)
	read := parsed()
	defer read.each(e.memory.end)
	if err == nil && in.empty() && slices.ContainsFunc(read.calls, func(c call) bool { return !c.silent() }) {
		_ = in.Close() // read only
		err = in.from.failed("an empty answer")
	}
	var text []byte
	learns := read.batch || slices.ContainsFunc(read.lessons, func(l *lesson) bool { return l != nil })
	if err == nil && learns {
		text, err = in.all(r.Context(), e.c.BodyLimit)
	}
	switch {
	case err != nil:
		e.unpassed(w, read, err, who, began)
	case learns:
		e.learn(read, text, who, began)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(in.status)
		_, _ = w.Write(text) // the controller is gone
	default:
		defer func() { _ = in.Close() }() // read only
		e.relay(w, in, who, read.calls, began)
	}
}

// unpassed answers a request of the controller's that the execution client did not answer.
func (e *Eel) unpassed(w http.ResponseWriter, read *reading, err error, who string, began time.Time) {
	e.c.Logger.Error("the controller's call failed", "client", who, "method", methods(read.calls), "error", err)
	for i := range read.calls {
		e.note(&read.calls[i], who, "unreachable", began)
	}
	write(w, http.StatusBadGateway, failed(read.calls, read.batch, err))
}

// relay passes an answer on while it comes in, because it may be large, such as a payload with its blobs. Errors are short.
func (e *Eel) relay(w http.ResponseWriter, in *incoming, who string, calls []call, began time.Time) {
	outcome := "ok"
	var one reply
	if start, _ := in.Peek(beginning); decode(start, &one) == nil && one.Error != nil {
		outcome = "error"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(in.status)
	_, err := io.Copy(w, in)
	if err != nil {
		outcome = "broken off"
	}
	for i := range calls {
		e.note(&calls[i], who, outcome, began)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // otherwise a part would look like the whole answer
	}
}

// learn remembers what the execution client answered to the controller's calls.
func (e *Eel) learn(read *reading, text []byte, who string, began time.Time) {
	replies := make([]reply, 1)
	if d := jx.DecodeBytes(text); d.Next() == jx.Array {
		_ = scan(d, &replies) // what cannot be read teaches nothing
	} else {
		_ = scan(d, &replies[0]) // as above
	}
	for i := range read.calls {
		c := &read.calls[i]
		k := slices.IndexFunc(replies, func(r reply) bool { return bytes.Equal(r.ID, c.ID) }) // a batch is answered in any order
		if !read.batch && len(replies) == 1 {
			k = 0
		}
		if k < 0 || replies[k].Error != nil || replies[k].Result == nil {
			e.note(c, who, "error", began)
			continue
		}
		if l := read.lessons[i]; l != nil {
			e.note(c, who, e.learnOne(l, replies[k].Result, read.batch), began, "block", l.question().block)
			continue
		}
		e.note(c, who, "ok", began)
	}
}

// status reads the answer to a lesson's call.
func (l *lesson) status(result json.RawMessage) (s payloadStatus, payloadID string, err error) {
	if l.forkchoice == nil {
		err = decode(result, &s)
		return s, "", err
	}
	var r forkchoiceResponse
	err = decode(result, &r)
	return r.Status, deref(r.PayloadID), err
}

// learnOne remembers one answer, and returns what kind it was.
func (e *Eel) learnOne(l *lesson, result json.RawMessage, batch bool) (outcome string) {
	s, _, err := l.status(result)
	if err != nil {
		return "unreadable"
	}
	var c *claim
	if l.known != nil {
		c = l.known.claim
		switch s.Status {
		case statusValid:
			if !batch { // whose whole text would stay in memory
				e.known.learn(l.known)
			}
		case statusInvalid:
		default: // a fork choice may prove it later, if it hashes to what it says
			if failure, err := l.known.check(); failure != "" || err != nil {
				return s.Status
			}
		}
	}
	block := l.question().block
	e.believe(block, e.memory.learn(block, c, l.forkchoice, s), s)
	return s.Status
}

// believe takes over what proven payloads say, unless one of several execution clients has refused the block in the
// meantime.
func (e *Eel) believe(block hash32, proven []*claim, s payloadStatus) {
	if s.Status == statusValid {
		if refused := e.asker.outvoted(block); refused != nil {
			e.memory.learn(block, nil, nil, *refused)
			return
		}
		e.validated.Store(e.c.Now().UnixNano())
	}
	for _, c := range proven {
		e.builder.learn(*c.BlockHash, c.payload)
		e.schedule.accepted(c.version, uint64(*c.Timestamp), c.withdrawals)
	}
}
