package eel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// controllerName is what the controller is called in logs and metrics.
const controllerName = "controller"

// lesson is what can be learned of a controller's call once it is answered.
type lesson struct {
	*call
	version int
	// claim and known are set for newPayload.
	claim *claim
	known *knownCall
	// forkchoice is set for forkchoiceUpdated.
	forkchoice *forkchoice
}

// reading is what a request of the controller's was found to be.
type reading struct {
	calls   []call
	batch   bool
	lessons []lesson
}

// lessons reads the controller's calls. What cannot be read is for the execution client to refuse.
func lessons(body []byte) (out reading) {
	out.calls, out.batch, _ = parseCalls(body)
	for i := range out.calls {
		c := &out.calls[i]
		name, version := versioned(c.Method)
		if len(c.Params) == 0 || version == 0 || version > len(versionForks[name]) {
			continue
		}
		l := lesson{call: c, version: version}
		switch name {
		case "engine_newPayload":
			var err error
			if l.known, err = newKnownCall(c.Method, c.Params); err != nil {
				continue
			}
			if l.claim = l.known.claim(version); l.claim != nil {
				out.lessons = append(out.lessons, l)
			}
		case "engine_forkchoiceUpdated":
			if json.Unmarshal(c.Params[0], &l.forkchoice) == nil && l.forkchoice != nil && l.forkchoice.Head != (hash32{}) {
				out.lessons = append(out.lessons, l)
			}
		}
	}
	return out
}

// claim reads what a payload says of its block: nil if that cannot be read.
func (c *knownCall) claim(version int) *claim {
	p := &payload{}
	for _, name := range []string{
		"blockHash", "parentHash", "stateRoot", "blockNumber", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas", "withdrawals",
	} {
		if raw, ok := c.fields[name]; ok && p.read(name, raw) != nil {
			return nil
		}
	}
	if p.BlockHash == nil || p.ParentHash == nil || p.StateRoot == nil || p.Number == nil || p.GasLimit == nil || p.GasUsed == nil || p.Timestamp == nil || p.BaseFee == nil {
		return nil
	}
	return &claim{
		block: *p.BlockHash, parent: *p.ParentHash, number: uint64(*p.Number), timestamp: uint64(*p.Timestamp), version: version,
		withdrawals: p.Withdrawals != nil, header: p.header(),
	}
}

// header returns what a payload on top of this one depends on.
func (p *payload) header() header {
	h := header{StateRoot: *p.StateRoot, Number: *p.Number, GasLimit: *p.GasLimit, GasUsed: *p.GasUsed, Timestamp: *p.Timestamp, BaseFee: *p.BaseFee}
	if p.BlobGasUsed != nil && p.ExcessBlobGas != nil {
		h.BlobGasUsed, h.ExcessBlobGas = *p.BlobGasUsed, *p.ExcessBlobGas
	}
	return h
}

// question is what a lesson is about.
func (l *lesson) question() question {
	if l.forkchoice != nil {
		return question{true, l.forkchoice.Head}
	}
	return question{block: l.claim.block}
}

// serveController passes a request on as it is, and learns from the answer.
func (e *Eel) serveController(w http.ResponseWriter, r *http.Request, who string) {
	began := time.Now()
	e.called.Store(e.c.Now().UnixNano())
	var buf bytes.Buffer // not pooled: texts of payloads are kept
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, e.c.BodyLimit)); err != nil {
		unread(w, err)
		return
	}
	body := buf.Bytes()
	parsed := make(chan reading, 1)
	go func() { // while the execution client is at work
		read := lessons(body)
		for i := range read.lessons {
			e.memory.begin(read.lessons[i].question())
		}
		parsed <- read
	}()
	in, err := e.forward(r.Context(), body, true)
	read := <-parsed
	if err == nil && in.empty() && slices.ContainsFunc(read.calls, func(c call) bool { return !c.silent() }) {
		_ = in.Close() // read only
		err = e.failed("an empty answer")
	}
	defer func() {
		for i := range read.lessons {
			e.memory.end(read.lessons[i].question())
		}
	}()
	if err != nil {
		e.unpassed(w, read, err, who, began)
		return
	}
	defer func() { _ = in.Close() }() // read only
	if len(read.lessons) > 0 || read.batch {
		e.passLearned(w, in, who, read, began)
		return
	}
	e.relay(w, in, who, read.calls, began)
}

// unpassed answers a request of the controller's that the execution client has not answered.
func (e *Eel) unpassed(w http.ResponseWriter, read reading, err error, who string, began time.Time) {
	e.c.Logger.Error("the controller's call failed", "client", who, "method", methods(read.calls), "error", err)
	for i := range read.calls {
		e.note(&read.calls[i], who, "unreachable", began)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadGateway)
	if answer := failed(read.calls, read.batch, err); answer != nil {
		_ = json.NewEncoder(w).Encode(answer) // the controller is gone
	}
}

// relay passes an answer on as it comes in, which may be large: payloads with their blobs. Errors are short.
func (e *Eel) relay(w http.ResponseWriter, in *incoming, who string, calls []call, began time.Time) {
	outcome := "ok"
	var one reply
	if start, _ := in.Peek(beginning); json.Unmarshal(start, &one) == nil && one.Error != nil {
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
	e.c.Logger.Debug("passed on", "client", who, "method", methods(calls), "outcome", outcome)
	if err != nil {
		panic(http.ErrAbortHandler) // else the asker would take what there is for all of it
	}
}

// passLearned passes an answer on that teaches something.
func (e *Eel) passLearned(w http.ResponseWriter, in *incoming, who string, read reading, began time.Time) {
	text, err := io.ReadAll(io.LimitReader(in, e.c.BodyLimit+1))
	if err == nil && int64(len(text)) > e.c.BodyLimit {
		err = fmt.Errorf("it has more than %d bytes", e.c.BodyLimit)
	}
	if err != nil {
		e.unpassed(w, read, fmt.Errorf("the execution client's answer broke off: %w", err), who, began)
		return
	}
	e.learn(read, text, who, began)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(in.status)
	_, _ = w.Write(text) // the controller is gone
}

// learn remembers what the execution client answered to the controller's calls.
func (e *Eel) learn(read reading, text []byte, who string, began time.Time) {
	var parts []json.RawMessage
	if text = bytes.TrimSpace(text); bytes.HasPrefix(text, []byte("[")) {
		_ = json.Unmarshal(text, &parts) // what cannot be read teaches nothing
	} else {
		parts = []json.RawMessage{text}
	}
	replies := make([]reply, len(parts))
	for i, p := range parts {
		_ = json.Unmarshal(p, &replies[i]) // as above
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
		outcome := "ok"
		if l := slices.IndexFunc(read.lessons, func(l lesson) bool { return l.call == c }); l >= 0 {
			outcome = e.learnOne(&read.lessons[l], replies[k].Result, read.batch)
		}
		e.note(c, who, outcome, began)
	}
}

// learnOne remembers one answer, and returns what kind it was.
func (e *Eel) learnOne(l *lesson, result json.RawMessage, batch bool) (outcome string) {
	if l.forkchoice != nil {
		var r struct {
			Status payloadStatus `json:"payloadStatus"`
		}
		if json.Unmarshal(result, &r) != nil {
			return "unreadable"
		}
		e.believe(e.memory.learnForkchoice(*l.forkchoice, r.Status), r.Status)
		e.c.Logger.Debug("fork choice", "client", controllerName, "method", l.Method, "block", l.forkchoice.Head, "outcome", r.Status.Status)
		return r.Status.Status
	}
	var s payloadStatus
	if json.Unmarshal(result, &s) != nil {
		return "unreadable"
	}
	c := l.claim
	switch s.Status {
	case statusValid:
		if !batch { // of which all would be kept
			e.known.learn(l.known, checked{block: c.block, parent: c.parent, number: c.number, timestamp: c.timestamp})
		}
	case statusInvalid:
	default: // it may prove true later, if it is the block that it says
		if _, failure, err := parseNewPayload(l.version, l.known); failure != "" || err != nil {
			return s.Status
		}
	}
	e.believe(e.memory.learnPayload(c, s), s)
	e.c.Logger.Debug("payload", "client", controllerName, "method", l.Method, "block", c.block, "number", c.number, "outcome", s.Status)
	return s.Status
}

// believe takes over what payloads say that have been proven.
func (e *Eel) believe(proven []*claim, s payloadStatus) {
	if s.Status == statusValid {
		e.validated.Store(e.c.Now().UnixNano())
	}
	for _, c := range proven {
		e.builder.learn(c.block, c.header)
		e.schedule.accepted(c.version, c.timestamp, c.withdrawals)
	}
}
